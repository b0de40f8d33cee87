"""One node of a tree of threshold components: its sums, how they grow, and its score as a nucleus."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled

# Columns of the table of nodes.
AREA, SUM_X, SUM_Y, SUM_XX, SUM_YY, SUM_XY, SIDES, DROP, BEST, SPLIT = range(10)
SUMMED = 10
LEFT, TOP, RIGHT, BOTTOM, SEED, STAMP, LONG, OLD_AREA, OLD_BEST, OLD_LONG, COLUMNS = range(10, 21)

# Entries of the rules a node is scored by.
MIN_AREA, MAX_AREA, MAX_EXTENT, FIT_WEIGHT, SIZE_WEIGHT, TYPICAL_AREA, BIAS, AREA_POWER = range(8)
LOST_LEVEL, RULES = 8, 9

SCORE_UNIT = 1e-3
"""Scores are whole multiples of this, so that their sums do not depend on the order of adding."""

DROP_UNIT = 1e-3
"""Unit of the contrast across a side of a pixel."""


@compiled
def score(node: NDArray[np.int64], rules: NDArray[np.float64]) -> int:
    """Score of a node, in SCORE_UNIT; not positive for what cannot be a nucleus.

    Quality is the mean contrast across the rim, less what speaks against a nucleus: area missing from the ellipse of
    the same second moments, and an untypical area.
    """
    area = float(node[AREA])
    if area < rules[MIN_AREA] or area > rules[MAX_AREA]:
        return 0
    contrast = DROP_UNIT * float(node[DROP]) / float(node[SIDES])
    n = node[AREA]
    # Whole-number moments are exact, so these do not depend on where the view lies.
    var_x = float(n * node[SUM_XX] - node[SUM_X] * node[SUM_X]) / (area * area) + 1.0 / 12.0
    var_y = float(n * node[SUM_YY] - node[SUM_Y] * node[SUM_Y]) / (area * area) + 1.0 / 12.0
    cov = float(n * node[SUM_XY] - node[SUM_X] * node[SUM_Y]) / (area * area)
    ellipse = 4.0 * np.pi * np.sqrt(max(var_x * var_y - cov * cov, 1e-9))
    misfit = np.sqrt(max(1.0 - area / ellipse, 0.0))
    size = np.log(area / rules[TYPICAL_AREA])
    quality = contrast - rules[FIT_WEIGHT] * misfit - rules[SIZE_WEIGHT] * size * size - rules[BIAS]
    return int(np.floor(quality * area ** rules[AREA_POWER] / SCORE_UNIT))


@compiled
def add_pixel(
    nodes: NDArray[np.int64],
    own: int,
    pixel: int,
    width: int,
    node_of: NDArray[np.int32],
    outflow: NDArray[np.int16],
) -> None:
    """Add one pixel to the sums of node `own`."""
    y = np.int64(np.uint32(pixel) // np.uint32(width))  # 32 bits divide twice as fast
    x = np.int64(pixel - y * width)
    nodes[own, AREA] += 1
    nodes[own, SUM_X] += x
    nodes[own, SUM_Y] += y
    nodes[own, SUM_XX] += x * x
    nodes[own, SUM_YY] += y * y
    nodes[own, SUM_XY] += x * y
    nodes[own, LEFT] = min(nodes[own, LEFT], x)
    nodes[own, TOP] = min(nodes[own, TOP], y)
    nodes[own, RIGHT] = max(nodes[own, RIGHT], x + 1)
    nodes[own, BOTTOM] = max(nodes[own, BOTTOM], y + 1)
    # By Gauss' theorem the contrasts across a node's rim sum up to the outflow of its pixels.
    nodes[own, DROP] += outflow[pixel]
    inner = 0
    for step in (-1, 1, -width, width):
        inner += node_of[pixel + step] >= 0
    nodes[own, SIDES] += 4 - 2 * inner


@compiled
def merge(nodes: NDArray[np.int64], parent: NDArray[np.int32], a: int, b: int) -> int:
    """Join two roots; the one with the smaller index stays."""
    keep, lose = min(a, b), max(a, b)
    parent[lose] = keep
    for column in range(SUMMED):
        nodes[keep, column] += nodes[lose, column]
    nodes[keep, LONG] = max(nodes[keep, LONG], nodes[lose, LONG])
    nodes[keep, LEFT] = min(nodes[keep, LEFT], nodes[lose, LEFT])
    nodes[keep, TOP] = min(nodes[keep, TOP], nodes[lose, TOP])
    nodes[keep, RIGHT] = max(nodes[keep, RIGHT], nodes[lose, RIGHT])
    nodes[keep, BOTTOM] = max(nodes[keep, BOTTOM], nodes[lose, BOTTOM])
    return keep


@compiled
def touch(nodes: NDArray[np.int64], node: int, level: int, touched: NDArray[np.int32], n: int) -> int:
    """Remember a root that changes at this level, and what it was before; returns the number remembered."""
    if nodes[node, STAMP] == level:
        return n
    nodes[node, STAMP] = level
    nodes[node, OLD_AREA] = nodes[node, AREA]
    nodes[node, OLD_BEST] = nodes[node, BEST]
    nodes[node, OLD_LONG] = nodes[node, LONG]
    touched[n] = node
    return n + 1


@compiled
def new_node(nodes: NDArray[np.int64], parent: NDArray[np.int32], node: int, pixel: int) -> None:
    """Make an empty root that starts at a pixel."""
    parent[node] = node
    nodes[node, :] = 0
    nodes[node, LEFT] = nodes[node, TOP] = 1 << 40
    nodes[node, SEED] = pixel
    nodes[node, STAMP] = -1

"""One node of a tree of threshold components: its sums, how they grow, and its score as a nucleus."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled, compiled_part

# Columns of the table of nodes.
LEVEL, AREA, SUM_X, SUM_Y, SUM_XX, SUM_YY, SUM_XY, SIDES, DROP, BEST, SPLIT = range(11)
LEFT, TOP, RIGHT, BOTTOM, SEED, LONG, LOST_BEFORE, COLUMNS = range(11, 19)

# Entries of the rules a node is scored by.
MIN_AREA, MAX_AREA, MAX_EXTENT, FIT_WEIGHT, SIZE_WEIGHT, TYPICAL_AREA, BIAS, AREA_POWER = range(8)
LOST_LEVEL, RULES = 8, 9

SCORE_UNIT = 1e-3
"""Scores are whole multiples of this, so that their sums do not depend on the order of adding."""

DROP_UNIT = 1e-3
"""Unit of the contrast across a side of a pixel."""

SIZE_LOSS, WORTH = 0, 1
"""Columns of the table of what depends on a node's area alone."""


@compiled
def tabulate_areas(rules: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loss of quality and worth of quality of each area up to the largest: (areas, 2)."""
    table = np.zeros((int(rules[MAX_AREA]) + 1, 2))
    for n in range(1, table.shape[0]):
        area = float(n)
        size = np.log(area / rules[TYPICAL_AREA])
        table[n, SIZE_LOSS] = rules[SIZE_WEIGHT] * size * size
        table[n, WORTH] = area ** rules[AREA_POWER]
    return table


@compiled_part
def score(
    nodes: NDArray[np.int64], node: int, least: int, rules: NDArray[np.float64], by_area: NDArray[np.float64]
) -> int:
    """Score of a node, in SCORE_UNIT; 0 for what cannot be a nucleus or has a score below `least` or of at most 0.

    Quality is the mean contrast across the rim, less what speaks against a nucleus: area missing from the ellipse of
    the same second moments, and an untypical area.
    """
    n = nodes[node, AREA]
    if n < rules[MIN_AREA] or n >= by_area.shape[0]:
        return 0
    contrast = DROP_UNIT * float(nodes[node, DROP]) / float(nodes[node, SIDES])
    loss, worth = by_area[n, SIZE_LOSS], by_area[n, WORTH]
    if np.floor((contrast - loss - rules[BIAS]) * worth / SCORE_UNIT) < max(least, 1):  # even as a perfect ellipse
        return 0
    # Whole-number moments are exact, so these do not depend on where the view lies.
    area = float(n)
    x, y = nodes[node, SUM_X], nodes[node, SUM_Y]
    var_x = float(n * nodes[node, SUM_XX] - x * x) / (area * area) + 1.0 / 12.0
    var_y = float(n * nodes[node, SUM_YY] - y * y) / (area * area) + 1.0 / 12.0
    cov = float(n * nodes[node, SUM_XY] - x * y) / (area * area)
    ellipse = 4.0 * np.pi * np.sqrt(max(var_x * var_y - cov * cov, 1e-9))
    misfit = np.sqrt(max(1.0 - area / ellipse, 0.0))
    own = int(np.floor((contrast - rules[FIT_WEIGHT] * misfit - loss - rules[BIAS]) * worth / SCORE_UNIT))
    return own if own >= max(least, 1) else 0


@compiled_part
def open_node(nodes: NDArray[np.int64], node: int, level: int, n_lost: int) -> None:
    """Make an empty node; `n_lost` is the number of nodes that are lost already."""
    nodes[node, :] = 0
    nodes[node, LEVEL] = level
    nodes[node, LEFT] = nodes[node, TOP] = nodes[node, SEED] = 1 << 62
    nodes[node, LOST_BEFORE] = n_lost


@compiled_part
def add_pixel(nodes: NDArray[np.int64], node: int, pixel: int, width: int, sides: int, drop: int) -> None:
    """Add one pixel to the sums of a node.

    Parameters
    ----------
    sides : int
        Sides of the pixel that become part of the rim, less those of its neighbours that cease to be.
    drop : int
        Its outflow: by Gauss' theorem the contrasts across a node's rim sum up to the outflow of its pixels.
    """
    y = np.int64(np.uint32(pixel) // np.uint32(width))  # 32 bits divide twice as fast
    x = np.int64(pixel - y * width)
    nodes[node, AREA] += 1
    nodes[node, SUM_X] += x
    nodes[node, SUM_Y] += y
    nodes[node, SUM_XX] += x * x
    nodes[node, SUM_YY] += y * y
    nodes[node, SUM_XY] += x * y
    nodes[node, SIDES] += sides
    nodes[node, DROP] += drop
    nodes[node, LEFT] = min(nodes[node, LEFT], x)
    nodes[node, TOP] = min(nodes[node, TOP], y)
    nodes[node, RIGHT] = max(nodes[node, RIGHT], x + 1)
    nodes[node, BOTTOM] = max(nodes[node, BOTTOM], y + 1)
    nodes[node, SEED] = min(nodes[node, SEED], ((255 - nodes[node, LEVEL]) << 32) + pixel)


@compiled_part
def merge(nodes: NDArray[np.int64], into: int, node: int) -> None:
    """Add a node to the one that it is a part of; sums of what is too long are never looked at."""
    if nodes[node, LONG] == 1 or nodes[into, LONG] == 1:
        nodes[into, LONG] = 1
        return
    for column in range(AREA, SPLIT + 1):
        nodes[into, column] += nodes[node, column]
    nodes[into, LEFT] = min(nodes[into, LEFT], nodes[node, LEFT])
    nodes[into, TOP] = min(nodes[into, TOP], nodes[node, TOP])
    nodes[into, RIGHT] = max(nodes[into, RIGHT], nodes[node, RIGHT])
    nodes[into, BOTTOM] = max(nodes[into, BOTTOM], nodes[node, BOTTOM])
    nodes[into, SEED] = min(nodes[into, SEED], nodes[node, SEED])


@compiled_part
def seed_of(nodes: NDArray[np.int64], node: int) -> int:
    """Brightest pixel of a node, the first in raster order of several."""
    return int(nodes[node, SEED] & 0xFFFFFFFF)

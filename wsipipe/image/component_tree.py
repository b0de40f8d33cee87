"""Nuclei as the best-bounded nodes of the tree of threshold components.

Every component (4-connected) of every threshold of an image is a node; raising the threshold splits nodes into smaller
ones. Each node small enough to be a nucleus gets a score from its outline and shape, and the set of disjoint nodes
with the greatest sum of scores is kept (Arteta et al., "Learning to detect cells using non-overlapping extremal
regions", MICCAI 2012; the tree is grown from the brightest level down with union-find, as Najman and Couprie, IEEE TIP
15(11), 2006, do).

Why tiles cannot change the answer: a node is judged by the pixels of its bounding box and a margin of `reach` pixels,
and it competes only with nodes inside it and around it whose bounding boxes are at most `max_extent` long. If a node
whose bounding box holds a pixel of a tile's core touches the rim of a view with a halo of at least `max_extent`, its
box is longer than `max_extent`, in the view as in the whole image, and it is no candidate in either. If it does not
touch the rim, the view holds all of it.
"""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled

REACH = 4
"""Pixels beyond a node that its score looks at; also the margin that the images must be padded with."""

# Columns of the table of nodes.
AREA, SUM_X, SUM_Y, SUM_XX, SUM_YY, SUM_XY, LEFT, TOP, RIGHT, BOTTOM, SIDES, DROP, BEST, SEED, STAMP = range(15)
LONG, OLD_AREA, OLD_BEST, OLD_LONG, COLUMNS = 15, 16, 17, 18, 19

# Entries of the rules a node is scored by.
MIN_AREA, MAX_AREA, MAX_EXTENT, HALF_DROP, FIT_WEIGHT, SIZE_WEIGHT, TYPICAL_AREA, BIAS, AREA_POWER = range(9)
LOST_LEVEL, RULES = 9, 10

SCORE_UNIT = 1e-3
"""Scores are whole multiples of this, so that their sums do not depend on the order of adding."""


@compiled
def find(parent: NDArray[np.int32], node: int) -> int:
    """Root of a node; halves the path on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def sort_pixels(levels: NDArray[np.uint8], base: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Indices of the pixels at `base` or above, brightest first and in raster order within a level.

    Returns
    -------
    order : int32, (n,)
    start : int64, (257,)
        Pixels of level v are `order[start[v] : start[v - 1]]`, `start` falling with v.
    """
    flat = levels.reshape(-1)
    count = np.zeros(257, np.int64)
    for i in range(flat.size):
        count[flat[i]] += 1
    start = np.zeros(257, np.int64)
    total = 0
    for v in range(255, -1, -1):
        start[v] = total
        if v >= base:
            total += count[v]
    fill = start.copy()
    order = np.empty(total, np.int32)
    for i in range(flat.size):
        v = flat[i]
        if v >= base:
            order[fill[v]] = i
            fill[v] += 1
    return order, start


@compiled
def score(node: NDArray[np.int64], rules: NDArray[np.float64]) -> int:
    """Score of a node, in SCORE_UNIT; not positive for what cannot be a nucleus.

    Three terms: how much darker the rim is inside than outside, per rim pixel; how well the node fills the ellipse of
    the same second moments; how far its area is from the typical one.
    """
    area = float(node[AREA])
    if area < rules[MIN_AREA] or area > rules[MAX_AREA]:
        return 0
    drop = max(float(node[DROP]) / float(node[SIDES]), 0.0)
    n = node[AREA]
    # Integer moments about the origin of the view are exact, so these do not depend on where the view lies.
    var_x = float(n * node[SUM_XX] - node[SUM_X] * node[SUM_X]) / (area * area) + 1.0 / 12.0
    var_y = float(n * node[SUM_YY] - node[SUM_Y] * node[SUM_Y]) / (area * area) + 1.0 / 12.0
    cov = float(n * node[SUM_XY] - node[SUM_X] * node[SUM_Y]) / (area * area)
    ellipse = 4.0 * np.pi * np.sqrt(max(var_x * var_y - cov * cov, 1e-9))
    misfit = max(1.0 - area / ellipse, 0.0)
    size = np.log(area / rules[TYPICAL_AREA])
    quality = (
        drop / (drop + rules[HALF_DROP]) - rules[FIT_WEIGHT] * misfit - rules[SIZE_WEIGHT] * size * size - rules[BIAS]
    )
    return int(np.floor(quality * area ** rules[AREA_POWER] / SCORE_UNIT))


@compiled
def _add_pixel(
    node: NDArray[np.int64], pixel: int, width: int, parent_of: NDArray[np.int32], edge: NDArray[np.int16]
) -> None:
    """Add one pixel to the sums of a node; `edge` is the image whose drop across the rim counts."""
    x, y = pixel % width, pixel // width
    node[AREA] += 1
    node[SUM_X] += x
    node[SUM_Y] += y
    node[SUM_XX] += x * x
    node[SUM_YY] += y * y
    node[SUM_XY] += x * y
    node[LEFT] = min(node[LEFT], x)
    node[TOP] = min(node[TOP], y)
    node[RIGHT] = max(node[RIGHT], x + 1)
    node[BOTTOM] = max(node[BOTTOM], y + 1)
    for step in (-1, 1, -width, width):
        if parent_of[pixel + step] >= 0:  # the neighbour's side towards this pixel is no rim any more
            node[SIDES] -= 1
            node[DROP] -= edge[pixel + 2 * step] - edge[pixel - step]
        else:
            node[SIDES] += 1
            node[DROP] += edge[pixel - step] - edge[pixel + 2 * step]


@compiled
def _merge(nodes: NDArray[np.int64], parent: NDArray[np.int32], a: int, b: int) -> int:
    """Join two roots; the one with the smaller index stays."""
    keep, lose = min(a, b), max(a, b)
    parent[lose] = keep
    for column in (AREA, SUM_X, SUM_Y, SUM_XX, SUM_YY, SUM_XY, SIDES, DROP, BEST):
        nodes[keep, column] += nodes[lose, column]
    nodes[keep, LONG] = max(nodes[keep, LONG], nodes[lose, LONG])
    for column in (LEFT, TOP):
        nodes[keep, column] = min(nodes[keep, column], nodes[lose, column])
    for column in (RIGHT, BOTTOM):
        nodes[keep, column] = max(nodes[keep, column], nodes[lose, column])
    return keep


@compiled
def _touch(nodes: NDArray[np.int64], node: int, level: int, touched: NDArray[np.int32], n: int) -> int:
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
def _new_node(nodes: NDArray[np.int64], parent: NDArray[np.int32], node: int, pixel: int) -> None:
    parent[node] = node
    nodes[node, :] = 0
    nodes[node, LEFT] = nodes[node, TOP] = 1 << 40
    nodes[node, SEED] = pixel
    nodes[node, STAMP] = -1


@compiled
def _add_level(
    pixels: NDArray[np.int32],
    level: int,
    width: int,
    node_of: NDArray[np.int32],
    edge: NDArray[np.int16],
    nodes: NDArray[np.int64],
    parent: NDArray[np.int32],
    touched: NDArray[np.int32],
    n_nodes: int,
) -> tuple[int, int]:
    """Add all pixels of one level; returns the number of nodes made so far and of those touched."""
    n_touched = 0
    for pixel in pixels:
        own = -1
        for step in (-1, 1, -width, width):
            other = node_of[pixel + step]
            if other < 0:
                continue
            root = find(parent, other)
            n_touched = _touch(nodes, root, level, touched, n_touched)
            own = root if own < 0 or own == root else _merge(nodes, parent, own, root)
        if own < 0:
            own = n_nodes
            _new_node(nodes, parent, own, pixel)
            n_touched = _touch(nodes, own, level, touched, n_touched)
            n_nodes += 1
        _add_pixel(nodes[own], pixel, width, node_of, edge)
        node_of[pixel] = own
    return n_nodes, n_touched


@compiled
def _judge_level(
    touched: NDArray[np.int32],
    nodes: NDArray[np.int64],
    parent: NDArray[np.int32],
    level: int,
    rules: NDArray[np.float64],
    events: NDArray[np.int32],
    n_events: int,
) -> int:
    """Score the nodes of this level; an event (seed pixel, level) for each that beats the nodes inside it."""
    for index in touched:
        if parent[index] != index:
            continue
        node = nodes[index]
        if max(node[RIGHT] - node[LEFT], node[BOTTOM] - node[TOP]) > rules[MAX_EXTENT]:
            node[LONG] = 1
            continue
        value = score(node, rules)
        if value > 0 and value >= node[BEST]:
            node[BEST] = value
            events[n_events, 0], events[n_events, 1] = node[SEED], level
            n_events += 1
    return n_events


@compiled
def _lost_at_level(
    touched: NDArray[np.int32],
    nodes: NDArray[np.int64],
    parent: NDArray[np.int32],
    rules: NDArray[np.float64],
    lost: NDArray[np.int32],
    n_lost: int,
) -> int:
    """Write the seeds of nodes that have just become part of one that is too long, with no nucleus inside."""
    for index in touched:
        node = nodes[index]
        was_candidate = node[OLD_LONG] == 0 and node[OLD_AREA] >= rules[MIN_AREA]
        if was_candidate and node[OLD_BEST] == 0 and nodes[find(parent, index), LONG] == 1:
            lost[n_lost] = node[SEED]
            n_lost += 1
    return n_lost


@compiled
def select_nodes(
    levels: NDArray[np.uint8], edge: NDArray[np.int16], base: int, rules: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Grow the tree from the brightest level down to `base` and find the nodes worth keeping.

    Parameters
    ----------
    levels : uint8, (h, w)
        Image whose thresholds make the tree; 0 within REACH pixels of the rim.
    edge : int16, (h, w)
        Image whose drop across a node's rim is measured.
    base : int
        Lowest threshold, at least 1.
    rules : float64, (RULES,)

    Returns
    -------
    events : int32, (n, 2)
        Seed pixel and level of each node that beat the nodes inside it, in the order of falling levels: the last event
        that covers a pixel is the one to keep.
    lost : int32, (m,)
        Seed pixels of nodes that grew too long at a level of at least `rules[LOST_LEVEL]` before any nucleus was found
        in them.
    """
    width = levels.shape[1]
    order, start = sort_pixels(levels, base)
    flat_edge = edge.reshape(-1)
    node_of = np.full(levels.size, -1, np.int32)
    # A node starts at a pixel without neighbours in the tree, so no two of these pixels touch.
    capacity = min(order.size, levels.size // 2) + 1
    nodes = np.empty((capacity, COLUMNS), np.int64)
    parent = np.empty(capacity, np.int32)
    touched = np.empty(capacity, np.int32)
    events = np.empty((order.size + 1, 2), np.int32)
    lost = np.empty(capacity, np.int32)
    n_nodes = n_events = n_lost = 0
    for level in range(255, base - 1, -1):
        stop = start[level - 1] if level > base else order.size
        pixels = order[start[level] : stop]
        n_nodes, n_touched = _add_level(pixels, level, width, node_of, flat_edge, nodes, parent, touched, n_nodes)
        n_events = _judge_level(touched[:n_touched], nodes, parent, level, rules, events, n_events)
        if level >= rules[LOST_LEVEL]:
            n_lost = _lost_at_level(touched[:n_touched], nodes, parent, rules, lost, n_lost)
    return events[:n_events].copy(), lost[:n_lost].copy()


@compiled
def paint(levels: NDArray[np.uint8], events: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Label the kept nodes 1..n: later events cover earlier ones.

    Returns
    -------
    labels : int32, (h, w)
    n : int
    """
    width = levels.shape[1]
    flat = levels.reshape(-1)
    labels = np.zeros(levels.size, np.int32)
    stack = np.empty(levels.size, np.int32)
    n = 0
    for i in range(events.shape[0] - 1, -1, -1):
        seed, level = events[i, 0], events[i, 1]
        if labels[seed] != 0:
            continue
        n += 1
        labels[seed] = n
        stack[0], height = seed, 1
        while height > 0:
            height -= 1
            pixel = stack[height]
            for step in (-1, 1, -width, width):
                other = pixel + step
                if labels[other] == 0 and flat[other] >= level:
                    labels[other] = n
                    stack[height] = other
                    height += 1
    return labels.reshape(levels.shape), n

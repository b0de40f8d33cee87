"""Nuclei as the best-bounded nodes of trees of threshold components.

Every component (4-connected) of every threshold of an image is a node; raising the threshold splits nodes into smaller
ones. The same is done for a few images, each nowhere greater than the one before (openings by growing discs), so that
a component of a later image lies inside one of the image before it at the same threshold: opening, too, splits nodes
into smaller ones. Each node small enough to be a nucleus gets a score from its outline and shape. The best that can
be made of a node is the greatest of three: its own score, the sum of the best of the nodes it splits into when the
threshold rises, and the same when it is opened further (Arteta et al., "Learning to detect cells using
non-overlapping extremal regions", MICCAI 2012; the trees are grown from the brightest level down with union-find, as
in Najman and Couprie, IEEE TIP 15(11), 2006).

Why tiles cannot change the answer: a node is judged by the pixels of its bounding box and a margin of `reach` + 1
pixels, and is compared only with nodes inside it and around it whose bounding boxes are at most `rules[MAX_EXTENT]`
long. If a node whose bounding box holds a pixel of a tile's core touches the rim of a view with a halo of at least
that length, its box is longer, in the view as in the whole image, and it is no candidate in either. If it does not
touch the rim, the view holds all of it.
"""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled
from wsipipe.image.tree_nodes import (
    BEST,
    BOTTOM,
    COLUMNS,
    LEFT,
    LONG,
    LOST_LEVEL,
    MAX_EXTENT,
    MIN_AREA,
    OLD_AREA,
    OLD_BEST,
    OLD_LONG,
    RIGHT,
    SEED,
    SPLIT,
    TOP,
    add_pixel,
    merge,
    new_node,
    score,
    touch,
)

KEEP, OPEN = 0, 1
"""Kinds of events: the node is a nucleus, or is made of what lies in it when it is opened further."""


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
def count_starts(levels: NDArray[np.uint8], base: int) -> int:
    """Number of pixels that start a node: no neighbour is brighter, or as bright and earlier in raster order."""
    height, width = levels.shape
    count = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            v = levels[y, x]
            if v >= base and levels[y, x - 1] < v and levels[y - 1, x] < v:
                count += levels[y, x + 1] <= v and levels[y + 1, x] <= v
    return count


@compiled
def _add_level(
    pixels: NDArray[np.int32],
    level: int,
    width: int,
    node_of: NDArray[np.int32],
    outflow: NDArray[np.int16],
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
            if nodes[root, LONG] == 0:
                n_touched = touch(nodes, root, level, touched, n_touched)
            own = root if own < 0 or own == root else merge(nodes, parent, own, root)
        if own < 0:
            own = n_nodes
            new_node(nodes, parent, own, pixel)
            n_touched = touch(nodes, own, level, touched, n_touched)
            n_nodes += 1
        if nodes[own, LONG] == 0:  # sums of what is too long are never looked at
            add_pixel(nodes, own, pixel, width, node_of, outflow)
        node_of[pixel] = own
    return n_nodes, n_touched


@compiled
def _judge(
    node: NDArray[np.int64], level: int, rules: NDArray[np.float64], events: NDArray[np.int32], n_events: int
) -> int:
    """Find the best that can be made of a node, and write an event where that is not to raise the threshold.

    Returns the number of events so far.
    """
    if node[LONG] == 1 or max(node[RIGHT] - node[LEFT], node[BOTTOM] - node[TOP]) > rules[MAX_EXTENT]:
        node[LONG] = 1
        return n_events
    own = score(node, rules)
    if own > 0 and own >= max(node[BEST], node[SPLIT]):
        node[BEST] = own
        kind = KEEP
    elif node[SPLIT] > node[BEST]:
        node[BEST] = node[SPLIT]
        kind = OPEN
    else:
        return n_events
    events[n_events, 0], events[n_events, 1], events[n_events, 2] = node[SEED], level, kind
    return n_events + 1


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
def _judge_all(
    touched: NDArray[np.int32],
    n_touched: NDArray[np.int64],
    node_of: NDArray[np.int32],
    nodes: NDArray[np.int64],
    parent: NDArray[np.int32],
    level: int,
    rules: NDArray[np.float64],
    events: NDArray[np.int32],
    n_events: NDArray[np.int64],
) -> None:
    """Judge the nodes that changed at this level, from the last image to the first, which they belong to as parts."""
    for k in range(nodes.shape[0] - 1, -1, -1):
        for i in range(n_touched[k]):
            index = touched[k, i]
            if parent[k, index] != index:
                continue
            node = nodes[k, index]
            before = node[BEST]
            n_events[k] = _judge(node, level, rules, events[k], n_events[k])
            if k > 0 and node[BEST] != before:
                around = find(parent[k - 1], node_of[k - 1, node[SEED]])
                n_touched[k - 1] = touch(nodes[k - 1], around, level, touched[k - 1], n_touched[k - 1])
                nodes[k - 1, around, SPLIT] += node[BEST] - before


@compiled
def select_nodes(
    images: NDArray[np.uint8],
    outflow: NDArray[np.int16],
    base: int,
    rules: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """Grow the trees from the brightest level down to `base` and find the nodes worth keeping.

    Parameters
    ----------
    images : uint8, (k, h, w)
        Images whose thresholds make the trees, none anywhere greater than the one before; 0 at the rim.
    outflow : int16, (h, w)
        Sum over the four sides of each pixel of the contrast that an outline running there would have, in DROP_UNIT;
        the contrast of a side as seen from one pixel is minus that seen from the other.
    base : int
        Lowest threshold, at least 1.
    rules : float64, (RULES,)

    Returns
    -------
    events : int32, (k, n, 3)
        Seed pixel, level and kind (KEEP the node, or OPEN it further), for each image in the order of falling levels.
    counts : int64, (k,)
        Number of events of each image.
    lost : int32, (m,)
        Seed pixels of nodes that grew too long at a level of at least `rules[LOST_LEVEL]` before any nucleus was found
        in them.
    """
    depth, size, width = images.shape[0], outflow.size, outflow.shape[1]
    flat_outflow = outflow.reshape(-1)
    orders = [sort_pixels(images[k], base) for k in range(depth)]
    capacity = 1
    for k in range(depth):
        capacity = max(capacity, count_starts(images[k], base))
    node_of = np.full((depth, size), -1, np.int32)
    nodes = np.empty((depth, capacity, COLUMNS), np.int64)
    parent = np.empty((depth, capacity), np.int32)
    touched = np.empty((depth, capacity), np.int32)
    events = np.empty((depth, orders[0][0].size + 1, 3), np.int32)
    lost = np.empty(capacity, np.int32)
    n_nodes, n_touched, n_events = np.zeros(depth, np.int64), np.zeros(depth, np.int64), np.zeros(depth, np.int64)
    n_lost = 0
    for level in range(255, base - 1, -1):
        for k in range(depth):
            order, start = orders[k]
            stop = start[level - 1] if level > base else order.size
            n_nodes[k], n_touched[k] = _add_level(
                order[start[level] : stop],
                level,
                width,
                node_of[k],
                flat_outflow,
                nodes[k],
                parent[k],
                touched[k],
                n_nodes[k],
            )
        _judge_all(touched, n_touched, node_of, nodes, parent, level, rules, events, n_events)
        if level >= rules[LOST_LEVEL]:
            n_lost = _lost_at_level(touched[0, : n_touched[0]], nodes[0], parent[0], rules, lost, n_lost)
    return events, n_events, lost[:n_lost].copy()

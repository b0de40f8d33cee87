"""Nuclei as the best-bounded nodes of trees of threshold components.

Every component (4-connected) of every threshold of an image is a node; raising the threshold splits nodes into smaller
ones. The same is done for a few images, each nowhere greater than the one before (openings by growing discs), so that
a component of a later image lies inside one of the image before it at the same threshold: opening, too, splits nodes
into smaller ones. Each node small enough to be a nucleus gets a score from its outline and shape. The best that can
be made of a node is the greatest of three: its own score, the sum of the best of the nodes it splits into when the
threshold rises, and the same when it is opened further (Arteta et al., "Learning to detect cells using
non-overlapping extremal regions", MICCAI 2012).

A tree is walked by flooding (Nister and Stewenius, "Linear time maximally stable extremal regions", ECCV 2008): from
any pixel uphill to a summit, and on from there to the brightest pixel yet seen beside what is flooded. Only the nodes
that hold the current pixel are open, at most one a level; a node is judged when the flood leaves it, and its sums go
to the node around it.

Why tiles cannot change the answer: a node is judged by the pixels of its bounding box and a margin of `reach` + 1
pixels, and is compared only with nodes inside it and around it whose bounding boxes are at most `rules[MAX_EXTENT]`
long. If a node whose bounding box holds a pixel of a tile's core touches the rim of a view with a halo of at least
that length, its box is longer, in the view as in the whole image, and it is no candidate in either. If it does not
touch the rim, the view holds all of it.
"""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled, compiled_part
from wsipipe.image.tree_judge import AT, AT_LEVEL, BEFORE, EVENT, GAIN, N_EVENTS, N_LOST, Judged, fall
from wsipipe.image.tree_nodes import COLUMNS, LEVEL, LONG, LOST_LEVEL, add_pixel, open_node, tabulate_areas

SEEN, GAINS = 1 << 8, 1 << 9
"""Flags beside the grey level of a pixel: the flood has come to it or never will; it is the seed of an event of the
next image."""

COME_BACK = -100
"""Stands for the sides of a pixel that the flood comes back to."""


@compiled_part
def _see_neighbours(
    pixels: NDArray[np.uint16],
    queue: NDArray[np.int32],
    end: NDArray[np.int64],
    pixel: int,
    level: int,
    width: int,
) -> tuple[int, int]:
    """Queue the unseen neighbours of a pixel that are not brighter, and the pixel itself if several are.

    These may be parts of different summits, which only this pixel joins: the flood comes back for the others.

    Returns
    -------
    uphill : int
        An unseen brighter neighbour, or -1.
    sides : int
        Sides that the pixel adds to the rim, less those it takes away (of two pixels of one level each takes half);
        COME_BACK if the pixel is not done with.
    """
    sides, brighter, uphill = 4, 0, -1
    for step in (-width, -1, 1, width):
        other = pixel + step
        value = pixels[np.uint64(other)]  # unsigned: numba looks for no negative index
        at = int(value & 255)
        sides -= (at >= level) + (at > level)
        if value & SEEN:
            continue
        if at > level:
            brighter += 1
            uphill = other
        else:
            pixels[np.uint64(other)] = value | SEEN
            queue[end[at]] = other
            end[at] += 1
    if brighter > 1:
        queue[end[level]] = pixel
        end[level] += 1
        sides = COME_BACK
    return uphill, sides


@compiled_part
def _add_gains(gains: NDArray[np.int64], later: NDArray[np.int32], event: int) -> None:
    """Add what the next image gains at a seed, given its last event there, to the nodes that it will be in."""
    while event >= 0:
        gains[later[event, AT_LEVEL]] += later[event, GAIN]
        event = later[event, BEFORE]


@compiled
def _flag(
    image: NDArray[np.uint8], base: int, later: NDArray[np.int32]
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Prepare an image for the flood, given the events of the next.

    Returns
    -------
    pixels : uint16, (h * w,)
        Grey levels, and flags.
    begin : int64, (257,)
        Where the queue of each level begins if all have room for every pixel of their level, and where the last ends.
    """
    pixels = np.empty(image.size, np.uint16)
    begin = np.zeros(257, np.int64)
    for i, value in enumerate(image.flat):
        pixels[i] = value if value >= base else SEEN
        begin[value + 1] += value >= base
    for i in range(later.shape[0]):
        pixels[later[i, AT]] |= GAINS
    return pixels, np.cumsum(begin)


@compiled
def _walk(
    image: NDArray[np.uint8],
    outflow: NDArray[np.int16],
    later: NDArray[np.int32],
    last_later: NDArray[np.int32],
    base: int,
    rules: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Walk the tree of one image.

    Parameters
    ----------
    image : uint8, (h, w)
    outflow : int16, (h * w,)
    later : int32, (n, EVENT)
        Events of the next image.
    last_later : int32, (h * w,)
        Last of them at each seed.

    Returns
    -------
    events : int32, (m, EVENT)
    lost : int32, (l,)
    """
    by_area = tabulate_areas(rules)
    pixels, begin = _flag(image, base, later)
    end = begin.copy()
    n, width = begin[256], image.shape[1]
    queue = np.empty(n, np.int32)
    nodes = np.empty((257, COLUMNS), np.int64)
    gains = np.zeros(256, np.int64)
    events = np.empty((n + later.shape[0], EVENT), np.int32)
    lost = np.empty(n + 1, np.int32)
    counts = np.zeros(2, np.int64)
    to = Judged(nodes, gains, events, lost, counts, rules, by_area, max(base, int(rules[LOST_LEVEL])))
    for start in range(pixels.size):
        if pixels[start] & SEEN:
            continue
        pixel, node, level = start, 0, int(pixels[start] & 255)
        pixels[pixel] |= SEEN
        open_node(nodes, node, level, counts[N_LOST])
        while level >= base:
            uphill, sides = _see_neighbours(pixels, queue, end, pixel, level, width)
            if sides != COME_BACK and nodes[node, LONG] == 0:
                add_pixel(nodes, node, pixel, width, sides, outflow[pixel])
                if pixels[pixel] & GAINS:
                    _add_gains(gains, later, last_later[pixel])
            if uphill >= 0:
                pixel, node, level = uphill, node + 1, int(pixels[uphill] & 255)
                pixels[pixel] |= SEEN
                open_node(nodes, node, level, counts[N_LOST])
                continue
            while level >= base and end[level] == begin[level]:
                level -= 1
            if level < nodes[node, LEVEL]:
                node = fall(to, node, level)
            if level >= base:
                end[level] -= 1
                pixel = queue[end[level]]
    return events[: counts[N_EVENTS]], lost[: counts[N_LOST]]


@compiled
def _link(events: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """Link the events of each seed; returns the last at each, and anything at the other ones of `size` pixels."""
    last = np.empty(size, np.int32)
    for i in range(events.shape[0]):
        last[events[i, AT]] = -1
    for i in range(events.shape[0]):
        events[i, BEFORE] = last[events[i, AT]]
        last[events[i, AT]] = i
    return last


def select_nodes(
    images: NDArray[np.uint8], outflow: NDArray[np.int16], base: int, rules: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.int32], ...], NDArray[np.int32]]:
    """Walk the trees down to the threshold `base` and find the nodes worth keeping.

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
    events : for each image int32, (n, EVENT)
        The nodes to KEEP or to OPEN further, a node after those inside it.
    lost : int32, (m,)
        Seed pixels of nodes that grew too long at a level of at least `rules[LOST_LEVEL]` before any nucleus was found
        in them, in raster order.
    """
    events = [np.empty((0, EVENT), np.int32)]
    for image in images[::-1]:
        last = _link(events[0], outflow.size)
        found, lost = _walk(image, outflow.reshape(-1), events[0], last, base, rules)
        events.insert(0, found)
    return tuple(events[:-1]), np.sort(lost)

"""Repairs of single objects: each looks only at the object's own bounding box."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled

LEFT, TOP, RIGHT, BOTTOM, HOLES = range(5)
"""Columns of the table of objects; right and bottom exclusive."""


@compiled
def survey(labels: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Bounding boxes and numbers of holes of labels 1..n, each one 4-connected piece: rows 1..n; row 0 is unused.

    Holes are one less the Euler number: pixels, less pairs of neighbours, plus squares of four (Gray, "Local
    properties of binary images in two dimensions", IEEE Trans. Comput. 20(5), 1971).
    """
    rows = np.zeros((n + 1, 5), np.int32)
    rows[:, HOLES] = 1
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label == 0:
                continue
            if rows[label, RIGHT] == 0:
                rows[label, LEFT], rows[label, TOP] = x, y
            rows[label, LEFT] = min(rows[label, LEFT], x)
            rows[label, RIGHT] = max(rows[label, RIGHT], x + 1)
            rows[label, BOTTOM] = y + 1
            left = x > 0 and labels[y, x - 1] == label
            above = y > 0 and labels[y - 1, x] == label
            square = left and above and labels[y - 1, x - 1] == label
            rows[label, HOLES] -= 1 - left - above + square
    return rows


@compiled
def flood(state: NDArray[np.uint8], x: int, y: int, old: int, new: int, stack: NDArray[np.int32]) -> int:
    """Turn the 8-connected piece of `old` that holds (x, y) into `new`; returns its number of pixels."""
    height, width = state.shape
    state[y, x] = new
    stack[0] = y * width + x
    depth, area = 1, 0
    while depth > 0:
        depth -= 1
        area += 1
        py, px = stack[depth] // width, stack[depth] % width
        for qy in range(max(py - 1, 0), min(py + 2, height)):
            for qx in range(max(px - 1, 0), min(px + 2, width)):
                if state[qy, qx] == old:
                    state[qy, qx] = new
                    stack[depth] = qy * width + qx
                    depth += 1
    return area


@compiled
def fill_holes(labels: NDArray[np.int32], n: int, max_hole_px: float) -> None:
    """Give every hole of at most `max_hole_px` pixels to the object around it, and what lies in the hole with it.

    Holes are 8-connected, as objects are 4-connected. Works in place.

    Parameters
    ----------
    labels : int32, (h, w)
        Each label is one 4-connected piece.
    n : int
        Largest label.
    """
    rows = survey(labels, n)
    for label in range(1, n + 1):
        if rows[label, HOLES] <= 0:
            continue
        left, top, right, bottom, _ = rows[label]
        # 0 outside or hole, 1 object, 2 known outside, 3 hole that stays; one pixel of margin is outside.
        state = np.zeros((bottom - top + 2, right - left + 2), np.uint8)
        for y in range(top, bottom):
            for x in range(left, right):
                if labels[y, x] == label:
                    state[y - top + 1, x - left + 1] = 1
        stack = np.empty(state.size, np.int32)
        flood(state, 0, 0, 0, 2, stack)
        for y in range(1, state.shape[0] - 1):
            for x in range(1, state.shape[1] - 1):
                if state[y, x] == 0:
                    small = flood(state, x, y, 0, 4, stack) <= max_hole_px
                    flood(state, x, y, 4, 1 if small else 3, stack)
                if state[y, x] == 1:
                    labels[y + top - 1, x + left - 1] = label


@compiled
def renumber(labels: NDArray[np.int32], n: int) -> int:
    """Number the labels that are left 1, 2, ... in raster order of their first pixels, in place; returns how many."""
    new = np.zeros(n + 1, np.int32)
    count = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label == 0:
                continue
            if new[label] == 0:
                count += 1
                new[label] = count
            labels[y, x] = new[label]
    return count

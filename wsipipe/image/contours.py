"""Outlines of labelled objects along the edges of their pixels."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled

STEP_X = np.array([1, 0, -1, 0])
STEP_Y = np.array([0, 1, 0, -1])
"""Right, down, left, up: a quarter turn to the right each (y points down)."""


@compiled
def inside(labels: NDArray[np.int32], x: int, y: int, label: int) -> bool:
    """Whether pixel (x, y) exists and has this label."""
    return 0 <= x < labels.shape[1] and 0 <= y < labels.shape[0] and bool(labels[y, x] == label)


@compiled
def walk_outline(labels: NDArray[np.int32], label: int, x: int, y: int, ring: NDArray[np.int32]) -> tuple[int, int]:
    """Walk round the piece of `label` whose first pixel in raster order is (x, y), keeping it on the right.

    Pieces are 4-connected: where two pixels of the object touch only at a corner the walk stays with its own pixel, so
    that the outline encloses exactly the piece and its holes.

    Parameters
    ----------
    labels : int32, (h, w)
    ring : int32, (m, 2)
        Receives the corners (x, y) at which the direction changes; m must suffice.

    Returns
    -------
    corners, edges : int
        Number of corners written, and of unit edges walked.
    """
    start_x, start_y, heading = x, y, 0
    corners = edges = 0
    while True:
        x, y = x + STEP_X[heading], y + STEP_Y[heading]
        edges += 1
        # The pixels ahead, to the right and to the left of the heading, as offsets from the corner.
        forward_x, forward_y = STEP_X[heading], STEP_Y[heading]
        right_x, right_y = -forward_y, forward_x
        ahead_right = inside(labels, x + (forward_x + right_x - 1) // 2, y + (forward_y + right_y - 1) // 2, label)
        ahead_left = inside(labels, x + (forward_x - right_x - 1) // 2, y + (forward_y - right_y - 1) // 2, label)
        turn = 1 if not ahead_right else (3 if ahead_left else 0)
        if turn:
            ring[corners, 0], ring[corners, 1] = x, y
            corners += 1
            heading = (heading + turn) % 4
        if x == start_x and y == start_y and heading == 0:
            return corners, edges


@compiled
def _extend(chain: NDArray[np.int64], n: int, x: int, y: int) -> int:
    """Add (x, y), y not above the last point, to a chain that bulges towards small x; returns its length."""
    while n >= 2:
        ax, ay = chain[n - 1, 0] - chain[n - 2, 0], chain[n - 1, 1] - chain[n - 2, 1]
        bx, by = x - chain[n - 2, 0], y - chain[n - 2, 1]
        if ax * by - ay * bx < 0:
            break
        n -= 1
    if n and chain[n - 1, 1] == y:  # two rows share the line between them: only the farther corner can count
        if chain[n - 1, 0] <= x:
            return n
        n -= 1
    chain[n, 0], chain[n, 1] = x, y
    return n + 1


@compiled
def hull_area(left: NDArray[np.int64], right: NDArray[np.int64], rows: int, chain: NDArray[np.int64]) -> float:
    """Area of the convex hull of pixel squares (Andrew's monotone chain over the rows).

    Parameters
    ----------
    left, right : int64, (rows or more,)
        First column of each row, and the column after its last; empty rows have left >= right.
    chain : int64, (2 * rows + 2 or more, 2)
        Scratch.
    """
    twice = 0
    for side in range(2):
        n = 0
        for row in range(rows):
            if left[row] < right[row]:
                x = left[row] if side == 0 else -right[row]
                n = _extend(chain, _extend(chain, n, x, row), x, row + 1)
        for i in range(1, n):
            twice -= (chain[i, 0] + chain[i - 1, 0]) * (chain[i, 1] - chain[i - 1, 1])
    return twice / 2.0

"""Given outlines and the pixels they hold: polygons drawn on a grid, labels traced into polygons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled, plain
from wsipipe.image.morphology import measure
from wsipipe.records import Box, Grid, Rings

DISC_CORNERS = 64


@dataclass(frozen=True)
class Drawn:
    """The pixels of one nucleus: `mask`, bool (h, w) with at least one pixel set, at (left, top) of the grid."""

    mask: NDArray[np.bool_]
    left: int
    top: int

    @property
    def box(self) -> Box:
        """The rectangle of the grid that `mask` covers."""
        return Box(self.left, self.top, self.mask.shape[1], self.mask.shape[0])


def draw(rings: Rings, grid: Grid) -> Drawn:
    """The grid's pixels whose centres an odd number of rings enclose; depends on nothing but the nucleus and the grid.

    A centre on an edge belongs to what lies to the right of the edge or below it. Where no centre is enclosed, the
    one pixel nearest to the middle of the rings stands for the nucleus, so that none is lost; what lies beyond the
    grid is cut off.
    """
    scaled = [ring / grid.downsample for ring in rings]
    corners = np.concatenate(scaled)
    (min_x, min_y), (max_x, max_y) = corners.min(axis=0), corners.max(axis=0)
    left, right = _span(min_x, max_x, grid.width_px)
    top, bottom = _span(min_y, max_y, grid.height_px)
    toggles = np.zeros((bottom - top, right - left + 1), np.uint8)
    for ring in scaled:
        toggle(plain(ring - (left, top)), toggles)
    mask = np.bitwise_xor.accumulate(toggles[:, :-1], axis=1).astype(bool)
    if not mask.any():
        column = min(max(math.floor((min_x + max_x) / 2), left), right - 1)
        row = min(max(math.floor((min_y + max_y) / 2), top), bottom - 1)
        return Drawn(np.ones((1, 1), bool), column, row)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    tight = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Drawn(tight, left + int(columns[0]), top + int(rows[0]))


def middle(rings: Rings) -> tuple[float, float]:
    """Middle (x, y) of the outline's bounding box."""
    low, high = rings[0].min(axis=0), rings[0].max(axis=0)
    return float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2


def disc(x: float, y: float, radius: float) -> Rings:
    """A disc around a point, as a polygon."""
    angle = 2 * np.pi * np.arange(DISC_CORNERS) / DISC_CORNERS
    return (np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)]),)


def trace_labels(mask: NDArray[np.integer]) -> list[Rings]:
    """Rings of every label, in the order of the labels, that enclose exactly its pixels.

    Parameters
    ----------
    mask : integer, (h, w)
        0 is background; a label may have holes and several pieces.
    """
    from scipy.ndimage import find_objects  # noqa: PLC0415 - slow to load, and only needed where nuclei are given

    outlines = []
    for label, box in enumerate(find_objects(mask), 1):
        if box is not None:
            corner = (box[1].start, box[0].start)
            outlines.append(tuple(ring + corner for ring in trace(mask[box] == label)))
    return outlines


def trace(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Outline of the largest 4-connected piece, then the runs of pixels in which `mask` differs from its inside."""
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    piece = pieces == 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
    nothing = np.zeros(mask.shape, np.uint16)
    outline = measure(piece.astype(np.int32), nothing, nothing).contour_xy.astype(np.float64)
    toggles = np.zeros((mask.shape[0], mask.shape[1] + 1), np.uint8)
    toggle(plain(outline), toggles)
    differs = np.bitwise_xor.accumulate(toggles[:, :-1], axis=1).astype(bool) != mask
    steps = np.diff(np.pad(differs, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, starts), (_, stops) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    runs = np.stack([starts, rows, stops, rows, stops, rows + 1, starts, rows + 1], axis=1).reshape(-1, 4, 2)
    return [outline, *runs.astype(np.float64)]


def view_of(core: Box, drawn: Sequence[Drawn], margin: int, grid: Grid) -> Box:
    """The part of the grid that holds a core and, with a margin, everything that was drawn."""
    boxes = [nucleus.box for nucleus in drawn]
    left = min([core.x, *(box.x - margin for box in boxes)])
    top = min([core.y, *(box.y - margin for box in boxes)])
    right = max([core.right, *(box.right + margin for box in boxes)])
    bottom = max([core.bottom, *(box.bottom + margin for box in boxes)])
    x, y = max(0, left), max(0, top)
    return Box(x, y, min(grid.width_px, right) - x, min(grid.height_px, bottom) - y)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Whole pixels from `low` to `high`, at least one, inside an axis of `size` pixels."""
    first = min(max(math.floor(low), 0), size - 1)
    return first, min(max(math.ceil(high), first + 1), size)


@compiled
def toggle(ring: NDArray[np.float64], toggles: NDArray[np.uint8]) -> None:
    """Flip, in each row, the first pixel whose centre lies right of each edge; a running XOR then fills the ring.

    Parameters
    ----------
    ring : float64, (n, 2)
    toggles : uint8, (h, w + 1)
        The last column takes what lies right of the image.
    """
    height, last = toggles.shape[0], toggles.shape[1] - 1
    for i in range(len(ring)):
        j = (i + 1) % len(ring)
        x0, y0, x1, y1 = ring[i, 0], ring[i, 1], ring[j, 0], ring[j, 1]
        if y0 > y1:  # the same edge crosses at the same place in whichever direction it is drawn
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, stop = max(0.0, math.ceil(y0 - 0.5)), min(float(height), math.ceil(y1 - 0.5))
        for row in range(int(first), int(stop)):
            crossing = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            column = min(max(math.ceil(crossing - 0.5), 0.0), float(last))
            toggles[row, int(column)] ^= 1

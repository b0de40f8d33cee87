"""Measurements of labelled nuclei: sums of whole numbers, so that a nucleus measures the same wherever it lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled, plain
from wsipipe.image.contours import hull_area, walk_outline
from wsipipe.image.deconvolve import OD_UNIT

# Columns of the table of sums.
AREA, SUM_X, SUM_Y, SUM_XX, SUM_YY, SUM_XY, H, HH, E, EE, LEFT, TOP, RIGHT, BOTTOM, SIDES, FIRST = range(16)
COLUMNS = 16

EDGE_LENGTH = 0.9481
"""Mean true length of a boundary per unit of its mid-crack polygon, over all directions: pi (1 + sqrt 2) / 8."""


@dataclass(frozen=True)
class Measurements:
    """Row i measures label i + 1, in pixels of the label image. A label without pixels has zeros and no contour.

    Attributes
    ----------
    area_px : int64, (n,)
        Number of pixels.
    sum_x, sum_y : int64, (n,)
        Sums of the pixels' column and row indices: the centroid is (sum_x / area_px + 0.5, sum_y / area_px + 0.5)
        where the first pixel covers [0, 1) x [0, 1).
    bbox : int32, (n, 4)
        Left, top, right, bottom; right and bottom exclusive.
    perimeter_px : float64, (n,)
        Length of the outer boundary (polygon through the middles of the pixel edges, corrected for its mean excess).
    eccentricity, solidity : float64, (n,)
        Of the ellipse with the same second moments; area over the area of the convex hull of the pixel squares.
    h_od_mean, h_od_std, e_od_mean, e_od_std : float64, (n,)
        Optical density of the pixels.
    contour_offset : int64, (n + 1,)
        Contour of row i is `contour_xy[contour_offset[i] : contour_offset[i + 1]]`.
    contour_xy : int32, (m, 2)
        Corners of pixels where the outer boundary turns, x and y, clockwise as seen, open rings. The pixels whose
        centres lie inside are exactly the object with its holes filled.
    """

    area_px: NDArray[np.int64]
    sum_x: NDArray[np.int64]
    sum_y: NDArray[np.int64]
    bbox: NDArray[np.int32]
    perimeter_px: NDArray[np.float64]
    eccentricity: NDArray[np.float64]
    solidity: NDArray[np.float64]
    h_od_mean: NDArray[np.float64]
    h_od_std: NDArray[np.float64]
    e_od_mean: NDArray[np.float64]
    e_od_std: NDArray[np.float64]
    contour_offset: NDArray[np.int64]
    contour_xy: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.area_px)


def measure(labels: NDArray[np.int32], h_od: NDArray[np.uint16], e_od: NDArray[np.uint16]) -> Measurements:
    """Measure every label.

    Parameters
    ----------
    labels : int32, (h, w)
        0 is background; each label is one 4-connected piece (of several pieces, only the one that comes first in
        raster order has its outline and perimeter taken).
    h_od, e_od : uint16, (h, w)
        Haematoxylin and eosin in OD_UNIT, as `deconvolve.separate` returns them.

    Returns
    -------
    Measurements
        One row for each of the labels 1..max.
    """
    n = int(labels.max(initial=0))
    grid = plain(np.asarray(labels, np.int32))
    sums = np.zeros((n + 1, COLUMNS), np.int64)
    sums[:, [LEFT, TOP]] = max(labels.shape)
    _sum_up(grid, plain(np.asarray(h_od, np.uint16)), plain(np.asarray(e_od, np.uint16)), sums)
    sums = sums[1:]
    offset = np.zeros(n + 1, np.int64)
    ring = np.empty((int(sums[:, SIDES].sum()), 2), np.int32)
    shape = np.zeros((n, 2))
    used = _outline(grid, sums, offset, ring, shape)
    empty = sums[:, AREA] == 0
    sums[empty] = 0
    area = np.maximum(sums[:, AREA], 1)
    return Measurements(
        area_px=sums[:, AREA],
        sum_x=sums[:, SUM_X],
        sum_y=sums[:, SUM_Y],
        bbox=sums[:, [LEFT, TOP, RIGHT, BOTTOM]].astype(np.int32),
        perimeter_px=shape[:, 0],
        eccentricity=_eccentricity(sums, area),
        solidity=np.where(empty, 0.0, area / np.maximum(shape[:, 1], 1.0)),
        h_od_mean=sums[:, H] / area * OD_UNIT,
        h_od_std=_spread(sums[:, H], sums[:, HH], area) * OD_UNIT,
        e_od_mean=sums[:, E] / area * OD_UNIT,
        e_od_std=_spread(sums[:, E], sums[:, EE], area) * OD_UNIT,
        contour_offset=offset,
        contour_xy=ring[:used].copy(),
    )


def _spread(total: NDArray[np.int64], squares: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Standard deviation from whole-number sums; the difference is exact before it is divided."""
    return np.sqrt((count * squares - total * total).astype(np.float64)) / count


def _eccentricity(sums: NDArray[np.int64], area: NDArray[np.int64]) -> NDArray[np.float64]:
    """Eccentricity from exact central moments, each pixel a unit square (1/12 of variance of its own)."""
    square = area.astype(np.float64) ** 2
    x, y = sums[:, SUM_X], sums[:, SUM_Y]
    var_x = (area * sums[:, SUM_XX] - x * x) / square + 1.0 / 12.0
    var_y = (area * sums[:, SUM_YY] - y * y) / square + 1.0 / 12.0
    cov = (area * sums[:, SUM_XY] - x * y) / square
    root = np.sqrt((var_x - var_y) ** 2 + 4.0 * cov * cov)
    return np.sqrt(np.clip(2.0 * root / (var_x + var_y + root), 0.0, 1.0))


@compiled
def _sum_up(
    labels: NDArray[np.int32], h_od: NDArray[np.uint16], e_od: NDArray[np.uint16], sums: NDArray[np.int64]
) -> None:
    """Add every labelled pixel to the row of its label."""
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == 0:
                continue
            row = sums[label]
            h, e = np.int64(h_od[y, x]), np.int64(e_od[y, x])
            if row[AREA] == 0:
                row[FIRST], row[TOP] = x, y
            row[AREA] += 1
            row[SUM_X] += x
            row[SUM_Y] += y
            row[SUM_XX] += x * x
            row[SUM_YY] += y * y
            row[SUM_XY] += x * y
            row[H] += h
            row[HH] += h * h
            row[E] += e
            row[EE] += e * e
            row[LEFT] = min(row[LEFT], x)
            row[RIGHT] = max(row[RIGHT], x + 1)
            row[BOTTOM] = y + 1
            row[SIDES] += x == 0 or labels[y, x - 1] != label
            row[SIDES] += x == width - 1 or labels[y, x + 1] != label
            row[SIDES] += y == 0 or labels[y - 1, x] != label
            row[SIDES] += y == height - 1 or labels[y + 1, x] != label


@compiled
def _row_ends(
    labels: NDArray[np.int32], label: int, row: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> None:
    """First column and last plus one of the label in each row of its bounding box."""
    for y in range(row[TOP], row[BOTTOM]):
        first, last = row[RIGHT], row[LEFT]
        for x in range(row[LEFT], row[RIGHT]):
            if labels[y, x] == label:
                first, last = min(first, x), x + 1
        left[y - row[TOP]], right[y - row[TOP]] = first, last


@compiled
def _outline(
    labels: NDArray[np.int32],
    sums: NDArray[np.int64],
    offset: NDArray[np.int64],
    ring: NDArray[np.int32],
    shape: NDArray[np.float64],
) -> int:
    """Write outlines into `ring`, perimeter and hull area into `shape` (n, 2); returns the corners used."""
    height = labels.shape[0]
    left, right = np.empty(height, np.int64), np.empty(height, np.int64)
    chain = np.empty((2 * height + 2, 2), np.int64)
    used = 0
    for i in range(sums.shape[0]):
        row = sums[i]
        if row[AREA] > 0:
            corners, edges = walk_outline(labels, i + 1, row[FIRST], row[TOP], ring[used:])
            used += corners
            # Between the middles of two unit edges: 1 straight on, the square root of a half round a corner.
            shape[i, 0] = EDGE_LENGTH * (edges - corners + corners * np.sqrt(0.5))
            _row_ends(labels, i + 1, row, left, right)
            shape[i, 1] = hull_area(left, right, row[BOTTOM] - row[TOP], chain)
        offset[i + 1] = used
    return used

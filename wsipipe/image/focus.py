"""Which blocks of a slide are out of focus: their fine detail is gone, although coarser detail is there.

Detail is measured by second differences over 1, 3 and 8 um of an image brought to about 1 um per pixel. Defocus lowers
the finer ones far more than the coarser ones, while contrast, stain and the amount of edges change all alike and cancel
in their ratio (a local form of the comparison of band energies; Pertuz et al., Pattern Recognition 46, 2013, compare
such operators). Smooth tissue, fat and mucus are left alone: where hardly any detail is there, nothing is decided.

Energies are of whole blocks of one lattice on the grid and in whole numbers, so that no tiling changes them.
"""

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import QualityConfig
from wsipipe.image.compiled import compiled, plain
from wsipipe.records import Box

SIDE = 32
"""Side of a block in pixels of about 1 um."""

LAGS = (1, 3, 8)
"""Second differences reach this many of these pixels to either side."""

UNIT = 1.0 / 16.0
"""Unit of stored energies, grey levels squared."""

_LEAST_FINE, _LEAST_COARSE = 30.0, 60.0
"""Energies over 3 and 8 um, grey levels squared, below which nothing is decided: noise would decide."""
_POOLED = 3
_NEARBY = 5


def pixels_per_um(mpp: float) -> int:
    """Pixels of a grid of `mpp` microns per pixel, a side, that make one of about 1 um."""
    return max(1, round(1.0 / mpp))


def block_px(mpp: float) -> int:
    """Side of a block on a grid of `mpp` microns per pixel: about 32 um."""
    return SIDE * pixels_per_um(mpp)


def blocks_of(box: Box, mpp: float) -> Box:
    """Blocks that a box of the grid touches, counted in blocks."""
    side = block_px(mpp)
    x, y = box.x // side, box.y // side
    return Box(x, y, -(-box.right // side) - x, -(-box.bottom // side) - y)


def block_energies(rgb: NDArray[np.uint8], view: Box, core: Box, mpp: float) -> NDArray[np.uint32]:
    """Energies of detail of the blocks that a tile's core touches.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
        Pixels of `view`, which must hold every block that touches `core` as far as the grid does.
    mpp : float
        Microns per pixel.

    Returns
    -------
    uint32, (rows, columns, len(LAGS))
        Mean squared second differences of green, in UNIT; 0 for a block that the end of the grid cuts.
    """
    blocks, side = blocks_of(core, mpp), block_px(mpp)
    out = np.zeros((blocks.height, blocks.width, len(LAGS)), np.uint32)
    _energies(plain(rgb), blocks.x * side - view.x, blocks.y * side - view.y, pixels_per_um(mpp), out)
    return out


def find_blurred(energies: NDArray[np.uint32], tissue: NDArray[np.bool_], config: QualityConfig) -> NDArray[np.bool_]:
    """Blocks that are out of focus.

    Parameters
    ----------
    energies : uint32, (rows, columns, len(LAGS))
        Of the whole slide, by `block_energies`.
    tissue : bool, (rows, columns)
        Blocks that hold tissue; no others enter.

    Returns
    -------
    bool, (rows, columns)
        True on blocks of tissue out of focus. Each is judged with its neighbours, and where hardly any detail is
        there as most of its neighbours are.
    """
    pooled = [_around(np.where(tissue, energies[..., i], 0).astype(np.int64), _POOLED) for i in range(len(LAGS))]
    weight = np.maximum(_around(tissue.astype(np.int64), _POOLED), 1)
    fine, mid, coarse = (total * UNIT / weight for total in pooled)
    judged_fine, judged_coarse = mid >= _LEAST_FINE, coarse >= _LEAST_COARSE
    blurred = judged_fine & (fine < config.least_detail * mid)
    blurred |= judged_coarse & (mid < config.least_coarse_detail * coarse)
    judged = (judged_fine | judged_coarse) & tissue
    votes = _around(np.where(judged, np.where(blurred, 1, -1), 0), _NEARBY)
    return np.asarray(tissue & np.where(judged, blurred, votes > 0))


def in_focus(rgb: NDArray[np.uint8], box: Box, mpp: float, config: QualityConfig) -> bool:
    """Whether less than half of the blocks that lie whole in `box`, whose pixels are `rgb`, are out of focus."""
    energies = block_energies(rgb, box, box, mpp)
    return bool(find_blurred(energies, np.asarray(energies.any(axis=2)), config).mean() < 0.5)


def _around(values: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Sum over a square of `side` around each place, as far as there are values; exact."""
    half = side // 2
    padded = np.pad(values, half)
    rows = np.sum([padded[i : i + len(values)] for i in range(side)], axis=0)
    return np.asarray(np.sum([rows[:, i : i + values.shape[1]] for i in range(side)], axis=0), np.int64)


@compiled
def _energies(rgb: NDArray[np.uint8], left: int, top: int, shrink: int, out: NDArray[np.uint32]) -> None:
    """Fill `out` for the blocks whose first one begins at (left, top) of `rgb`; those not whole in it stay 0."""
    side = 32 * shrink
    small = np.empty((32, 32), np.int32)
    for j in range(out.shape[0]):
        y0 = top + j * side
        for i in range(out.shape[1]):
            x0 = left + i * side
            if x0 < 0 or y0 < 0 or x0 + side > rgb.shape[1] or y0 + side > rgb.shape[0]:
                continue
            _shrunk(rgb, x0, y0, shrink, small)
            for n, lag in enumerate((1, 3, 8)):
                out[j, i, n] = _second_differences(small, lag) // (2 * 32 * (32 - 2 * lag))


@compiled
def _shrunk(rgb: NDArray[np.uint8], x0: int, y0: int, shrink: int, small: NDArray[np.int32]) -> None:
    """Means of green over squares of `shrink` pixels, from pixel (x0, y0) on, in quarters of a grey level."""
    row = np.empty(32 * shrink, np.int32)
    for y in range(32):
        row[:] = 0
        for k in range(shrink):
            for x in range(32 * shrink):
                row[x] += rgb[y0 + y * shrink + k, x0 + x, 1]
        for x in range(32):
            total = row[x * shrink]
            for k in range(1, shrink):
                total += row[x * shrink + k]
            small[y, x] = (4 * total) // (shrink * shrink)


@compiled
def _second_differences(small: NDArray[np.int32], lag: int) -> np.int64:
    """Sum of squared second differences along rows and columns that lie within the block.

    Added up column by column, which the compiler can do for many at once. A column's sum stays below 2 ** 31: a
    difference is at most 2 * 255 grey levels, 2040 quarters.
    """
    columns = np.zeros(32, np.int32)
    for y in range(32):
        for x in range(lag, 32 - lag):
            across = small[y, x - lag] - 2 * small[y, x] + small[y, x + lag]
            columns[x] += across * across
    for y in range(lag, 32 - lag):
        for x in range(32):
            along = small[y - lag, x] - 2 * small[y, x] + small[y + lag, x]
            columns[x] += along * along
    total = np.int64(0)
    for x in range(32):
        total += columns[x]
    return total

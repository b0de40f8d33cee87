"""One grid of pixels over a slide, whatever box it is read through: weights follow from the global index.

Grid pixel i of a grid with `scale` s covers level pixels [i s, (i + 1) s). s is rounded once to a multiple of 2**-32;
all that follows is integer arithmetic, so a pixel's value never depends on where a read begins or ends. Downsampling
averages the covered area; upsampling is bilinear between pixel centres, clamped at the slide's edge.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.records import Box, Level

_POSITION_BITS = 32
_WEIGHT_BITS = 14
_MID_BITS = 2
"""Fractional bits kept between the passes. 8 + 2 + 14 = 24 bits: every partial sum is exact in float32."""

_CHUNK = 8
"""Grid rows (columns) made by one matrix product."""


class Taps(NamedTuple):
    """Weights along one axis: grid pixel i is the sum over k of `weight[i, k]` * level pixel `start[i] + k`.

    `start` is int64 (n,), `weight` int64 (n, k), each row of it sums to 2**14.
    """

    start: NDArray[np.int64]
    weight: NDArray[np.int64]


def grid_length(level_px: int, scale: float) -> int:
    """Whole grid pixels in `level_px` level pixels; at least 1."""
    step = _fixed(scale)
    # What is missing of the last pixel may be less than its smallest weight: 8000 / 0.8 is 10000.
    return max(1, ((level_px << _POSITION_BITS) + (step >> (_WEIGHT_BITS + 2))) // step)


def axis_taps(scale: float, first: int, count: int, level_px: int) -> Taps:
    """Weights of grid pixels first .. first + count - 1 on a level that is `level_px` long."""
    step = _fixed(scale)
    index = np.arange(first, first + count, dtype=np.int64)
    return _area_taps(step, index) if scale >= 1 else _linear_taps(step, index, level_px)


def source_box(scale: float, box: Box, level: Level) -> Box:
    """Level pixels needed for grid pixels `box`."""
    left, right = _span(axis_taps(scale, box.x, box.width, level.width_px), level.width_px)
    top, bottom = _span(axis_taps(scale, box.y, box.height, level.height_px), level.height_px)
    return Box(left, top, right - left, bottom - top)


def resample(rgb: NDArray[np.uint8], source: Box, scale: float, box: Box, level: Level) -> NDArray[np.uint8]:
    """Grid pixels `box` from level pixels.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
        Level pixels `source`, which is `source_box(scale, box, level)`.
    scale : float
        Level pixels per grid pixel.
    box : Box
        Wanted grid pixels.
    level : Level
        Size of the whole level.

    Returns
    -------
    uint8, (box.height, box.width, 3)
    """
    if scale == 1:
        return np.ascontiguousarray(rgb)
    if scale == int(scale) and rgb.shape[:2] == (box.height * int(scale), box.width * int(scale)):
        # Whole factors: OpenCV sums each block in integers and divides once, so position cannot matter.
        return np.asarray(cv2.resize(rgb, (box.width, box.height), interpolation=cv2.INTER_AREA))
    rows = axis_taps(scale, box.y, box.height, level.height_px)
    columns = axis_taps(scale, box.x, box.width, level.width_px)
    mid = _rows_pass(rgb.reshape(len(rgb), -1), rows, source.y)
    return _columns_pass(mid, columns, source.x)


def _fixed(scale: float) -> int:
    return round(scale * (1 << _POSITION_BITS))


def _area_taps(step: int, index: NDArray[np.int64]) -> Taps:
    one = 1 << _POSITION_BITS
    begin = index * step
    start = begin >> _POSITION_BITS
    width = -(-step // one) + 1
    edges = (start[:, None] + np.arange(width + 1)) * one
    covered = np.clip(edges - begin[:, None], 0, step)
    # Rounding the running sum, not each weight, makes every row add up exactly.
    running = ((covered << _WEIGHT_BITS) + step // 2) // step
    return Taps(start, np.diff(running, axis=1))


def _linear_taps(step: int, index: NDArray[np.int64], level_px: int) -> Taps:
    if level_px == 1:
        return Taps(np.zeros_like(index), np.full((len(index), 1), 1 << _WEIGHT_BITS, np.int64))
    one = 1 << _POSITION_BITS
    centre = np.clip(index * step + (step - one) // 2, 0, (level_px - 1) * one)
    start = np.minimum(centre >> _POSITION_BITS, level_px - 2)
    right = (((centre - start * one) << _WEIGHT_BITS) + one // 2) >> _POSITION_BITS
    return Taps(start, np.stack([(1 << _WEIGHT_BITS) - right, right], axis=1))


def _span(taps: Taps, level_px: int) -> tuple[int, int]:
    used = np.flatnonzero(taps.weight[-1])
    return int(taps.start[0]), min(int(taps.start[-1] + used[-1]) + 1, level_px)


def _band(taps: Taps, begin: int, end: int, origin: int, length: int) -> tuple[slice, NDArray[np.float32]]:
    """Source slice and dense weights (n, slice) of the grid pixels begin .. end - 1 of `taps`."""
    start, weight = taps.start[begin:end] - origin, taps.weight[begin:end]
    low, high = int(start[0]), min(int(start[-1]) + weight.shape[1], length)
    dense = np.zeros((len(start), max(high - low, 0) + weight.shape[1]), np.float32)
    np.put_along_axis(dense, (start - low)[:, None] + np.arange(weight.shape[1]), weight, axis=1)
    return slice(low, high), dense[:, : high - low]


def _rows_pass(rgb: NDArray[np.uint8], taps: Taps, origin: int) -> NDArray[np.float32]:
    """(h, 3 w) bytes to (n, 3 w) whole numbers of 10 bits."""
    mid = np.empty((len(taps.start), rgb.shape[1]), np.float32)
    shift = np.float32(2.0 ** (_MID_BITS - _WEIGHT_BITS))
    for begin in range(0, len(mid), _CHUNK):
        part = mid[begin : begin + _CHUNK]
        rows, weight = _band(taps, begin, begin + len(part), origin, len(rgb))
        np.matmul(weight, rgb[rows].astype(np.float32), out=part)
        part *= shift
        part += np.float32(0.5)
        np.floor(part, out=part)
    return mid


def _columns_pass(mid: NDArray[np.float32], taps: Taps, origin: int) -> NDArray[np.uint8]:
    """(n, 3 w) whole numbers of 10 bits to (n, m, 3) bytes."""
    height, length, count = len(mid), mid.shape[1] // 3, len(taps.start)
    out = np.empty((height, 3 * count), np.uint8)
    shift = np.float32(2.0 ** -(_MID_BITS + _WEIGHT_BITS))
    for begin in range(0, count, _CHUNK):
        end = min(begin + _CHUNK, count)
        columns, weight = _band(taps, begin, end, origin, length)
        interleaved = np.kron(weight.T, np.eye(3, dtype=np.float32))
        part = mid[:, 3 * columns.start : 3 * columns.stop] @ interleaved
        part *= shift
        part += np.float32(0.5)
        out[:, 3 * begin : 3 * end] = part
    return out.reshape(height, count, 3)

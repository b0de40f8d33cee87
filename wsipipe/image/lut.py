"""Per-pixel colour arithmetic in whole numbers: tables and integer sums, exact whatever the array's shape."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled

SHIFT = 16
"""Fixed-point weights carry this many fractional bits."""

DARKEST = 4.0
"""Optical densities are clipped here; 8-bit pixels reach 2.41."""

Ints = NDArray[np.int64]


def od_table(white: tuple[float, float, float], unit: float) -> Ints:
    """Optical density log10(white / value) of each channel value; 0 counts as 1, brighter than white as 0.

    Returns
    -------
    int64, (3, 256)
        Optical density in multiples of `unit`.
    """
    value = np.maximum(np.arange(256.0), 1.0)
    od = np.log10(np.asarray(white, np.float64)[:, None] / value[None, :])
    return np.asarray(np.rint(np.clip(od, 0.0, DARKEST) / unit), np.int64)


def fixed_point(weights: NDArray[np.float64]) -> Ints:
    """Weights as whole numbers with SHIFT fractional bits."""
    return np.rint(np.asarray(weights, np.float64) * (1 << SHIFT)).astype(np.int64)


def weighted_tables(table: Ints, weights: NDArray[np.float64]) -> NDArray[np.int32]:
    """Tables whose sum over the channels is a weighted sum of `table` entries, with 8 fractional bits.

    Parameters
    ----------
    table : int64, (3, 256)
    weights : float64, (outputs, 3)

    Returns
    -------
    int32, (outputs, 3, 256)
    """
    product = fixed_point(weights)[:, :, None] * table[None, :, :]
    return (product >> (SHIFT - 8)).astype(np.int32)


@compiled
def sum_pair(
    rgb: NDArray[np.uint8],
    tables: NDArray[np.int32],
    wanted: NDArray[np.int32],
    first: NDArray[np.uint16],
    second: NDArray[np.uint16],
) -> None:
    """Write both weighted sums of `rgb` (n, 3), negative ones as 0, into `first`, `second` (n,) where `wanted` (n,)."""
    for i in range(rgb.shape[0]):
        if wanted[i] == 0:
            continue
        r, g, b = rgb[i, 0], rgb[i, 1], rgb[i, 2]
        one = (tables[0, 0, r] + tables[0, 1, g] + tables[0, 2, b] + 128) >> 8
        two = (tables[1, 0, r] + tables[1, 1, g] + tables[1, 2, b] + 128) >> 8
        first[i] = max(one, 0)
        second[i] = max(two, 0)


@compiled
def sum_one(rgb: NDArray[np.uint8], tables: NDArray[np.int32], out: NDArray[np.uint16]) -> None:
    """Write the sum of the channels' entries in `tables` (3, 256), negative ones as 0, for every pixel of `rgb`."""
    for i in range(rgb.shape[0]):
        total = tables[0, rgb[i, 0]] + tables[1, rgb[i, 1]] + tables[2, rgb[i, 2]]
        out[i] = max((total + 128) >> 8, 0)


@compiled
def where_dark(rgb: NDArray[np.uint8], table: Ints, least: int, out: NDArray[np.bool_]) -> None:
    """Write for every pixel (n, 3) whether the sum of its channels' entries in `table` (3, 256) reaches `least`."""
    for i in range(rgb.shape[0]):
        out[i] = table[0, rgb[i, 0]] + table[1, rgb[i, 1]] + table[2, rgb[i, 2]] >= least


@compiled
def through_tables(
    rgb: NDArray[np.uint8], tables: NDArray[np.int32], after: NDArray[np.uint8], out: NDArray[np.uint8]
) -> None:
    """Map pixels (n, 3): three weighted sums of every pixel, then an output table (3, m) for each."""
    last = np.int32(after.shape[1] - 1)
    for i in range(rgb.shape[0]):
        r, g, b = rgb[i, 0], rgb[i, 1], rgb[i, 2]
        for k in range(3):
            value = (tables[k, 0, r] + tables[k, 1, g] + tables[k, 2, b] + 128) >> 8
            out[i, k] = after[k, min(max(value, 0), last)]


@compiled
def through_logs(
    rgb: NDArray[np.uint8],
    to_cones: Ints,
    log: Ints,
    matrix: Ints,
    offset: Ints,
    power: Ints,
    to_rgb: Ints,
    out: NDArray[np.uint8],
) -> None:
    """Map pixels (n, 3): 3x3 matrix, logarithm, 3x3 matrix plus offset, power, 3x3 matrix, all in fixed point."""
    brightest, last = log.shape[0] - 1, power.shape[0] - 1
    logs, cones = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(rgb.shape[0]):
        r, g, b = np.int64(rgb[i, 0]), np.int64(rgb[i, 1]), np.int64(rgb[i, 2])
        for k in range(3):
            value = (to_cones[k, 0] * r + to_cones[k, 1] * g + to_cones[k, 2] * b) >> 16
            logs[k] = log[min(max(value, 0), brightest)]
        for k in range(3):
            value = (matrix[k, 0] * logs[0] + matrix[k, 1] * logs[1] + matrix[k, 2] * logs[2] + offset[k]) >> 16
            cones[k] = power[min(max(value, 0), last)]
        for k in range(3):
            value = to_rgb[k, 0] * cones[0] + to_rgb[k, 1] * cones[1] + to_rgb[k, 2] * cones[2]
            out[i, k] = min(max((value + (1 << 15)) >> 16, 0), 255)

"""Filters that return the same value wherever a pixel lies in the array."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

KERNEL_SUM = 64
"""Weights are whole multiples of 1/64: every partial sum over 12-bit values stays below 2 ** 24, where float32
arithmetic is exact, so that no order of adding, no SIMD width and no fused multiply-add can change a result."""

LARGEST_VALUE = (1 << 24) // KERNEL_SUM**2 - 1


def gaussian_kernel(sigma_px: float) -> NDArray[np.float32]:
    """Whole-number Gaussian weights that sum to KERNEL_SUM, odd in number, none 0; a single one for sigma 0."""
    radius = int(np.ceil(2.5 * sigma_px)) if sigma_px > 0.15 else 0
    if radius == 0:
        return np.array([KERNEL_SUM], np.float32)
    x = np.arange(-radius, radius + 1)
    ideal = np.exp(-0.5 * (x / sigma_px) ** 2)
    weights = np.rint(ideal / ideal.sum() * KERNEL_SUM)
    weights[radius] += KERNEL_SUM - weights.sum()
    return np.trim_zeros(np.asarray(weights, np.float32))


def gaussian_radius(sigma_px: float) -> int:
    """Pixels on either side that `gaussian_blur` looks at."""
    return len(gaussian_kernel(sigma_px)) // 2


def gaussian_blur(image: NDArray[np.uint16], sigma_px: float) -> NDArray[np.float32]:
    """Gaussian average, exact.

    Parameters
    ----------
    image : uint16, (h, w)
        Values above LARGEST_VALUE (4095) count as that.
    sigma_px : float

    Returns
    -------
    float32, (h, w)
        Whole numbers: the average times KERNEL_SUM squared. Beyond the rim the nearest pixel is repeated.
    """
    kernel = gaussian_kernel(sigma_px)
    clipped = np.minimum(image, LARGEST_VALUE)
    blurred = cv2.sepFilter2D(clipped, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def box_side(sigma_px: float) -> int:
    """Side of the square whose average has the spread of a Gaussian, odd and at most 63 pixels."""
    return min(2 * round(sigma_px * math.sqrt(12.0) / 2.0) + 1, 63)


def box_sum(image: NDArray[np.uint16], side: int) -> NDArray[np.float32]:
    """Sum over a square around each pixel, exact: 63 x 63 values of 12 bits stay below 2 ** 24.

    Parameters
    ----------
    image : uint16, (h, w)
        Values above LARGEST_VALUE (4095) count as that.
    side : int
        Odd, at most 63.

    Returns
    -------
    float32, (h, w)
        Whole numbers. Beyond the rim the nearest pixel is repeated.
    """
    clipped = np.minimum(image, LARGEST_VALUE)
    total = cv2.boxFilter(clipped, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(total, np.float32)

"""Filters that return the same value wherever a pixel lies in the array."""

import cv2
import numpy as np
from numpy.typing import NDArray

KERNEL_SUM = 64
"""Weights are whole multiples of 1/64: every partial sum over 12-bit values stays below 2 ** 24, where float32
arithmetic is exact, so that no order of adding, no SIMD width and no fused multiply-add can change a result."""

LARGEST_VALUE = (1 << 24) // KERNEL_SUM**2 - 1


def gaussian_kernel(sigma_px: float) -> NDArray[np.float32]:
    """Whole-number Gaussian weights, odd in number, that sum to KERNEL_SUM; a single weight for sigma 0."""
    radius = gaussian_radius(sigma_px)
    if radius == 0:
        return np.array([KERNEL_SUM], np.float32)
    x = np.arange(-radius, radius + 1)
    ideal = np.exp(-0.5 * (x / sigma_px) ** 2)
    weights = np.rint(ideal / ideal.sum() * KERNEL_SUM)
    weights[radius] += KERNEL_SUM - weights.sum()
    return np.asarray(weights, np.float32)


def gaussian_radius(sigma_px: float) -> int:
    """Pixels on either side that `gaussian_blur` looks at."""
    return int(np.ceil(2.5 * sigma_px)) if sigma_px > 0.15 else 0


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

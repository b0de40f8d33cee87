"""Extremes over the channels of an image; numpy's own reduction over a last axis of three is ten times as slow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def lowest(image: NDArray[Any]) -> NDArray[Any]:
    """Smallest of the three channels: of (h, w, 3), the same kind of number (h, w)."""
    return np.asarray(np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2]))


def highest(image: NDArray[Any]) -> NDArray[Any]:
    """Largest of the three channels: of (h, w, 3), the same kind of number (h, w)."""
    return np.asarray(np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2]))

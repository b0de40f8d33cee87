"""Instance masks as PNG."""

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write

PNG_MAX_CELLS = 65_535
PNG_MAX_SIDE_PX = 20_000
"""Above either, a mask does not fit a 16-bit PNG that other programs open."""


def fits_png(n_cells: int, width_px: int, height_px: int) -> bool:
    """Whether a mask fits a 16-bit PNG that other programs open."""
    return n_cells <= PNG_MAX_CELLS and max(width_px, height_px) <= PNG_MAX_SIDE_PX


def write_mask_png(path: Path, labels: NDArray[np.uint32]) -> None:
    """Write a label image as a 16-bit grey PNG.

    Raises
    ------
    ValueError
        If a label is above PNG_MAX_CELLS.
    """
    if labels.max(initial=0) > PNG_MAX_CELLS:
        msg = f"{labels.max()} cells do not fit 16 bits"
        raise ValueError(msg)
    with atomic_write(path, "wb") as file:
        file.write(imagecodecs.png_encode(labels.astype(np.uint16)))

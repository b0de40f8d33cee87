"""Where the cells of each class lie: marks for a map of the whole slide, and densities per area of tissue."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.export.rows import LabelledCells

MAP_PX = 1400
"""Longer side of the map's marks, for up to _FULL_SIZE classes."""

DENSITY_PX = 360
"""Longer side of the density maps, for up to _FULL_SIZE classes."""

VIRIDIS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
"""Colours of a density, uint8 (256, 3): as bright as it is high, for every kind of colour vision."""

_FULL_SIZE = 8
"""With more classes each picture has fewer pixels, so that a page of 64 stays below 5 MB."""

DENSITY_UM = 100.0
"""Standard deviation of the Gaussian that densities are smoothed with."""

_SIGMA_PX = 6.0
"""Wider Gaussians are drawn on a smaller picture."""

_LEAST_TISSUE = 0.2
"""Smoothed share of tissue below which a density would rest on next to nothing."""

_MARKS = ((2_500, 9), (8_000, 7), (40_000, 5), (200_000, 3))
"""Up to so many cells, marks of so many map pixels; 2 beyond."""


@dataclass(frozen=True)
class Frame:
    """A picture of the whole slide: its size, and level-0 pixels per pixel."""

    width: int
    height: int
    downsample: float

    @classmethod
    def of(cls, width_px: int, height_px: int, longest: int) -> "Frame":
        """The slide with its longer side `longest` pixels."""
        downsample = max(width_px, height_px) / longest
        return cls(max(1, round(width_px / downsample)), max(1, round(height_px / downsample)), downsample)

    def pixels(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> NDArray[np.intp]:
        """Flat indices of the pixels that hold these level-0 places."""
        column = np.clip(x_px / self.downsample, 0, self.width - 1).astype(np.intp)
        row = np.clip(y_px / self.downsample, 0, self.height - 1).astype(np.intp)
        return np.asarray(row * self.width + column)


class CellMaps:
    """Counts the cells of each class in the pixels of two pictures, chunk by chunk.

    Parameters
    ----------
    width_px, height_px : int
        Size of level 0.
    k : int
        Number of classes; cells without one count as class 0.
    """

    def __init__(self, width_px: int, height_px: int, k: int) -> None:
        shrink = max(1.0, k / _FULL_SIZE) ** 0.5
        self.map = Frame.of(width_px, height_px, round(MAP_PX / shrink))
        self.grid = Frame.of(width_px, height_px, round(DENSITY_PX / shrink))
        self._marks = np.zeros((k, self.map.height * self.map.width), bool)
        self._counts = np.zeros((k, self.grid.height * self.grid.width), np.int64)
        self._n = 0

    def add(self, chunk: LabelledCells) -> None:
        """Count a chunk of cells."""
        x, y = chunk.cells.x_px, chunk.cells.y_px
        index = np.zeros(len(chunk), np.uint8) if chunk.classes is None else chunk.classes
        self._marks[index, self.map.pixels(x, y)] = True
        np.add.at(self._counts, (index, self.grid.pixels(x, y)), 1)
        self._n += len(chunk)

    def marks(self, index: int) -> NDArray[np.bool_]:
        """A round mark on every cell of a class; bool, size of `map`."""
        side = next((side for limit, side in _MARKS if self._n <= limit), 2)
        shape = cv2.MORPH_ELLIPSE if side > 2 else cv2.MORPH_RECT
        places = self._marks[index].reshape(self.map.height, self.map.width).astype(np.uint8)
        return np.asarray(cv2.dilate(places, cv2.getStructuringElement(shape, (side, side))) > 0)

    def density(self, index: int, tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.float32]:
        """Cells of a class per mm2 of tissue, NaN outside it; float32, size of `grid`.

        Counts and tissue are smoothed with the same Gaussian and divided, so that the rim of the tissue is not
        thinner than its inside. Where there is no tissue at all (given nuclei), the whole slide counts as tissue.

        Parameters
        ----------
        tissue : bool, (h, w)
            Mask over the whole slide at any resolution.
        mpp : float
            Microns per level-0 pixel.
        """
        um = self.grid.downsample * mpp
        size = (self.grid.width, self.grid.height)
        share = cv2.resize(tissue.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        if not tissue.any():
            share[:] = 1.0
        sigma = max(1.0, DENSITY_UM / um)
        counts = self._counts[index].reshape(size[::-1]).astype(np.float32)
        blurred, weight = (_blur(part, sigma) for part in (counts, share))
        density = blurred / np.maximum(weight, _LEAST_TISSUE) / (um / 1000) ** 2
        return np.where(share > 0, density, np.float32(np.nan)).astype(np.float32)


def _blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian; a wide one on a smaller copy, as small slides are enlarged and would take seconds."""
    shrink = max(1, int(sigma / _SIGMA_PX))
    height, width = image.shape
    small = cv2.resize(image, (-(-width // shrink), -(-height // shrink)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def density_levels(density: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A density, NaN outside tissue, as numbers of VIRIDIS: 0 outside, 1 for no cells, 255 at its maximum."""
    top = float(np.nanmax(density, initial=0.0)) or 1.0
    level = 1 + np.nan_to_num(density) * (254 / top)
    return np.where(np.isnan(density), 0, level.round()).astype(np.uint8)


def rim(mask: NDArray[np.bool_], frame: Frame, width: int = 2) -> NDArray[np.bool_]:
    """The outline of a mask over the whole slide; bool, size of `frame`."""
    large = cv2.resize(mask.astype(np.uint8), (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
    padded = cv2.copyMakeBorder(large, width, width, width, width, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    return np.asarray((padded > inner)[width:-width, width:-width])

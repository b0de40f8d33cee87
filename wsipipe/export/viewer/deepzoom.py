"""The tiles of a Deep Zoom pyramid: level 0 is one pixel, the last level is the slide; each doubles the one before."""

from collections.abc import Mapping
from dataclasses import dataclass

from wsipipe.records import Box, Grid, Level

TILE_PX = 512

_DRIFT_PX = 0.5
"""A level of the slide is used as it is while its far end lies within so many of its pixels of the Deep Zoom one."""


@dataclass(frozen=True)
class DeepZoom:
    """Pyramid over a slide of `width_px` x `height_px` pixels."""

    width_px: int
    height_px: int

    @property
    def levels(self) -> int:
        """Number of levels; the last one is the slide itself."""
        return (max(self.width_px, self.height_px) - 1).bit_length() + 1

    def downsample(self, level: int) -> int:
        """Level-0 pixels of the slide per pixel of a Deep Zoom level."""
        return 1 << (self.levels - 1 - level)

    def tile(self, level: int, column: int, row: int) -> Box:
        """Pixels of a level that a tile covers.

        Raises
        ------
        LookupError
            If there is no such tile.
        """
        if not 0 <= level < self.levels:
            raise LookupError(level)
        width, height = (-(-size // self.downsample(level)) for size in (self.width_px, self.height_px))
        x, y = column * TILE_PX, row * TILE_PX
        if min(x, y) < 0 or x >= width or y >= height:
            raise LookupError((column, row))
        return Box(x, y, min(TILE_PX, width - x), min(TILE_PX, height - y))


def tile_grid(levels: Mapping[int, Level], slide_mpp: float, downsample: int) -> Grid:
    """The grid on which every pixel covers exactly `downsample` level-0 pixels a side.

    The nearest finer level is resampled, or used as it is when nobody could see the difference: cells are drawn over
    these pixels, and a level of 4.01 must not let them drift apart.

    Parameters
    ----------
    levels : mapping of int to Level
        Those that may be read, by their number; level 0 is among them.
    slide_mpp : float
        Microns per pixel of level 0.
    downsample : int
    """
    level = max((i for i, one in levels.items() if one.downsample <= downsample * 1.001), default=0)
    read = levels[level]
    scale = downsample / read.downsample
    if abs(scale - 1) * max(read.width_px, read.height_px) < _DRIFT_PX:
        scale = 1.0
    width, height = (max(1, int(size / scale + 1e-6)) for size in (read.width_px, read.height_px))
    return Grid(slide_mpp * downsample, level, read.downsample, scale, width, height)

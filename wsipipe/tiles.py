"""What workers do to one tile: segment it, look for objects near given points, or measure given nuclei."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.image.claims import Claims, find_claims
from wsipipe.image.focus import block_energies
from wsipipe.image.nuclei import find_nuclei
from wsipipe.image.outlines import draw, view_of
from wsipipe.image.patches import collect, collect_given, crop_px
from wsipipe.io.slide import Region, Slide, open_slide
from wsipipe.parallel import PerThread
from wsipipe.planning import SlideTask
from wsipipe.records import Box, Cells, Rings, Tile


def _open(task: SlideTask) -> Slide:
    return open_slide(task.path, slide_id=task.info.slide_id, mpp=task.info.mpp)


_slides = PerThread(_open)


@dataclass(frozen=True)
class TileResult:
    """What came out of a tile."""

    cells: Cells
    oversized: int
    unreadable: frozenset[tuple[int, int]]
    energies: NDArray[np.uint32] | None = None
    """Detail of the blocks that the core touches (`image.focus`); none where the tile was not read whole."""


@dataclass(frozen=True)
class GivenTile:
    """A tile and the given nuclei that it is to measure."""

    tile: Tile
    outlines: tuple[Rings, ...]


@dataclass(frozen=True)
class PointsTile:
    """A tile and the given points that may take objects in it: level-0 x and y (n, 2), and their indices."""

    tile: Tile
    points: NDArray[np.float64]
    index: NDArray[np.int64]


def segment_tile(task: SlideTask, tile: Tile) -> TileResult:
    """Find the nuclei of a tile."""
    region = _read(task, tile.view)
    energies = block_energies(region.rgb, tile.view, tile.core, task.grid.mpp)  # while the pixels are in the cache
    nuclei = find_nuclei(region.rgb, task.grid.mpp, task.profile, task.recipe.nuclei)
    found = collect(region.rgb, nuclei, tile, task.grid, task.profile, task.recipe.patches)
    return TileResult(found.cells, found.oversized, region.unreadable, energies)


def claim_tile(task: SlideTask, item: PointsTile) -> Claims:
    """Find the nuclei of a tile that given points may take."""
    nuclei = find_nuclei(_read(task, item.tile.view).rgb, task.grid.mpp, task.profile, task.recipe.nuclei)
    return find_claims(nuclei, item.tile, task.grid, item.points, item.index)


def measure_tile(task: SlideTask, item: GivenTile) -> TileResult:
    """Measure given nuclei; the tile is read as far as they and their patches reach."""
    drawn = [draw(rings, task.grid) for rings in item.outlines]
    view = view_of(item.tile.core, drawn, crop_px(task.grid.mpp, task.recipe.patches) // 2 + 2, task.grid)
    region = _read(task, view)
    cells = collect_given(region.rgb, item.outlines, drawn, view, task.grid, task.profile, task.recipe.patches)
    return TileResult(cells, 0, region.unreadable)


def _read(task: SlideTask, box: Box) -> Region:
    """Pixels of the slide, which stays open for the worker's next tile."""
    cv2.setNumThreads(1)  # tiles are what runs side by side

    with _slides.use(task) as slide:
        region: Region = slide.read(task.grid, box)
    return region

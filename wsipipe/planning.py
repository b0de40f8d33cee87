"""A slide looked over once, before any tile: where its tissue is, how it is stained, which tiles are to be done."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.config import Recipe, Settings
from wsipipe.errors import NoTissueError
from wsipipe.image.focus import block_px, in_focus, pixels_per_um
from wsipipe.image.folds import Fold, find_folds, lies_double
from wsipipe.image.nuclei import fit_threshold
from wsipipe.image.patches import view_halo_px
from wsipipe.image.quality import Unfit
from wsipipe.image.stain import fit_stain
from wsipipe.image.tiling import in_strips, plan_tiles, spread_blocks, touches
from wsipipe.image.tissue import Tissue, find_tissue
from wsipipe.io.regions import read_regions
from wsipipe.io.slide import Slide
from wsipipe.records import Box, Grid, SlideInfo, StainProfile, Tile
from wsipipe.units import um_to_px

SAMPLE_BLOCK_PX = 256
"""Side of the blocks, on the working grid, that the stain profile is fitted on."""

STRIP_PX = 8192
"""Tiles are done in strips so wide, in pixels of the level that is read: `io.tile_cache` holds two rows of one."""

FOLD_LOOKS, FOLD_REACH_UM = 16, 64.0
"""At most this many squares, reaching so far from their middle, are read of what may be a fold."""


@dataclass(frozen=True)
class SlideTask:
    """All that a worker needs to do any tile of a slide; small, and the same for every tile."""

    path: Path
    info: SlideInfo
    grid: Grid
    profile: StainProfile
    recipe: Recipe


@dataclass(frozen=True)
class SlidePlan:
    """A slide looked over: where its tissue is, how it is stained, which tiles are to be done."""

    task: SlideTask
    tiles: tuple[Tile, ...]
    sampled: tuple[Box, ...]
    blocks: NDArray[np.uint8]
    overview: NDArray[np.uint8]
    tissue: NDArray[np.bool_]
    overview_grid: Grid
    unfit: Unfit
    warnings: tuple[str, ...]

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue mask."""
        return float(self.tissue.sum()) * (self.overview_grid.mpp / 1000) ** 2


def plan_slide(slide: Slide, path: Path, settings: Settings, given: NDArray[np.float64] | None = None) -> SlidePlan:
    """Look the slide over once: tissue, stain profile, threshold, tiles. Depends on no tile size.

    Parameters
    ----------
    given : float64, (n, 2), optional
        Level-0 x and y of nuclei that are known; where no tissue is found the stain is fitted around them.

    Raises
    ------
    ResolutionError, NotBrightfieldError, NoTissueError, UnreadableSlideError
        If the slide cannot be processed with this recipe.
    """
    recipe = settings.recipe
    grid = slide.grid(recipe.working.mpp)
    overview, overview_grid = slide.overview(recipe.tissue.mpp)
    searched = _searchable(slide, overview_grid, settings)
    try:
        tissue = find_tissue(
            overview, overview_grid.mpp, recipe.tissue, searched, keep_ink=not recipe.quality.leave_out_pen
        )
        sampled_from = tissue.mask
    except NoTissueError as error:
        if given is None or not len(given):
            raise
        reason = f"{error.what}; the stain is fitted around the given nuclei"
        none = np.zeros_like(searched)
        tissue = Tissue(none, none, none, (255.0, 255.0, 255.0), (reason,))
        sampled_from = _around(given, overview_grid)
    mask_px = overview_grid.downsample / grid.downsample
    boxes = spread_blocks(
        sampled_from, mask_px, grid.width_px, grid.height_px, SAMPLE_BLOCK_PX, recipe.stain.sample_blocks
    )
    read = [(box, slide.read(grid, box)) for box in boxes]
    whole = [(box, region.rgb) for box, region in read if not region.unreadable] or [(boxes[0], read[0][1].rgb)]
    sampled = [(box, rgb) for box, rgb in whole if in_focus(rgb, box, grid.mpp, recipe.quality)] or whole
    blocks = np.stack([_on_glass(rgb, box, tissue, mask_px) for box, rgb in sampled])
    profile = fit_stain(blocks, tissue.white, recipe.stain)
    profile = dataclasses.replace(profile, threshold=fit_threshold(blocks, grid.mpp, profile, recipe.nuclei))
    folded = np.zeros_like(tissue.mask)
    for fold in find_folds(overview, tissue.mask, overview_grid.mpp, profile, recipe.quality):
        if _is_fold(slide, fold, overview_grid, grid, profile.white):
            folded[fold.box.y : fold.box.bottom, fold.box.x : fold.box.right] |= fold.inside
    unfit = Unfit(np.zeros_like(folded), tissue.ink, folded)
    leaves_out = recipe.quality.leave_out_folds and given is None  # no given nucleus is dropped
    mask = tissue.mask & ~folded if leaves_out else tissue.mask
    halo = max(view_halo_px(grid.mpp, recipe.nuclei, recipe.patches), block_px(grid.mpp) - 1)
    tiles = plan_tiles(grid.width_px, grid.height_px, recipe.tiling.tile_px, halo)
    fallback = (f"stain: {profile.fallback}",) if profile.fallback else ()
    return SlidePlan(
        task=SlideTask(path, slide.info, grid, profile, recipe),
        tiles=tuple(in_strips((t for t in tiles if touches(mask, t.core, mask_px)), STRIP_PX / grid.scale)),
        sampled=tuple(box for box, _ in sampled),
        blocks=blocks,
        overview=overview,
        tissue=mask,
        overview_grid=overview_grid,
        unfit=unfit,
        warnings=(*tissue.warnings, *fallback),
    )


def _on_glass(rgb: NDArray[np.uint8], box: Box, tissue: Tissue, mask_px: float) -> NDArray[np.uint8]:
    """A block without ink and without the black border around the scan, which would be taken for stain."""
    height, width = tissue.mask.shape
    row = np.minimum(((np.arange(box.y, box.bottom) + 0.5) / mask_px).astype(np.intp), height - 1)
    column = np.minimum(((np.arange(box.x, box.right) + 0.5) / mask_px).astype(np.intp), width - 1)
    here = slice(row[0], row[-1] + 1), slice(column[0], column[-1] + 1)
    covered = tissue.border[here] | tissue.ink[here]
    if not covered.any():
        return rgb
    at = np.ix_(row - row[0], column - column[0])
    return np.where(covered[at][..., None], np.round(tissue.white).astype(np.uint8), rgb)


def _is_fold(slide: Slide, fold: Fold, overview: Grid, grid: Grid, white: tuple[float, float, float]) -> bool:
    """Look at what may be a fold in squares of finer pixels, spread over it."""
    scale, shrink = overview.downsample / grid.downsample, pixels_per_um(grid.mpp)
    reach = math.ceil(um_to_px(FOLD_REACH_UM, grid.mpp))
    places = np.argwhere(fold.core) + (fold.box.y, fold.box.x)
    inside, beside = [], []
    for y, x in ((places[:: -(-len(places) // FOLD_LOOKS)] + 0.5) * scale).astype(int).tolist():
        left, top = max(0, x - reach), max(0, y - reach)
        right, bottom = min(grid.width_px, x + reach), min(grid.height_px, y + reach)
        rgb = slide.read(grid, Box(left, top, right - left, bottom - top)).rgb
        small = cv2.resize(rgb, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
        row = ((top + (np.arange(small.shape[0]) + 0.5) * shrink) / scale).astype(np.intp) - fold.box.y
        column = ((left + (np.arange(small.shape[1]) + 0.5) * shrink) / scale).astype(np.intp) - fold.box.x
        at = np.ix_(np.clip(row, 0, fold.box.height - 1), np.clip(column, 0, fold.box.width - 1))
        inside.append(small[fold.core[at]])
        beside.append(small[fold.beside[at]])
    return lies_double(np.concatenate(inside), np.concatenate(beside), white)


def _around(places: NDArray[np.float64], grid: Grid) -> NDArray[np.bool_]:
    """The pixels of the overview that hold a place, or are nearest to one beyond the slide."""
    mask = np.zeros((grid.height_px, grid.width_px), bool)
    column, row = np.clip(places / grid.downsample, 0, (grid.width_px - 1, grid.height_px - 1)).astype(np.intp).T
    mask[row, column] = True
    return mask


def _searchable(slide: Slide, grid: Grid, settings: Settings) -> NDArray[np.bool_]:
    """Where tissue is searched: the slide's bounds and the given regions, on the overview."""
    bounds, scale = slide.info.bounds, grid.downsample
    valid = np.zeros((grid.height_px, grid.width_px), bool)
    valid[
        int(bounds.y / scale) : int(np.ceil(bounds.bottom / scale)),
        int(bounds.x / scale) : int(np.ceil(bounds.right / scale)),
    ] = True
    if settings.regions:
        valid &= read_regions(settings.regions).mask(slide.info.bounds, grid)
    return valid

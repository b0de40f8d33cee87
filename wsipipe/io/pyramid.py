"""Which level serves a wanted resolution, and the grid over it."""

import math

from wsipipe.config import load_recipe, packed_recipes
from wsipipe.errors import ResolutionError
from wsipipe.io.resample import grid_length
from wsipipe.records import Grid, Level
from wsipipe.units import LEVEL_TOLERANCE, UPSAMPLE_LIMIT

_SHAPE_TOLERANCE = 0.02
_ROUNDED_PX = 2
"""Pixels of a level that rounding adds or takes."""

_ROUNDING = 1e-6
"""Relative differences that are rounding errors."""


def make_grid(levels: tuple[Level, ...], slide_mpp: float, wanted_mpp: float) -> Grid:
    """Grid of `wanted_mpp`: a level within 2 % as it is, else the nearest finer one resampled.

    Parameters
    ----------
    levels : tuple of Level
        Finest first.
    slide_mpp, wanted_mpp : float
        Microns per pixel of level 0 and of the grid.

    Raises
    ------
    ResolutionError
        If level 0 is more than 1.25 times coarser than wanted; the remedy names the recipe to use instead.
    """
    mpp = {i: slide_mpp * levels[i].downsample for i in usable_levels(levels)}
    nearest = min(mpp, key=lambda i: abs(mpp[i] / wanted_mpp - 1))
    if abs(mpp[nearest] / wanted_mpp - 1) <= LEVEL_TOLERANCE + _ROUNDING:
        return _grid(levels, nearest, mpp[nearest], 1.0)
    finer = [i for i in mpp if mpp[i] < wanted_mpp]
    if not finer and slide_mpp > (UPSAMPLE_LIMIT + _ROUNDING) * wanted_mpp:
        raise ResolutionError(
            f"{slide_mpp:.4g} um/px is too coarse for a working resolution of {wanted_mpp:.4g} um/px",
            _remedy(slide_mpp),
        )
    level = finer[-1] if finer else 0
    return _grid(levels, level, wanted_mpp, _snapped(wanted_mpp / mpp[level]))


def overview_grid(levels: tuple[Level, ...], slide_mpp: float, wanted_mpp: float, max_px: int) -> Grid:
    """Grid of about `wanted_mpp` and at most `max_px` pixels; level 0 as it is where that is coarser already."""
    area = levels[0].width_px * levels[0].height_px
    wanted_mpp = max(wanted_mpp, slide_mpp * math.sqrt(area / max_px))
    if slide_mpp >= wanted_mpp:
        return _grid(levels, 0, slide_mpp, 1.0)
    return make_grid(levels, slide_mpp, wanted_mpp)


def fitting_recipe(slide_mpp: float) -> str | None:
    """Packed recipe whose working resolution is nearest to the slide's and not too fine for it."""
    working = {name: load_recipe(name).working.mpp for name in packed_recipes()}
    fitting = [name for name, mpp in working.items() if slide_mpp <= (UPSAMPLE_LIMIT + _ROUNDING) * mpp]

    def distance(name: str) -> tuple[float, bool, bool, str]:
        # On a tie the general recipes come first.
        return abs(math.log(working[name] / slide_mpp)), name != "default", not name.startswith("he-"), name

    return min(fitting, key=distance, default=None)


def usable_levels(levels: tuple[Level, ...]) -> list[int]:
    """Levels with the size that their downsample gives; others are padded (Philips' DICOM), or too small to tell."""
    base = levels[0]
    return [
        i
        for i, level in enumerate(levels)
        if abs((base.width_px / level.width_px) / (base.height_px / level.height_px) - 1) <= _SHAPE_TOLERANCE
        and abs(base.width_px / level.downsample - level.width_px) <= _ROUNDED_PX
        and abs(base.height_px / level.downsample - level.height_px) <= _ROUNDED_PX
    ]


def _grid(levels: tuple[Level, ...], index: int, mpp: float, scale: float) -> Grid:
    level = levels[index]
    width, height = grid_length(level.width_px, scale), grid_length(level.height_px, scale)
    return Grid(mpp, index, level.downsample, scale, width, height)


def _snapped(scale: float) -> float:
    """0.3 / 0.1 is 3, not 2.9999999999999996."""
    return float(round(scale)) if abs(scale - round(scale)) < _ROUNDING * scale else scale


def _remedy(slide_mpp: float) -> str:
    recipe = fitting_recipe(slide_mpp)
    if recipe is None:
        return "no packed recipe works at this resolution: scan at 20x or more"
    return f"use --recipe {recipe}"

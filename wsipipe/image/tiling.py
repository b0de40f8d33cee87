"""Cut a grid into tiles that own every pixel once and see a halo around what they own."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from wsipipe.records import Box, Tile


def plan_tiles(width_px: int, height_px: int, tile_px: int, halo_px: int) -> list[Tile]:
    """Tiles in raster order; the cores partition the grid, the views are clipped to it.

    Parameters
    ----------
    width_px, height_px : int
        Size of the grid.
    tile_px : int
        Side of a core; larger than the grid means one tile.
    halo_px : int
        What a tile sees beyond its core on every side.
    """
    tiles: list[Tile] = []
    for y in range(0, height_px, tile_px):
        for x in range(0, width_px, tile_px):
            core = Box(x, y, min(tile_px, width_px - x), min(tile_px, height_px - y))
            left, top = max(0, x - halo_px), max(0, y - halo_px)
            right, bottom = min(width_px, core.right + halo_px), min(height_px, core.bottom + halo_px)
            tiles.append(Tile(len(tiles), core, Box(left, top, right - left, bottom - top)))
    return tiles


def in_strips(tiles: Iterable[Tile], strip_px: float) -> list[Tile]:
    """Tiles strip by strip, each `strip_px` wide and as high as the grid, and row by row in a strip.

    What two neighbours both see is read again soon, whether they lie side by side or one below the other.
    """
    return sorted(tiles, key=lambda tile: (int(tile.core.x / strip_px), tile.core.y, tile.core.x))


def touches(mask: NDArray[np.bool_], core: Box, mask_px: float) -> bool:
    """Whether any set pixel of `mask`, whose pixels are `mask_px` grid pixels wide, overlaps `core`."""
    top, bottom = math.floor(core.y / mask_px), math.ceil(core.bottom / mask_px)
    left, right = math.floor(core.x / mask_px), math.ceil(core.right / mask_px)
    return bool(mask[top:bottom, left:right].any())


def inside(
    mask: NDArray[np.bool_], x_px: NDArray[np.float64], y_px: NDArray[np.float64], mask_px: float
) -> NDArray[np.bool_]:
    """Which points, in level-0 pixels, fall on a set pixel of `mask`, `mask_px` level-0 pixels wide; bool (n,)."""
    column = np.clip((x_px / mask_px).astype(np.intp), 0, mask.shape[1] - 1)
    row = np.clip((y_px / mask_px).astype(np.intp), 0, mask.shape[0] - 1)
    return mask[row, column]


def spread_blocks(
    mask: NDArray[np.bool_], mask_px: float, width_px: int, height_px: int, block_px: int, count: int
) -> list[Box]:
    """At most `count` blocks of `block_px`, spread evenly over the set part of `mask`, in raster order.

    The candidates are the cells of one fixed lattice on the grid, so that the choice depends on nothing but the
    slide; those at least half covered by the mask come first. A grid smaller than a block gives one block, clipped.

    Parameters
    ----------
    mask : ndarray of bool, shape (h, w)
        Tissue; its pixels are `mask_px` grid pixels wide.
    """
    boxes = [tile.core for tile in plan_tiles(width_px, height_px, block_px, 0)]
    full = [b for b in boxes if b.width == block_px and b.height == block_px] or boxes[:1]
    share = np.array([_covered(mask, box, mask_px) for box in full])
    if not share.any():  # all of it lies at the right and lower edges
        full = list(dict.fromkeys(_moved_inside(box, width_px, height_px, block_px) for box in boxes))
        share = np.array([_covered(mask, box, mask_px) for box in full])
    chosen = np.flatnonzero(share >= 0.5)
    if len(chosen) < count:
        chosen = np.sort(np.argsort(-share, kind="stable")[: min(count, int((share > 0).sum()))])
    if len(chosen) > count:
        chosen = chosen[(np.arange(count) * len(chosen)) // count]
    return [full[i] for i in chosen]


def _moved_inside(box: Box, width_px: int, height_px: int, block_px: int) -> Box:
    """A whole block that begins at `box`, or as far before it as the grid's edges ask for."""
    width, height = min(block_px, width_px), min(block_px, height_px)
    return Box(min(box.x, width_px - width), min(box.y, height_px - height), width, height)


def _covered(mask: NDArray[np.bool_], box: Box, mask_px: float) -> float:
    part = mask[
        math.floor(box.y / mask_px) : math.ceil(box.bottom / mask_px),
        math.floor(box.x / mask_px) : math.ceil(box.right / mask_px),
    ]
    return float(part.mean()) if part.size else 0.0

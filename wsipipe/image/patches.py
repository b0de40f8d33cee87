"""From the arrays of one tile to rows: measured nuclei with their patches (the only place where rows are made)."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.config import NucleiConfig, PatchConfig
from wsipipe.image.deconvolve import separate
from wsipipe.image.morphology import Measurements, measure
from wsipipe.image.nuclei import Nuclei, halo_px
from wsipipe.image.outlines import Drawn
from wsipipe.image.stain import normalize
from wsipipe.records import Box, Cells, Grid, Rings, StainProfile, Tile
from wsipipe.units import px2_to_um2


@dataclass(frozen=True)
class TileCells:
    """What one tile owns: its cells in the order of `Cells.order`, and how many oversized objects it dropped."""

    cells: Cells
    oversized: int


def view_halo_px(mpp: float, nuclei: NucleiConfig, patches: PatchConfig) -> int:
    """Halo that holds both what splitting needs and the patch of a nucleus on the core's edge."""
    return max(halo_px(mpp, nuclei), crop_px(mpp, patches) // 2 + 2)


def crop_px(mpp: float, config: PatchConfig) -> int:
    """Side, on a grid of `mpp`, of the square that becomes a patch."""
    return max(1, round(config.size_px * config.mpp / mpp))


def collect(
    rgb: NDArray[np.uint8], nuclei: Nuclei, tile: Tile, grid: Grid, profile: StainProfile, config: PatchConfig
) -> TileCells:
    """Measure the nuclei whose centre lies in the tile's core and cut a patch around each.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
        Pixels of `tile.view`.
    nuclei : Nuclei
        What `find_nuclei` found in them.

    Notes
    -----
    Centres are exact quotients of integer sums in grid coordinates, so that every tiling assigns a nucleus to one
    tile and prints the same digits.
    """
    found = measure(nuclei.labels, nuclei.h_od, nuclei.e_od)
    owned, x, y = owned_by(found, tile)
    cells = _rows(found, owned, x[owned], y[owned], tile.view, grid, np.zeros((len(owned), 0, 0, 3), np.uint8))
    order = cells.order()
    owned = owned[order]  # before the patches are cut, for these are most of what would be put in order
    if config.surroundings:
        patches = _patches_with_surroundings(rgb, x[owned], y[owned], tile.view, grid.mpp, profile, config)
    else:
        masks = [
            nuclei.labels[b[1] : b[3], b[0] : b[2]] == i + 1 for i, b in zip(owned, found.bbox[owned], strict=True)
        ]
        patches = _patches_on_white(
            rgb, masks, found.bbox[owned], x[owned], y[owned], tile.view, grid.mpp, profile, config
        )
    cells = dataclasses.replace(cells.take(order), patches=patches)
    return TileCells(cells, _count_in(tile.core, nuclei.oversized, tile.view))


def collect_given(
    rgb: NDArray[np.uint8],
    outlines: Sequence[Rings],
    drawn: Sequence[Drawn],
    view: Box,
    grid: Grid,
    profile: StainProfile,
    config: PatchConfig,
) -> Cells:
    """Measure given nuclei, each on its own pixels whatever it overlaps, and cut a patch around each.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
        Pixels of `view`, which holds everything drawn and its patches.
    outlines, drawn : sequence of Rings, of Drawn
        The nuclei, and their pixels on the grid.

    Returns
    -------
    Cells
        One row for every nucleus, in the order of `Cells.order`; the outline of each is the one that was given.
    """
    if not outlines:
        return Cells.empty(config.size_px)
    h_od, e_od = separate(rgb, profile)
    found = _joined([_measure_alone(nucleus, h_od, e_od, view) for nucleus in drawn])
    x, y = _centres(found, view)
    if config.surroundings:
        patches = _patches_with_surroundings(rgb, x, y, view, grid.mpp, profile, config)
    else:
        masks = [nucleus.mask for nucleus in drawn]
        patches = _patches_on_white(rgb, masks, found.bbox, x, y, view, grid.mpp, profile, config)
    cells = _rows(found, np.arange(len(found)), x, y, view, grid, patches)
    cells = dataclasses.replace(
        cells,
        contour_offset=np.cumsum([0, *(len(rings[0]) for rings in outlines)]).astype(np.int64),
        contour_xy=np.concatenate([rings[0] for rings in outlines]).astype(np.float32),
    )
    return cells.take(cells.order())


def owned_by(found: Measurements, tile: Tile) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Rows whose centre lies in the tile's core, and the centres x, y of all rows on the grid."""
    x, y = _centres(found, tile.view)
    core = tile.core
    return np.flatnonzero((x >= core.x) & (x < core.right) & (y >= core.y) & (y < core.bottom)), x, y


def _centres(found: Measurements, view: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = (view.x * found.area_px + found.sum_x) / found.area_px + 0.5
    y = (view.y * found.area_px + found.sum_y) / found.area_px + 0.5
    return x, y


def _measure_alone(nucleus: Drawn, h_od: NDArray[np.uint16], e_od: NDArray[np.uint16], view: Box) -> Measurements:
    """Measurements of one nucleus in pixels of the view, without its contour."""
    left, top = nucleus.left - view.x, nucleus.top - view.y
    height, width = nucleus.mask.shape
    part = (slice(top, top + height), slice(left, left + width))
    alone = measure(nucleus.mask.astype(np.int32), h_od[part], e_od[part])
    n_pieces, pieces = cv2.connectedComponents(nucleus.mask.astype(np.uint8), connectivity=4)
    perimeter = alone.perimeter_px
    if n_pieces > 2:
        perimeter = measure(pieces, h_od[part], e_od[part]).perimeter_px.sum(keepdims=True)
    return dataclasses.replace(
        alone,
        sum_x=alone.sum_x + left * alone.area_px,
        sum_y=alone.sum_y + top * alone.area_px,
        bbox=alone.bbox + np.array([left, top, left, top], np.int32),
        perimeter_px=perimeter,
        contour_offset=np.zeros(2, np.int64),
        contour_xy=np.zeros((0, 2), np.int32),
    )


def _joined(parts: Sequence[Measurements]) -> Measurements:
    """One table of measurements without contours."""
    columns = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in dataclasses.fields(Measurements)
        if f.name != "contour_offset"
    }
    return Measurements(**columns, contour_offset=np.zeros(len(parts) + 1, np.int64))


def _rows(
    found: Measurements,
    owned: NDArray[np.intp],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    view: Box,
    grid: Grid,
    patches: NDArray[np.uint8],
) -> Cells:
    scale = grid.downsample
    bbox = found.bbox[owned].astype(np.float64) + (view.x, view.y, view.x, view.y)
    bbox_px = np.concatenate([np.floor(bbox[:, :2] * scale), np.ceil(bbox[:, 2:] * scale)], axis=1)
    lengths = np.diff(found.contour_offset)[owned]
    offset = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    vertex = np.repeat(found.contour_offset[owned] - offset[:-1], lengths) + np.arange(offset[-1])
    f4 = np.float32
    return Cells(
        x_px=np.round(x * scale, 2),
        y_px=np.round(y * scale, 2),
        area_um2=(found.area_px[owned] * px2_to_um2(1.0, grid.mpp)).astype(f4),
        perimeter_um=(found.perimeter_px[owned] * grid.mpp).astype(f4),
        eccentricity=found.eccentricity[owned].astype(f4),
        solidity=found.solidity[owned].astype(f4),
        h_od_mean=found.h_od_mean[owned].astype(f4),
        h_od_std=found.h_od_std[owned].astype(f4),
        e_od_mean=found.e_od_mean[owned].astype(f4),
        e_od_std=found.e_od_std[owned].astype(f4),
        bbox_px=bbox_px.astype(np.int32),
        patches=patches,
        contour_offset=offset,
        contour_xy=((found.contour_xy[vertex].astype(np.float64) + (view.x, view.y)) * scale).astype(f4),
    )


def _patches_with_surroundings(
    rgb: NDArray[np.uint8],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    view: Box,
    mpp: float,
    profile: StainProfile,
    config: PatchConfig,
) -> NDArray[np.uint8]:
    """Cut all patches at once; beyond the slide's edge is clear glass. Returns uint8 (n, size, size, 3)."""
    if not len(x):
        return np.zeros((0, config.size_px, config.size_px, 3), np.uint8)
    side = crop_px(mpp, config)
    pad = side + 2
    glass = np.round(profile.white).astype(np.uint8)
    padded = cv2.copyMakeBorder(rgb, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=glass.tolist())
    # the square's corner goes to the nearest whole pixel: at most half a working pixel off centre
    left = np.floor(x - side / 2 + 0.5).astype(np.intp) - view.x + pad
    top = np.floor(y - side / 2 + 0.5).astype(np.intp) - view.y + pad
    # rows of bytes, so that each row of a crop is copied in one piece
    windows = np.lib.stride_tricks.sliding_window_view(padded.reshape(len(padded), -1), (side, 3 * side))
    crops = windows[top, 3 * left].reshape(-1, side, side, 3)
    return normalize(np.ascontiguousarray(_shrink_all(crops, config.size_px)), profile)


def _patches_on_white(
    rgb: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    bbox: NDArray[np.int32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    view: Box,
    mpp: float,
    profile: StainProfile,
    config: PatchConfig,
) -> NDArray[np.uint8]:
    """One nucleus, centred, on white; larger ones are scaled down to fit (Hu et al. 2019, section IV-A).

    `masks[i]` holds the pixels of nucleus i in its box `bbox[i]`.
    """
    patches = np.full((len(masks), config.size_px, config.size_px, 3), 255, np.uint8)
    for i, own in enumerate(masks):
        left, top, right, bottom = bbox[i]
        cx, cy = x[i] - view.x, y[i] - view.y
        reach = max(cx - left, right - cx, cy - top, bottom - cy)
        side = max(crop_px(mpp, config), int(np.ceil(2 * reach)) + 1)
        x0, y0 = int(np.floor(cx - side / 2 + 0.5)), int(np.floor(cy - side / 2 + 0.5))
        square = np.full((side, side, 3), 255, np.uint8)
        pixels = normalize(np.ascontiguousarray(rgb[top:bottom, left:right]), profile)
        square[top - y0 : bottom - y0, left - x0 : right - x0][own] = pixels[own]
        patches[i] = _shrink_all(square[None], config.size_px)[0]
    return patches


def _shrink_all(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Area-average square crops (n, side, side, 3) to (n, size, size, 3)."""
    side = crops.shape[1]
    if side == size:
        return crops
    if side == 2 * size:  # exact and vectorized: the 40x recipes
        even, odd = crops[:, 0::2].astype(np.uint16), crops[:, 1::2]
        rows = even + odd
        return ((rows[:, :, 0::2] + rows[:, :, 1::2] + 2) >> 2).astype(np.uint8)
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.stack([cv2.resize(np.ascontiguousarray(c), (size, size), interpolation=method) for c in crops])


def _count_in(core: Box, points: NDArray[np.int32], view: Box) -> int:
    """How many (y, x) pixels of the view lie in the core."""
    x, y = points[:, 1] + view.x, points[:, 0] + view.y
    return int(((x >= core.x) & (x < core.right) & (y >= core.y) & (y < core.bottom)).sum())

"""The outlines of cells painted as a label image."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled, plain
from wsipipe.image.outlines import toggle
from wsipipe.records import Cells


def label_image(chunks: Iterable[Cells], width_px: int, height_px: int, downsample: float = 1.0) -> NDArray[np.uint32]:
    """Paint every cell with its cell_id + 1 over background 0; uint32 (height, width).

    Parameters
    ----------
    chunks : iterable of Cells
        All cells of a slide, in the order of their cell_id.
    width_px, height_px : int
        Size of the image.
    downsample : float
        Level-0 pixels per pixel of the image.
    """
    labels = np.zeros((height_px, width_px), np.uint32)
    cell_id = 0
    for cells in chunks:
        count = len(cells.contour_offset) - 1
        paint_labels(labels, cells, np.arange(cell_id, cell_id + count), downsample=downsample)
        cell_id += count
    return labels


def paint_labels(
    labels: NDArray[np.uint32],
    cells: Cells,
    cell_id: NDArray[np.int64],
    origin_px: tuple[int, int] = (0, 0),
    downsample: float = 1.0,
) -> None:
    """Paint cells into a part of the label image of their slide; where two overlap, the later one stays.

    A pixel belongs to the cell whose outline holds its centre, so that outlines made on this very grid give back the
    masks they were made from (with holes filled).

    Parameters
    ----------
    labels : uint32, (height, width)
        Painted upon.
    cells : Cells
        Any cells; what lies beyond the part is cut off.
    cell_id : int64, (n,)
        Of each; painted as cell_id + 1.
    origin_px : (int, int)
        Column and row of the part's top-left pixel.
    downsample : float
        Level-0 pixels per pixel of the image.
    """
    corners = cells.contour_xy.astype(np.float64) / downsample - origin_px
    _paint(plain(corners), plain(cells.contour_offset), plain(cell_id.astype(np.int64)), labels)


@compiled
def _paint(
    corners: NDArray[np.float64], offset: NDArray[np.int64], cell_id: NDArray[np.int64], labels: NDArray[np.uint32]
) -> None:
    height, width = labels.shape
    for i in range(len(cell_id)):
        ring = corners[offset[i] : offset[i + 1]]
        if len(ring) < 3:
            continue
        left, right = max(0, math.floor(ring[:, 0].min())), min(width, math.ceil(ring[:, 0].max()))
        top, bottom = max(0, math.floor(ring[:, 1].min())), min(height, math.ceil(ring[:, 1].max()))
        if left >= right or top >= bottom:
            continue
        toggles = np.zeros((bottom - top, right - left + 1), np.uint8)
        shifted = ring.copy()
        shifted[:, 0] -= left
        shifted[:, 1] -= top
        toggle(shifted, toggles)
        for y in range(bottom - top):
            inside = False
            for x in range(right - left):
                inside ^= toggles[y, x] == 1
                if inside:
                    labels[top + y, left + x] = cell_id[i] + 1

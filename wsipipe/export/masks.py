"""Instance masks: the outlines of cells as label images."""

from collections.abc import Iterable
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from wsipipe.atomic import atomic_write
from wsipipe.records import Cells

PNG_MAX_CELLS = 65_535
PNG_MAX_SIDE_PX = 20_000
"""Above either, a mask does not fit a 16-bit PNG that other programs open."""


def fits_png(n_cells: int, width_px: int, height_px: int) -> bool:
    """Whether a mask fits a 16-bit PNG that other programs open."""
    return n_cells <= PNG_MAX_CELLS and max(width_px, height_px) <= PNG_MAX_SIDE_PX


def label_image(chunks: Iterable[Cells], width_px: int, height_px: int, downsample: float = 1.0) -> NDArray[np.uint32]:
    """Draw every cell with its cell_id + 1 over background 0; uint32 (height, width).

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
        draw_labels(labels, cells, np.arange(cell_id, cell_id + len(cells.contour_offset) - 1), downsample=downsample)
        cell_id += len(cells.contour_offset) - 1
    return labels


def draw_labels(
    labels: NDArray[np.uint32],
    cells: Cells,
    cell_id: NDArray[np.int64],
    origin_px: tuple[int, int] = (0, 0),
    downsample: float = 1.0,
) -> None:
    """Draw cells into a part of the label image of their slide; where two overlap, the later one stays.

    A pixel belongs to the cell whose outline holds its centre, so that outlines made on this very grid give back the
    masks they were made from (with holes filled).

    Parameters
    ----------
    labels : uint32, (height, width)
        Drawn upon.
    cells : Cells
        Any cells; what lies beyond the part is cut off.
    cell_id : int64, (n,)
        Of each; drawn as cell_id + 1.
    origin_px : (int, int)
        Column and row of the part's top-left pixel.
    downsample : float
        Level-0 pixels per pixel of the image.
    """
    corners = cells.contour_xy.astype(np.float64) / downsample - 0.5  # skimage's pixel centres are whole numbers
    corners -= origin_px
    ends = cells.contour_offset.tolist()
    for i, start, stop in zip(cell_id.tolist(), ends[:-1], ends[1:], strict=True):
        rows, columns = polygon(corners[start:stop, 1], corners[start:stop, 0], labels.shape)
        labels[rows, columns] = i + 1


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

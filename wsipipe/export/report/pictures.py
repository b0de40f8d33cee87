"""Pictures of the report: nuclei drawn over a view of the slide, example cells side by side."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.export.rings import closed_rings
from wsipipe.export.rows import LabelledCells

Picture = NDArray[np.uint8]

OUTLINE_LIMIT = 3.0
"""Up to this many level-0 pixels per picture pixel nuclei are drawn as outlines; beyond it as dots."""

UNLABELLED_RGB = (0, 114, 178)
"""Colour of nuclei without a class."""

_SHIFT = 4
"""Bits of OpenCV's fixed-point coordinates behind the point."""


def draw_nuclei(
    view: Picture,
    chunk: LabelledCells,
    colors: Sequence[tuple[int, int, int]],
    downsample: float,
    origin_px: tuple[float, float] = (0.0, 0.0),
) -> Picture:
    """A copy of a view of the slide with the nuclei of a chunk drawn over it in the colours of their classes.

    Parameters
    ----------
    view : uint8, (height, width, 3)
        RGB.
    chunk : LabelledCells
        Any cells of the slide; those that do not reach into the view are left out.
    colors : sequence of (int, int, int)
        RGB of each class index.
    downsample : float
        Level-0 pixels per pixel of the view; OUTLINE_LIMIT decides between outlines and dots.
    origin_px : (float, float)
        Level-0 x and y of the view's top-left corner.
    """
    drawn = view.copy()
    palette = np.array([*colors, UNLABELLED_RGB], np.uint8)
    index = chunk.classes if chunk.classes is not None else np.full(len(chunk), len(palette) - 1)
    if downsample <= OUTLINE_LIMIT:
        seen = _boxes_in_view(chunk, view, downsample, origin_px)
        for color in np.unique(index[seen]):
            rings = _rings(chunk, np.flatnonzero(seen & (index == color)), downsample, origin_px)
            rgb = tuple(map(int, palette[color]))
            cv2.polylines(drawn, rings, isClosed=True, color=rgb, thickness=1, lineType=cv2.LINE_AA, shift=_SHIFT)
    else:
        x = (chunk.cells.x_px - origin_px[0]) / downsample
        y = (chunk.cells.y_px - origin_px[1]) / downsample
        seen = (x >= 0) & (y >= 0) & (x < view.shape[1]) & (y < view.shape[0])
        _dots(drawn, x[seen], y[seen], palette[index[seen]])
    return drawn


def _boxes_in_view(
    chunk: LabelledCells, view: Picture, downsample: float, origin_px: tuple[float, float]
) -> NDArray[np.bool_]:
    left, top, right, bottom = chunk.cells.bbox_px.T
    view_right, view_bottom = (o + n * downsample for o, n in zip(origin_px, view.shape[1::-1], strict=True))
    inside = (right > origin_px[0]) & (bottom > origin_px[1]) & (left < view_right) & (top < view_bottom)
    return np.asarray(inside)


def _rings(
    chunk: LabelledCells, rows: NDArray[np.intp], downsample: float, origin_px: tuple[float, float]
) -> list[NDArray[np.int32]]:
    # Contours count from the corner of a pixel, OpenCV from its middle.
    xy, ends = closed_rings(chunk.cells.take(rows))
    fixed_point = ((xy - origin_px) / downsample - 0.5) * (1 << _SHIFT)
    return np.split(fixed_point.round().astype(np.int32), ends[1:-1])


def _dots(drawn: Picture, x: NDArray[np.float64], y: NDArray[np.float64], rgb: Picture) -> None:
    """A 2 x 2 dot around each point; where dots overlap, the later row wins."""
    height, width = drawn.shape[:2]
    columns = np.minimum((x - 0.5).astype(np.intp)[:, None] + [0, 1, 0, 1], width - 1)
    rows = np.minimum((y - 0.5).astype(np.intp)[:, None] + [0, 0, 1, 1], height - 1)
    drawn[rows.ravel(), columns.ravel()] = np.repeat(rgb, 4, axis=0)


def montage(patches: NDArray[np.uint8], gap_px: int = 2) -> Picture:
    """Patches, (n, size, size, 3) with n at least 1, in one row on white, RGB."""
    spaced = np.pad(patches, ((0, 0), (0, 0), (0, gap_px), (0, 0)), constant_values=255)
    return np.asarray(np.concatenate(list(spaced), axis=1)[:, : -gap_px or None])

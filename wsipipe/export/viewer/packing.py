"""Cells as the page reads them: little-endian arrays one after another, no text to parse."""

import numpy as np
from numpy.typing import NDArray

OUTLINE_TILE_PX = 1024
"""Side, in level-0 pixels, of the squares that outlines are delivered in."""


def pack_cells(
    x_px: NDArray[np.float32],
    y_px: NDArray[np.float32],
    classes: NDArray[np.uint8],
    confidence: NDArray[np.float32],
) -> bytes:
    """Ten bytes a cell: n as uint32, then x and y as float32 (n,), class and confidence * 255 as uint8 (n,)."""
    share = np.rint(confidence * 255).astype(np.uint8)
    parts = (np.array([len(x_px)], "<u4"), x_px.astype("<f4"), y_px.astype("<f4"), classes, share)
    return b"".join(part.tobytes() for part in parts)


def pack_outlines(
    cell_ids: NDArray[np.intp], lengths: NDArray[np.int64], xy: NDArray[np.float32], corner: tuple[int, int]
) -> bytes:
    """Outlines of some cells.

    n as uint32, cell_id as uint32 (n,), end of each ring as uint32 (n,), then x and y of the vertices, from the
    square's corner, as float32 (m, 2).
    """
    parts = (
        np.array([len(cell_ids)], "<u4"),
        cell_ids.astype("<u4"),
        np.cumsum(lengths).astype("<u4"),
        (xy - np.array(corner, np.float32)).astype("<f4"),
    )
    return b"".join(part.tobytes() for part in parts)

"""A large slide of real tissue: one small slide repeated, with flips so that no two neighbours are alike."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.slide import open_slide
from wsipipe.records import Box


def write_mosaic(source: Path, target: Path, columns: int, rows: int) -> tuple[int, int]:
    """Write `columns` x `rows` copies of the densest quarter of `source` at its own resolution; width and height."""
    with open_slide(source) as slide:
        grid = slide.grid(slide.info.mpp)
        whole = slide.read(grid, Box(0, 0, grid.width_px, grid.height_px)).rgb
        mpp = slide.info.mpp
    piece = _densest(whole, 1024, 1536)
    height, width = piece.shape[0] * rows, piece.shape[1] * columns
    write_pyramid(target, _pixels(piece), mpp, size_px=(width, height))
    return width, height


def _densest(whole: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The darkest window on a lattice of 128 px: mostly tissue."""
    places = [(y, x) for y in range(0, whole.shape[0] - height, 128) for x in range(0, whole.shape[1] - width, 128)]
    y, x = min(places, key=lambda p: whole[p[0] : p[0] + height, p[1] : p[1] + width].mean())
    return whole[y : y + height, x : x + width]


def _pixels(piece: NDArray[np.uint8]) -> Callable[[Box], NDArray[np.uint8]]:
    """A reader of the endless plane of copies, each mirrored at its neighbour."""
    mirrored = np.concatenate([piece, piece[:, ::-1]], axis=1)
    plane = np.concatenate([mirrored, mirrored[::-1]], axis=0)

    def read(box: Box) -> NDArray[np.uint8]:
        rows = np.arange(box.y, box.bottom) % plane.shape[0]
        columns = np.arange(box.x, box.right) % plane.shape[1]
        return plane[rows[:, None], columns]

    return read

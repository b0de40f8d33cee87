"""Deep Zoom tiles of a slide: from its file through the project's own reader, or from the overview in its store."""

import contextlib
import functools
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.export.encode import jpeg
from wsipipe.export.viewer.deepzoom import DeepZoom, tile_grid
from wsipipe.io.pyramid import usable_levels
from wsipipe.io.slide import Slide, open_slide
from wsipipe.io.store import CellStore
from wsipipe.records import Box, SlideInfo

_OPEN_AT_ONCE = 4
_TILES_KEPT = 1024
"""Some 50 MB."""


@dataclass(frozen=True)
class StoredPicture:
    """The overview that a store keeps: uint8 (h, w, 3), and level-0 pixels per pixel of it."""

    rgb: NDArray[np.uint8]
    downsample: float

    @classmethod
    def of(cls, store: CellStore) -> Self:
        """The overview of a store."""
        return cls(np.asarray(store.array("overview")[:]), float(store.attributes["overview_downsample"]))

    def read(self, box: Box, downsample: float) -> NDArray[np.uint8]:
        """Pixels `box` of a grid of any downsample: averaged where it is coarser, interpolated where it is finer."""
        scale = downsample / self.downsample
        height, width = self.rgb.shape[:2]
        left, top = max(0, int(box.x * scale) - 2), max(0, int(box.y * scale) - 2)
        part = self.rgb[top : min(height, int(box.bottom * scale) + 3), left : min(width, int(box.right * scale) + 3)]
        if not part.size:
            return np.full((box.height, box.width, 3), 255, np.uint8)
        if scale > 1:
            part = cv2.blur(part, (round(scale), round(scale)), borderType=cv2.BORDER_REPLICATE)
        x, y = (np.arange(n, dtype=np.float32) for n in (box.width, box.height))
        columns, rows = np.meshgrid((x + box.x + 0.5) * scale - 0.5 - left, (y + box.y + 0.5) * scale - 0.5 - top)
        return np.asarray(cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


class TileSource:
    """Tiles of one slide, for any number of threads.

    Parameters
    ----------
    path : Path or None
        The slide's file; None when only the stored picture can be shown.
    info : SlideInfo
        Facts of the slide, as its store has them.
    stored : StoredPicture
        Shown where it is as fine as what is asked for, and everywhere without a file.
    """

    def __init__(self, path: Path | None, info: SlideInfo, stored: StoredPicture) -> None:
        self.pyramid = DeepZoom(info.width_px, info.height_px)
        self.tile = functools.lru_cache(_TILES_KEPT)(self._tile)
        self._path, self._info, self._stored = path, info, stored
        self._levels = {i: info.levels[i] for i in usable_levels(info.levels)}
        self._closed = False
        self._handles: queue.LifoQueue[Slide | None] = queue.LifoQueue()
        for _ in range(_OPEN_AT_ONCE):
            self._handles.put(None)

    def close(self) -> None:
        """Close the slide's handles, as soon as nobody reads through them; there are no tiles any more then."""
        self._closed = True
        for _ in range(_OPEN_AT_ONCE):
            handle = self._handles.get()
            if handle is not None:
                handle.close()

    def _tile(self, level: int, column: int, row: int) -> bytes:
        """A tile as JPEG.

        Raises
        ------
        LookupError
            If there is no such tile.
        """
        box = self.pyramid.tile(level, column, row)
        downsample = self.pyramid.downsample(level)
        if self._path is None or downsample >= self._stored.downsample:
            return jpeg(self._stored.read(box, downsample))
        grid = tile_grid(self._levels, self._info.mpp, downsample)
        inside = Box(box.x, box.y, min(box.width, grid.width_px - box.x), min(box.height, grid.height_px - box.y))
        rgb = np.full((box.height, box.width, 3), 255, np.uint8)
        if inside.width > 0 and inside.height > 0:
            with self._slide(self._path) as slide:
                rgb[: inside.height, : inside.width] = slide.read(grid, inside).rgb
        return jpeg(rgb)

    @contextlib.contextmanager
    def _slide(self, path: Path) -> Iterator[Slide]:
        """A handle that no other thread has; opened when it is first needed."""
        if self._closed:
            raise LookupError(path.name)
        handle = self._handles.get()
        try:
            if handle is None:
                handle = open_slide(path, slide_id=self._info.slide_id, mpp=self._info.mpp)
            yield handle
        finally:
            self._handles.put(handle)

"""JPEG tiles of plain TIFF levels, decoded without a detour.

OpenSlide composes every read through Cairo, which costs more than decoding does. Where a level is nothing but a grid of
JPEG tiles, its tiles are decoded with tifffile (same libjpeg-turbo, same pixels) and OpenSlide reads all else.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import tifffile
from imagecodecs import DelayedImportError, JpegError
from numpy.typing import NDArray

from wsipipe.io.tiff_check import TIFF_FAULTS
from wsipipe.io.tile_cache import shared_cache
from wsipipe.records import Box, Level

LARGEST_TILE_PX = 4096
"""Larger tiles, such as the whole-image strips of some writers, are better read in part."""

_VENDORS = frozenset({"aperio", "generic-tiff"})
"""Formats whose levels are one tiled TIFF directory each, without overlap or offset."""

_JPEG = 7
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of JPEG's frame headers."""

_FAULTS = (DelayedImportError, JpegError, *TIFF_FAULTS)

ReadArea = Callable[[Box], NDArray[np.uint8]]


class TiffTiles:
    """Tiles of one level, for one thread.

    Parameters
    ----------
    page : tifffile.TiffPage
    size : Level
    """

    def __init__(self, page: Any, size: Level) -> None:
        self._page = page
        self._size = size
        self._width, self._height = page.tilewidth, page.tilelength
        self._columns = -(-size.width_px // self._width)
        self._kept = shared_cache(page.parent.filehandle, page.offset, 3 * self._width * self._height)

    def read(self, box: Box, otherwise: ReadArea) -> NDArray[np.uint8]:
        """Pixels `box` of the level, uint8 (h, w, 3); tiles that cannot be decoded come from `otherwise`.

        A pixel depends on its own tile only, whatever box it is read through.
        """
        out = np.empty((box.height, box.width, 3), np.uint8)
        for row in range(box.y // self._height, -(-box.bottom // self._height)):
            for column in range(box.x // self._width, -(-box.right // self._width)):
                left, top = column * self._width, row * self._height
                x0, y0 = max(left, box.x), max(top, box.y)
                x1, y1 = min(left + self._width, box.right), min(top + self._height, box.bottom)
                tile = self._tile(row * self._columns + column)
                if tile is None:
                    part = otherwise(Box(x0, y0, x1 - x0, y1 - y0))
                else:
                    part = tile[y0 - top : y1 - top, x0 - left : x1 - left]
                out[y0 - box.y : y1 - box.y, x0 - box.x : x1 - box.x] = part
        return out

    def agrees(self, reference: ReadArea, *, at_corner: bool = False) -> bool:
        """Whether the tile in the middle, or at the corner, is what `reference` reads there, to the last bit."""
        row, column = self._size.height_px // self._height // 2, self._size.width_px // self._width // 2
        if at_corner:
            row = column = 0
        tile = self._tile(row * self._columns + column)
        if tile is None:
            return False
        left, top = column * self._width, row * self._height
        width, height = min(self._width, self._size.width_px - left), min(self._height, self._size.height_px - top)
        return np.array_equal(tile[:height, :width], reference(Box(left, top, width, height)))

    def _tile(self, index: int) -> NDArray[np.uint8] | None:
        """A decoded tile, or None where there is none or it is damaged."""
        tile = self._kept.get(index)
        if tile is None:
            tile = self._decode(index)
            if tile is not None:
                self._kept.put(index, tile)
        return tile

    def _decode(self, index: int) -> NDArray[np.uint8] | None:
        page = self._page
        try:
            offset, count = page.dataoffsets[index], page.databytecounts[index]
            if not offset or not 0 < count <= page.parent.filehandle.size:
                return None
            page.parent.filehandle.seek(offset)
            data = page.parent.filehandle.read(count)
            # libjpeg fills the rest of a stream with grey and does not say so; a size that is not the tile's may
            # be larger than memory
            if not _is_whole(data) or _jpeg_size(data) != (self._width, self._height):
                return None
            decoded = page.decode(data, index, jpegtables=page.jpegtables, _fullsize=True)[0]
        except _FAULTS:
            return None
        if decoded is None or decoded.shape != (1, self._height, self._width, 3):
            return None
        return np.asarray(decoded[0], np.uint8)


class PlainTiff:
    """The levels of a slide that are plain grids of JPEG tiles; all are absent where the file is of another kind."""

    def __init__(self, path: Path, vendor: str, levels: tuple[Level, ...]) -> None:
        self._file: Any = None
        self._pages: dict[int, Any] = {}
        self._tiles: dict[int, TiffTiles | None] = {}
        if vendor not in _VENDORS:
            return
        try:
            self._file = tifffile.TiffFile(path)
            pages = [page for page in self._file.pages if _is_plain(page)]
        except TIFF_FAULTS:
            self.close()
            return
        for i, level in enumerate(levels):
            same = [page for page in pages if page.shape[:2] == (level.height_px, level.width_px)]
            if len(same) == 1:
                self._pages[i] = same[0]
        self._levels = levels

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._pages, self._tiles = None, {}, {}

    def level(self, level: int, reference: ReadArea, *, at_corner: bool = False) -> TiffTiles | None:
        """Tiles of a level if they are what `reference` reads; looked at once.

        `at_corner` where only there `reference` is sure to begin at a whole pixel.
        """
        if level not in self._pages:
            return None
        if level not in self._tiles:
            tiles = TiffTiles(self._pages[level], self._levels[level])
            self._tiles[level] = None  # should `reference` fail
            if tiles.agrees(reference, at_corner=at_corner):
                self._tiles[level] = tiles
        return self._tiles[level]


def _is_whole(data: bytes) -> bool:
    """Whether a JPEG stream begins and ends as it should; a few bytes of padding are common."""
    return data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9", max(0, len(data) - 64)) > 0


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG stream states in its frame header; zeros where there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 1 if marker == 0xFF else 2 + length
    return 0, 0


def _is_plain(page: Any) -> bool:
    """Whether a TIFF directory is a grid of 8-bit RGB JPEG tiles."""
    return bool(
        page.is_tiled
        and page.compression == _JPEG
        and page.samplesperpixel == 3
        and page.planarconfig == 1
        and page.dtype == np.uint8
        and page.shape == (page.imagelength, page.imagewidth, 3)
        and max(page.tilewidth, page.tilelength) <= LARGEST_TILE_PX
    )

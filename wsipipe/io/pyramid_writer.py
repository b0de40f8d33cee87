"""Write pyramidal TIFF slides from an array, or from a function of boxes in bounded memory."""

import contextlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.records import Box

Pixels = NDArray[np.uint8]

MIN_SIDE_PX = 512
"""No level is made from one whose longer side is this short."""

BIG_TIFF_PX = 1 << 30
"""Slides with more pixels than this get 64-bit offsets: their JPEG tiles may exceed 4 GiB."""


def write_pyramid(
    path: Path | str,
    pixels: Pixels | Callable[[Box], Pixels],
    mpp: float,
    *,
    size_px: tuple[int, int] | None = None,
    tile_px: int = 256,
    factor: int = 2,
    quality: int = 90,
    aperio: bool = False,
) -> None:
    """Write a tiled JPEG pyramid that OpenSlide and tiffslide open, with its resolution in the tags.

    Level 0 is read and written tile by tile; the other levels are built on the way, compressed, in temporary
    files. Memory holds one row of tiles per level, whatever the height of the slide.

    Parameters
    ----------
    path : Path or str
        The file; it appears when it is complete.
    pixels : uint8, (height, width, 3), or callable
        RGB; a callable takes a `Box` of level 0 (one tile, cut off at the slide's border) and returns its
        RGB, (box.height, box.width, 3). Boxes are asked for row by row, each once.
    mpp : float
        Microns per pixel of level 0.
    size_px : (int, int), optional
        Width and height; needed with a callable.
    tile_px : int
        Side of a tile: a multiple of 16 and of `factor`.
    factor : int
        Downsampling from one level to the next.
    quality : int
        JPEG quality, 1 to 100; colour is not subsampled.
    aperio : bool
        Write what Aperio scanners write: their image description with the mpp, and a thumbnail.

    Raises
    ------
    ValueError
        The sizes do not fit together.
    OSError
        The file cannot be written.
    """
    read, (width, height) = _source(pixels, size_px)
    if min(width, height) < 1 or tile_px % 16 or factor < 2 or tile_px % factor:
        msg = f"size {width}x{height} must be positive, tile_px {tile_px} a multiple of 16 and of factor {factor}"
        raise ValueError(msg)
    with contextlib.ExitStack() as stack:
        levels = [_Level(width, height, tile_px, factor, quality)]
        while max(levels[-1].size) > MIN_SIDE_PX and min(levels[-1].size) >= factor:
            spool = stack.enter_context(tempfile.TemporaryFile(dir=Path(path).parent))
            levels.append(levels[-1].make_next(spool))
        file = stack.enter_context(atomic_write(path, "wb"))
        tiff = stack.enter_context(tifffile.TiffWriter(file, bigtiff=width * height > BIG_TIFF_PX))
        _write(tiff, levels, read, mpp, aperio=aperio)


def _source(
    pixels: Pixels | Callable[[Box], Pixels], size_px: tuple[int, int] | None
) -> tuple[Callable[[Box], Pixels], tuple[int, int]]:
    if not callable(pixels):
        height, width = pixels.shape[:2]
        return lambda box: pixels[box.y : box.bottom, box.x : box.right], (width, height)
    if size_px is None:
        msg = "a function of boxes needs size_px"
        raise ValueError(msg)
    return pixels, size_px


class _Level:
    """One level: takes rows of pixels from the top, gives JPEG tiles, hands smaller rows to the next level."""

    def __init__(
        self, width: int, height: int, tile_px: int, factor: int, quality: int, spool: BinaryIO | None = None
    ) -> None:
        self.size = width, height
        self.tile_px, self.factor, self.quality = tile_px, factor, quality
        self.last_strips: list[Pixels] = []
        self._next: _Level | None = None
        self._spool = spool
        self._waiting: list[Pixels] = []
        self._rows_left = height
        self._tiles: deque[bytes] = deque()
        self._lengths: list[int] = []

    def make_next(self, spool: BinaryIO) -> "_Level":
        """The level below this one, which keeps its tiles in `spool`."""
        width, height = (side // self.factor for side in self.size)
        self._next = _Level(width, height, self.tile_px, self.factor, self.quality, spool)
        return self._next

    def push(self, rows: Pixels) -> None:
        """Take the next rows, at most a row of tiles at once."""
        self._waiting.append(rows)
        self._rows_left -= len(rows)
        if self._rows_left == 0 or sum(map(len, self._waiting)) >= self.tile_px:
            strip = np.concatenate(self._waiting)
            whole = len(strip) if self._rows_left == 0 else self.tile_px
            for top in range(0, whole, self.tile_px):
                self._finish(strip[top : top + self.tile_px])
            self._waiting = [strip[whole:]]

    def new_tiles(self) -> Iterator[bytes]:
        """Tiles of level 0 that are finished and were not yet given out."""
        while self._tiles:
            yield self._tiles.popleft()

    def spooled_tiles(self) -> Iterator[bytes]:
        """All tiles of a lower level, row by row, once its rows are in."""
        if self._spool is not None:
            self._spool.seek(0)
            for length in self._lengths:
                yield self._spool.read(length)

    def _finish(self, strip: Pixels) -> None:
        side = self.tile_px
        for left in range(0, self.size[0], side):
            tile = strip[:, left : left + side]
            padding = ((0, side - tile.shape[0]), (0, side - tile.shape[1]), (0, 0))
            self._keep(_jpeg(np.pad(tile, padding, mode="edge"), self.quality))
        if self._next is None:
            self.last_strips.append(strip)
        elif len(strip) >= self.factor:
            width, rows = self._next.size[0], len(strip) // self.factor
            even = strip[: rows * self.factor, : width * self.factor]
            small = cv2.resize(even, (width, rows), interpolation=cv2.INTER_AREA)
            self._next.push(np.asarray(small, np.uint8))

    def _keep(self, tile: bytes) -> None:
        if self._spool is None:
            self._tiles.append(tile)
        else:
            self._spool.write(tile)
            self._lengths.append(len(tile))


def _write(
    tiff: tifffile.TiffWriter, levels: list[_Level], read: Callable[[Box], Pixels], mpp: float, *, aperio: bool
) -> None:
    for index, level in enumerate(levels):
        if index == 1 and aperio:
            _write_thumbnail(tiff, levels[-1])
        (width, height), side = level.size, level.tile_px
        tiff.write(
            _level0_tiles(level, read) if index == 0 else level.spooled_tiles(),
            shape=(height, width, 3),
            dtype=np.uint8,
            tile=(side, side),
            photometric="ycbcr",
            subsampling=(1, 1),
            compression="jpeg",
            resolution=(1e4 / (mpp * level.factor**index),) * 2,
            resolutionunit="CENTIMETER",
            subfiletype=0 if aperio or index == 0 else 1,
            description=_aperio_description(level, mpp) if aperio and index == 0 else None,
            metadata=None,
            software=False,
        )


def _level0_tiles(level: _Level, read: Callable[[Box], Pixels]) -> Iterator[bytes]:
    width, height = level.size
    for top in range(0, height, level.tile_px):
        rows = min(level.tile_px, height - top)
        strip = np.empty((rows, width, 3), np.uint8)
        for left in range(0, width, level.tile_px):
            columns = min(level.tile_px, width - left)
            strip[:, left : left + columns] = read(Box(left, top, columns, rows))
        level.push(strip)
        yield from level.new_tiles()


def _write_thumbnail(tiff: tifffile.TiffWriter, smallest: _Level) -> None:
    """Readers of Aperio files take the second picture, which is not tiled, for the thumbnail."""
    picture = np.concatenate(smallest.last_strips)
    tiff.write(
        iter([_jpeg(picture, smallest.quality)]),
        shape=picture.shape,
        dtype=np.uint8,
        rowsperstrip=len(picture),
        photometric="ycbcr",
        subsampling=(1, 1),
        compression="jpeg",
        metadata=None,
        software=False,
    )


def _aperio_description(level: _Level, mpp: float) -> str:
    (width, height), side = level.size, level.tile_px
    head = f"Aperio Image Library v11.2.1 \r\n{width}x{height} ({side}x{side}) JPEG/RGB Q={level.quality}"
    return f"{head}|AppMag = {round(10 / mpp)}|MPP = {mpp:.6g}"


def _jpeg(picture: Pixels, quality: int) -> bytes:
    encoded = imagecodecs.jpeg8_encode(
        picture, level=quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="444"
    )
    return bytes(encoded)

"""Reads that cover whole fixed blocks, so that what is unreadable never depends on the box asked for."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsipipe.io.readers import Reader, ReadFailureError
from wsipipe.records import Box, Level

BLOCK_PX = 64
"""Side of a block in pixels of the level read; block (i, j) begins at pixel (64 i, 64 j)."""


def read_blocks(reader: Reader, level: int, box: Box) -> tuple[NDArray[np.uint8], frozenset[tuple[int, int]]]:
    """Pixels `box` of a level, and the ids of the blocks among them that cannot be decoded.

    A block is unreadable if reading exactly that block fails; its pixels are white. Levels that are not exact are read
    block by block, because there OpenSlide shifts by fractions of a pixel that depend on where a read begins.

    Returns
    -------
    pixels : uint8, (box.height, box.width, 3)
        A view into the blocks read.
    unreadable : frozenset of (int, int)
        Column and row of each unreadable block that `box` touches.
    """
    size = reader.facts.levels[level]
    touched = _touched(box)
    whole = _pixels(touched, size)
    out = np.empty((whole.height, whole.width, 3), np.uint8)
    unreadable: set[tuple[int, int]] = set()
    pending = [touched] if reader.exact(level) else _single_blocks(touched)
    while pending:
        blocks = pending.pop()
        part = _pixels(blocks, size)
        try:
            pixels = reader.read(level, part)
        except ReadFailureError:
            if blocks.width == blocks.height == 1:
                unreadable.add((blocks.x, blocks.y))
                _cut(out, whole, part)[:] = 255
            else:
                pending += _halves(blocks)
        else:
            if part == whole:
                return _cut(pixels, whole, box), frozenset()
            _cut(out, whole, part)[:] = pixels
    return _cut(out, whole, box), frozenset(unreadable)


def one_by_one(read: Callable[[Box], NDArray[np.uint8]], size: Level, box: Box) -> NDArray[np.uint8]:
    """Pixels `box` of a level, uint8 (h, w, 3), from reads of single whole blocks."""
    touched = _touched(box)
    whole = _pixels(touched, size)
    out = np.empty((whole.height, whole.width, 3), np.uint8)
    for block in _single_blocks(touched):
        part = _pixels(block, size)
        _cut(out, whole, part)[:] = read(part)
    return _cut(out, whole, box)


def block_count(box: Box) -> int:
    """Number of blocks that level pixels `box` touch."""
    touched = _touched(box)
    return touched.width * touched.height


def _touched(box: Box) -> Box:
    """The blocks that pixels `box` touch, counted in blocks."""
    x, y = box.x // BLOCK_PX, box.y // BLOCK_PX
    return Box(x, y, -(-box.right // BLOCK_PX) - x, -(-box.bottom // BLOCK_PX) - y)


def _single_blocks(blocks: Box) -> list[Box]:
    """Each block of `blocks`; the last comes first, as the caller takes them from the end."""
    found = [Box(x, y, 1, 1) for y in range(blocks.y, blocks.bottom) for x in range(blocks.x, blocks.right)]
    return found[::-1]


def _halves(blocks: Box) -> list[Box]:
    x, y, width, height = blocks
    if width >= height:
        half = width // 2
        return [Box(x + half, y, width - half, height), Box(x, y, half, height)]
    half = height // 2
    return [Box(x, y + half, width, height - half), Box(x, y, width, half)]


def _cut(pixels: NDArray[np.uint8], whole: Box, part: Box) -> NDArray[np.uint8]:
    """What lies in `part` of the pixels of `whole`."""
    return pixels[part.y - whole.y : part.bottom - whole.y, part.x - whole.x : part.right - whole.x]


def _pixels(blocks: Box, size: Level) -> Box:
    """Level pixels of `blocks`, which are counted in blocks."""
    x, y = blocks.x * BLOCK_PX, blocks.y * BLOCK_PX
    right, bottom = min(blocks.right * BLOCK_PX, size.width_px), min(blocks.bottom * BLOCK_PX, size.height_px)
    return Box(x, y, right - x, bottom - y)

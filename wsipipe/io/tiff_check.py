"""What a TIFF says of itself, compared with what it holds, before any reader believes it.

A damaged directory may state a billion pixels in a file of a few kilobytes. Readers written in C then ask for more
memory than there is, which ends the process, or read nothing for hours.
"""

import contextlib
import logging
from pathlib import Path
from typing import Any

import tifffile

from wsipipe.errors import UnreadableSlideError

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it quotes what it does not understand

MAX_TILE_PX = 1 << 27
"""Larger tiles are refused: a reader has to decode each whole, in 0.5 GB."""

_COMPLETE_BELOW_PX = 1 << 24
"""Images below this are not looked at closely: thumbnails and labels are often odd, and cost nothing to read."""

_TILE_TABLES, _STRIP_TABLES = (324, 325), (273, 279)
_FAULTS = (tifffile.TiffFileError, OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError,
           AttributeError, MemoryError)  # fmt: skip


def check_tiff(path: Path) -> None:
    """Refuse a TIFF that states more than it holds. What cannot be parsed at all is left to the readers.

    Raises
    ------
    UnreadableSlideError
        An image without width or height, a tile larger than `MAX_TILE_PX`, or a table with too few tiles.
    """
    stated: list[tuple[int, str]] = []
    with contextlib.suppress(*_FAULTS), tifffile.TiffFile(path) as tiff:
        for index, page in enumerate(tiff.pages):
            fault = _fault(page)
            if fault:
                stated.append((index, fault))
    if stated:
        index, fault = stated[0]
        raise UnreadableSlideError(f"damaged: its image {index + 1} {fault}", "copy it again from the scanner")


def _fault(page: Any) -> str:
    """What cannot be true of a directory; "" when nothing."""
    if 256 not in page.tags:  # not a directory at all; the readers say so better
        return ""
    width, height, tiled = int(page.imagewidth), int(page.imagelength), 322 in page.tags
    if width < 1 or height < 1:
        return f"is {width} x {height} px"
    across = int(page.tilewidth) if tiled else width
    down = int(page.tilelength) if tiled else min(height, int(page.rowsperstrip) or height)
    if across < 1 or down < 1 or (tiled and across * down > MAX_TILE_PX):
        return f"has tiles of {across} x {down} px"
    if width * height < _COMPLETE_BELOW_PX:
        return ""
    wanted = -(-width // across) * -(-height // down)
    for code in _TILE_TABLES if tiled else _STRIP_TABLES:
        tag = page.tags.get(code)
        if tag is not None and tag.count < wanted:
            return f"of {width} x {height} px has {tag.count} of {wanted} tiles"
    return ""

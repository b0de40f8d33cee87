"""What a TIFF says of itself, compared with what it holds, before any reader believes it.

A damaged directory may state a billion pixels in a file of a few kilobytes. Readers written in C then ask for more
memory than there is, which ends the process, or read nothing for hours.
"""

import contextlib
import logging
import struct
from pathlib import Path
from typing import Any

import tifffile

from wsipipe.errors import UnreadableSlideError

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it quotes what it does not understand

MAX_TILE_PX = 1 << 27
"""Larger tiles are refused: a reader has to decode each whole, in 0.5 GB."""

MAX_TILE_BYTES = 1 << 30
"""No tile of a sound file is larger; a reader would make room for it before it looks."""

_COMPLETE_BELOW_PX = 1 << 24
"""Images below this are not looked at closely: thumbnails and labels are often odd, and cost nothing to read."""

_TILE_TABLES, _STRIP_TABLES = (324, 325), (273, 279)
TIFF_FAULTS = (tifffile.TiffFileError, OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError,
               AttributeError, MemoryError, struct.error)  # fmt: skip
"""What tifffile raises on damaged files."""


def check_tiff(path: Path) -> None:
    """Refuse a TIFF that states more than it holds. What cannot be parsed at all is left to the readers.

    Raises
    ------
    UnreadableSlideError
        An image without width or height, a tile larger than `MAX_TILE_PX` or `MAX_TILE_BYTES`, or a table with too
        few tiles; directories without end.
    """
    fault = ""
    seen: set[int] = set()
    with contextlib.suppress(*TIFF_FAULTS), tifffile.TiffFile(path) as tiff:
        for page in tiff.pages:
            fault = "leads back to another" if page.offset in seen else _fault(page)
            seen.add(page.offset)
            if fault:
                break
    if fault:
        raise UnreadableSlideError(f"damaged: its image {len(seen)} {fault}", "copy it again from the scanner")


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
    if tiled and max(page.databytecounts, default=0) > MAX_TILE_BYTES:
        return f"has a tile of {max(page.databytecounts)} bytes"
    wanted = -(-width // across) * -(-height // down) if width * height >= _COMPLETE_BELOW_PX else 0
    return _missing(page, wanted, _TILE_TABLES if tiled else _STRIP_TABLES)


def _missing(page: Any, wanted: int, tables: tuple[int, ...]) -> str:
    """Whether one of the tables of a directory is shorter than it has tiles."""
    for code in tables:
        tag = page.tags.get(code)
        if tag is not None and tag.count < wanted:
            return f"of {page.imagewidth} x {page.imagelength} px has {tag.count} of {wanted} tiles"
    return ""

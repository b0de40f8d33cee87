"""What every slide reader offers, and which reader opens which file."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import UnreadableSlideError
from wsipipe.io.tiff_check import check_tiff
from wsipipe.records import Box, Level

_Handle = TypeVar("_Handle")

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_PHOTOGRAPHS = frozenset({".bmp", ".gif", ".heic", ".jp2", ".webp"})
"""Images that cameras and office programs write, which no reader opens."""

SUFFIXES = frozenset(
    {
        *(".svs", ".tif", ".tiff", ".btf", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".bif", ".svslide"),
        *(".czi", ".dcm", ".qptiff"),
        *_IMAGE_SUFFIXES,
    }
)
"""File suffixes, lower case, that slides are known to have."""

GREY_WARNING = "the image is grey, so that stains cannot be told apart"


class CannotOpenError(Exception):
    """Raised when a reader does not open a file; another one may. The message is its reason."""


class ReadFailureError(Exception):
    """Raised when an area cannot be decoded; the reader itself is usable again."""


@dataclass(frozen=True)
class Facts:
    """What a reader states about a file. Only whitelisted values ever get in here.

    Attributes
    ----------
    reader, vendor, levels, objective_power
        As in `SlideInfo`.
    mpp_x, mpp_y : float or None
        As stated in the file, checked by nobody yet.
    bounds : Box or None
        Level-0 rectangle of the scanned area, where stated.
    properties : dict of str to str
        Technical facts for `wsipipe info`, by OpenSlide's names.
    warnings : tuple of str
        One sentence each.
    """

    reader: str
    vendor: str
    levels: tuple[Level, ...]
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective_power: float | None = None
    bounds: Box | None = None
    properties: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Reader(Protocol):
    """Level pixels of one file, for one thread."""

    facts: Facts

    def exact(self, level: int) -> bool:
        """Whether a pixel of `level` is the same whatever box it is read through."""

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Pixels `box` of `level`, uint8 (h, w, 3), on white; the box lies inside the level.

        Raises
        ------
        ReadFailureError
            If any of it cannot be decoded. The next read starts with a fresh handle.
        """

    def close(self) -> None:
        """Release the file."""


def open_reader(path: Path) -> Reader:
    """Open `path` with the first reader that can: OpenSlide, tiffslide, plain images.

    Raises
    ------
    UnreadableSlideError
        If the file is missing, empty, or nothing opens it.
    """
    head = _head(path)
    is_tiff = head.startswith(_TIFF_MAGIC)
    if is_tiff:
        check_tiff(path)
    # An .mrxs file is itself a JPEG thumbnail: only the suffix tells that it is not the slide.
    is_image = head.startswith(_IMAGE_MAGIC) and path.suffix.lower() in _IMAGE_SUFFIXES
    reasons: list[str] = []
    candidates = [("openslide_reader", "OpenSlideReader", not is_image)]
    candidates += [
        ("tiffslide_reader", "TiffSlideReader", is_tiff),
        ("image_reader", "ImageReader", is_tiff or is_image),
    ]
    for module, name, wanted in candidates:
        if not wanted:
            continue
        reader_class = getattr(importlib.import_module(f"wsipipe.io.{module}"), name)
        try:
            reader: Reader = reader_class(path, tuple(reasons))
        except CannotOpenError as error:
            reasons.append(f"{name.removesuffix('Reader')}: {error}")
        else:
            return reader
    raise UnreadableSlideError(f"no reader opens it ({'; '.join(reasons)})", _remedy(path, head, is_tiff))


def reopened(opener: Callable[[Path], _Handle], path: Path) -> _Handle:
    """A fresh handle in the middle of the work.

    Raises
    ------
    UnreadableSlideError
        If the file cannot be opened any more.
    """
    try:
        return opener(path)
    except CannotOpenError as error:
        raise UnreadableSlideError(
            f"cannot be opened any more ({error})", "check that the file is still there, then run again"
        ) from error


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise UnreadableSlideError("is a folder", "name a slide file, or use `wsipipe batch` for a folder of slides")
    if path.suffix.lower() == ".csv":
        raise UnreadableSlideError("is a table, no slide", "give a CSV of slides to `wsipipe batch`")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UnreadableSlideError(
            f"cannot be opened ({error.strerror})", "check the path and the permissions"
        ) from error
    if not head:
        raise UnreadableSlideError("the file is empty", "copy it again from the scanner")
    return head


def _remedy(path: Path, head: bytes, is_tiff: bool) -> str:
    if is_tiff:
        offset = _first_directory(head)
        if offset >= path.stat().st_size:
            return "the file is cut short (its directory lies beyond its end): copy it again from the scanner"
        return "copy it again from the scanner, or convert it to a pyramidal 8-bit RGB TIFF"
    if path.suffix.lower() == ".mrxs":
        return "copy the folder of the same name beside it, with all its .dat files"
    if path.suffix.lower() in _PHOTOGRAPHS:
        return "save it as PNG, and give its microns per pixel with --mpp"
    return "check that it is a slide and complete, or convert it to a pyramidal 8-bit RGB TIFF"


def _first_directory(head: bytes) -> int:
    big = b"+" in head[2:4]
    return int.from_bytes(head[8:16] if big else head[4:8], "little" if head[:1] == b"I" else "big")

"""Plain PNG, JPEG and TIFF images through Pillow: one level, decoded whole."""

import contextlib
import struct
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from wsipipe.errors import UnreadableSlideError, told
from wsipipe.io.metadata import mpp_from_dpi, number
from wsipipe.io.pixels import to_rgb8
from wsipipe.io.readers import GREY_WARNING, CannotOpenError, Facts, ReadFailureError
from wsipipe.records import Box, Level

MAX_IMAGE_PX = 1 << 29
"""Larger images are refused: they have to be decoded whole, 3 bytes a pixel and twice that in passing."""

_DIRECT = frozenset({"L", "LA", "RGB", "RGBA"})
_CONVERTED = {"1": "L", "P": "RGBA", "PA": "RGBA"}
_SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L"})
_EXIF_FAULTS = (SyntaxError, struct.error, ValueError, LookupError, TypeError, OSError)
"""What Pillow raises on damaged EXIF."""
_CONVERT = "convert it to an 8-bit RGB PNG or to a pyramidal RGB TIFF"

_decoded: weakref.WeakValueDictionary[tuple[Path, int, int], NDArray[np.uint8]] = weakref.WeakValueDictionary()
_decoded_lock = threading.Lock()


class ImageReader:
    """A plain image; threads that read the same file share its pixels."""

    def __init__(self, path: Path, reasons: tuple[str, ...] = ()) -> None:
        self._path = path
        with _opened(path) as image:
            self._mode = image.mode
            self.facts = _facts(image, reasons)
        self._pixels: NDArray[np.uint8] | None = None
        self._failure = ""

    def exact(self, level: int) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:  # noqa: ARG002
        """See `Reader.read`."""
        if self._pixels is None and not self._failure:
            try:
                self._pixels = _pixels(self._path)
            except CannotOpenError as error:
                self._failure = str(error)
        if self._pixels is None:
            raise ReadFailureError(self._failure)
        return self._pixels[box.y : box.bottom, box.x : box.right].copy()

    def close(self) -> None:
        """See `Reader.close`."""
        self._pixels = None


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        plugins = {b"\x89PNG": PngImagePlugin.PngImageFile, b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile}
        # The classes themselves, not Image.open: its limit on pixels is a global of the process, and ours is explicit.
        plugin = plugins.get(magic, plugins.get(magic[:3], TiffImagePlugin.TiffImageFile))
        with warnings.catch_warnings(action="ignore"):
            try:
                image = plugin(file)
            except Exception as error:  # Pillow's plugins raise SyntaxError, OSError, struct.error and more
                raise CannotOpenError(told(error)) from error
        with image:
            yield image


def _facts(image: Image.Image, reasons: tuple[str, ...]) -> Facts:
    width, height = image.size
    if width * height > MAX_IMAGE_PX:
        raise UnreadableSlideError(
            f"a plain image of {width} x {height} px, above the limit of {MAX_IMAGE_PX / 1e6:.0f} Mpx",
            "convert it to a tiled pyramidal TIFF, for example with `vips tiffsave IN OUT --tile --pyramid`",
        )
    if image.mode not in _DIRECT | _SIXTEEN_BIT | _CONVERTED.keys():
        raise UnreadableSlideError(f"an image in colour mode {image.mode}", _CONVERT)
    warned = [f"read whole as a plain image ({'; '.join(reasons)})"] if reasons else []
    if image.mode in _SIXTEEN_BIT | {"L", "LA", "1"}:
        warned.append(GREY_WARNING)
    if _is_turned(image):
        warned.append("viewers show it turned (EXIF); coordinates are of the pixels as they are stored")
    dpi = image.info.get("dpi", (None, None))
    return Facts(
        reader="image",
        vendor="unknown",
        levels=(Level(width, height, 1.0),),
        mpp_x=mpp_from_dpi(number(dpi[0])),
        mpp_y=mpp_from_dpi(number(dpi[1])),
        properties={"image.format": image.format or "", "image.mode": image.mode},
        warnings=tuple(warned),
    )


def _is_turned(image: Image.Image) -> bool:
    """Whether a camera says that it was held askew."""
    if image.format != "JPEG":  # for others Pillow would decode the image to find out
        return False
    with contextlib.suppress(*_EXIF_FAULTS), warnings.catch_warnings(action="ignore"):
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    return False


def _pixels(path: Path) -> NDArray[np.uint8]:
    state = path.stat()
    key = (path.resolve(), state.st_size, state.st_mtime_ns)
    with _decoded_lock:
        pixels = _decoded.get(key)
        if pixels is None:
            pixels = _decode(path)
            _decoded[key] = pixels
    return pixels


def _decode(path: Path) -> NDArray[np.uint8]:
    with _opened(path) as image:
        with warnings.catch_warnings(action="ignore"):
            try:
                image.load()
            except Exception as error:  # decoders raise classes of their own on damaged data
                raise CannotOpenError(told(error)) from error
        converted = image.convert(_CONVERTED[image.mode]) if image.mode in _CONVERTED else image
        samples = np.asarray(converted)
        if image.mode in _SIXTEEN_BIT:
            samples = samples.astype(np.uint16)
        return to_rgb8(samples)

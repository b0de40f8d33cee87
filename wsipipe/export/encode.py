"""Pictures as PNG and JPEG, as bytes or as `data:` addresses."""

import base64
import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG_QUALITY = 86


def png(rgb: NDArray[np.uint8]) -> bytes:
    """The picture, RGB or RGBA, as PNG, without loss."""
    order = cv2.COLOR_RGB2BGR if rgb.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, order))
    return encoded.tobytes()


def jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """The photograph as JPEG."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)
    return encoded.tobytes()


def png_uri(rgb: NDArray[np.uint8]) -> str:
    """The picture, RGB or RGBA, as `data:image/png;base64,...`."""
    return _uri("png", png(rgb))


def jpeg_uri(rgb: NDArray[np.uint8]) -> str:
    """The photograph as `data:image/jpeg;base64,...`."""
    return _uri("jpeg", jpeg(rgb))


def mask_uri(mask: NDArray[np.bool_], color: tuple[int, int, int]) -> str:
    """A mask in one colour, transparent elsewhere, as a PNG of one bit per pixel."""
    return palette_uri(mask.astype(np.uint8), np.array([[255, 255, 255], color], np.uint8), bits=1)


def palette_uri(index: NDArray[np.uint8], palette: NDArray[np.uint8], bits: int = 8) -> str:
    """A picture of palette colours, number 0 transparent, as `data:image/png;base64,...`."""
    picture = Image.frombytes("P", index.shape[::-1], index.tobytes())
    picture.putpalette(palette.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", bits=bits, transparency=0)
    return _uri("png", file.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")

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
    picture = Image.frombytes("P", mask.shape[::-1], mask.astype(np.uint8).tobytes())
    picture.putpalette([255, 255, 255, *color])
    file = io.BytesIO()
    picture.save(file, "PNG", bits=1, transparency=0, optimize=True)
    return _uri("png", file.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")

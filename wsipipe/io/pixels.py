"""Whatever a reader hands out becomes 8-bit RGB on white, in integer arithmetic."""

import cv2
import numpy as np
from numpy.typing import NDArray


def composite_on_white(rgba: NDArray[np.uint8], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """RGB of `rgba` seen on a white background.

    Parameters
    ----------
    rgba : uint8, (h, w, 4)
        Alpha last; 0 is transparent.
    premultiplied : bool
        Whether the colours are multiplied by alpha already.

    Returns
    -------
    uint8, (h, w, 3)
        `c * a + 255 * (255 - a)` over 255, rounded; transparent pixels are 255 whatever colour they hide.
    """
    rgb: NDArray[np.uint8] = cv2.cvtColor(np.ascontiguousarray(rgba), cv2.COLOR_RGBA2RGB)
    clear = rgba[..., 3] < 255
    if not clear.any():
        return rgb
    alpha = rgba[clear][:, 3:].astype(np.uint16)
    colour = rgba[clear][:, :3].astype(np.uint16)
    shown = colour if premultiplied else (colour * alpha + 127) // 255
    rgb[clear] = np.minimum(shown + 255 - alpha, 255)
    return rgb


def to_rgb8(samples: NDArray[np.unsignedinteger], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """8-bit RGB of grey, grey and alpha, RGB or RGBA samples of 8 or 16 bits.

    Parameters
    ----------
    samples : uint8 or uint16, (h, w) or (h, w, 1 to 4)
        16-bit samples use the whole range, 65535 is white.
    premultiplied : bool
        Whether colours are multiplied by alpha already, where there is one.

    Returns
    -------
    uint8, (h, w, 3)
    """
    pixels = samples if samples.ndim == 3 else samples[..., None]
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    channels = pixels.shape[2]
    if channels in (1, 2):
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
    if pixels.shape[2] == 4:
        return composite_on_white(pixels.astype(np.uint8, copy=False), premultiplied=premultiplied)
    return np.ascontiguousarray(pixels, np.uint8)

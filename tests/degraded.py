"""Pictures of tissue made worse on purpose: out of focus, marked with a pen, folded."""

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]

INKS = {
    "black": (30, 30, 35),
    "blue": (40, 70, 190),
    "green": (20, 140, 70),
    "red": (205, 30, 45),
    "crimson": (220, 40, 80),
}
"""RGB on clear glass."""


def defocus(rgb: Rgb, mpp: float, um: float, kind: str = "gaussian", seed: int = 0) -> Rgb:
    """Blur by a Gaussian of this sigma, or a disc of this radius; then the noise of a sensor, and JPEG."""
    if kind == "gaussian":
        soft = cv2.GaussianBlur(rgb, (0, 0), um / mpp)
    else:
        radius = um / mpp
        reach = int(np.ceil(radius))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
        soft = cv2.filter2D(rgb, -1, disc / disc.sum())
    return scanned(soft, seed)


def scanned(rgb: Rgb, seed: int = 0) -> Rgb:
    """Noise of 2 grey levels, and JPEG of quality 80."""
    noisy = rgb + np.random.default_rng(seed).normal(0, 2, rgb.shape).astype(np.float32)
    coded = cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])


def half_defocused(rgb: Rgb, mpp: float, um: float, kind: str = "gaussian") -> tuple[Rgb, Mask]:
    """The right half out of focus; returns where."""
    where = np.zeros(rgb.shape[:2], bool)
    where[:, rgb.shape[1] // 2 :] = True
    return np.where(where[..., None], defocus(rgb, mpp, um, kind), scanned(rgb)), where


def penned(rgb: Rgb, mpp: float, ink: tuple[int, int, int], seed: int = 0, thinned: float = 1.0) -> tuple[Rgb, Mask]:
    """A wavy stroke of a pen, 300 um wide, from glass over tissue to glass, as transmission; returns where.

    `thinned` below 1 is a pen that runs dry: its optical density times that.
    """
    height, width = rgb.shape[:2]
    rng = np.random.default_rng(seed)
    x = np.linspace(0.14, 0.86, 60) * width
    y = height * (rng.uniform(0.35, 0.65) + 0.15 * np.sin(x / width * rng.uniform(3, 8) + rng.uniform(0, 6)))
    stroke = np.zeros((height, width), np.uint8)
    points = np.stack([x, y], axis=1).round().astype(np.int32)
    cv2.polylines(stroke, [points], False, 255, round(300 / mpp))
    soft = cv2.GaussianBlur(stroke, (0, 0), 6 / mpp).astype(np.float32)[..., None] / 255
    density = -np.log10(np.array(ink, np.float32) / 255) * soft * np.float32(thinned)
    return np.clip(rgb * 10**-density, 0, 255).astype(np.uint8), stroke > 0


def folded(rgb: Rgb, mpp: float, width_um: float, white: float = 245.0, seed: int = 0) -> tuple[Rgb, Mask]:
    """A wavy strip where the tissue lies double: what is beside it is laid over; returns where."""
    height, width = rgb.shape[:2]
    rng = np.random.default_rng(seed)
    y, x = (axis.astype(np.float32) * np.float32(mpp) for axis in np.mgrid[:height, :width])
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    across -= np.float32(height * mpp / 2 * np.cos(angle) - width * mpp / 2 * np.sin(angle))
    across += np.float32(40) * np.sin(along / np.float32(rng.uniform(80, 200)))
    where = np.abs(across) < width_um / 2
    shift = round(1.5 * width_um / mpp)
    over = np.roll(np.roll(rgb, shift, 0), -shift // 2, 1)
    double = np.clip(rgb * (over / np.float32(white)), 0, 255).astype(np.uint8)
    return np.where(where[..., None], double, rgb), where

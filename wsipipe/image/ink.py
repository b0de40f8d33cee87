"""Ink of marker pens on an overview: blue, green, black, red; beside the tissue and over it.

What absorbs more lies nearer to its own colour: over tissue, ink is told by how much it adds to what tissue can absorb.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.image import channels
from wsipipe.units import um2_to_px2, um_to_px

_WEAK = 0.4
_BLUE_RATIO_MIN, _BLUE_RATIO_MAX, _BLUE_FACTOR = 1.0, 1.3, 1.5
_BLUE_OVER, _BLUE_OVER_OD = 0.95, 0.85
"""Over tissue: red over green density, and the red density that must be there; stained tissue has not both."""

_BLACK_OVER = 0.6
"""Over tissue: density that all colours must have."""
_CLOSE_UM = 24.0
"""Gaps in ink up to twice this are ink."""


def find_ink(
    density: NDArray[np.float32], searched: NDArray[np.bool_], mpp: float, min_area_um2: float
) -> NDArray[np.bool_]:
    """Find ink: places of a colour that tissue does not have, and what fades out around them in the same colour.

    Parameters
    ----------
    density : float32, (h, w, 3)
        Optical density above the glass, RGB.
    searched : bool, (h, w)
    mpp : float
        Microns per pixel.
    min_area_um2 : float
        Smaller places are tissue of an unusual colour, or pigment.

    Returns
    -------
    bool, (h, w)
    """
    smallest_px = um2_to_px2(min_area_um2, mpp)
    usual = _usual_ratio(density, searched)
    ink = _grown(_blue(density, usual, 1.0) & searched, _blue(density, usual, _WEAK) & searched, smallest_px)
    for colour in (_green, _black, _red):
        ink |= _grown(colour(density, 1.0) & searched, colour(density, _WEAK) & searched, smallest_px)
    radius = max(1, round(um_to_px(_CLOSE_UM, mpp)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    closed = cv2.morphologyEx(np.pad(ink, radius).astype(np.uint8), cv2.MORPH_CLOSE, disc)
    closed = np.ascontiguousarray(closed[radius:-radius, radius:-radius])
    return (np.asarray(cv2.dilate(closed, np.ones((3, 3), np.uint8))) > 0) & searched


def _usual_ratio(density: NDArray[np.float32], searched: NDArray[np.bool_]) -> float:
    """Red density over green density of the slide's own stain, of the quarter of it that is least blue.

    Haematoxylin and eosin together have a ratio of 0.5 to 0.8, haematoxylin alone of up to 1.15, blue inks of 1 to 2:
    what counts as ink depends on the slide.
    """
    red, green = density[..., 0], density[..., 1]
    stained = searched & (red + green > 0.3)
    if not stained.any():
        return _BLUE_RATIO_MAX / _BLUE_FACTOR
    return float(np.percentile(red[stained] / np.maximum(green[stained], 1e-3), 25))


def _blue(density: NDArray[np.float32], usual: float, strength: float) -> NDArray[np.bool_]:
    """Red absorbed more than green, and far more than blue."""
    red, green, blue = (density[..., i] for i in range(3))
    ratio = min(max(_BLUE_FACTOR * usual, _BLUE_RATIO_MIN), _BLUE_RATIO_MAX)
    plain = (red > ratio * green) & (red > 0.35 * strength)
    over = (red > _BLUE_OVER * green) & (red > _BLUE_OVER_OD)
    return np.asarray((plain | over) & (red - blue > 0.15 * strength))


def _red(density: NDArray[np.float32], strength: float) -> NDArray[np.bool_]:
    """Red hardly absorbed, green and blue much; eosin absorbs more red, and blood less of the others.

    On real tissue red density is at least 0.22 of green density wherever blue density is above half of it.
    """
    red, green, blue = (density[..., i] for i in range(3))
    plain = (red < 0.16 * green) & (green > 0.35 * strength)
    over = (red < 0.35 * green) & (green > 0.9)
    return np.asarray((plain | over) & (blue > 0.5 * green))


def _green(density: NDArray[np.float32], strength: float) -> NDArray[np.bool_]:
    """Green absorbed least, of which every stain of tissue absorbs much."""
    red, green, blue = (density[..., i] for i in range(3))
    return np.asarray(np.minimum(red, blue) - green > 0.06 * strength)


def _black(density: NDArray[np.float32], strength: float) -> NDArray[np.bool_]:
    """All colours absorbed, and alike; over tissue more of each than tissue absorbs of the one it absorbs least."""
    lowest, highest = channels.lowest(density), channels.highest(density)
    spread = (highest - lowest) / np.maximum(highest, 1e-3)
    return np.asarray((lowest > 0.4 * strength) & (spread < 0.2) | (lowest > _BLACK_OVER) & (spread < 0.35))


def _grown(strong: NDArray[np.bool_], weak: NDArray[np.bool_], smallest_px: float) -> NDArray[np.bool_]:
    """Connected places of `weak` that hold at least `smallest_px` pixels of `strong`."""
    _, labels = cv2.connectedComponents(weak.astype(np.uint8))
    held = np.bincount(labels[strong & weak], minlength=int(labels.max()) + 1)
    keep = held >= max(1.0, smallest_px)
    keep[0] = False
    return np.asarray(keep[labels])

"""Tissue on an overview: what is stained, apart from ink, dirt, shadows and dark borders.

Optical density (-log10 of transmission, Beer-Lambert) is measured against the slide's own glass, so that lamp and
scanner do not matter. Stained tissue absorbs one colour more than another; dirt, shadows and pencil absorb all alike,
which is what tells a pale stain from dirty glass at the same darkness.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.config import TissueConfig
from wsipipe.errors import NotBrightfieldError, NoTissueError
from wsipipe.image import channels
from wsipipe.image.ink import find_ink
from wsipipe.units import um2_to_px2, um_to_px

_DARK, _BRIGHT = 40, 150
"""Lowest channel of a pixel that is dark, or as bright as glass and pale tissue (grey levels)."""
_CLEAR_MIN, _CLEAR_SPREAD, _CLEAR_GREEN_DEFICIT, _CLEAR_RANGE = 185, 24, 12, 4
"""Glass: least grey level, most spread of the channels, most lack of green, most unevenness over 3 x 3 pixels."""
_CLEAR_SHARE = 0.005
"""Less glass than this share of the search area says nothing."""
_SMOOTH_UM = 6.0
_GREY_SPREAD = 2
_AREA_SHARE, _HOLE_SHARE, _BORDER_SHARE, _SCRAP_SHARE = 0.002, 0.05, 0.01, 0.02
"""Limits on small images: pieces, holes, dark borders, and what may be bright on a dark slide."""
_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Tissue:
    """Where the tissue is.

    Attributes
    ----------
    mask : bool, (h, w)
        True on tissue, on the pixels of the overview.
    ink : bool, (h, w)
        True on ink.
    border : bool, (h, w)
        True on black areas around what was scanned.
    white : tuple of 3 float
        RGB of clear glass; 255 each when nothing is clear.
    warnings : tuple of str
        One sentence each.
    """

    mask: NDArray[np.bool_]
    ink: NDArray[np.bool_]
    border: NDArray[np.bool_]
    white: tuple[float, float, float]
    warnings: tuple[str, ...] = ()


def find_tissue(
    rgb: NDArray[np.uint8],
    mpp: float,
    config: TissueConfig,
    valid: NDArray[np.bool_] | None = None,
    *,
    keep_ink: bool = False,
) -> Tissue:
    """Find stained tissue on a low-resolution view of the whole slide.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
        Overview; pixels that were never scanned are white.
    mpp : float
        Its microns per pixel.
    config : TissueConfig
    valid : bool, (h, w), optional
        Where to search; everywhere unless given.
    keep_ink : bool
        Take what is under ink for tissue where it is dark enough, instead of leaving it out.

    Returns
    -------
    Tissue

    Raises
    ------
    NotBrightfieldError
        If the background is dark, as on fluorescence slides.
    NoTissueError
        If nothing on the slide looks stained.
    """
    inside = np.ones(rgb.shape[:2], bool) if valid is None else valid
    if not inside.any():
        raise NoTissueError("nothing is to be searched", "draw --regions on this slide, in its level-0 pixels")
    scanned = inside & (channels.lowest(rgb) != 255)
    if not scanned.any():
        raise NoTissueError("the slide is empty", "check that it is the right file, or widen --regions")
    border = _dark_border(rgb, scanned, min(um2_to_px2(config.min_ink_um2, mpp), _BORDER_SHARE * scanned.sum()))
    searched = scanned & ~border
    white = _glass(rgb, searched, mpp)
    density = _optical_density(rgb, white, mpp)
    is_grey = bool((channels.highest(rgb) - channels.lowest(rgb)).max() <= _GREY_SPREAD)
    ink = np.zeros_like(searched) if is_grey else find_ink(density, searched, mpp, config.min_ink_um2)
    score = density.mean(axis=2)
    if not is_grey:  # dirt and shadows have no colour of their own
        score = np.minimum(score, 2 * (channels.highest(density) - channels.lowest(density)))
    foreign = border if keep_ink else border | ink
    mask = (score > config.min_od) & searched & ~foreign
    mask = _tidy(mask, inside, mpp, config) & inside & ~foreign
    if not mask.any():
        raise NoTissueError(
            "nothing on the slide looks like stained tissue",
            "look at the slide; lower tissue.min_od if it is very pale",
        )
    share = border.sum() / inside.sum()
    return Tissue(mask, ink, border, white, (f"a dark border covers {share:.1%} and is left out",) if share else ())


def _dark_border(rgb: NDArray[np.uint8], scanned: NDArray[np.bool_], smallest_px: float) -> NDArray[np.bool_]:
    """Black areas of `smallest_px` or more that reach the edge of the scan; refuses a background that is black."""
    lowest = channels.lowest(rgb)
    dark = scanned & (lowest < _DARK)
    rest = lowest[scanned & ~dark]
    if dark.sum() > scanned.sum() / 2 and (rest.size < _SCRAP_SHARE * scanned.sum() or np.mean(rest >= _BRIGHT) < 0.3):
        raise NotBrightfieldError(
            f"{dark.sum() / scanned.sum():.0%} of the slide is dark", "only brightfield slides can be analysed"
        )
    black = (scanned & (channels.highest(rgb) < 2 * _DARK)).astype(np.uint8)
    _, labels = cv2.connectedComponents(black)
    outside = cv2.dilate((~scanned).astype(np.uint8), _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    touching = np.unique(labels[(outside > 0) & (black > 0)])
    large = np.flatnonzero(np.bincount(labels.ravel()) >= smallest_px)
    border = np.isin(labels, np.intersect1d(touching, large)).astype(np.uint8)
    return np.asarray(cv2.dilate(border, _NEIGHBOURS)) > 0


def _glass(rgb: NDArray[np.uint8], searched: NDArray[np.bool_], mpp: float) -> tuple[float, float, float]:
    """Colour of clear glass: of what is bright, neither pink nor purple, and even, the brightest.

    Pale tissue can have the colour of another slide's glass, but it is never as even.
    """
    red, green, blue = (rgb[..., i].astype(np.int16) for i in range(3))
    lowest, highest = channels.lowest(rgb).astype(np.int16), channels.highest(rgb).astype(np.int16)
    clear = searched & (lowest >= _CLEAR_MIN) & (highest - lowest <= _CLEAR_SPREAD)
    clear &= np.minimum(red, blue) - green <= _CLEAR_GREEN_DEFICIT
    soft = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), um_to_px(_SMOOTH_UM, mpp))
    clear &= cv2.dilate(soft, _NEIGHBOURS) - cv2.erode(soft, _NEIGHBOURS) <= _CLEAR_RANGE
    if clear.sum() < max(1, _CLEAR_SHARE * searched.sum()):
        return 255.0, 255.0, 255.0
    light = red + green + blue
    white = np.median(rgb[clear & (light >= np.percentile(light[clear], 95) - 18)], axis=0)
    return float(white[0]), float(white[1]), float(white[2])


def _optical_density(rgb: NDArray[np.uint8], white: tuple[float, float, float], mpp: float) -> NDArray[np.float32]:
    """Smoothed optical density above the glass, (h, w, 3)."""
    levels = np.arange(256, dtype=np.float32)[:, None]
    table = np.maximum(0, np.log10((np.array(white, np.float32) + 1) / (levels + 1)))
    density = np.stack([table[:, i][rgb[..., i]] for i in range(3)], axis=2).astype(np.float32)
    sigma = um_to_px(_SMOOTH_UM, mpp)
    return np.asarray(cv2.GaussianBlur(density, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def _tidy(mask: NDArray[np.bool_], inside: NDArray[np.bool_], mpp: float, config: TissueConfig) -> NDArray[np.bool_]:
    """Without specks and small holes, and with a margin; limits shrink with the area searched."""
    area = float(inside.sum())
    smallest = min(um2_to_px2(config.min_area_um2, mpp), _AREA_SHARE * area)
    hole = min(um2_to_px2(config.max_hole_um2, mpp), _HOLE_SHARE * area)
    kept = _without_small(mask, smallest)
    kept = ~_without_small(~kept, hole)
    radius = max(1, round(um_to_px(config.margin_um, mpp)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(kept.astype(np.uint8), disc)) > 0


def _without_small(mask: NDArray[np.bool_], smallest_px: float) -> NDArray[np.bool_]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest_px
    keep[0] = False
    return np.asarray(keep[labels])

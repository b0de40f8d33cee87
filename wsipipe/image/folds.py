"""Folds on an overview: places where the tissue lies double.

Both stains are about twice as dense in a fold as beside it, and become so at a sharp edge; dense tissue differs from
what is around it in one stain more than in the other (as saturation and intensity change in Kothari et al., J. Pathol.
Inform. 4:22, 2013, and Bautista and Yagi, Analytical Cellular Pathology 33, 2010, whose thresholds are for the colour).
Candidates are where both stains are denser than their surroundings; each is judged by the step across its rim, and
then by its lightest pixels at about 1 um, which in a fold are dark too.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.config import QualityConfig
from wsipipe.image.deconvolve import separate
from wsipipe.image.lut import od_table
from wsipipe.image.smooth import box_sum, gaussian_blur
from wsipipe.records import Box, StainProfile
from wsipipe.units import um2_to_px2, um_to_px

_SMOOTH_UM, _AROUND_UM = 8.0, 200.0
_CANDIDATE = 1.2
"""A candidate is denser than the median around it by this factor, in both stains."""
_FULL = 0.5
"""Tissue of less than this share of what a quarter of it reaches is fat, loose or torn, and no measure of the rest."""
_PALE = 0.7
"""The median around counts as at least this share of the slide's: tissue beside fat or glass is no fold."""
_RIM_UM, _GAP_UM, _OUTSIDE_UM, _BESIDE_UM = 16.0, 8.0, 32.0, 104.0
"""Inner rim; gap and reach of what lies outside; side of the square that the outside is averaged over."""
_LEAST_OUTSIDE_UM2 = 500.0
_SURROUNDED, _STEEP, _STEEP_SURROUNDED = 0.9, 1.5, 0.7
"""Share of the rim with tissue beyond it, for what lies double lies in tissue, while keratin borders on glass; and the
share that is enough where the step is by this factor or more."""
_LEAST_STEP_25 = 1.05
"""Three quarters of the rim must be a step by this factor."""
_MOST_STEP, _MOST_HUE_CHANGE = 2.8, 1.3
"""More layers than a fold has; the factor of one stain over that of the other."""
_SCALE = 1024
"""Grey levels of a stain's median."""

_LIGHTEST, _USUAL = 10.0, 30.0
"""Percentiles of density in a fold and beside it: where one layer is lightest the other lies over it, while where cells
only lie dense there is light between them."""

Stain = NDArray[np.uint16]


@dataclass(frozen=True)
class Fold:
    """What may be a fold: its place on the overview, its pixels there, those but for its edge, the tissue beside it."""

    box: Box
    inside: NDArray[np.bool_]
    core: NDArray[np.bool_]
    beside: NDArray[np.bool_]


class _Crop(NamedTuple):
    """A candidate and what lies around it: its pixels, the tissue, and both stains as multiples of their median."""

    inside: NDArray[np.bool_]
    tissue: NDArray[np.bool_]
    stains: tuple[Stain, Stain]


def find_folds(
    rgb: NDArray[np.uint8], tissue: NDArray[np.bool_], mpp: float, profile: StainProfile, config: QualityConfig
) -> list[Fold]:
    """Find what may be folds on a low-resolution view of the whole slide.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
        Overview.
    tissue : bool, (h, w)
    mpp : float
        Its microns per pixel.
    profile : StainProfile
    config : QualityConfig

    Returns
    -------
    list of Fold
        `lies_double` tells, from finer pixels, which of them are.
    """
    if not tissue.any():
        return []
    first, second = _of_median(separate(rgb, profile), tissue, mpp)
    denser = tissue.copy()
    for stain in (first, second):
        denser &= stain > _CANDIDATE * np.maximum(_median_around(stain, tissue, mpp), _PALE * _SCALE)
    opened = cv2.morphologyEx(denser.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(opened)
    boxes[0, cv2.CC_STAT_AREA] = 0  # the background
    margin = round(um_to_px(_OUTSIDE_UM + _BESIDE_UM, mpp))
    found = []
    for i in np.flatnonzero(boxes[:, cv2.CC_STAT_AREA] >= max(1.0, um2_to_px2(config.least_fold_um2, mpp))):
        left, top, width, height, _ = map(int, boxes[i])
        x, y = max(0, left - margin), max(0, top - margin)
        part = (slice(y, top + height + margin), slice(x, left + width + margin))
        crop = _Crop(labels[part] == i, tissue[part], (first[part], second[part]))
        if _is_dense(crop, config) and _has_steep_rim(crop, mpp, config):
            rows, columns = crop.inside.shape
            found.append(Fold(Box(x, y, columns, rows), _widened(crop, mpp), _core(crop, mpp), _outside(crop, mpp)))
    return found


def lies_double(inside: NDArray[np.uint8], beside: NDArray[np.uint8], white: tuple[float, float, float]) -> bool:
    """Whether even the lightest pixels of a fold are as dark as is usual beside it.

    Parameters
    ----------
    inside, beside : uint8, (n, 3), (m, 3)
        Pixels of about 1 um in the fold and beside it.
    white : tuple of 3 float
        RGB of clear glass.
    """
    if not len(inside) or not len(beside):
        return False
    table = od_table(white, 0.001)[1]
    return bool(np.percentile(table[inside[:, 1]], _LIGHTEST) >= np.percentile(table[beside[:, 1]], _USUAL))


def _of_median(stains: tuple[Stain, Stain], tissue: NDArray[np.bool_], mpp: float) -> tuple[Stain, Stain]:
    """Smoothed stains in multiples of their medians over the tissue but fat, which are _SCALE; at most 4095."""
    smooth = [gaussian_blur(od, um_to_px(_SMOOTH_UM, mpp)) for od in stains]
    density = (smooth[0] + smooth[1])[tissue]
    full = density >= _FULL * np.percentile(density, 75)
    first, second = (
        np.minimum(od * (_SCALE / max(float(np.median(od[tissue][full])), 1.0)), 4095).astype(np.uint16)
        for od in smooth
    )
    return first, second


def _median_around(stain: Stain, tissue: NDArray[np.bool_], mpp: float) -> Stain:
    """Median over a square, where beside the tissue is what is usual; in steps of 16 levels."""
    side = 2 * round(um_to_px(_AROUND_UM, mpp) / 2) + 1
    filled = np.where(tissue, stain, _SCALE) >> 4
    median = np.asarray(cv2.medianBlur(filled.astype(np.uint8), side), np.uint16)
    return median * np.uint16(16)


def _is_dense(crop: _Crop, config: QualityConfig) -> bool:
    return min(float(np.median(stain[crop.inside])) for stain in crop.stains) >= config.fold_density * _SCALE


def _has_steep_rim(crop: _Crop, mpp: float, config: QualityConfig) -> bool:
    """Whether there is tissue beyond the rim, and both stains change alike, and enough, along most of it."""
    core = cv2.erode(crop.inside.astype(np.uint8), _disc(_RIM_UM, mpp), borderType=cv2.BORDER_CONSTANT, borderValue=1)
    rim, outside = crop.inside & (core == 0), _outside(crop, mpp)
    side = 2 * round(um_to_px(_BESIDE_UM, mpp) / 2) + 1
    count = box_sum(outside.astype(np.uint16), side)
    beside = [box_sum(np.where(outside, stain, 0).astype(np.uint16), side) for stain in crop.stains]
    known = rim & (count >= um2_to_px2(_LEAST_OUTSIDE_UM2, mpp))
    for total in beside:
        known &= total > _PALE * _SCALE * count
    if known.sum() < max(1.0, _STEEP_SURROUNDED * rim.sum()):
        return False
    first, second = (
        stain[known] * count[known] / total[known] for stain, total in zip(crop.stains, beside, strict=True)
    )
    low, middle = np.percentile(np.minimum(first, second), [25, 50])
    change = float(np.median(first) / np.median(second))
    surrounded = middle >= _STEEP or known.sum() >= _SURROUNDED * rim.sum()
    steep = surrounded and low >= _LEAST_STEP_25 and config.fold_step <= middle <= _MOST_STEP
    return bool(steep and max(change, 1 / change) <= _MOST_HUE_CHANGE)


def _outside(crop: _Crop, mpp: float) -> NDArray[np.bool_]:
    """Tissue beside a candidate, but for its soft edge."""
    near, far = (cv2.dilate(crop.inside.astype(np.uint8), _disc(um, mpp)) > 0 for um in (_GAP_UM, _OUTSIDE_UM))
    return np.asarray(far & ~near & crop.tissue)


def _core(crop: _Crop, mpp: float) -> NDArray[np.bool_]:
    """A candidate without its edge, where one layer ends; all of it where it is no wider."""
    core = cv2.erode(crop.inside.astype(np.uint8), _disc(_GAP_UM, mpp)) > 0
    return np.asarray(core if core.any() else crop.inside)


def _widened(crop: _Crop, mpp: float) -> NDArray[np.bool_]:
    """A candidate with its soft edge."""
    return np.asarray((cv2.dilate(crop.inside.astype(np.uint8), _disc(_GAP_UM, mpp)) > 0) & crop.tissue)


def _disc(radius_um: float, mpp: float) -> NDArray[np.uint8]:
    radius = max(1, round(um_to_px(radius_um, mpp)))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)

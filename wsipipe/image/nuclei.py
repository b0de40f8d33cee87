"""Nuclei of an array of pixels: haematoxylin, its threshold components, the best-bounded of them.

Why no tiling changes a nucleus: everything here is whole-number arithmetic of finite support (`_support_px`), and the
selection of components is local by the argument given in `component_tree`. So `find_nuclei` of any view whose core has
a margin of at least `halo_px` returns the very same objects, for every object whose bounding box holds a pixel of the
core, as `find_nuclei` of the whole image.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.config import NucleiConfig
from wsipipe.image import tree_nodes
from wsipipe.image.clean import fill_holes, renumber
from wsipipe.image.compiled import compiled, plain
from wsipipe.image.component_tree import select_nodes
from wsipipe.image.deconvolve import OD_UNIT, mixed, separate
from wsipipe.image.smooth import KERNEL_SUM, box_side, box_sum, gaussian_blur, gaussian_radius
from wsipipe.image.tree_paint import paint
from wsipipe.records import StainProfile
from wsipipe.units import um2_to_px2, um_to_px

THRESHOLD_LEVEL = 48
"""Grey level that the slide's threshold gets in the images that components are made from; 255 is five times it."""

LOWEST_THRESHOLD_OD, HIGHEST_THRESHOLD_OD = 0.05, 1.2
"""The slide's threshold is clipped to this range."""

HISTOGRAM_STEP = 10
"""Width of a bin of the histogram that the threshold is found in, in OD_UNIT."""

THRESHOLD_SMOOTH_UM = 0.4
"""Gaussian sigma applied to the haematoxylin image before its histogram is taken."""


@dataclass(frozen=True)
class Nuclei:
    """What was found in an array of pixels.

    Attributes
    ----------
    labels : int32, (h, w)
        0 background, 1..n one 4-connected nucleus each, numbered in raster order of their first pixels.
    h_od, e_od : uint16, (h, w)
        Haematoxylin and eosin in `deconvolve.OD_UNIT`, 0 outside the nuclei.
    oversized : int32, (m, 2)
        One pixel (y, x) of each object that was dropped because it is larger than a nucleus can be.
    """

    labels: NDArray[np.int32]
    h_od: NDArray[np.uint16]
    e_od: NDArray[np.uint16]
    oversized: NDArray[np.int32]


def fit_threshold(blocks: NDArray[np.uint8], mpp: float, profile: StainProfile, config: NucleiConfig) -> float:
    """Haematoxylin threshold of a slide by Otsu's method on sampled tissue (IEEE SMC 9(1), 1979).

    Parameters
    ----------
    blocks : uint8, (n, b, b, 3)
    mpp : float
        Microns per pixel of the blocks.
    profile : StainProfile
    config : NucleiConfig

    Returns
    -------
    float
        Optical density, between LOWEST_THRESHOLD_OD and HIGHEST_THRESHOLD_OD.
    """
    sigma = um_to_px(THRESHOLD_SMOOTH_UM, mpp)
    histogram = np.zeros(1 + 4096 // HISTOGRAM_STEP, np.int64)
    for block in blocks:
        nuclear = mixed(block, profile, config.reference_share)
        smooth = gaussian_blur(nuclear, sigma).ravel() / (KERNEL_SUM**2 * HISTOGRAM_STEP)
        histogram += np.bincount(smooth.astype(np.int64), minlength=len(histogram))
    threshold = (_otsu(histogram) + 0.5) * HISTOGRAM_STEP * OD_UNIT
    return float(np.clip(threshold * config.threshold_scale, LOWEST_THRESHOLD_OD, HIGHEST_THRESHOLD_OD))


def find_nuclei(rgb: NDArray[np.uint8], mpp: float, profile: StainProfile, config: NucleiConfig) -> Nuclei:
    """Find the nuclei of an array of pixels.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
    mpp : float
        Microns per pixel.
    profile : StainProfile
        With its threshold set.
    config : NucleiConfig

    Returns
    -------
    Nuclei

    Raises
    ------
    ValueError
        If the profile has no threshold.
    """
    if not profile.threshold > 0:
        msg = f"the profile's threshold is {profile.threshold}: fit_threshold comes first"
        raise ValueError(msg)
    nuclear = mixed(rgb, profile, config.reference_share)
    gain = round(THRESHOLD_LEVEL * OD_UNIT / profile.threshold * 2**20)
    images = _images(nuclear, mpp, gain, config)
    outflow = _outflow(gaussian_blur(nuclear, um_to_px(config.edge_um, mpp)), mpp, gain, config)
    base = max(1, math.floor(THRESHOLD_LEVEL * config.lowest_threshold))
    events, lost = select_nodes(images, outflow, base, _rules(mpp, config))
    padded, n = paint(images, events)
    labels = plain(padded[1:-1, 1:-1])
    fill_holes(labels, n, um2_to_px2(config.max_hole_um2, mpp))
    renumber(labels, n)
    h_od, e_od = separate(rgb, profile, labels)
    y, x = np.divmod(lost, outflow.shape[1])
    return Nuclei(labels, h_od, e_od, np.stack([y - 1, x - 1], axis=1).astype(np.int32))


def halo_px(mpp: float, config: NucleiConfig) -> int:
    """Pixels that a view must see beyond its core so that the core's nuclei are those of the whole image."""
    return _extent_px(mpp, config) + _support_px(mpp, config) + 1


def _extent_px(mpp: float, config: NucleiConfig) -> int:
    return math.ceil(um_to_px(config.max_extent_um, mpp))


def _reach_px(mpp: float, config: NucleiConfig) -> int:
    return round(um_to_px(config.reach_um, mpp))


def _support_px(mpp: float, config: NucleiConfig) -> int:
    """Pixels beyond a component that can change its pixels' values or its score."""
    sharpened = max(gaussian_radius(um_to_px(config.smooth_um, mpp)), box_side(um_to_px(config.sharpen_um, mpp)) // 2)
    opened = 2 * (len(_disc(um_to_px(config.open_um, mpp))) // 2)
    edge = gaussian_radius(um_to_px(config.edge_um, mpp)) + _reach_px(mpp, config) + 1
    return max(sharpened + opened, edge)


def _disc(radius_px: float) -> NDArray[np.uint8]:
    half = max(0, math.floor(radius_px))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.asarray(x * x + y * y <= radius_px * radius_px + 0.3, np.uint8)


def _images(nuclear: NDArray[np.uint16], mpp: float, gain: int, config: NucleiConfig) -> NDArray[np.uint8]:
    """Images whose thresholds make the components: sharpened, and opened; uint8, (2, h + 2, w + 2), 0 at the rim."""
    smooth = gaussian_blur(nuclear, um_to_px(config.smooth_um, mpp))
    side = box_side(um_to_px(config.sharpen_um, mpp))
    height, width = nuclear.shape
    levels = np.empty((height, width), np.uint8)
    _sharpen(smooth, box_sum(nuclear, side), side * side, round(config.sharpen * 2**12), gain, levels)
    images = np.zeros((2, height + 2, width + 2), np.uint8)
    images[0, 1:-1, 1:-1] = levels
    images[1, 1:-1, 1:-1] = cv2.morphologyEx(levels, cv2.MORPH_OPEN, _disc(um_to_px(config.open_um, mpp)))
    return images


def _outflow(smooth: NDArray[np.float32], mpp: float, gain: int, config: NucleiConfig) -> NDArray[np.int16]:
    """Contrast across the four sides of each pixel, summed: int16, (h + 2, w + 2), in DROP_UNIT."""
    reach = _reach_px(mpp, config)
    m = reach + 2
    edge = cv2.copyMakeBorder(smooth, m, m, m, m, cv2.BORDER_REPLICATE)
    half = np.float32(config.half_drop * THRESHOLD_LEVEL * 2**32 / gain)
    outflow = np.empty((smooth.shape[0] + 2, smooth.shape[1] + 2), np.int16)
    _sum_contrasts(edge, reach, half, outflow)
    return outflow


@compiled
def _contrasts(near: NDArray[np.float32], far: NDArray[np.float32], half: np.float32, out: NDArray[np.int16]) -> None:
    """Contrast of each pixel of a row to a neighbour: the drop d from near to far as d / (|d| + half), in DROP_UNIT.

    Saturation keeps glass beside a nucleus from outweighing the rest of its rim. Rounding down the size of the drop
    makes opposite directions opposite.
    """
    for x in range(out.shape[0]):
        drop = near[x] - far[x]
        size = abs(drop)
        worth = np.floor(size * np.float32(1000.0) / (size + half))
        out[x] = np.int16(np.int32(worth if drop > 0 else -worth))


@compiled
def _sum_contrasts(edge: NDArray[np.float32], reach: int, half: np.float32, out: NDArray[np.int16]) -> None:
    """Sum the contrasts of each pixel of `out`, 0 at its rim; `edge` has `reach` + 1 pixels more on every side.

    The drop is taken from `reach` pixels on this side to `reach` pixels beyond the neighbour.
    """
    height, width = out.shape
    first, last = reach + 1, reach + 1 + width
    right, above, below = np.empty(width, np.int16), np.empty(width, np.int16), np.empty(width, np.int16)
    _contrasts(edge[1, first:last], edge[2 * reach + 2, first:last], half, above)
    out[0] = 0
    out[height - 1] = 0
    for y in range(1, height - 1):
        row = edge[y + reach + 1]
        _contrasts(row[1 : 1 + width], row[2 * reach + 2 : 2 * reach + 2 + width], half, right)
        _contrasts(edge[y + 1, first:last], edge[y + 2 * reach + 2, first:last], half, below)
        out[y, 0] = out[y, width - 1] = 0
        for x in range(1, width - 1):
            out[y, x] = right[x] - right[x - 1] + below[x] - above[x]
        above, below = below, above


@compiled
def _sharpen(
    smooth: NDArray[np.float32],
    around: NDArray[np.float32],
    count: int,
    weight: int,
    gain: int,
    out: NDArray[np.uint8],
) -> None:
    """Grey levels of smooth + weight (smooth - mean of the surroundings), in whole numbers (weight has 12 bits)."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            fine = np.int64(smooth[y, x])
            # the quotient is exact: below 2 ** 24, and 1 / count or more below the next whole number
            mean = np.int64(np.float64(around[y, x]) * 4096.0 / count)
            value = (fine << 12) + weight * (fine - mean)
            # smooth carries 12 bits (KERNEL_SUM squared), weight 12, gain 20
            level = ((value >> 12) * gain) >> 32
            out[y, x] = max(0, min(int(level), 255))


def _rules(mpp: float, config: NucleiConfig) -> NDArray[np.float64]:
    rules = np.zeros(tree_nodes.RULES)
    rules[tree_nodes.MIN_AREA] = um2_to_px2(config.min_area_um2, mpp)
    rules[tree_nodes.MAX_AREA] = um2_to_px2(config.max_area_um2, mpp)
    rules[tree_nodes.MAX_EXTENT] = _extent_px(mpp, config)
    rules[tree_nodes.FIT_WEIGHT] = config.shape_weight
    rules[tree_nodes.SIZE_WEIGHT] = config.size_weight
    rules[tree_nodes.TYPICAL_AREA] = um2_to_px2(config.typical_area_um2, mpp)
    rules[tree_nodes.BIAS] = config.least_quality
    rules[tree_nodes.AREA_POWER] = config.area_power
    rules[tree_nodes.LOST_LEVEL] = THRESHOLD_LEVEL
    return rules


def _otsu(histogram: NDArray[np.int64]) -> int:
    """Last bin of the lower class; ties and a histogram of one bin give the first."""
    value = np.arange(len(histogram), dtype=np.int64)
    below, moment = np.cumsum(histogram), np.cumsum(histogram * value)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * (below / below[-1]) - moment) ** 2 / (below.astype(np.float64) * above)
    return int(np.argmax(np.where((below > 0) & (above > 0), between, -1.0)))

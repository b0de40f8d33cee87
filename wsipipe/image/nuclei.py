"""Nuclei of an array of pixels: haematoxylin, threshold components, the best-bounded ones, their outlines.

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
from wsipipe.image import component_tree as tree
from wsipipe.image.clean import fill_holes, renumber
from wsipipe.image.compiled import plain
from wsipipe.image.deconvolve import OD_UNIT, separate
from wsipipe.image.smooth import KERNEL_SUM, gaussian_blur, gaussian_radius
from wsipipe.records import StainProfile
from wsipipe.units import um2_to_px2, um_to_px

THRESHOLD_LEVEL = 64
"""Grey level that the slide's threshold gets in the images that components are made from; 255 is four times it."""

LOWEST_THRESHOLD_OD, HIGHEST_THRESHOLD_OD = 0.05, 1.2
"""The slide's threshold is clipped to this range."""

HISTOGRAM_STEP = 10
"""Width of a bin of the histogram that the threshold is found in, in OD_UNIT."""


@dataclass(frozen=True)
class Nuclei:
    """What was found in an array of pixels.

    Attributes
    ----------
    labels : int32, (h, w)
        0 background, 1..n one 4-connected nucleus each, numbered in raster order of their first pixels.
    h_od, e_od : uint16, (h, w)
        Haematoxylin and eosin in `deconvolve.OD_UNIT`.
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
    sigma = um_to_px(config.smooth_um, mpp)
    histogram = np.zeros(1 + 4096 // HISTOGRAM_STEP, np.int64)
    for block in blocks:
        smooth = gaussian_blur(separate(block, profile)[0], sigma) / KERNEL_SUM**2
        histogram += np.bincount((smooth.ravel() / HISTOGRAM_STEP).astype(np.int64), minlength=len(histogram))
    threshold = (_otsu(histogram) + 1) * HISTOGRAM_STEP * OD_UNIT
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
    h_od, e_od = separate(rgb, profile)
    margin = tree.REACH
    levels, edge = (
        cv2.copyMakeBorder(image, margin, margin, margin, margin, kind, value=0)
        for image, kind in zip(
            _images(h_od, mpp, profile, config), (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE), strict=True
        )
    )
    base = max(1, round(THRESHOLD_LEVEL * config.lowest_threshold))
    events, lost = tree.select_nodes(levels, edge, base, _rules(mpp, config))
    padded, n = tree.paint(levels, events)
    labels = plain(padded[margin:-margin, margin:-margin])
    fill_holes(labels, n, um2_to_px2(config.max_hole_um2, mpp))
    renumber(labels, n)
    y, x = np.divmod(lost, levels.shape[1])
    return Nuclei(labels, h_od, e_od, np.stack([y - margin, x - margin], axis=1).astype(np.int32))


def halo_px(mpp: float, config: NucleiConfig) -> int:
    """Pixels that a view must see beyond its core so that the core's nuclei are those of the whole image."""
    return math.ceil(um_to_px(config.max_extent_um, mpp)) + _support_px(mpp, config) + 1


def _support_px(mpp: float, config: NucleiConfig) -> int:
    """Pixels beyond a component that can change its pixels' values or its score."""
    blur = max(gaussian_radius(um_to_px(um, mpp)) for um in (config.smooth_um, config.edge_um))
    return blur + _median_radius(mpp, config) + tree.REACH


def _median_radius(mpp: float, config: NucleiConfig) -> int:
    return round(um_to_px(config.median_um, mpp))


def _images(
    h_od: NDArray[np.uint16], mpp: float, profile: StainProfile, config: NucleiConfig
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Image whose thresholds make the components, and image whose drop across their rims counts."""
    gain = np.float32(THRESHOLD_LEVEL * OD_UNIT / (profile.threshold * KERNEL_SUM**2))
    levels = gaussian_blur(h_od, um_to_px(config.smooth_um, mpp))
    levels = np.minimum(levels * gain, np.float32(255)).astype(np.uint8)
    radius = _median_radius(mpp, config)
    if radius:
        levels = cv2.medianBlur(levels, 2 * radius + 1)
    edge = gaussian_blur(h_od, um_to_px(config.edge_um, mpp))
    return levels, np.minimum(edge * gain, np.float32(4000)).astype(np.int16)


def _rules(mpp: float, config: NucleiConfig) -> NDArray[np.float64]:
    rules = np.zeros(tree.RULES)
    rules[tree.MIN_AREA] = um2_to_px2(config.min_area_um2, mpp)
    rules[tree.MAX_AREA] = um2_to_px2(config.max_area_um2, mpp)
    rules[tree.MAX_EXTENT] = math.ceil(um_to_px(config.max_extent_um, mpp))
    rules[tree.HALF_DROP] = config.half_drop * THRESHOLD_LEVEL
    rules[tree.FIT_WEIGHT] = config.shape_weight
    rules[tree.SIZE_WEIGHT] = config.size_weight
    rules[tree.TYPICAL_AREA] = um2_to_px2(config.typical_area_um2, mpp)
    rules[tree.BIAS] = config.least_quality
    rules[tree.AREA_POWER] = config.area_power
    rules[tree.LOST_LEVEL] = THRESHOLD_LEVEL
    return rules


def _otsu(histogram: NDArray[np.int64]) -> int:
    """Last bin of the lower class; ties and a histogram of one bin give the first."""
    value = np.arange(len(histogram), dtype=np.int64)
    below, moment = np.cumsum(histogram), np.cumsum(histogram * value)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * (below / below[-1]) - moment) ** 2 / (below.astype(np.float64) * above)
    return int(np.argmax(np.where((below > 0) & (above > 0), between, -1.0)))

"""Stain profile of a slide, and normalization towards the packaged reference stain.

References
----------
Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009.
Vahadane et al., "Structure-preserving color normalization and sparse stain separation for histological images", IEEE
TMI 35(8), 2016.
Reinhard et al., "Color transfer between images", IEEE CG&A 21(5), 2001.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import StainConfig
from wsipipe.image import lut
from wsipipe.image.compiled import plain
from wsipipe.image.stain_vectors import LOG_UNIT, Floats, degrees, macenko_vectors, unit, vahadane_vectors
from wsipipe.records import StainProfile

REFERENCE = StainProfile(
    method="macenko",
    white=(240.0, 240.0, 240.0),
    vectors=((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581)),
    max_od=(0.8558, 0.4477),
    lab_mean=(3.79621, -0.05403, 0.01933),
    lab_std=(0.26646, 0.04773, 0.01242),
)
"""The stain every slide is brought to.

White, vectors and maxima are those of Macenko's published implementation (maxima 1.9705 and 1.0308 there, in natural
logarithms); the l-alpha-beta statistics are HistomicsTK's reference (there in natural logarithms as well).
"""

SAMPLE_PIXELS = 400_000
"""Stained pixels that enter a fit, evenly spread over the blocks."""
MIN_PIXELS = 2_000
"""A fit on fewer stained pixels is not attempted."""
MIN_SEPARATION_DEG = 6.0
"""Vectors closer than this are one stain."""
MAX_DEVIATION_DEG = 30.0
"""A vector farther than this from the reference is no haematoxylin or eosin."""
MIN_MAX_OD = 0.05
"""A stain whose 99th percentile is below this is absent."""

CONE_UNIT = 1.0 / 64.0

RGB_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
"""Reinhard 2001, equation 4."""
LOG_LMS_TO_LAB = np.diag(1.0 / np.sqrt([3.0, 6.0, 2.0])) @ np.array(
    [[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]]
)
"""Reinhard 2001, equation 6 (Ruderman's l-alpha-beta)."""

Vectors = tuple[tuple[float, float, float], tuple[float, float, float]]


class _Stains(NamedTuple):
    vectors: Vectors
    max_od: tuple[float, float]
    fallback: str


def fit_stain(blocks: NDArray[np.uint8], white: tuple[float, float, float], config: StainConfig) -> StainProfile:
    """Fit the stain profile of a slide on sampled tissue.

    The first stain is the nuclear one: haematoxylin. The second is eosin, or with the vectors given in the recipe
    whatever they say (DAB). Where a fit is impossible (too little stain, one stain only, vectors that are no
    haematoxylin and eosin) the reference stands in, and `fallback` of the result says why.

    Parameters
    ----------
    blocks : uint8, (n, b, b, 3)
        RGB blocks of tissue.
    white : tuple of 3 float
        RGB of clear glass.
    config : StainConfig

    Returns
    -------
    StainProfile
        All values finite but `threshold`, which is fitted elsewhere.
    """
    safe_white = _safe_white(white)
    pixels = _stained_pixels(np.asarray(blocks, np.uint8), safe_white, config.min_od)
    od = _optical_density(pixels, safe_white)
    mean, std, lab_fault = REFERENCE.lab_mean, REFERENCE.lab_std, ""
    if len(pixels) >= MIN_PIXELS:
        mean, std, lab_fault = _fit_reinhard(pixels)
    if config.method == "given":
        stains = _given_stains(od, config)
    elif len(pixels) < MIN_PIXELS:
        stains = _reference(f"only {len(pixels)} stained pixels in the sample")
    else:
        stains = _fit_stains(od, config)
    reasons = [reason for reason in (stains.fallback, lab_fault) if reason]
    if safe_white != tuple(float(v) for v in white):
        reasons.append(f"white {tuple(white)} is not a bright colour")
    return StainProfile(
        method=config.method,
        white=safe_white,
        vectors=stains.vectors,
        max_od=stains.max_od,
        lab_mean=mean,
        lab_std=std,
        fallback="; ".join(reasons),
    )


def normalize(rgb: NDArray[np.uint8], profile: StainProfile) -> NDArray[np.uint8]:
    """Bring pixels to the reference stain by `profile.method`; every pixel depends on itself only.

    Parameters
    ----------
    rgb : uint8, (..., 3)
    profile : StainProfile

    Returns
    -------
    uint8, (..., 3)
        A new array.

    Raises
    ------
    ValueError
        If `profile.method` is unknown.
    """
    if profile.method == "none":
        return rgb.copy()
    pixels = plain(rgb.reshape(-1, 3))
    out = np.empty_like(pixels)
    if profile.method in {"macenko", "vahadane", "given"}:
        lut.through_tables(pixels, *_stain_tables(profile), out)
    elif profile.method == "reinhard":
        _normalize_reinhard(pixels, profile, out)
    else:
        msg = f"normalization method {profile.method!r}: macenko, vahadane, given, reinhard or none"
        raise ValueError(msg)
    return out.reshape(rgb.shape)


def reference_vectors(profile: StainProfile) -> Vectors:
    """Stain vectors that a slide is brought to: the reference's, or its own where the recipe gave them.

    Given vectors may be of other stains than haematoxylin and eosin, which the reference knows nothing of.
    """
    return profile.vectors if profile.method == "given" else REFERENCE.vectors


def unmixing(vectors: Vectors) -> Floats:
    """Pseudo-inverse (2, 3) of the stain vectors: optical density RGB to the first and the second stain."""
    columns = np.asarray(vectors, np.float64).T
    return np.asarray(np.linalg.pinv(columns), np.float64)


def _safe_white(white: tuple[float, float, float]) -> tuple[float, float, float]:
    usable = all(np.isfinite(v) and 100.0 <= v <= 255.0 for v in white)
    r, g, b = white if usable else REFERENCE.white
    return (float(r), float(g), float(b))


def _stained_pixels(blocks: NDArray[np.uint8], white: tuple[float, float, float], min_od: float) -> NDArray[np.uint8]:
    """Pixels (n, 3) whose mean optical density over the channels is at least `min_od`, thinned evenly.

    Macenko asks for `min_od` in every channel, but bluish haematoxylin, which hardly absorbs blue, is then lost.
    """
    pixels = blocks.reshape(-1, 3)
    dark = np.empty(len(pixels), np.bool_)
    lut.where_dark(plain(pixels), lut.od_table(white, LOG_UNIT), math.ceil(3.0 * min_od / LOG_UNIT), dark)
    stained = np.flatnonzero(dark)
    step = max(1, -(-len(stained) // SAMPLE_PIXELS))
    return np.ascontiguousarray(pixels[stained[::step]])


def _optical_density(pixels: NDArray[np.uint8], white: tuple[float, float, float]) -> Floats:
    table = lut.od_table(white, LOG_UNIT)
    return np.stack([table[c][pixels[:, c]] for c in range(3)], axis=1) * LOG_UNIT


def _fit_stains(od: Floats, config: StainConfig) -> _Stains:
    if config.method == "vahadane":
        fitted = vahadane_vectors(od, config.sparsity, np.asarray(REFERENCE.vectors))
    else:
        fitted = macenko_vectors(od, config.angle_percentile)
    # Haematoxylin absorbs relatively more red and less green than eosin.
    haematoxylin, eosin = sorted(fitted, key=lambda v: v[1] - v[0])
    fault = _implausible(haematoxylin, eosin)
    if fault:
        return _reference(fault, od)
    vectors = (_triple(haematoxylin), _triple(eosin))
    max_od = _max_od(od, vectors)
    if min(max_od) < MIN_MAX_OD:
        return _reference("one of the two stains is absent", od)
    return _Stains(vectors, max_od, "")


def _given_stains(od: Floats, config: StainConfig) -> _Stains:
    """The recipe's vectors; where a stain is absent (often the marker is) its reference maximum leaves it as it is."""
    vectors = (_triple(unit(np.asarray(config.stain_1))), _triple(unit(np.asarray(config.stain_2))))
    if len(od) < MIN_PIXELS:
        return _Stains(
            vectors, REFERENCE.max_od, f"the reference maxima stand in: only {len(od)} stained pixels in the sample"
        )
    found = _max_od(od, vectors)
    names = ("first", "second")
    absent = [name for name, value in zip(names, found, strict=True) if value < MIN_MAX_OD]
    fallback = f"the reference maximum stands in: the {' and the '.join(absent)} stain is absent" if absent else ""
    return _Stains(vectors, _or_usual(found), fallback)


def _implausible(haematoxylin: Floats, eosin: Floats) -> str:
    if not (np.isfinite(haematoxylin).all() and np.isfinite(eosin).all()):
        return "the stain vectors are not finite"
    separation = degrees(haematoxylin, eosin)
    if separation < MIN_SEPARATION_DEG:
        return f"the two stain vectors are only {separation:.1f} degrees apart: one stain"
    for name, vector, expected in zip(("haematoxylin", "eosin"), (haematoxylin, eosin), REFERENCE.vectors, strict=True):
        deviation = degrees(vector, np.asarray(expected))
        if deviation > MAX_DEVIATION_DEG:
            return f"the fitted {name} vector is {deviation:.0f} degrees from the reference"
    return ""


def _reference(reason: str, od: Floats | None = None) -> _Stains:
    """The reference's vectors; both maxima by one factor, so that a pale slide is darkened and no noise is raised."""
    factor = 1.0
    if od is not None:
        found = _max_od(od, REFERENCE.vectors)
        factor = max(value / usual for value, usual in zip(found, REFERENCE.max_od, strict=True))
    first, second = (usual * max(factor, MIN_MAX_OD) for usual in REFERENCE.max_od)
    return _Stains(REFERENCE.vectors, (first, second), f"the reference stain vectors stand in: {reason}")


def _or_usual(found: tuple[float, float]) -> tuple[float, float]:
    """The maxima, with the reference's for a stain that is absent."""
    first, second = (
        value if value >= MIN_MAX_OD else usual for value, usual in zip(found, REFERENCE.max_od, strict=True)
    )
    return first, second


def _max_od(od: Floats, vectors: Vectors) -> tuple[float, float]:
    weights = unmixing(vectors)
    first, second = (float(np.percentile(od[:, 0] * w[0] + od[:, 1] * w[1] + od[:, 2] * w[2], 99.0)) for w in weights)
    return first, second


def _fit_reinhard(
    pixels: NDArray[np.uint8],
) -> tuple[tuple[float, float, float], tuple[float, float, float], str]:
    """Mean and standard deviation in l-alpha-beta with decimal logarithms (Reinhard 2001, equations 4 to 10)."""
    rgb = pixels.T.astype(np.float64)
    logs = [np.log10(np.maximum(rgb[0] * row[0] + rgb[1] * row[1] + rgb[2] * row[2], 1.0)) for row in RGB_TO_LMS]
    lab = [row[0] * logs[0] + row[1] * logs[1] + row[2] * logs[2] for row in LOG_LMS_TO_LAB]
    mean, std = [float(v.mean()) for v in lab], [float(v.std()) for v in lab]
    if min(std) < 1e-3:
        return (
            REFERENCE.lab_mean,
            REFERENCE.lab_std,
            "the reference colour statistics stand in: the sample has a single colour",
        )
    return _triple(mean), _triple(std), ""


@functools.lru_cache(maxsize=8)  # every tile of a slide asks for the same
def _stain_tables(profile: StainProfile) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Tables for `lut.through_tables`: to optical density as the reference has it, and back to grey levels."""
    gain = np.asarray(REFERENCE.max_od) / np.maximum(profile.max_od, MIN_MAX_OD)
    matrix = np.asarray(reference_vectors(profile)).T @ np.diag(gain) @ unmixing(profile.vectors)
    density = np.arange(round(lut.DARKEST / LOG_UNIT) + 1) * LOG_UNIT
    after = np.rint(np.clip(np.asarray(REFERENCE.white)[:, None] * 10.0 ** -density[None, :], 0.0, 255.0))
    return lut.weighted_tables(lut.od_table(profile.white, LOG_UNIT), matrix), after.astype(np.uint8)


def _normalize_reinhard(pixels: NDArray[np.uint8], profile: StainProfile, out: NDArray[np.uint8]) -> None:
    back = np.linalg.inv(LOG_LMS_TO_LAB)
    matrix = back @ np.diag(np.asarray(REFERENCE.lab_std) / profile.lab_std) @ LOG_LMS_TO_LAB
    offset = back @ np.asarray(REFERENCE.lab_mean) - matrix @ (back @ np.asarray(profile.lab_mean))
    cones = np.maximum(np.arange(round(256.0 / CONE_UNIT)) * CONE_UNIT, 1.0)
    exponents = np.arange(round(2.5 / LOG_UNIT) + 1) * LOG_UNIT
    lut.through_logs(
        pixels,
        lut.fixed_point(RGB_TO_LMS / CONE_UNIT),
        np.rint(np.log10(cones) / LOG_UNIT).astype(np.int64),
        lut.fixed_point(matrix),
        lut.fixed_point(offset / LOG_UNIT) + (1 << (lut.SHIFT - 1)),
        np.rint(10.0**exponents / CONE_UNIT).astype(np.int64),
        lut.fixed_point(np.linalg.inv(RGB_TO_LMS) * CONE_UNIT),
        out,
    )


def _triple(values: Floats | list[float]) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return (a, b, c)

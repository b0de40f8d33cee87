"""Conversions between microns, pixels and areas. mpp is microns per pixel, a length, never an area."""

import math

MPP_MIN, MPP_MAX = 0.05, 20.0
"""Plausible microns per pixel of level 0; outside this range the metadata are wrong."""

LEVEL_TOLERANCE = 0.02
"""A level within this relative distance of the wanted mpp is used as it is."""

UPSAMPLE_LIMIT = 1.25
"""A slide up to this many times coarser than the wanted mpp is upsampled; beyond that it is refused."""


def plausible_mpp(mpp: float | None) -> bool:
    """Whether `mpp` is a finite number between 0.05 and 20."""
    return mpp is not None and math.isfinite(mpp) and MPP_MIN <= mpp <= MPP_MAX


def likely_mpp(objective_power: float | None) -> float | None:
    """Microns per pixel a scanner usually has at this objective power: 40x is 0.25, 20x is 0.5."""
    if objective_power is None or not math.isfinite(objective_power) or objective_power <= 0:
        return None
    return 10.0 / objective_power


def um_to_px(length_um: float, mpp: float) -> float:
    """Length in pixels of `length_um` microns at `mpp`."""
    return length_um / mpp


def um2_to_px2(area_um2: float, mpp: float) -> float:
    """Area in pixels of `area_um2` square microns at `mpp`."""
    return area_um2 / (mpp * mpp)


def px2_to_um2(area_px: float, mpp: float) -> float:
    """Area in square microns of `area_px` pixels at `mpp`."""
    return area_px * mpp * mpp


def clock(seconds: float) -> str:
    """Duration as people read it: 8 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(n: int, what: str) -> str:
    """So many of something: 1 cell, 1,200 cells."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"

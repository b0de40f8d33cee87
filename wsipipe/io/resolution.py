"""Microns per pixel of a slide: the user's word, else the metadata's, if it can be true."""

import math

from wsipipe.errors import ResolutionError
from wsipipe.io.readers import Facts
from wsipipe.units import MPP_MAX, MPP_MIN, likely_mpp, plausible_mpp

_ANISOTROPY = 0.03
_DISAGREEMENT = 0.1
_OBJECTIVE_FACTOR = 1.6


def stated_mpp(facts: Facts) -> float | None:
    """Microns per pixel in the metadata; of two axes the geometric mean, with which areas are true."""
    stated = [mpp for mpp in (facts.mpp_x, facts.mpp_y) if mpp is not None]
    if len(stated) == 2 and stated[0] != stated[1] and min(stated) > 0:
        return math.sqrt(stated[0] * stated[1])
    return stated[0] if stated else None


def missing_mpp(facts: Facts, mpp: float | None, source: str) -> ResolutionError | None:
    """The error that `mpp` of `source` deserves, or None if it is plausible."""
    if plausible_mpp(mpp):
        return None
    likely = likely_mpp(facts.objective_power)
    remedy = "give the microns per pixel of level 0 with --mpp"
    if plausible_mpp(likely):
        remedy += f" (objective {facts.objective_power:g}x: most likely --mpp {likely:g})"
    if mpp is None:
        return ResolutionError("microns per pixel are not in the metadata", remedy)
    return ResolutionError(f"{mpp:g} um/px ({source}) is not between {MPP_MIN:g} and {MPP_MAX:g}", remedy)


def resolve_mpp(facts: Facts, given: float | None, given_source: str) -> tuple[float, str, tuple[str, ...]]:
    """Microns per pixel, where they come from, and what is odd about them.

    Raises
    ------
    ResolutionError
        If they are missing or implausible; names --mpp and, where the objective is known, the likely value.
    """
    stated = stated_mpp(facts)
    mpp, source = (stated, "metadata") if given is None else (given, given_source)
    fault = missing_mpp(facts, mpp, source)
    if fault is not None or mpp is None:
        raise fault or ResolutionError("microns per pixel are unknown", "give --mpp")
    warnings = []
    if facts.mpp_x and facts.mpp_y and abs(facts.mpp_x / facts.mpp_y - 1) > _ANISOTROPY:
        warnings.append(
            f"pixels are not square ({facts.mpp_x:.4g} x {facts.mpp_y:.4g} um); {mpp:.4g} um is used for both axes"
        )
    if given is not None and plausible_mpp(stated) and stated and abs(given / stated - 1) > _DISAGREEMENT:
        warnings.append(f"{given:g} um/px ({given_source}) is used, but the metadata state {stated:.4g}")
    likely = likely_mpp(facts.objective_power)
    if likely and not 1 / _OBJECTIVE_FACTOR < mpp / likely < _OBJECTIVE_FACTOR:
        warnings.append(
            f"{mpp:.4g} um/px is unusual for an objective of {facts.objective_power:g}x, which has about {likely:g}"
        )
    return mpp, source, tuple(warnings)

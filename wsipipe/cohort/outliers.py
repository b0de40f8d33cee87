"""Slides of a cohort that are unlike the others."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LIMIT = 3.5
"""Modified z-scores beyond this are outliers, as Iglewicz and Hoaglin recommend."""

LEAST_SLIDES = 8
"""Of fewer slides nothing is said."""

USUAL_SHARE = 0.8
"""So many of the slides are usual, however they differ: where more lie far off, they are another kind of slides."""

_MAD_TO_SD = 1.4826
_USUAL_TO_SD = 1 / 1.2816
_MEAN_AD_TO_SD = 1.2533


def outliers(
    columns: Mapping[str, NDArray[np.float64]],
    compared: Mapping[str, NDArray[np.float64]] | None = None,
    units: Mapping[str, str] | None = None,
) -> list[tuple[str, ...]]:
    """What is unusual about each slide, measured against all of them.

    The modified z-score of Iglewicz and Hoaglin, How to Detect and Handle Outliers (ASQC, 1993): distance from the
    median over the scaled median absolute deviation; where that is zero, over the scaled mean absolute deviation.
    The deviation that USUAL_SHARE of the slides keep within, scaled likewise, counts if it is larger: a class that the
    tumours of a cohort have, and its normal slides not, makes none of them an outlier.

    Parameters
    ----------
    columns : mapping of str to float64, (n,)
        A measurement of each slide; NaN where it has none.
    compared : mapping of str to float64, (n,), optional
        In place of some of them, values that rise with them and spread evenly, such as `angles` of shares.
    units : mapping of str to str, optional
        What is written behind the values of some of them.

    Returns
    -------
    list of tuple of str
        For each slide a sentence per unusual measurement: "c2 41.2 %, median 8.3 %".
    """
    n = len(next(iter(columns.values()), ()))
    found: list[tuple[str, ...]] = [()] * n
    for name, values in columns.items():
        unit = (units or {}).get(name, "")
        for i in np.flatnonzero(_beyond((compared or {}).get(name, values))):
            sentence = f"{name} {_text(values[i])}{unit}, median {_text(float(np.nanmedian(values)))}{unit}"
            found[i] = (*found[i], sentence)
    return found


def angles(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Arc sine of the square root: shares near 0 and 1 then spread as those in the middle (Fisher's transform)."""
    return np.asarray(np.arcsin(np.sqrt(shares)))


def _beyond(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a value is an outlier; never where it is NaN, nor among too few."""
    known = values[np.isfinite(values)]
    if len(known) < LEAST_SLIDES:
        return np.zeros(len(values), bool)
    median = float(np.median(known))
    distance = np.abs(known - median)
    usual = _USUAL_TO_SD * float(np.quantile(distance, USUAL_SHARE, method="lower"))
    spread = max(_MAD_TO_SD * float(np.median(distance)), usual) or _MEAN_AD_TO_SD * float(distance.mean())
    return np.asarray((np.abs(values - median) > LIMIT * spread) & (spread > 0))


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

"""Slides of a cohort that are unlike the others."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LIMIT = 3.5
"""Modified z-scores beyond this are outliers, as Iglewicz and Hoaglin recommend."""

LEAST_SLIDES = 8
"""Of fewer slides nothing is said."""

_MAD_TO_SD = 1.4826
_MEAN_AD_TO_SD = 1.2533


def outliers(columns: Mapping[str, NDArray[np.float64]]) -> list[tuple[str, ...]]:
    """What is unusual about each slide, measured against all of them.

    The modified z-score of Iglewicz and Hoaglin, How to Detect and Handle Outliers (ASQC, 1993): distance from the
    median over the scaled median absolute deviation; where that is zero, over the scaled mean absolute deviation.

    Parameters
    ----------
    columns : mapping of str to float64, (n,)
        A measurement of each slide; NaN where it has none.

    Returns
    -------
    list of tuple of str
        For each slide a sentence per unusual measurement: "share of c2 0.412, median 0.083".
    """
    n = len(next(iter(columns.values()), ()))
    found: list[tuple[str, ...]] = [()] * n
    for name, values in columns.items():
        known = values[np.isfinite(values)]
        if len(known) < LEAST_SLIDES:
            continue
        median = float(np.median(known))
        distance = np.abs(known - median)
        spread = _MAD_TO_SD * float(np.median(distance)) or _MEAN_AD_TO_SD * float(distance.mean())
        if spread == 0:
            continue
        for i in np.flatnonzero(np.abs(values - median) > LIMIT * spread):  # NaN is never beyond
            found[i] = (*found[i], f"{name} {values[i]:.4g}, median {median:.4g}")
    return found

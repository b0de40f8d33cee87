"""What slides are judged by, one row each, whichever vector is made of it: cells of each class, or whole profiles."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.profile_vectors import PROFILE, parts, profile_vectors, usual_profile, with_profile
from wsipipe.cohort.vectors import shares, slide_vectors, with_share

Floats = NDArray[np.float64]


def vectors_of(rows: Floats, vector: str, looks: Floats) -> Floats:
    """The vector of each slide: `profile_vectors` beside `looks`, or one of the `slide_vectors`, which need none."""
    return profile_vectors(rows, looks) if vector == PROFILE else slide_vectors(rows, vector)


def shares_of(rows: Floats, vector: str) -> Floats:
    """Share of each class on each slide, float64 (n, k)."""
    return shares(parts(rows).cells if vector == PROFILE else rows)


def usual_of(rows: Floats, vector: str) -> Floats:
    """A row as these slides usually are: mean shares, or a usual profile."""
    return usual_profile(rows) if vector == PROFILE else np.asarray(shares(rows).mean(axis=0))


def with_class(rows: Floats, index: int, donors: Floats, vector: str) -> Floats:
    """The same slides with one class as it is on others, row by row: its share, or its density and looks."""
    if vector == PROFILE:
        return with_profile(rows, index, donors)
    return with_share(rows, index, shares(donors)[:, index])

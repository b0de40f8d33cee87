"""Slides judged by profiles: how densely the cells of each class lie, and how they look beside what is usual for it.

The vector is a bag of cells as image retrieval has it (VLAD: Jegou et al., CVPR 2010; Fisher vectors: Perronnin et al.,
ECCV 2010): how much of each class there is, and how far its members lie from where they usually lie. Shares alone hold
the first only, and without how much tissue there is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsipipe.records import DESCRIPTION

PROFILE = "profile"
"""Name of this vector."""

BORROWED_CELLS = 3.0
"""Cells of the usual look that each class of a slide is given beside its own, so that few cells say little."""

_NOTHING = 1e-9
"""Spread that is none: what arithmetic leaves of a column that is the same on every slide must not be lifted."""

_COLUMNS = len(DESCRIPTION)

Floats = NDArray[np.float64]


class Parts(NamedTuple):
    """Rows taken apart: tissue_mm2 (n, 1), cells (n, k), looks (n, k, len(DESCRIPTION)); views of them."""

    tissue_mm2: Floats
    cells: Floats
    looks: Floats


def profile_rows(tissue_mm2: Floats, cells: Floats, looks: Floats) -> Floats:
    """One row per slide of all that its vector is made of.

    Parameters
    ----------
    tissue_mm2 : float64, (n,)
        More than 0.
    cells : float64, (n, k)
        Expected cells of each class; every row has some.
    looks : float64, (n, k, len(DESCRIPTION))
        Mean description of the cells of each class.

    Returns
    -------
    float64, (n, 1 + k + k * len(DESCRIPTION))
    """
    return np.column_stack([tissue_mm2, cells, looks.reshape(len(cells), -1)])


def parts(rows: Floats) -> Parts:
    """What `profile_rows` put together."""
    k = classes_in(rows.shape[1])
    return Parts(rows[:, :1], rows[:, 1 : 1 + k], rows[:, 1 + k :].reshape(len(rows), k, _COLUMNS))


def classes_in(width: int) -> int:
    """Number of classes of rows (or vectors) of that many numbers."""
    return width // (1 + _COLUMNS)


def usual_looks(rows: Floats) -> Floats:
    """Mean look of each class over slides, float64 (k, len(DESCRIPTION)); a slide with few of its cells says less."""
    _, cells, looks = parts(rows)
    weight = own_share(cells)[..., None]
    return np.asarray((weight * looks).sum(axis=0) / np.maximum(weight.sum(axis=0), np.finfo(float).tiny))


def profile_vectors(rows: Floats, usual: Floats) -> Floats:
    """The vector of each slide.

    First the square root of the cells of each class per mm2 of tissue (which makes their variance alike, as counts are
    Poisson), then for each class how far its look is from `usual`, drawn towards it where there are few cells.

    Parameters
    ----------
    rows : float64, (n, 1 + k + k * len(DESCRIPTION))
        Of `profile_rows`.
    usual : float64, (k, len(DESCRIPTION))
        Of `usual_looks`.

    Returns
    -------
    float64, (n, k + k * len(DESCRIPTION))
    """
    tissue, cells, looks = parts(rows)
    away = own_share(cells)[..., None] * (looks - usual)
    return np.column_stack([np.sqrt(cells / tissue), away.reshape(len(rows), -1)])


def profile_scale(vectors: Floats) -> tuple[Floats, Floats]:
    """Centre and divisors, float64 (k + k * len(DESCRIPTION)) each, that make all components of variance 1 in the mean.

    Densities share one divisor, looks one for each column, so that rare classes and their noise are not lifted; both
    halves then have the same total variance.
    """
    k = classes_in(vectors.shape[1])
    center = vectors.mean(axis=0)
    squares = (vectors[:, k:].reshape(-1, k, _COLUMNS) ** 2).mean(axis=(0, 1))
    scale = np.concatenate([np.ones(k), np.tile(_or_one(np.sqrt(squares)), k)])
    total = (((vectors - center) / scale) ** 2).mean(axis=0)
    half = vectors.shape[1] / 2.0
    scale[:k] *= _or_one(np.sqrt(total[:k].sum() / half))
    scale[k:] *= _or_one(np.sqrt(total[k:].sum() / half))
    return np.asarray(center), scale


def with_profile(rows: Floats, index: int, donors: Floats) -> Floats:
    """The same slides with one class as it is on others: their cells per mm2, and their looks."""
    changed = rows.copy()
    own, theirs = parts(changed), parts(donors)
    own.cells[:, index] = own.tissue_mm2[:, 0] * theirs.cells[:, index] / theirs.tissue_mm2[:, 0]
    own.looks[:, index] = theirs.looks[:, index]
    return changed


def usual_profile(rows: Floats) -> Floats:
    """A row of 1 mm2 as these slides usually are, float64 (1 + k + k * len(DESCRIPTION)).

    Its shares are the slides' mean shares, its density their mean density.
    """
    tissue, cells, _ = parts(rows)
    total = cells.sum(axis=1, keepdims=True)
    share, density = (cells / total).mean(axis=0), float((total / tissue).mean())
    return np.concatenate([[1.0], density * share, usual_looks(rows).ravel()])


def own_share(cells: Floats) -> Floats:
    """Part of a class's look that is its own: the more cells, the nearer 1; of the shape of `cells`."""
    return np.asarray(cells / (cells + BORROWED_CELLS))


def _or_one(values: NDArray[np.float64]) -> Floats:
    """The values, 1 in place of those that are as good as 0."""
    return np.where(values > _NOTHING, values, 1.0)

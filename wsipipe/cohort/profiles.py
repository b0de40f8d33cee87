"""What the cells of each class have in common, and beside which others they lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

QUARTILES = (0.25, 0.5, 0.75)

NEIGHBOURS = 5
"""Nearest cells that count as the neighbours of a cell."""

_STRIP = 200_000


@dataclass(frozen=True)
class ClassProfile:
    """One class next to the others.

    Attributes
    ----------
    cells : int
        Cells of the class.
    share : float
        Of all cells, 0 to 1; 0 when there are none at all.
    quartiles : dict of str to (float, float, float)
        Lower quartile, median and upper quartile of each measurement; NaN for a class without cells.
    neighbours : tuple of float
        For each class, how many times as common it is among the neighbours of this one's cells as among all
        neighbours; NaN where that cannot be said.
    """

    cells: int
    share: float
    quartiles: dict[str, tuple[float, float, float]]
    neighbours: tuple[float, ...]


def class_quartiles(values: NDArray[np.floating], classes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """QUARTILES of a measurement in each class.

    Parameters
    ----------
    values : float, (n,)
    classes : int, (n,)
        0 to k - 1.
    k : int

    Returns
    -------
    float64, (k, 3)
        NaN for a class without cells.
    """
    found = np.full((k, len(QUARTILES)), np.nan)
    for i in np.unique(classes):
        found[i] = np.quantile(values[classes == i].astype(np.float64), QUARTILES)
    return found


def neighbour_counts(xy: NDArray[np.float64], classes: NDArray[np.integer], k: int) -> NDArray[np.int64]:
    """How often a cell of one class has a cell of another among its NEIGHBOURS nearest ones, on one slide.

    Cells are compared within strips of 200 000 rows, so that memory does not grow with the slide: rows are sorted by
    y, and only the few cells at a strip's rim miss neighbours.

    Parameters
    ----------
    xy : float64, (n, 2)
        Centres, sorted by y.
    classes : int, (n,)
        0 to k - 1.
    k : int

    Returns
    -------
    int64, (k, k)
        Rows: class of the cell; columns: class of its neighbour.
    """
    counts = np.zeros((k, k), np.int64)
    for start in range(0, len(xy), _STRIP):
        places, kinds = xy[start : start + _STRIP], classes[start : start + _STRIP].astype(np.intp)
        nearest = min(NEIGHBOURS, len(places) - 1)
        if nearest < 1:
            continue
        _, rows = KDTree(places).query(places, nearest + 1)
        own = rows == np.arange(len(places))[:, None]
        own[~own.any(axis=1), -1] = True  # among several cells at one place its own row may not be listed
        pairs = kinds[rows[~own].reshape(len(places), nearest)] + k * kinds[:, None]
        counts += np.bincount(pairs.ravel(), minlength=k * k).reshape(k, k)
    return counts


def enrichment(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many times as common each class (column) is beside a class (row) as beside all cells together.

    Parameters
    ----------
    counts : int64, (k, k)
        As `neighbour_counts` returns them; those of several slides may be added.

    Returns
    -------
    float64, (k, k)
        1 is as expected by chance; NaN where one of the two classes has no cells.
    """
    total, beside, all_beside = counts.sum(), counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    expected = beside * all_beside / max(1, total)
    return np.where(expected > 0, counts / np.where(expected > 0, expected, 1.0), np.nan)

"""How many classes the cells themselves support, without labels: the prediction strength of their mixtures."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.gan.mixture import Described, coherent_classes

MOST_CLASSES = 12
SPLITS = 4
"""Times the cells are parted in halves; the median counts."""
STRETCHES = 8
"""Cells are parted in stretches of rows, so that slides and neighbours stay together."""
STRONG = 0.4
"""Least strength of a number that is suggested. Tibshirani and Walther ask for 0.8 of clusters with gaps between them;
kinds of cell have none. Chosen on the images at even places of two labelled sets (docs/benchmarks.md)."""

Classes = NDArray[np.intp]


def suggested(strengths: dict[int, float]) -> int:
    """The largest number of classes whose strength is at least STRONG; the strongest one where there is none."""
    strong = [k for k, strength in strengths.items() if strength >= STRONG]
    return max(strong) if strong else max(strengths, key=lambda k: strengths[k])


def strengths(cells: Described, coherence: float, seed: int) -> dict[int, float]:
    """Prediction strength of every number of classes from 2 to MOST_CLASSES.

    Parameters
    ----------
    cells : Described
        At least MOST_CLASSES times STRETCHES rows, in the order of their slides.
    coherence : float
        As in `coherent_classes`.
    seed : int

    Returns
    -------
    dict of int to float
        Between 0 and 1; more is better.

    Raises
    ------
    ValueError
        If there are too few cells.
    """
    if len(cells) < MOST_CLASSES * STRETCHES:
        msg = f"{len(cells)} cells are too few to judge {MOST_CLASSES} classes on halves of them"
        raise ValueError(msg)
    halves = [_halves(len(cells), np.random.default_rng([seed, split])) for split in range(SPLITS)]
    return {
        k: float(np.median([_strength(cells, rows, k, coherence, seed) for rows in halves]))
        for k in range(2, MOST_CLASSES + 1)
    }


def _halves(count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of the rows are in the first half."""
    first = np.zeros(STRETCHES, bool)
    first[rng.permutation(STRETCHES)[: STRETCHES // 2]] = True
    return first[np.arange(count) * STRETCHES // count]


def _strength(cells: Described, first: NDArray[np.bool_], k: int, coherence: float, seed: int) -> float:
    """Prediction strength of Tibshirani and Walther (J. Comput. Graph. Stat. 14(3), 2005, equation 3).

    The worst of one half's own classes: the share of its pairs of cells that the other half's classes keep together.
    """
    learnt, asked = _part(cells, first), _part(cells, ~first)
    theirs = _classes(learnt, asked, k, coherence, seed)
    own = _classes(asked, asked, k, coherence, seed)
    table = np.zeros((k, k))
    np.add.at(table, (own, theirs), 1.0)
    size = table.sum(1)
    pairs = size * (size - 1.0)
    return float(((table * (table - 1.0)).sum(1) / np.maximum(pairs, 1.0)).min())  # 0 where a class is not found


def _classes(learnt: Described, asked: Described, k: int, coherence: float, seed: int) -> Classes:
    taught = coherent_classes(learnt, k, coherence, np.random.default_rng(seed))
    return np.asarray((asked.values @ taught.weight.T + taught.bias).argmax(1))


def _part(cells: Described, rows: NDArray[np.bool_]) -> Described:
    place = np.full(len(cells) + 1, -1)
    place[:-1][rows] = np.arange(rows.sum())
    return Described(cells.values[rows], place[cells.neighbours[rows]])

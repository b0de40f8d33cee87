"""How many classes the cells themselves support, without labels: whether separate looks at them find the same ones."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.gan.mixture import Described, coherent_classes
from wsipipe.records import VIEWS

MOST_CLASSES = 12
SPLITS = 4
"""Times the cells are parted in halves."""
STRETCHES = 8
"""Cells are parted in stretches of rows, so that slides and neighbours stay together."""
CLOUDS, CUT_IN = 5, (4, 6, 8)
"""Clouds without kinds that the cells are compared with, and into how many classes; into two or three any cloud that is
longer than wide is cut alike by all views."""
CLEARER = 3.0
"""Standard deviations of the clouds that cells with kinds lie above their mean."""

Classes = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Support:
    """How alike the classes are that separate looks at the cells find: adjusted Rand indices, 1 the same, 0 chance.

    Attributes
    ----------
    halves : float
        Of mixtures fitted on two halves of the cells, by all that is known of them; mean over SPLITS partings.
    views : float
        Of mixtures fitted on nuclei, on the patches around them, and on their neighbours; mean over the pairs.
    """

    halves: float
    views: float

    @property
    def strength(self) -> float:
        """Mean of the four comparisons: one of halves and three of views."""
        pairs = len(VIEWS) * (len(VIEWS) - 1) // 2
        return (self.halves + pairs * self.views) / (1 + pairs)


@dataclass(frozen=True)
class Suggestion:
    """A number of classes, and what it rests on.

    Attributes
    ----------
    number : int
    kinds_show : bool
        Whether the cells show kinds at all; where they do not, any number cuts what has no gaps.
    supports : dict of int to Support
        Of every number.
    """

    number: int
    kinds_show: bool
    supports: dict[int, Support]


def suggestion(cells: Described, coherence: float, seed: int) -> Suggestion:
    """The number of classes to ask for; parameters and errors as of `supports`."""
    found = supports(cells, coherence, seed)
    return Suggestion(suggested(found), kinds_show(cells, found, seed), found)


def suggested(found: Mapping[int, Support]) -> int:
    """The number of classes with the greatest strength."""
    return max(found, key=lambda k: found[k].strength)


def supports(cells: Described, coherence: float, seed: int) -> dict[int, Support]:
    """What speaks for every number of classes from 2 to MOST_CLASSES.

    Classes that are there are found again, by whichever cells and measurements they are sought: too few or too many are
    parted where it happens to suit. Halves as in Lange et al. (Neural Comput. 16(6), 2004); views that hardly depend
    on one another as in Blum and Mitchell (COLT 1998). Both are chance-corrected (Hubert and Arabie, J. Classif. 2,
    1985), so that numbers can be compared.

    Parameters
    ----------
    cells : Described
        At least MOST_CLASSES times STRETCHES rows, in the order of their slides; columns as in `records.DESCRIPTION`.
    coherence : float
        As in `coherent_classes`; views leave neighbours aside.
    seed : int

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
        k: Support(
            float(np.mean([_of_halves(cells, rows, k, coherence, seed) for rows in halves])), _of_views(cells, k, seed)
        )
        for k in range(2, MOST_CLASSES + 1)
    }


def kinds_show(cells: Described, found: Mapping[int, Support], seed: int) -> bool:
    """Whether views agree on the classes of the cells better than on those of clouds in which there are no kinds.

    A cloud is normal, with the cells' own means and covariances: all that views share in it is that cells are more or
    less of something, which can be cut in any number of classes.

    Parameters
    ----------
    cells : Described
        As in `supports`.
    found : dict of int to Support
        What `supports` says of them.
    seed : int
    """
    values = cells.standardized()
    power, direction = np.linalg.eigh(values.T @ values / len(values))
    root = np.sqrt(np.maximum(power, 0.0))[:, None] * direction.T
    drawn = [np.random.default_rng([seed, cloud]).normal(size=values.shape) @ root for cloud in range(CLOUDS)]
    clouds = [np.mean([_of_views(Described(d, cells.neighbours), k, seed) for k in CUT_IN]) for d in drawn]
    mine = np.mean([found[k].views for k in CUT_IN])
    return bool(mine > np.mean(clouds) + CLEARER * np.std(clouds, ddof=1))


def adjusted_rand(a: Classes, b: Classes) -> float:
    """Adjusted Rand index of two classifications (n,) of the same cells; 1 where neither parts them."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1.0)
    together, in_a, in_b, pairs = (_pairs(part) for part in (table, table.sum(1), table.sum(0), table.sum()))
    chance = in_a * in_b / max(pairs, 1.0)
    most = (in_a + in_b) / 2.0
    return float((together - chance) / (most - chance)) if most > chance else 1.0


def _pairs(counts: Floats) -> float:
    return float((counts * (counts - 1.0)).sum() / 2.0)


def _halves(count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of the rows are in the first half."""
    first = np.zeros(STRETCHES, bool)
    first[rng.permutation(STRETCHES)[: STRETCHES // 2]] = True
    return first[np.arange(count) * STRETCHES // count]


def _of_halves(cells: Described, first: NDArray[np.bool_], k: int, coherence: float, seed: int) -> float:
    parts = [_part(cells, rows) for rows in (first, ~first)]
    told = [_told(part, cells.values, k, coherence, seed) for part in parts]
    return float(np.mean([adjusted_rand(told[0][rows], told[1][rows]) for rows in (first, ~first)]))


def _of_views(cells: Described, k: int, seed: int) -> float:
    views = [cells.values[:, columns] for columns in VIEWS]
    told = [_told(Described(view, cells.neighbours), view, k, 0.0, seed) for view in views]
    return float(np.mean([adjusted_rand(a, b) for a, b in itertools.combinations(told, 2)]))


def _told(learnt: Described, values: Floats, k: int, coherence: float, seed: int) -> Classes:
    """Classes of the cells described by `values`, by a mixture fitted on `learnt`."""
    taught = coherent_classes(learnt, k, coherence, np.random.default_rng(seed))
    return np.asarray((values @ taught.weight.T + taught.bias).argmax(1))


def _part(cells: Described, rows: NDArray[np.bool_]) -> Described:
    place = np.full(len(cells) + 1, -1)
    place[:-1][rows] = np.arange(rows.sum())
    return Described(cells.values[rows], place[cells.neighbours[rows]])

"""Why a slide got its verdict: the cell classes whose shares made the difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.rule import Rule
from wsipipe.cohort.vectors import shares, with_share


@dataclass(frozen=True)
class Reason:
    """A cell class, its share on the slide, the usual share, and what it added to the verdict's decision value."""

    index: int
    share: float
    usual: float
    effect: float


def reasons(
    rule: Rule, counts: NDArray[np.float64], usual: NDArray[np.float64], at_most: int = 3
) -> list[list[Reason]]:
    """For each slide, the classes that speak most for its verdict.

    A class speaks for a verdict by as much as the verdict's lead over the next label would shrink if the class had its
    usual share and the others kept theirs among themselves.

    Parameters
    ----------
    rule : Rule
    counts : float64, (n, k)
        Cells of each class; every row has some.
    usual : float64, (k,)
        Mean shares on the slides the rule was fitted to.
    at_most : int
        Classes named per slide; fewer when fewer speak for it.
    """
    share, effect = shares(counts), effects(rule, counts, usual)
    found = []
    for row in range(len(counts)):
        best = [int(i) for i in np.argsort(-effect[row], kind="stable")[:at_most] if effect[row, i] > 0]
        found.append([Reason(i, float(share[row, i]), float(usual[i]), float(effect[row, i])) for i in best])
    return found


def effects(rule: Rule, counts: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each class adds to the lead of each slide's verdict, against its usual share; float64 (n, k)."""
    n, k = counts.shape
    ordinary = [with_share(counts, i, np.full(n, usual[i])) for i in range(k)]
    values = rule.decisions(np.concatenate([counts, *ordinary])).reshape(k + 1, n, -1)
    verdict = values[0].argmax(axis=1)
    lead = np.stack([_lead(v, verdict) for v in values])
    return np.asarray((lead[0] - lead[1:]).T)


def _lead(values: NDArray[np.float64], verdict: NDArray[np.intp]) -> NDArray[np.float64]:
    """Decision value of the verdict less the largest of the other labels."""
    rows = np.arange(len(values))
    others = values.copy()
    others[rows, verdict] = -np.inf
    return np.asarray(values[rows, verdict] - others.max(axis=1))

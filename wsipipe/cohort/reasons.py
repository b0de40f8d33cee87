"""Why a slide got its verdict: the cell classes whose shares, or whose looks, made the difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.profile_vectors import PROFILE, parts
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.slide_rows import shares_of, with_class
from wsipipe.records import DESCRIPTION


@dataclass(frozen=True)
class Reason:
    """A cell class, its share on the slide, the usual share, and what it added to the verdict's decision value.

    `density` is how many of its cells there are per mm2 of tissue, and how many there usually are; None where slides
    are not judged by it. `look` is the column of the description that made most of it, and whether it is above what is
    usual for the class; None where that made less than how many cells there are, or nothing is known of looks.
    """

    index: int
    share: float
    usual: float
    effect: float
    density: tuple[float, float] | None = None
    look: tuple[str, bool] | None = None


def reasons(rule: Rule, rows: NDArray[np.float64], usual: NDArray[np.float64], at_most: int = 3) -> list[list[Reason]]:
    """For each slide, the classes that speak most for its verdict.

    A class speaks for a verdict by as much as the verdict's lead over the next label would shrink if the class had its
    usual share and the others kept theirs among themselves; with profiles, if it had its usual density and look.

    Parameters
    ----------
    rule : Rule
    rows : float64, (n, m)
        As `Rule.decisions` takes them.
    usual : float64, (m,)
        The usual row of the slides the rule was fitted to, as `slide_rows.usual_of` gives it.
    at_most : int
        Classes named per slide; fewer when fewer speak for it.
    """
    share, often = shares_of(rows, rule.vector), shares_of(usual[None], rule.vector)[0]
    effect = effects(rule, rows, usual)
    found = []
    for row, own in enumerate(effect):
        best = [int(i) for i in np.argsort(-own, kind="stable")[:at_most] if own[i] > 0]
        more = [_density_and_look(rule, rows[row], usual, i) if rule.vector == PROFILE else () for i in best]
        found.append(
            [
                Reason(i, float(share[row, i]), float(often[i]), float(own[i]), *told)
                for i, told in zip(best, more, strict=True)
            ]
        )
    return found


def effects(rule: Rule, rows: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each class adds to the lead of each slide's verdict, against how it usually is; float64 (n, k)."""
    values, donors = rule.decisions(rows), np.tile(usual, (len(rows), 1))
    verdict = values.argmax(axis=1)
    before = _lead(values, verdict)
    k = shares_of(usual[None], rule.vector).shape[1]
    found = np.empty((len(rows), k))
    for i in range(k):  # one at a time: with many slides and classes all of them are gigabytes
        found[:, i] = before - _lead(rule.decisions(with_class(rows, i, donors, rule.vector)), verdict)
    return found


def _lead(values: NDArray[np.float64], verdict: NDArray[np.intp]) -> NDArray[np.float64]:
    """Decision value of the verdict less the largest of the other labels."""
    rows = np.arange(len(values))
    others = values.copy()
    others[rows, verdict] = -np.inf
    return np.asarray(values[rows, verdict] - others.max(axis=1))


def _density_and_look(
    rule: Rule, row: NDArray[np.float64], usual: NDArray[np.float64], index: int
) -> tuple[tuple[float, float], tuple[str, bool] | None]:
    """What `Reason` says of a class of a profile."""
    own, often = parts(row[None]), parts(usual[None])
    here, usually = (float(p.cells[0, index] / p.tissue_mm2[0, 0]) for p in (own, often))
    return (here, usually), _look(rule, row, usual, index)


def _look(rule: Rule, row: NDArray[np.float64], usual: NDArray[np.float64], index: int) -> tuple[str, bool] | None:
    """What of a class's look adds most to the lead of a slide's verdict, if that is more than its density does."""
    changed = np.tile(row, (len(DESCRIPTION) + 2, 1))
    tissue, cells, looks = parts(changed)
    _, ordinary, normal = parts(usual[None])  # of 1 mm2
    for column in range(len(DESCRIPTION)):
        looks[column + 2, index, column] = normal[0, index, column]
    cells[1, index] = tissue[1, 0] * ordinary[0, index]
    values = rule.decisions(changed)
    lead = _lead(values, np.full(len(values), values[0].argmax()))
    fall = lead[0] - lead[1:]
    most = int(fall[1:].argmax())
    if fall[most + 1] <= max(fall[0], 0.0):
        return None
    return DESCRIPTION[most], bool(looks[0, index, most] > normal[0, index, most])

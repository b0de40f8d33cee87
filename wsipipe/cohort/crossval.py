"""Nested, repeated, grouped cross-validation of slide classifiers; everything is chosen without the test fold."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.classifiers import fit_classifier
from wsipipe.cohort.folds import exchanged, make_folds
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.vectors import shares, with_share
from wsipipe.cohort.verdict_scores import confusion, table_scores

Advance = Callable[[], None]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What a classifier says of every slide when it was not trained on it.

    Attributes
    ----------
    name : str
        One of `wsipipe.cohort.classifiers.CLASSIFIERS`.
    truth : intp, (n,)
        True label of each slide.
    probability : float64, (repeats, n, labels)
        Calibrated inside the training folds.
    importance : float64, (repeats * folds, k)
        Fall of the weighted F1 on each test fold when the shares of one cell class are exchanged among its slides.
    chosen : Counter of str
        How often each slide vector was chosen.
    """

    name: str
    truth: NDArray[np.intp]
    probability: NDArray[np.float64]
    importance: NDArray[np.float64]
    chosen: Counter[str]

    @property
    def verdicts(self) -> NDArray[np.intp]:
        """The likeliest label, intp (repeats, n)."""
        return np.asarray(self.probability.argmax(axis=2))

    @property
    def labels(self) -> int:
        """Number of labels."""
        return int(self.probability.shape[2])


def cross_validate(
    counts: NDArray[np.float64],
    y: NDArray[np.intp],
    groups: NDArray[np.intp],
    name: str,
    *,
    folds: int,
    repeats: int,
    seed: int,
    advance: Advance,
) -> OutOfFold:
    """Judge every slide `repeats` times by classifiers that never saw its patient.

    Repeat r has the folds of seed + r, the same for every classifier and every set of counts.

    Parameters
    ----------
    counts : float64, (n, k)
        Cells of each class; every row has some.
    y, groups : intp, (n,)
        Label and patient, from 0 without gaps.
    name : str
        The classifier.
    folds, repeats, seed : int
    advance : callable
        Called after each fold.
    """
    labels = int(y.max()) + 1
    probability = np.zeros((repeats, len(y), labels))
    importance, chosen = [], Counter[str]()
    rng = np.random.default_rng(seed)
    for repeat in range(repeats):
        for train, test in make_folds(y, groups, folds, seed + repeat):
            fitted = fit_classifier(counts[train], y[train], groups[train], name, seed + repeat)
            probability[repeat, test] = fitted.rule.probabilities(counts[test])
            importance.append(_importance(fitted.rule, counts[test], y[test], labels, rng))
            chosen[fitted.chosen["vector"]] += 1
            advance()
    return OutOfFold(name, y, probability, np.array(importance), chosen)


def permutation_test(
    counts: NDArray[np.float64],
    y: NDArray[np.intp],
    groups: NDArray[np.intp],
    name: str,
    *,
    folds: int,
    permutations: int,
    seed: int,
    advance: Advance,
) -> tuple[float, float, NDArray[np.float64]]:
    """Whether the labels can be told at all: the whole nested cross-validation, once, with labels dealt anew.

    Ojala and Garriga, JMLR 11 (2010), test 1; p = (1 + permutations at least as good) / (1 + permutations).

    Returns
    -------
    observed : float
        Weighted F1 with the true labels.
    p : float
    null : float64, (permutations,)
        Weighted F1 with labels dealt anew.
    """
    rng = np.random.default_rng(seed)

    def score(labels: NDArray[np.intp]) -> float:
        advance()
        return _once(counts, labels, groups, name, folds, seed)

    observed = score(y)
    null = np.array([score(exchanged(y, groups, rng)) for _ in range(permutations)])
    return observed, float((1 + (null >= observed).sum()) / (1 + permutations)), null


def _once(
    counts: NDArray[np.float64], y: NDArray[np.intp], groups: NDArray[np.intp], name: str, folds: int, seed: int
) -> float:
    labels = int(y.max()) + 1
    table = np.zeros((labels, labels), np.int64)
    for train, test in make_folds(y, groups, folds, seed):
        rule = fit_classifier(counts[train], y[train], groups[train], name, seed).rule
        table += confusion(y[test], rule.decisions(counts[test]).argmax(axis=1), labels)
    return float(table_scores(table)["f1"])


def _importance(
    rule: Rule, counts: NDArray[np.float64], y: NDArray[np.intp], labels: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Permutation importance (Breiman, Machine Learning 45, 2001) of each cell class on the slides of a test fold."""
    n, k = counts.shape
    share = shares(counts)
    mixed = [with_share(counts, i, share[rng.permutation(n), i]) for i in range(k)]
    said = rule.decisions(np.concatenate([counts, *mixed])).argmax(axis=1).reshape(k + 1, n)
    f1 = table_scores(np.stack([confusion(y, row, labels) for row in said]))["f1"]
    return np.asarray(f1[0] - f1[1:])

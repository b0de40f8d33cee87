"""Nested, repeated, grouped cross-validation of slide classifiers; everything is chosen without the test fold."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.classifiers import fit_classifier
from wsipipe.cohort.folds import exchanged, make_folds
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.slide_rows import shares_of, with_class
from wsipipe.cohort.vectors import VECTORS
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
    importance : float64, (repeats * folds, k), or empty
        Fall of the weighted F1 on each test fold when one cell class is exchanged among its slides: its shares, or
        its density and looks.
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
    rows: NDArray[np.float64],
    y: NDArray[np.intp],
    groups: NDArray[np.intp],
    name: str,
    *,
    folds: int,
    repeats: int,
    seed: int,
    advance: Advance,
    vectors: Sequence[str] = VECTORS,
    explained: bool = True,
) -> OutOfFold:
    """Judge every slide `repeats` times by classifiers that never saw its patient.

    Repeat r has the folds of seed + r, the same for every classifier and every set of rows.

    Parameters
    ----------
    rows : float64, (n, k)
        Cells of each class, of which every slide has some, or profiles, as in `classifiers.fit_classifier`.
    y, groups : intp, (n,)
        Label and patient, from 0 without gaps.
    name : str
        The classifier.
    folds, repeats, seed : int
    advance : callable
        Called after each fold.
    vectors : sequence of str
        Those to choose from, as in `classifiers.fit_classifier`.
    explained : bool
        Whether to ask which classes matter, which takes longer than to fit an RBF SVM.
    """
    labels = int(y.max()) + 1
    probability = np.zeros((repeats, len(y), labels))
    importance, chosen = [], Counter[str]()
    rng = np.random.default_rng(seed)
    for repeat in range(repeats):
        for train, test in make_folds(y, groups, folds, seed + repeat):
            fitted = fit_classifier(rows[train], y[train], groups[train], name, seed + repeat, vectors)
            probability[repeat, test] = fitted.rule.probabilities(rows[test])
            if explained:
                importance.append(_importance(fitted.rule, rows[test], y[test], labels, rng))
            chosen[fitted.chosen["vector"]] += 1
            advance()
    return OutOfFold(name, y, probability, np.array(importance), chosen)


def permutation_test(
    rows: NDArray[np.float64],
    y: NDArray[np.intp],
    groups: NDArray[np.intp],
    name: str,
    *,
    folds: int,
    permutations: int,
    seed: int,
    advance: Advance,
    vectors: Sequence[str] = VECTORS,
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
        return _once(rows, labels, groups, name, folds, seed, vectors)

    observed = score(y)
    null = np.array([score(exchanged(y, groups, rng)) for _ in range(permutations)])
    return observed, float((1 + (null >= observed).sum()) / (1 + permutations)), null


def _once(
    rows: NDArray[np.float64],
    y: NDArray[np.intp],
    groups: NDArray[np.intp],
    name: str,
    folds: int,
    seed: int,
    vectors: Sequence[str],
) -> float:
    labels = int(y.max()) + 1
    table = np.zeros((labels, labels), np.int64)
    for train, test in make_folds(y, groups, folds, seed):
        rule = fit_classifier(rows[train], y[train], groups[train], name, seed, vectors).rule
        table += confusion(y[test], rule.decisions(rows[test]).argmax(axis=1), labels)
    return float(table_scores(table)["f1"])


def _importance(
    rule: Rule, rows: NDArray[np.float64], y: NDArray[np.intp], labels: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Permutation importance (Breiman, Machine Learning 45, 2001) of each cell class on the slides of a test fold."""
    n, k = len(rows), shares_of(rows, rule.vector).shape[1]
    mixed = (with_class(rows, i, rows[rng.permutation(n)], rule.vector) for i in range(k))
    # one at a time: with many slides and classes all of them are gigabytes
    said = [rule.decisions(own).argmax(axis=1) for own in itertools.chain([rows], mixed)]
    f1 = table_scores(np.stack([confusion(y, verdict, labels) for verdict in said]))["f1"]
    return np.asarray(f1[0] - f1[1:])

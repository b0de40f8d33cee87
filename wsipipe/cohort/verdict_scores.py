"""Scores of verdicts against true labels, from confusion tables, probabilities, and resampled patients."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

MEASURES = ("precision", "recall", "f1", "balanced_accuracy", "accuracy")
"""What `table_scores` gives; the first three are means over the true labels, weighted by their slides."""

LEVEL = 0.95

_BINS = 8


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities mean what they say.

    Attributes
    ----------
    stated, right, slides : ndarray, (bins,)
        Mean probability of the verdicts in each bin, share of them that is right, and their number.
    error : float
        Expected calibration error: mean distance of the two, weighted by the verdicts (Naeini et al., AAAI 2015).
    brier : float
        Mean squared distance of the probabilities from the truth, summed over labels (Brier 1950); 0 is best.
    """

    stated: NDArray[np.float64]
    right: NDArray[np.float64]
    slides: NDArray[np.intp]
    error: float
    brier: float


def confusion(truth: NDArray[np.intp], verdict: NDArray[np.intp], labels: int) -> NDArray[np.int64]:
    """Slides of each true label (rows) and verdict (columns); int64 (labels, labels)."""
    return np.bincount(truth * labels + verdict, minlength=labels * labels).astype(np.int64).reshape(labels, labels)


def table_scores(table: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """MEASURES of one or many confusion tables.

    Parameters
    ----------
    table : number, (..., labels, labels)
        True labels in rows; 0 / 0 counts as 0. Balanced accuracy is over the labels that have slides.

    Returns
    -------
    dict of str to float64, (...)
    """
    table = np.asarray(table, np.float64)
    right = np.diagonal(table, axis1=-2, axis2=-1)
    true, said = table.sum(axis=-1), table.sum(axis=-2)
    weight = _ratio(true, true.sum(axis=-1, keepdims=True))
    precision, recall, f1 = _ratio(right, said), _ratio(right, true), _ratio(2 * right, true + said)
    return {
        "precision": (weight * precision).sum(axis=-1),
        "recall": (weight * recall).sum(axis=-1),
        "f1": (weight * f1).sum(axis=-1),
        "balanced_accuracy": _ratio(recall.sum(axis=-1), (true > 0).sum(axis=-1)),
        "accuracy": _ratio(right.sum(axis=-1), true.sum(axis=-1)),
    }


def auc(truth: NDArray[np.intp], probability: NDArray[np.float64]) -> float:
    """Area under the ROC curve, one label versus the rest, mean over the labels; nan when a label has no slide."""
    labels = probability.shape[1]
    present = np.bincount(truth, minlength=labels)
    if not (present > 0).all() or labels < 2:
        return float("nan")
    return float(np.mean([roc_auc_score(truth == i, probability[:, i]) for i in range(labels)]))


def roc(truth: NDArray[np.intp], probability: NDArray[np.float64], label: int) -> NDArray[np.float64]:
    """ROC curve of a label against the rest: rows of false and true positive rate, float64 (points, 2)."""
    false, true, _ = roc_curve(truth == label, probability[:, label])
    return np.column_stack([false, true])


def calibration(truth: NDArray[np.intp], probability: NDArray[np.float64]) -> Calibration:
    """Stated against observed, in bins of about as many verdicts each.

    Parameters
    ----------
    truth : intp, (n,)
    probability : float64, (n, labels)
    """
    stated, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    parts = [part for part in np.array_split(np.argsort(stated, kind="stable"), _BINS) if len(part)]
    means = np.array([[stated[part].mean(), right[part].mean()] for part in parts])
    sizes = np.array([len(part) for part in parts], np.intp)
    error = float((np.abs(means[:, 0] - means[:, 1]) * sizes).sum() / sizes.sum())
    one_hot = np.eye(probability.shape[1])[truth]
    return Calibration(means[:, 0], means[:, 1], sizes, error, float(((probability - one_hot) ** 2).sum(axis=1).mean()))


def resampled_scores(
    truth: NDArray[np.intp], verdicts: NDArray[np.intp], groups: NDArray[np.intp], labels: int, seed: int, draws: int
) -> dict[str, NDArray[np.float64]]:
    """MEASURES when the patients are drawn anew, with replacement: what another cohort of this size could have shown.

    Parameters
    ----------
    truth : intp, (n,)
    verdicts : intp, (repeats, n)
        Of each repeat of the cross-validation; scores are medians over them.
    groups : intp, (n,)
        Patient of each slide.
    labels, seed, draws : int

    Returns
    -------
    dict of str to float64, (draws,)
    """
    _, patient = np.unique(groups, return_inverse=True)
    n_patients, repeats = int(patient.max()) + 1, len(verdicts)
    tables = np.zeros((n_patients, repeats, labels * labels), np.int64)
    for repeat, verdict in enumerate(verdicts):
        np.add.at(tables[:, repeat], (patient, truth * labels + verdict), 1)
    drawn = np.random.default_rng(seed).multinomial(n_patients, np.full(n_patients, 1 / n_patients), draws)
    summed = (drawn @ tables.reshape(n_patients, -1)).reshape(draws, repeats, labels, labels)
    return {name: np.median(values, axis=1) for name, values in table_scores(summed).items()}


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of some values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _ratio(part: NDArray[np.float64], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0))

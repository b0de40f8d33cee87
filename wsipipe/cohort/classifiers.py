"""Linear and RBF SVM, logistic regression and k-means on slide vectors, each chosen inside its training slides."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, minimize_scalar
from scipy.special import log_softmax
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from wsipipe.cohort.folds import Fold, inner_folds
from wsipipe.cohort.profile_vectors import PROFILE, profile_scale, usual_looks
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.slide_rows import vectors_of
from wsipipe.cohort.vectors import VECTORS
from wsipipe.cohort.verdict_scores import confusion, table_scores
from wsipipe.records import DESCRIPTION

CLASSIFIERS = ("linear-svm", "rbf-svm", "logistic", "k-means")

INNER_FOLDS = 4

_LINEAR_C = {"whole": (0.1, 1.0), "each": (0.03, 0.3), "parts": (0.01, 0.1)}
_LOGISTIC_C = {"whole": (1.0, 10.0), "each": (0.1, 1.0), "parts": (0.01, 0.1)}
_RBF_C = {"whole": (1.0, 10.0), "each": (1.0, 10.0), "parts": (1.0, 10.0)}
"""Strengths tried, the weaker first: with vectors scaled as a whole, which keeps their own distances, with each
component scaled to variance 1, which lifts rare classes and their noise, and with profiles."""
_ITERATIONS = 10_000
_LOG_SHARPNESS = (-8.0, 8.0)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A rule, and what was chosen for it on the training slides: vector, how it is scaled, and C where there is one."""

    rule: Rule
    chosen: dict[str, Any]


class SlideVector(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Rows of slides to their vectors, as a step of a scikit-learn pipeline."""

    def __init__(self, kind: str = "raw") -> None:
        self.kind = kind

    def fit(self, X: NDArray[np.float64], y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's names
        """Learn how classes usually look, for a profile; else nothing."""
        self.looks_ = usual_looks(X) if self.kind == PROFILE else np.zeros((0, len(DESCRIPTION)))
        return self

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The vector of each row."""
        return vectors_of(X, self.kind, self.looks_)


class Scaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre and divide, by what `fit` of a kind of scaler learns."""

    mean_: NDArray[np.float64]
    scale_: NDArray[np.float64]

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scaled vectors."""
        return np.asarray((X - self.mean_) / self.scale_)


class ProfileScaler(Scaler):
    """`profile_scale` as a step of a pipeline."""

    def fit(self, X: NDArray[np.float64], y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's names
        """Learn centre and spread."""
        self.mean_, self.scale_ = profile_scale(X)
        return self


class WholeScaler(Scaler):
    """Centre, and divide by one number, so that the mean variance of the components is 1 and distances keep."""

    def fit(self, X: NDArray[np.float64], y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's names
        """Learn centre and spread."""
        self.mean_ = X.mean(axis=0)
        self.scale_ = np.full(X.shape[1], float(np.sqrt(X.var(axis=0).mean())) or 1.0)
        return self


_SCALERS = {"whole": WholeScaler, "each": StandardScaler, "parts": ProfileScaler}
"""By the ways of scaling that strengths are tried with."""


class MatchedKMeans(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """k-means with as many clusters as labels, matched to the labels on the training slides (Hu et al. 2019).

    The matching is the one-to-one assignment that most training slides agree with.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, X: NDArray[np.float64], y: NDArray[np.intp]) -> Self:
        """Cluster, then match."""
        self.classes_ = np.unique(y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # alike slides make fewer clusters
            k_means = KMeans(len(self.classes_), n_init=10, random_state=self.seed).fit(X)
        table = np.zeros((len(self.classes_), len(self.classes_)), np.intp)
        np.add.at(table, (np.searchsorted(self.classes_, y), k_means.labels_), 1)
        self.centers_ = k_means.cluster_centers_[linear_sum_assignment(-table)[1]]
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.intp]:
        """The label of the nearest centre."""
        squared = ((X[:, None] - self.centers_[None]) ** 2).sum(axis=2)
        return np.asarray(self.classes_[squared.argmin(axis=1)])


def fit_classifier(
    rows: NDArray[np.float64],
    y: NDArray[np.intp],
    groups: NDArray[np.intp],
    name: str,
    seed: int,
    vectors: Sequence[str] = VECTORS,
) -> Fitted:
    """Choose vector and strength by cross-validation among these slides alone, fit to all of them, calibrate.

    Parameters
    ----------
    rows : float64, (n, k)
        Of each training slide, cells of each class; for profiles, rows of `profile_vectors.profile_rows`.
    y, groups : intp, (n,)
        Label, from 0 without gaps, and patient of each.
    name : str
        One of CLASSIFIERS.
    seed : int
        Of the inner folds and of k-means.
    vectors : sequence of str
        Those to choose from: some of VECTORS, or "profile" alone.
    """
    inner = inner_folds(y, groups, INNER_FOLDS, seed)
    pipeline, grid = _pipeline(name, seed, vectors)
    # validation is a third of the time, many times over; several threads take longer on matrices this small
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        search = GridSearchCV(pipeline, grid, scoring=_weighted_f1, cv=inner, error_score="raise").fit(rows, y)
        best = search.best_estimator_
        sharpness = _sharpness(best, rows, y, inner)
    found = {key.rsplit("__", 1)[-1]: value for key, value in search.best_params_.items()}
    strength = {"C": found["C"]} if "C" in found else {}
    scaled = next(how for how, kind in _SCALERS.items() if isinstance(found["scale"], kind))
    return Fitted(_rule(best, sharpness), {"vector": found["kind"], "scaled": scaled, **strength})


def _pipeline(name: str, seed: int, vectors: Sequence[str] = VECTORS) -> tuple[Pipeline, list[dict[str, list[Any]]]]:
    """Steps, and what is tried; of equals the first, so the plainest vector and the strongest penalty lead."""
    model: Any
    tried: Mapping[str, tuple[float, ...]]
    if name == "linear-svm":
        model, key, tried = LinearSVC(dual=False, max_iter=_ITERATIONS), "classifier__C", _LINEAR_C
    elif name == "rbf-svm":
        model, key, tried = OneVsRestClassifier(SVC(gamma="auto")), "classifier__estimator__C", _RBF_C
    elif name == "logistic":
        model, key, tried = LogisticRegression(max_iter=_ITERATIONS), "classifier__C", _LOGISTIC_C
    else:  # shares are never scaled component by component, as in the paper
        model, key, tried = MatchedKMeans(seed), "classifier__seed", {"whole": (seed,), "parts": (seed,)}
    ways = ["parts"] if PROFILE in vectors else [how for how in tried if how != "parts"]
    grid = [{"scale": [_SCALERS[how]()], "vector__kind": [*vectors], key: list(tried[how])} for how in ways]
    return Pipeline([("vector", SlideVector()), ("scale", WholeScaler()), ("classifier", model)]), grid


def _weighted_f1(fitted: Pipeline, rows: NDArray[np.float64], y: NDArray[np.intp]) -> float:
    """What is chosen by; scikit-learn's own takes longer than to fit the classifier."""
    said = np.asarray(fitted.predict(rows), np.intp)
    return float(table_scores(confusion(y, said, int(max(y.max(), said.max())) + 1))["f1"])


def _sharpness(best: Pipeline, rows: NDArray[np.float64], y: NDArray[np.intp], inner: list[Fold]) -> float:
    """Inverse temperature under which the labels are likeliest, on decisions about slides not trained on.

    Targets are drawn a little towards even, as Platt does (Advances in Large Margin Classifiers, 1999), so that a
    perfect separation of a few slides does not become certainty.
    """
    labels = int(y.max()) + 1
    decisions = np.zeros((len(y), labels))
    for train, test in inner:
        decisions[test] = _rule(clone(best).fit(rows[train], y[train])).decisions(rows[test])
    seen = np.bincount(y)[y]
    off = 1.0 / (seen + labels)
    target = np.repeat(off[:, None], labels, axis=1)
    target[np.arange(len(y)), y] = (seen + 1.0) * off

    def loss(log_sharpness: float) -> float:
        return float(-(target * log_softmax(np.exp(log_sharpness) * decisions, axis=1)).sum())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_SHARPNESS, method="bounded").x))


def _rule(fitted: Pipeline, sharpness: float = 1.0) -> Rule:
    """The fitted pipeline in plain arrays; with two labels, decision values are (-d, d)."""
    scale, model = fitted["scale"], fitted["classifier"]
    center, width = np.asarray(scale.mean_, np.float64), np.asarray(scale.scale_, np.float64)
    k = len(center)
    none, gamma = np.zeros((0, k)), 0.0
    if isinstance(model, MatchedKMeans):
        kind, basis, weights, offsets = "nearest", model.centers_, np.zeros((0, 0)), np.zeros(len(model.classes_))
    elif isinstance(model, OneVsRestClassifier):
        kind = "rbf"
        basis, weights, offsets = _kernel(model.estimators_, k)
        gamma = 1.0 / k  # scikit-learn's "auto"
    else:
        kind, basis, weights, offsets = "linear", none, model.coef_, model.intercept_
    if kind != "nearest" and len(weights) == 1:
        weights, offsets = np.concatenate([-weights, weights]), np.concatenate([-offsets, offsets])
    vector = fitted["vector"]
    return Rule(vector.kind, center, width, kind, basis, gamma, weights, offsets, sharpness, vector.looks_)


def _kernel(machines: list[SVC], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Support vectors of all machines, their weights in each (0 in the others), offsets."""
    vectors = np.concatenate([m.support_vectors_ for m in machines]).reshape(-1, k)
    ends = np.cumsum([0, *(len(m.support_vectors_) for m in machines)])
    weights = np.zeros((len(machines), len(vectors)))
    for i, machine in enumerate(machines):
        weights[i, ends[i] : ends[i + 1]] = machine.dual_coef_[0]
    return vectors, weights, np.array([m.intercept_[0] for m in machines])

"""Slide classifiers: the saved rule says what scikit-learn says, and nothing is chosen on slides that are judged."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from wsipipe.cohort import crossval
from wsipipe.cohort.classifier_file import Classifier, load_classifier, save_classifier
from wsipipe.cohort.classifiers import CLASSIFIERS, Fitted, WholeScaler, _pipeline, _rule, fit_classifier
from wsipipe.cohort.crossval import cross_validate, permutation_test
from wsipipe.cohort.folds import make_folds
from wsipipe.cohort.reasons import reasons
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.vectors import shares, slide_vectors
from wsipipe.cohort.verdict_scores import confusion, table_scores
from wsipipe.errors import ModelError


def slides(n: int, labels: int = 2, k: int = 6, effect: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of k classes on n slides; label i has more of class i."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % labels
    logits = rng.normal(0, 0.4, (n, k))
    logits[np.arange(n), y] += effect
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.array([rng.multinomial(120, row) for row in p]).astype(float), y.astype(np.intp)


def nothing() -> None:
    """Progress that nobody watches."""


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("name", ["linear-svm", "rbf-svm", "logistic"])
def test_a_rule_decides_as_scikit_learn_does(name: str, labels: int) -> None:
    counts, y = slides(60, labels)
    pipeline = clone(_pipeline(name, 0)[0]).set_params(vector__kind="clr").fit(counts, y)
    theirs = pipeline.decision_function(counts)
    theirs = np.column_stack([-theirs, theirs]) if labels == 2 else theirs
    np.testing.assert_allclose(_rule(pipeline).decisions(counts), theirs, atol=1e-9)
    np.testing.assert_array_equal(_rule(pipeline).decisions(counts).argmax(axis=1), pipeline.predict(counts))


def test_the_machines_are_the_ones_they_are_called() -> None:
    counts, y = slides(60)
    vectors = slide_vectors(counts, "raw")
    for name, model, strength in (
        ("linear-svm", LinearSVC(dual=False, C=0.3, max_iter=10_000), {"classifier__C": 0.3}),
        ("rbf-svm", SVC(gamma=1 / 6, C=3.0), {"classifier__estimator__C": 3.0}),
        ("logistic", LogisticRegression(C=0.3, max_iter=10_000), {"classifier__C": 0.3}),
    ):
        plain = make_pipeline(StandardScaler(), model).fit(vectors, y)
        own = clone(_pipeline(name, 0)[0]).set_params(scale=StandardScaler()).set_params(**strength).fit(counts, y)
        np.testing.assert_allclose(_rule(own).decisions(counts)[:, 1], plain.decision_function(vectors), atol=1e-6)


def test_scaling_as_a_whole_keeps_distances() -> None:
    counts, _ = slides(40)
    vectors = slide_vectors(counts, "clr")
    scaled = WholeScaler().fit_transform(vectors)
    assert scaled.var(axis=0).mean() == pytest.approx(1)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    ratio = np.linalg.norm(vectors[1:] - vectors[0], axis=1) / np.linalg.norm(scaled[1:] - scaled[0], axis=1)
    np.testing.assert_allclose(ratio, ratio[0])
    np.testing.assert_array_equal(WholeScaler().fit_transform(np.ones((3, 2))), 0)


def test_k_means_takes_the_nearest_centre_and_matches_it_on_the_training_slides() -> None:
    counts, y = slides(90, 3, effect=2.5)
    fitted = fit_classifier(counts, y, np.arange(90), "k-means", 0)
    assert fitted.rule.kind == "nearest"
    assert (fitted.rule.decisions(counts).argmax(axis=1) == y).mean() > 0.9
    swapped = fit_classifier(counts, (y + 1) % 3, np.arange(90), "k-means", 0)
    np.testing.assert_allclose(np.sort(swapped.rule.basis, axis=0), np.sort(fitted.rule.basis, axis=0))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_follow_the_decision_and_come_back_from_json(name: str, tmp_path: Path) -> None:
    counts, y = slides(60, 3)
    rule = fit_classifier(counts, y, np.arange(60), name, 0).rule
    p = rule.probabilities(counts)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(p.argmax(axis=1), rule.decisions(counts).argmax(axis=1))
    np.testing.assert_array_equal(Rule.from_dict(json.loads(json.dumps(rule.to_dict()))).probabilities(counts), p)
    usual = shares(counts).mean(axis=0)
    kept = Classifier(rule, ("a", "b", "c"), "0123456789abcdef", "expected", usual, {"classifier": name})
    save_classifier(kept, tmp_path / "c.json")
    again = load_classifier(tmp_path / "c.json")
    np.testing.assert_array_equal(again.rule.probabilities(counts), p)
    assert (again.labels, again.model, again.judged_by) == (kept.labels, kept.model, "expected")
    assert again.facts["classifier"] == name


def test_stated_probabilities_are_about_right() -> None:
    counts, y = slides(400, effect=0.6, seed=3)
    rule = fit_classifier(counts[:200], y[:200], np.arange(200), "linear-svm", 0).rule
    p, truth = rule.probabilities(counts[200:]), y[200:]
    stated, right = p.max(axis=1), p.argmax(axis=1) == truth
    assert 0.6 < right.mean() < 0.95
    assert abs(stated.mean() - right.mean()) < 0.08


def test_a_perfect_separation_is_no_certainty() -> None:
    counts = np.array([[90.0, 10.0], [10.0, 90.0]] * 6)
    rule = fit_classifier(counts, np.array([0, 1] * 6, np.intp), np.arange(12), "linear-svm", 0).rule
    assert 0.8 < rule.probabilities(counts).max() < 0.97


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("wsipipe_classifier"), "not a classifier"),
        (lambda d: d.update(wsipipe_classifier=1), "format version 1"),
        (lambda d: d.pop("rule"), "damaged"),
        (lambda d: d.pop("judged_by"), "damaged"),
        (lambda d: d["rule"].update(vector="ilr"), "damaged"),
        (lambda d: d["rule"].update(scale=[0.0] * 6), "damaged"),
        (lambda d: d["rule"]["weights"].pop(), "damaged"),
        (lambda d: d["labels"].pop(), "do not fit"),
        (lambda d: d["usual"].pop(), "do not fit"),
    ],
    ids=("other", "earlier", "no rule", "no kind", "vector", "scale", "weights", "labels", "usual"),
)
def test_damaged_files_are_refused(change, words: str, tmp_path: Path) -> None:
    counts, y = slides(40)
    rule = fit_classifier(counts, y, np.arange(40), "linear-svm", 0).rule
    path = tmp_path / "c.json"
    save_classifier(Classifier(rule, ("a", "b"), "m", "counted", np.full(6, 1 / 6), {}), path)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ModelError, match=words):
        load_classifier(path)


def test_a_file_that_is_no_classifier(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    for data in (b"\x80\x04\x95pickle", b"[]", b"null", b"[" * 100_000):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="not a classifier"):
            load_classifier(path)


def test_what_is_chosen_never_depends_on_the_slides_that_are_judged() -> None:
    """Change the test fold's counts and labels at will: what is fitted, chosen and calibrated stays the same."""
    counts, y = slides(48, 2, effect=0.7)
    groups = np.arange(48)
    train, test = make_folds(y, groups, 4, 0)[0]
    seen: list[tuple[bytes, dict]] = []

    def spy(c: np.ndarray, labels: np.ndarray, g: np.ndarray, name: str, seed: int, vectors: Sequence[str]) -> Fitted:
        fitted = fit_classifier(c, labels, g, name, seed, vectors)
        seen.append((json.dumps(fitted.rule.to_dict()).encode(), fitted.chosen))
        return fitted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossval, "fit_classifier", spy)
        patch.setattr(crossval, "make_folds", lambda *_: [(train, test)])
        cross_validate(counts, y, groups, "rbf-svm", folds=4, repeats=1, seed=0, advance=nothing)
        other, flipped = counts.copy(), y.copy()
        other[test] = np.random.default_rng(1).multinomial(500, np.full(6, 1 / 6), len(test))
        flipped[test] = 1 - y[test]
        cross_validate(other, flipped, groups, "rbf-svm", folds=4, repeats=1, seed=0, advance=nothing)
    assert seen[0] == seen[1]


def test_choosing_does_not_leak() -> None:
    """On labels that mean nothing the nested score stays at chance; the best of all settings, chosen on the test
    folds, does not: with many classes and few slides that selection alone looks like a finding."""
    honest, leaky = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(60, np.full(20, 0.05), 32).astype(float)
        y = rng.permutation(np.arange(32) % 2).astype(np.intp)
        made = make_folds(y, np.arange(32), 4, seed)
        result = cross_validate(counts, y, np.arange(32), "rbf-svm", folds=4, repeats=1, seed=seed, advance=nothing)
        honest.append(float(table_scores(confusion(y, result.verdicts[0], 2))["f1"]))
        tried = []
        pipeline, grid = _pipeline("rbf-svm", seed)
        for setting in ParameterGrid(grid):
            table = np.zeros((2, 2), np.int64)
            for train, test in made:
                own = clone(pipeline).set_params(**setting).fit(counts[train], y[train])
                table += confusion(y[test], own.predict(counts[test]), 2)
            tried.append(float(table_scores(table)["f1"]))
        leaky.append(max(tried))
    assert abs(np.mean(honest) - 0.5) < 0.08
    assert np.mean(leaky) > np.mean(honest) + 0.04


def test_cross_validation_is_the_same_for_the_same_seed_and_finds_the_class_that_matters() -> None:
    counts, y = slides(48, 2, effect=1.2)
    groups = np.arange(48)
    one = cross_validate(counts, y, groups, "linear-svm", folds=4, repeats=2, seed=5, advance=nothing)
    two = cross_validate(counts, y, groups, "linear-svm", folds=4, repeats=2, seed=5, advance=nothing)
    np.testing.assert_array_equal(one.probability, two.probability)
    np.testing.assert_array_equal(one.importance, two.importance)
    assert one.probability.shape == (2, 48, 2)
    assert not np.array_equal(one.probability[0], one.probability[1])
    assert (one.verdicts == y).mean() > 0.8
    assert set(np.argsort(-one.importance.mean(axis=0))[:2]) == {0, 1}
    assert sum(one.chosen.values()) == 8


def _nearest_mean(counts: np.ndarray, y: np.ndarray, *_: object) -> Fitted:
    """A quick stand-in for `fit_classifier`."""
    means = np.stack([shares(counts[y == i]).mean(axis=0) for i in (0, 1)])
    k, none = counts.shape[1], np.zeros((0, 0))
    return Fitted(Rule("raw", np.zeros(k), np.ones(k), "nearest", means, 0.0, none, np.zeros(2)), {"vector": "raw"})


@pytest.mark.parametrize("slides_each", [1, 3])
def test_p_values_are_uniform_when_labels_mean_nothing(slides_each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With three slides of each patient too, which are alike: exchanging slides instead of patients would not do."""
    monkeypatch.setattr(crossval, "fit_classifier", _nearest_mean)
    groups = np.repeat(np.arange(24), slides_each)
    values = []
    for seed in range(120):
        rng = np.random.default_rng(1000 + seed)
        own = rng.dirichlet(np.full(4, 3.0), 24)[groups]
        counts = np.array([rng.multinomial(200, p) for p in own]).astype(float)
        y = rng.permutation(np.arange(24) % 2)[groups].astype(np.intp)
        _, p, null = permutation_test(
            counts, y, groups, "linear-svm", folds=4, permutations=9, seed=seed, advance=nothing
        )
        assert len(null) == 9
        values.append(p)
    assert 0.45 < np.mean(values) < 0.63, "0.55 when ten values are equally likely"
    assert 0.02 < np.mean(np.array(values) <= 0.1) < 0.19
    assert 0.38 < np.mean(np.array(values) <= 0.5) < 0.64


def test_a_clear_difference_has_the_least_p_value() -> None:
    counts, y = slides(24, effect=3.0)
    observed, p, null = permutation_test(
        counts, y, np.arange(24), "linear-svm", folds=4, permutations=9, seed=0, advance=nothing
    )
    assert observed > null.max()
    assert p == pytest.approx(1 / 10)


def test_reasons_name_the_class_that_made_the_difference() -> None:
    counts, y = slides(60, 2, effect=1.5)
    rule = fit_classifier(counts, y, np.arange(60), "linear-svm", 0).rule
    usual = shares(counts).mean(axis=0)
    found = reasons(rule, np.array([[70.0, 10, 10, 10, 10, 10], [10.0, 70, 10, 10, 10, 10]]), usual)
    assert rule.decisions(np.array([[70.0, 10, 10, 10, 10, 10]])).argmax() == 0
    for i, reason in enumerate(found):
        assert reason[0].index in (0, 1)
        assert {r.index for r in reason} >= {i}
        assert all(r.effect > 0 for r in reason)
        assert [r.effect for r in reason] == sorted((r.effect for r in reason), reverse=True)
        assert all(r.usual == pytest.approx(usual[r.index]) for r in reason)

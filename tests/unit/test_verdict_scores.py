"""Scores of verdicts, against scikit-learn and by hand; intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support, roc_auc_score

from wsipipe.cohort.verdict_scores import auc, calibration, confusion, interval, resampled_scores, roc, table_scores


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=60))
def test_weighted_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, verdict = np.array(pairs, np.intp).T
    scores = table_scores(confusion(truth, verdict, 3))
    p, r, f1, _ = precision_recall_fscore_support(truth, verdict, average="weighted", zero_division=0.0)
    assert scores["precision"] == pytest.approx(p)
    assert scores["recall"] == pytest.approx(r)
    assert scores["f1"] == pytest.approx(f1)
    assert scores["accuracy"] == pytest.approx((truth == verdict).mean())
    if set(verdict) <= set(truth) and len(set(truth)) > 1:
        assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, verdict))


def test_many_tables_at_once() -> None:
    tables = np.random.default_rng(0).integers(0, 9, (4, 5, 3, 3))
    many = table_scores(tables)
    assert many["f1"].shape == (4, 5)
    assert many["f1"][2, 3] == pytest.approx(float(table_scores(tables[2, 3])["f1"]))


def test_auc_and_roc() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    probability = rng.dirichlet(np.ones(3), 60)
    assert auc(truth, probability) == pytest.approx(roc_auc_score(truth, probability, multi_class="ovr"))
    two = np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.2, 0.8]])
    assert auc(np.array([0, 0, 1, 1]), two) == pytest.approx(0.75)
    assert np.isnan(auc(np.zeros(4, np.intp), two))
    curve = roc(np.array([0, 0, 1, 1]), two, 1)
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(0.75)


def test_calibration_of_honest_and_boastful_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 20_000)
    truth = (rng.uniform(size=20_000) < p).astype(np.intp)
    honest = calibration(truth, np.column_stack([1 - p, p]))
    assert honest.error < 0.015
    assert honest.slides.sum() == 20_000
    assert honest.brier == pytest.approx(2 * np.mean(p * (1 - p)), abs=0.01)
    boast = np.where(p > 0.5, 0.99, 0.01)
    loud = calibration(truth, np.column_stack([1 - boast, boast]))
    assert loud.error > 0.2
    assert loud.brier > honest.brier


def test_interval_over_patients_covers_the_true_score() -> None:
    """Verdicts right with probability 0.8 per patient, three alike slides each: the weighted F1 to cover is 0.8."""
    covered, widths = 0, []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        patient_truth = np.arange(40) % 2
        right = rng.uniform(size=40) < 0.8
        groups = np.repeat(np.arange(40), 3)
        truth = patient_truth[groups].astype(np.intp)
        verdict = np.where(right[groups], truth, 1 - truth)
        low, high = interval(resampled_scores(truth, verdict[None], groups, 2, seed, 300)["f1"])
        covered += low <= 0.8 <= high
        alone = interval(resampled_scores(truth, verdict[None], np.arange(120), 2, seed, 300)["f1"])
        widths.append((high - low) / (alone[1] - alone[0]))
    assert 0.88 < covered / 150 <= 0.99
    assert np.mean(widths) > 1.5, "taking slides for patients would promise too much"


def test_scores_are_medians_over_the_repeats() -> None:
    truth = np.array([0, 1] * 10, np.intp)
    wrong = 1 - truth
    drawn = resampled_scores(truth, np.stack([truth, truth, wrong]), np.arange(20), 2, 0, 50)
    np.testing.assert_array_equal(drawn["f1"], 1)

"""Slides judged by profiles: densities and looks of their classes, drawn towards what is usual where cells are few."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.cohort.classifier_file import Classifier, load_classifier, save_classifier
from wsipipe.cohort.classifiers import CLASSIFIERS, fit_classifier
from wsipipe.cohort.crossval import cross_validate
from wsipipe.cohort.profile_vectors import (
    BORROWED_CELLS,
    PROFILE,
    parts,
    profile_rows,
    profile_scale,
    profile_vectors,
    usual_looks,
    usual_profile,
    with_profile,
)
from wsipipe.cohort.reasons import Reason, effects, reasons
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.slide_rows import shares_of, usual_of
from wsipipe.cohort.verdict_scores import confusion, table_scores
from wsipipe.errors import ModelError
from wsipipe.judging import reason_text
from wsipipe.records import DESCRIPTION

Q = len(DESCRIPTION)
K, CHANGED = 4, 8


def slides(n: int, *, denser: float = 1.0, larger: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of n slides; odd ones, label 1, have `denser` times the cells, and in class 2 the first columns `larger`."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    area = rng.uniform(1.0, 3.0, n)
    cells = rng.gamma(20.0, 2.0, (n, K)) * (area * np.where(y == 1, denser, 1.0))[:, None]
    looks = rng.normal(size=(K, Q)) + rng.normal(0, 0.3, (n, K, Q))
    looks[y == 1, 2, :CHANGED] += larger
    return profile_rows(area, cells, looks), y.astype(np.intp)


def f1(rows: np.ndarray, y: np.ndarray, name: str = "linear-svm") -> float:
    found = cross_validate(
        rows, y, np.arange(len(y)), name, folds=4, repeats=1, seed=0, advance=lambda: None, vectors=(PROFILE,)
    )
    return float(table_scores(confusion(y, found.verdicts[0], 2))["f1"])


def test_the_vector_is_densities_and_what_is_unusual_in_looks() -> None:
    looks = np.zeros((2, 2, Q))
    looks[0, 0], looks[1, 0] = 1.0, 3.0
    rows = profile_rows(np.array([4.0, 1.0]), np.array([[36.0, 0.0], [3.0, 1.0]]), looks)
    usual = usual_looks(rows)
    own = np.array([36 / (36 + BORROWED_CELLS), 3 / (3 + BORROWED_CELLS)])
    mean = (own * [1.0, 3.0]).sum() / own.sum()
    np.testing.assert_allclose(usual, [[mean] * Q, [0.0] * Q])
    vector = profile_vectors(rows, usual)
    np.testing.assert_allclose(vector[:, :2], [[3.0, 0.0], [np.sqrt(3.0), 1.0]])
    np.testing.assert_allclose(vector[:, 2 : 2 + Q], (own * ([1.0, 3.0] - mean))[:, None] * np.ones(Q))
    np.testing.assert_array_equal(vector[:, 2 + Q :], 0.0)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_rows_come_apart_as_they_were_put_together(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    area, cells, looks = rng.uniform(0.1, 5, n), rng.uniform(0.1, 50, (n, k)), rng.normal(size=(n, k, Q))
    rows = profile_rows(area, cells, looks)
    found = parts(rows)
    np.testing.assert_array_equal(found.tissue_mm2[:, 0], area)
    np.testing.assert_array_equal(found.cells, cells)
    np.testing.assert_array_equal(found.looks, looks)
    np.testing.assert_allclose(shares_of(rows, PROFILE).sum(axis=1), 1.0)
    donors = rows[::-1].copy()
    changed, before = with_profile(rows, k - 1, donors), rows.copy()
    np.testing.assert_array_equal(rows, before)
    usual = usual_looks(rows)
    theirs, mixed = profile_vectors(donors, usual), profile_vectors(changed, usual)
    np.testing.assert_allclose(mixed[:, k - 1], theirs[:, k - 1])
    np.testing.assert_array_equal(np.delete(changed, [k, *range(1 + k + (k - 1) * Q, 1 + k + k * Q)], 1),
                                  np.delete(rows, [k, *range(1 + k + (k - 1) * Q, 1 + k + k * Q)], 1))  # fmt: skip


def test_both_halves_of_a_vector_weigh_alike() -> None:
    rows, _ = slides(40)
    rows[:, 1 : 1 + K] *= 1000.0
    vectors = profile_vectors(rows, usual_looks(rows))
    center, scale = profile_scale(vectors)
    variance = ((vectors - center) / scale).var(axis=0)
    assert variance.mean() == pytest.approx(1.0)
    assert variance[:K].sum() == pytest.approx(variance[K:].sum())
    same = np.tile(rows[:1], (5, 1))
    assert (profile_scale(profile_vectors(same, usual_looks(same)))[1] > 0).all(), "nothing varies: nothing is divided"


def test_a_usual_slide_has_the_mean_shares() -> None:
    rows, _ = slides(10)
    usual = usual_profile(rows)
    np.testing.assert_allclose(shares_of(usual[None], PROFILE)[0], shares_of(rows, PROFILE).mean(axis=0))
    tissue, cells, looks = parts(usual[None])
    assert tissue[0, 0] == 1.0
    density = parts(rows).cells.sum(axis=1) / parts(rows).tissue_mm2[:, 0]
    assert cells.sum() == pytest.approx(density.mean())
    np.testing.assert_allclose(looks[0], usual_looks(rows))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_come_back_from_their_file(name: str, tmp_path) -> None:
    rows, y = slides(40, larger=1.0)
    rule = fit_classifier(rows, y, np.arange(40), name, 0, (PROFILE,)).rule
    p = rule.probabilities(rows)
    np.testing.assert_array_equal(Rule.from_dict(json.loads(json.dumps(rule.to_dict()))).probabilities(rows), p)
    save_classifier(Classifier(rule, ("a", "b"), "m", "profiles", usual_of(rows, PROFILE), {}), tmp_path / "c.json")
    again = load_classifier(tmp_path / "c.json")
    assert (again.classes, again.judged_by) == (K, "profiles")
    np.testing.assert_array_equal(again.rule.probabilities(rows), p)
    whole = json.loads((tmp_path / "c.json").read_text())
    for change in ({"rule": {**whole["rule"], "looks": whole["rule"]["looks"][1:]}}, {"judged_by": "counted"}):
        (tmp_path / "c.json").write_text(json.dumps({**whole, **change}))
        with pytest.raises(ModelError, match="damaged"):
            load_classifier(tmp_path / "c.json")
    (tmp_path / "c.json").write_text(json.dumps({**whole, "wsipipe_classifier": 2}))
    with pytest.raises(ModelError, match="format version 2, this wsipipe reads 3: use the wsipipe version that wrote"):
        load_classifier(tmp_path / "c.json")


@pytest.mark.parametrize("name", ["linear-svm", "rbf-svm", "logistic"])
def test_density_or_looks_alone_are_enough(name: str) -> None:
    assert f1(*slides(48, denser=1.6), name) > 0.9, "no share differs"
    assert f1(*slides(48, larger=1.2), name) > 0.9
    assert f1(*slides(48), name) < 0.8


def test_importance_and_reasons_name_the_class_and_its_look() -> None:
    rows, y = slides(60, larger=1.5)
    found = cross_validate(
        rows, y, np.arange(60), "linear-svm", folds=4, repeats=1, seed=0, advance=lambda: None, vectors=(PROFILE,)
    )
    assert found.importance.shape == (4, K)
    quick = cross_validate(
        rows, y, np.arange(60), "linear-svm", folds=4, repeats=1, seed=0, advance=lambda: None, vectors=(PROFILE,),
        explained=False,
    )  # fmt: skip
    np.testing.assert_array_equal(quick.probability, found.probability)
    assert not quick.importance.size
    assert found.importance.mean(axis=0).argmax() == 2
    rule = fit_classifier(rows, y, np.arange(60), "linear-svm", 0, (PROFILE,)).rule
    usual = usual_of(rows, PROFILE)
    assert effects(rule, rows, usual).shape == (60, K)
    for row, said in enumerate(reasons(rule, rows[:10], usual)):
        assert said[0].index == 2
        assert said[0].look is not None
        assert said[0].look[0] in DESCRIPTION[:CHANGED]
        assert said[0].look[1] == bool(y[row])
        assert said[0].share == pytest.approx(shares_of(rows, PROFILE)[row, 2])
        density = parts(rows).cells[row, 2] / parts(rows).tissue_mm2[row, 0]
        assert said[0].density == pytest.approx((density, parts(usual[None]).cells[0, 2]))


def test_reasons_say_what_was_judged() -> None:
    density, share = Reason(1, 0.5, 0.5, 1.0, (1234.4, 41.26)), Reason(0, 0.21, 0.081, 1.0)
    look = dataclasses.replace(density, look=("solidity", False))
    assert (
        reason_text([density, share], ("a", "b")) == "b 1234 per mm2 (usually 41.3 per mm2); a 21.0 % (usually 8.1 %)"
    )
    assert reason_text([look], ("a", "b")) == "b 1234 per mm2 (usually 41.3 per mm2, its solidity below usual)"


def test_few_cells_say_little_of_looks() -> None:
    rows, _ = slides(6)
    usual = usual_looks(rows)
    parts(rows).looks[:, 1] = 100.0
    parts(rows).cells[:, 1] = 1e-3
    assert np.abs(profile_vectors(rows, usual)[:, K + Q : K + 2 * Q]).max() < 0.05
    parts(rows).cells[:, 1] = 0.0
    assert np.isfinite(profile_vectors(rows, usual)).all()


@given(st.integers(2, 40), st.floats(-20, 20), st.integers(0, 2**32 - 1))
def test_what_is_the_same_on_every_slide_is_not_lifted(n: int, value: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    looks = rng.normal(3, 0.3, (n, K, Q))
    looks[:, :, 5] = value
    rows = profile_rows(np.full(n, 0.7), np.tile(rng.uniform(1, 50, K), (n, 1)), looks)
    vectors = profile_vectors(rows, usual_looks(rows))
    center, scale = profile_scale(vectors)
    scaled = np.abs((vectors - center) / scale)
    assert scaled[:, K + 5 :: Q].max() < 1e-9
    assert scaled[:, :K].max() < 1e-9


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_slides_that_are_all_alike_are_a_coin_toss_without_a_warning(name: str) -> None:
    rows, y = slides(16)
    assert f1(np.tile(rows[:1], (16, 1)), y, name) < 0.6

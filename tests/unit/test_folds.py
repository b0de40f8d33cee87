"""Folds: patients whole, labels in every part, errors that say how many are needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.cohort.folds import check_enough, exchanged, inner_folds, make_folds
from wsipipe.errors import UsageError


def cohort(sizes: list[int], labels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Patients with so many slides each, labels in turn."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return groups % labels, groups


@given(st.lists(st.integers(1, 5), min_size=16, max_size=40), st.integers(2, 4), st.integers(0, 99))
def test_no_patient_is_on_both_sides_and_every_slide_is_judged_once(sizes: list[int], folds: int, seed: int) -> None:
    y, groups = cohort(sizes)
    made = make_folds(y, groups, folds, seed)
    assert sorted(np.concatenate([test for _, test in made]).tolist()) == list(range(len(y)))
    for train, test in made:
        assert not set(groups[train]) & set(groups[test])
        assert set(y[train]) == {0, 1}
        for inner_train, inner_test in inner_folds(y[train], groups[train], 4, seed):
            assert not set(groups[train][inner_train]) & set(groups[train][inner_test])


def test_folds_are_stratified_and_depend_on_the_seed() -> None:
    y = np.array([0] * 30 + [1] * 10)
    made = make_folds(y, np.arange(40), 4, 0)
    assert sorted(int((y[test] == 1).sum()) for _, test in made) == [2, 2, 3, 3]
    again, other = make_folds(y, np.arange(40), 4, 0), make_folds(y, np.arange(40), 4, 1)
    assert all((a[1] == b[1]).all() for a, b in zip(made, again, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(made, other, strict=True))


def test_one_label_is_refused() -> None:
    with pytest.raises(UsageError, match="all slides are 'normal': give slides of at least two labels"):
        check_enough(np.zeros(9, np.intp), np.arange(9), ["normal"], 4)
    with pytest.raises(UsageError, match="no slide has a label"):
        check_enough(np.zeros(0, np.intp), np.arange(0), [], 4)


def test_too_few_slides_say_how_many_are_needed() -> None:
    y = np.array([0] * 20 + [1] * 3)
    with pytest.raises(
        UsageError, match=r"too few slides: 'b' has 3; 6 folds need 6 of every label: add slides of it.*"
    ):
        check_enough(y, np.arange(23), ["a", "b"], 6)
    with pytest.raises(UsageError, match="2 folds need 4 of every label"):
        check_enough(y, np.arange(23), ["a", "b"], 2)
    check_enough(np.array([0] * 20 + [1] * 6), np.arange(26), ["a", "b"], 6)


def test_patients_are_counted_not_slides() -> None:
    y, groups = cohort([10] * 6)
    with pytest.raises(UsageError, match="too few patients: 'a' has 3, 'b' has 3; 4 folds need 4"):
        check_enough(y, groups, ["a", "b"], 4)


def test_patients_who_cannot_be_dealt_out() -> None:
    groups = np.array([0, 0, 0, 0, 1, 2, 3, 4])
    y = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    with pytest.raises(UsageError, match="cannot be dealt into 4 folds"):
        make_folds(y, groups, 4, 0)


def test_exchange_moves_patients_with_their_slides() -> None:
    y, groups = cohort([1, 4, 2, 3, 5, 1, 2, 2])
    first, rng = np.unique(groups, return_index=True)[1], np.random.default_rng(0)
    for _ in range(20):
        dealt = exchanged(y, groups, rng)
        assert all(len(set(dealt[groups == g])) == 1 for g in range(8))
        assert sorted(dealt[first]) == sorted(y[first])


def test_exchange_of_mixed_patients_keeps_their_mixtures() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2, 2, 3])
    y = np.array([0, 1, 0, 0, 1, 1, 0, 1])
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        dealt = exchanged(y, groups, rng)
        assert sorted(dealt) == sorted(y)
        mixtures = sorted(tuple(sorted(dealt[groups == g])) for g in range(4))
        assert mixtures == sorted(tuple(sorted(y[groups == g])) for g in range(4))
        assert dealt[7] == 1
        seen.add(tuple(dealt.tolist()))
    assert len(seen) > 4

"""P_i = X_i / sum X, and what is said about slides with few cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsipipe.cohort.proportions import ProportionsRow, proportions, proportions_row
from wsipipe.config import ProportionsConfig


def test_counts_and_shares() -> None:
    counts, p = proportions(np.array([0, 2, 2, 2], np.uint8), 4)
    assert counts.dtype == np.int64
    assert counts.tolist() == [1, 0, 3, 0]
    assert p.tolist() == [0.25, 0, 0.75, 0]


def test_no_cells_have_counts_but_no_shares() -> None:
    counts, p = proportions(np.zeros(0, np.uint8), 3)
    assert counts.tolist() == [0, 0, 0]
    assert p.shape == (0,)


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="label 3 is not one of 3"):
        proportions(np.array([3], np.uint8), 3)


@given(
    st.integers(1, 64).flatmap(
        lambda k: st.tuples(st.just(k), arrays(np.uint8, st.integers(1, 300), elements=st.integers(0, k - 1)))
    )
)
def test_shares_sum_to_one_and_order_does_not_matter(case: tuple[int, np.ndarray]) -> None:
    k, labels = case
    counts, p = proportions(labels, k)
    assert counts.sum() == len(labels)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(proportions(labels[::-1], k)[1], p)


@pytest.mark.parametrize(("counts", "flags"), [([0, 0], ("no_nuclei",)), ([4, 5], ("few_cells",)), ([5, 5], ())])
def test_flags_by_the_recipes_minimum(counts: list[int], flags: tuple[str, ...]) -> None:
    row = proportions_row("s", np.array(counts), 1.5, "m", ProportionsConfig(min_cells=10), ("pen",))
    assert row == ProportionsRow("s", tuple(counts), 1.5, ("pen", *flags), "m")
    assert row.n_cells == sum(counts)


def test_shares_of_a_row() -> None:
    assert ProportionsRow("s", (1, 3), 1.0, (), "m").p == (0.25, 0.75)
    assert ProportionsRow("s", (0, 0), 1.0, (), "m").p == ()

"""Slide vectors: what compositions are turned into."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsipipe.cohort.vectors import VECTORS, shares, slide_vectors, with_share

COUNTS = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(2, 8)),
    elements=st.integers(0, 500).map(float),
).map(lambda counts: counts + (counts.sum(axis=1) == 0)[:, None])


def test_by_hand() -> None:
    counts = np.array([[1.0, 3.0, 0.0]])
    np.testing.assert_allclose(slide_vectors(counts, "raw"), [[0.25, 0.75, 0]])
    np.testing.assert_allclose(slide_vectors(counts, "hellinger"), [[0.5, np.sqrt(0.75), 0]])
    logs = np.log([1.5, 3.5, 0.5])
    np.testing.assert_allclose(slide_vectors(counts, "clr"), [logs - logs.mean()])


@given(COUNTS)
def test_geometry_of_each(counts: np.ndarray) -> None:
    np.testing.assert_allclose(slide_vectors(counts, "raw").sum(axis=1), 1)
    np.testing.assert_allclose((slide_vectors(counts, "hellinger") ** 2).sum(axis=1), 1)
    np.testing.assert_allclose(slide_vectors(counts, "clr").sum(axis=1), 0, atol=1e-9)


@given(COUNTS, st.data())
def test_another_share_of_one_class_keeps_the_others_among_themselves(counts: np.ndarray, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, counts.shape[1] - 1))
    share = data.draw(arrays(np.float64, len(counts), elements=st.floats(0, 1)))
    before = counts.copy()
    changed = with_share(counts, index, share)
    np.testing.assert_array_equal(counts, before)
    assert (changed >= 0).all()
    np.testing.assert_allclose(changed.sum(axis=1), counts.sum(axis=1))
    np.testing.assert_allclose(shares(changed)[:, index], share, atol=1e-12)
    others = [i for i in range(counts.shape[1]) if i != index]
    had = counts[:, others].sum(axis=1, keepdims=True)
    kept = np.where(had > 0, counts[:, others] / np.maximum(had, 1), 1 / len(others))
    np.testing.assert_allclose(changed[:, others], kept * ((1 - share) * counts.sum(axis=1))[:, None], atol=1e-9)


def test_a_slide_without_cells_has_no_vector() -> None:
    for kind in ("raw", "hellinger"):
        with pytest.raises(ValueError, match="without cells"):
            slide_vectors(np.zeros((1, 3)), kind)


def test_unknown_vector() -> None:
    with pytest.raises(ValueError, match="raw, hellinger, clr"):
        slide_vectors(np.ones((1, 3)), "ilr")
    assert VECTORS == ("raw", "hellinger", "clr")

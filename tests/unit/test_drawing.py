"""Cells drawn to train on: with their neighbours, evenly from all slides."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.describing import NEIGHBOURS, REACH_UM, nearest
from wsipipe.drawing import _quotas, draw_groups


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 120))
def test_quotas_are_even_and_use_what_there_is(sizes: list[int], count: int) -> None:
    quotas = _quotas(sizes, count)
    assert sum(quotas) == min(count, sum(sizes))
    assert all(quota <= size for quota, size in zip(quotas, sizes, strict=True))
    whole = [quota for quota, size in zip(quotas, sizes, strict=True) if quota < size]
    assert not whole or max(whole) - min(whole) <= 1


def test_all_cells_of_a_small_slide_with_their_nearest() -> None:
    places = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 20.0], [500.0, 500.0]])
    rows, near = draw_groups(nearest(places), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(rows, np.arange(4))
    assert near.shape == (4, NEIGHBOURS)
    assert near[0, :2].tolist() == [1, 2]
    assert (near[3] == -1).all()
    assert (near[0, 2:] == -1).all()


@given(st.integers(0, 1000), st.integers(1, 400))
def test_groups_hold_neighbours_within_reach(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 600, (300, 2))
    rows, near = draw_groups(nearest(places), count, np.random.default_rng(seed))
    assert len(rows) == min(count, 300)
    assert (np.diff(rows) > 0).all()
    own, column = np.nonzero(near >= 0)
    other = near[own, column]
    assert (other != own).all()
    assert (np.hypot(*(places[rows[own]] - places[rows[other]]).T) <= REACH_UM).all()
    if count >= 50:
        assert (near >= 0).any(1).mean() > 0.5


def test_one_cell_and_none() -> None:
    for count in (0, 1):
        rows, near = draw_groups(nearest(np.zeros((count, 2))), 5, np.random.default_rng(0))
        assert (len(rows), near.shape) == (count, (count, NEIGHBOURS))

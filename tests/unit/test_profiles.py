"""Profiles of classes: quartiles by hand, neighbours as drawn."""

import numpy as np
import pytest

from wsipipe.cohort import profiles
from wsipipe.cohort.profiles import class_quartiles, enrichment, neighbour_counts


def test_quartiles_of_each_class() -> None:
    values = np.array([1, 2, 3, 4, 5, 70], np.float32)
    found = class_quartiles(values, np.array([0, 0, 0, 0, 0, 2], np.uint8), 4)
    np.testing.assert_array_equal(found[[0, 2]], [[2, 3, 4], [70, 70, 70]])
    assert np.isnan(found[[1, 3]]).all()
    assert np.isnan(class_quartiles(np.zeros(0), np.zeros(0, np.uint8), 2)).all()


def two_halves(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Cells on a plane, sorted by y; class 0 left, class 1 right, class 2 evenly among both."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 1000, (n, 2))
    xy = xy[np.argsort(xy[:, 1])]
    return xy, np.where(rng.random(n) < 0.2, 2, (xy[:, 0] > 500).astype(int)).astype(np.uint8)


def test_cells_that_lie_apart_are_no_neighbours() -> None:
    xy, classes = two_halves()
    counts = neighbour_counts(xy, classes, 3)
    assert counts.sum() == 5 * len(xy)
    np.testing.assert_array_equal(counts.sum(axis=1), 5 * np.bincount(classes))
    odds = enrichment(counts)
    assert max(odds[0, 1], odds[1, 0]) < 0.3
    assert min(odds[0, 0], odds[1, 1]) > 1.6
    assert odds[2, 2] == pytest.approx(1, abs=0.3)
    assert np.average(odds[0], weights=counts.sum(axis=0)) == pytest.approx(1)


def test_neighbours_by_hand_and_cells_at_one_place() -> None:
    xy = np.array([[0.0, 0], [1, 0], [3, 0], [100, 0]])
    np.testing.assert_array_equal(neighbour_counts(xy[:2], np.array([0, 1]), 2), [[0, 1], [1, 0]])
    same = np.zeros((9, 2))  # more at one place than are asked for
    counts = neighbour_counts(same, np.zeros(9, int), 2)
    assert counts[0, 0] == 45
    assert counts.sum() == 45


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_cells_have_no_neighbours(n: int) -> None:
    counts = neighbour_counts(np.zeros((n, 2)), np.zeros(n, int), 2)
    assert counts.sum() == 0
    assert np.isnan(enrichment(counts)).all()


def test_strips_miss_hardly_a_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    xy, classes = two_halves(4000)
    whole = enrichment(neighbour_counts(xy, classes, 3))
    monkeypatch.setattr(profiles, "_STRIP", 1000)
    counts = neighbour_counts(xy, classes, 3)
    assert counts.sum() == 5 * len(xy)
    np.testing.assert_allclose(enrichment(counts), whole, atol=0.03)

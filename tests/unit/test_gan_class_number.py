"""The suggested number of classes: what is there is found, and nothing is made of noise."""

import numpy as np
import pytest

from wsipipe.gan import class_number
from wsipipe.gan.class_number import MOST_CLASSES, STRONG, _halves, strengths, suggested
from wsipipe.gan.mixture import Described


def kinds(count: int, apart: float, cells: int = 600) -> Described:
    """Cells of `count` kinds that lie `apart` deviations from one another, in random order."""
    rng = np.random.default_rng(count)
    kind = rng.integers(0, count, cells)
    return Described(rng.normal(size=(cells, 12)) + apart * np.eye(count, 12)[kind], np.full((cells, 2), -1))


@pytest.mark.parametrize("count", [2, 4])
def test_kinds_that_lie_apart_are_counted(count: int) -> None:
    found = strengths(kinds(count, 12.0), 0.5, 0)
    assert list(found) == list(range(2, MOST_CLASSES + 1))
    assert found[count] > 0.95
    assert all(0.0 <= value <= 1.0 for value in found.values())
    assert max((k for k, value in found.items() if value > 0.8), default=0) == count


def test_noise_supports_few_classes() -> None:
    found = strengths(kinds(1, 0.0), 0.0, 0)
    assert suggested(found) <= 4
    assert max(found[k] for k in range(5, MOST_CLASSES + 1)) < STRONG


def test_the_most_classes_that_are_strong_enough() -> None:
    assert suggested({2: 0.9, 3: 0.3, 4: STRONG, 5: 0.1}) == 4
    assert suggested({2: 0.1, 3: 0.3, 4: 0.2}) == 3


def test_halves_are_stretches_of_rows() -> None:
    first = _halves(800, np.random.default_rng(0))
    assert first.sum() == 400
    assert (np.diff(first.astype(int)) != 0).sum() <= class_number.STRETCHES


def test_same_answer_twice_and_too_few_cells() -> None:
    cells = kinds(3, 4.0, 200)
    assert strengths(cells, 0.5, 1) == strengths(cells, 0.5, 1)
    with pytest.raises(ValueError, match="20 cells are too few"):
        strengths(kinds(3, 4.0, 20), 0.5, 0)

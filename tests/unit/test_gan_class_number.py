"""The suggested number of classes: kinds that are there are counted, and nothing is made of noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from wsipipe.gan import class_number
from wsipipe.gan.class_number import (
    CUT_IN,
    Support,
    _halves,
    adjusted_rand,
    kinds_show,
    suggested,
    supports,
)
from wsipipe.gan.mixture import Described
from wsipipe.records import DESCRIPTION, VIEWS


def kinds(count: int, apart: float, cells: int = 400) -> Described:
    """Cells of `count` kinds in random order; in every view their centres lie `apart` deviations from one another."""
    rng = np.random.default_rng(count)
    kind = rng.integers(0, count, cells)
    centres = np.zeros((count, len(DESCRIPTION)))
    for columns in VIEWS:
        centres[:, columns] = apart * np.eye(count, columns.stop - columns.start)
    return Described(rng.normal(size=(cells, len(DESCRIPTION))) + centres[kind], np.full((cells, 2), -1))


def supported(strengths: dict[int, float]) -> dict[int, Support]:
    return {k: Support(strength, strength) for k, strength in strengths.items()}


def by_views(cells: Described) -> dict[int, Support]:
    """As far as `kinds_show` asks."""
    return {k: Support(0.0, class_number._of_views(cells, k, 0)) for k in CUT_IN}


def test_views_are_all_columns_once() -> None:
    assert [name for columns in VIEWS for name in DESCRIPTION[columns]] == list(DESCRIPTION)
    assert all(
        name.startswith("beside_") == (columns == VIEWS[2]) for columns in VIEWS for name in DESCRIPTION[columns]
    )


@pytest.mark.parametrize("count", [2, 4])
def test_kinds_that_lie_apart_are_counted(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_number, "MOST_CLASSES", 6)
    found = supports(kinds(count, 8.0, 240), 0.5, 0)
    assert list(found) == [2, 3, 4, 5, 6]
    assert suggested(found) == count
    assert found[count].strength > 0.95
    assert all(-1.0 <= support.views <= 1.0 and -1.0 <= support.halves <= 1.0 for support in found.values())


def test_kinds_show_where_there_are_some() -> None:
    cells = kinds(4, 4.0)
    assert kinds_show(cells, by_views(cells), 0)


def test_noise_shows_no_kinds() -> None:
    noise = kinds(1, 0.0)
    found = by_views(noise)
    assert max(abs(support.views) for support in found.values()) < 0.05
    assert not kinds_show(noise, found, 0)


def test_more_or_less_of_something_is_no_kind() -> None:
    rng = np.random.default_rng(0)
    some = rng.normal(size=(400, 1)) + 0.5 * rng.normal(size=(400, len(DESCRIPTION)))
    cells = Described(some, np.full((400, 2), -1))
    found = by_views(cells)
    assert min(support.views for support in found.values()) > 0.1  # the views cut the one direction alike
    assert not kinds_show(cells, found, 0)


def test_the_strongest_is_suggested() -> None:
    assert suggested(supported({2: 0.1, 3: 0.3, 4: 0.29, 5: 0.2})) == 3


def test_strength_is_the_mean_of_four_comparisons() -> None:
    assert Support(halves=0.8, views=0.4).strength == pytest.approx((0.8 + 3 * 0.4) / 4)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=60))
def test_adjusted_rand_is_the_published_one(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)
    assert adjusted_rand(a, b) == pytest.approx(adjusted_rand(b, a), abs=1e-12)


def test_halves_are_stretches_of_rows() -> None:
    first = _halves(800, np.random.default_rng(0))
    assert first.sum() == 400
    assert (np.diff(first.astype(int)) != 0).sum() <= class_number.STRETCHES


def test_same_answer_twice_and_too_few_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_number, "MOST_CLASSES", 3)
    cells = kinds(3, 4.0, 100)
    assert supports(cells, 0.5, 1) == supports(cells, 0.5, 1)
    with pytest.raises(ValueError, match="20 cells are too few"):
        supports(kinds(3, 4.0, 20), 0.5, 0)

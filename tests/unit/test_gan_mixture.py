"""The mixture that teaches Q: finds what is there, and believes neighbours as much as it is told to."""

import numpy as np
import pytest

from wsipipe.gan.mixture import Described, coherent_classes

COLUMNS = 8


def clusters(seed: int, apart: float, count: int = 600) -> tuple[Described, np.ndarray]:
    """Two kinds of cell, each in its own stretches of a line, `apart` deviations from one another."""
    rng = np.random.default_rng(seed)
    kind = (np.arange(count) // 50) % 2
    values = rng.normal(size=(count, COLUMNS))
    values[:, :4] += apart * kind[:, None] / 2.0
    rows = np.arange(count)
    near = np.column_stack([rows - 1, rows + 1, rows - 2, rows + 2])
    return Described(values, np.where((near >= 0) & (near < count), near, -1)), kind


def right(answers: np.ndarray, kind: np.ndarray) -> float:
    share = float((answers.argmax(1) == kind).mean())
    return max(share, 1.0 - share)


def test_well_separated_kinds_are_found() -> None:
    cells, kind = clusters(0, apart=8.0)
    taught = coherent_classes(cells, 2, 0.0, np.random.default_rng(0))
    answers = taught.answers
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(1), 1.0, atol=1e-5)
    assert right(answers, kind) > 0.99


def test_neighbours_tell_apart_what_measurements_alone_do_not() -> None:
    cells, kind = clusters(1, apart=3.0)
    alone = right(coherent_classes(cells, 2, 0.0, np.random.default_rng(0)).answers, kind)
    together = right(coherent_classes(cells, 2, 2.0, np.random.default_rng(0)).answers, kind)
    assert together > max(alone, 0.95)


def test_cells_without_neighbours_are_judged_alone() -> None:
    cells, _ = clusters(2, apart=4.0)
    lonely = Described(cells.values, np.full_like(cells.neighbours, -1))
    np.testing.assert_array_equal(
        coherent_classes(lonely, 3, 2.0, np.random.default_rng(0)).answers,
        coherent_classes(lonely, 3, 0.0, np.random.default_rng(0)).answers,
    )


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_cells_all_alike_break_nothing(value: float) -> None:
    cells = Described(np.full((20, COLUMNS), value), np.full((20, 4), -1))
    taught = coherent_classes(cells, 4, 1.0, np.random.default_rng(0))
    assert all(np.isfinite(part).all() for part in (taught.answers, taught.weight, taught.bias))


def test_classes_of_new_cells_are_linear_in_their_description() -> None:
    cells, _ = clusters(3, apart=4.0)
    scale, shift = np.linspace(0.1, 20.0, COLUMNS), np.linspace(-5.0, 300.0, COLUMNS)
    raw = Described(cells.values * scale + shift, np.full_like(cells.neighbours, -1))
    taught = coherent_classes(raw, 3, 0.5, np.random.default_rng(0))
    logits = raw.values @ taught.weight.T + taught.bias
    told = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(told / told.sum(1, keepdims=True), taught.answers, atol=0.01)
    alone = coherent_classes(Described(cells.values, raw.neighbours), 3, 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(alone.answers, taught.answers, atol=1e-4)

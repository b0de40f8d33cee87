"""The mixture that teaches Q: finds what is there, and believes neighbours as much as it is told to."""

import numpy as np
import pytest

from wsipipe.gan.mixture import MEASUREMENTS, Measured, coherent_classes


def clusters(seed: int, apart: float, count: int = 600) -> tuple[Measured, np.ndarray]:
    """Two kinds of cell, each in its own stretch of a line, `apart` deviations from one another."""
    rng = np.random.default_rng(seed)
    kind = (np.arange(count) // 50) % 2
    values = rng.normal(size=(count, MEASUREMENTS))
    values[:, 0] += apart * kind
    rows = np.arange(count)
    near = np.column_stack([rows - 1, rows + 1, rows - 2, rows + 2])
    return Measured(values, np.where((near >= 0) & (near < count), near, -1)), kind


def right(answers: np.ndarray, kind: np.ndarray) -> float:
    share = float((answers.argmax(1) == kind).mean())
    return max(share, 1.0 - share)


def test_well_separated_kinds_are_found() -> None:
    cells, kind = clusters(0, apart=8.0)
    answers = coherent_classes(cells, 2, 0.0, np.random.default_rng(0))
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(1), 1.0, atol=1e-5)
    assert right(answers, kind) > 0.99


def test_neighbours_tell_apart_what_measurements_alone_do_not() -> None:
    cells, kind = clusters(1, apart=3.0)
    alone = right(coherent_classes(cells, 2, 0.0, np.random.default_rng(0)), kind)
    together = right(coherent_classes(cells, 2, 2.0, np.random.default_rng(0)), kind)
    assert together > max(alone, 0.95)


def test_cells_without_neighbours_are_judged_alone() -> None:
    cells, _ = clusters(2, apart=4.0)
    lonely = Measured(cells.values, np.full_like(cells.neighbours, -1))
    np.testing.assert_array_equal(
        coherent_classes(lonely, 3, 2.0, np.random.default_rng(0)),
        coherent_classes(lonely, 3, 0.0, np.random.default_rng(0)),
    )


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_cells_all_alike_break_nothing(value: float) -> None:
    cells = Measured(np.full((20, MEASUREMENTS), value), np.full((20, 4), -1))
    assert np.isfinite(coherent_classes(cells, 4, 1.0, np.random.default_rng(0))).all()

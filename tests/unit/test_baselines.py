"""Baselines find what is plain to see, in one answer for one seed."""

import numpy as np
import pytest

from wsipipe.cohort import baselines
from wsipipe.cohort.baselines import MEASURED, CellData, baseline_classes, shape_and_stain
from wsipipe.cohort.evaluate import cluster_scores

KINDS = 3


def cells(n: int, seed: int = 0) -> tuple[CellData, np.ndarray]:
    """Small round dark, large pale, and long nuclei; and which is which."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, KINDS, n)
    centre = np.array(
        [
            [20.0, 16.0, 0.3, 0.97, 0.9, 0.1, 0.2, 0.05],
            [90.0, 36.0, 0.5, 0.95, 0.4, 0.2, 0.3, 0.10],
            [45.0, 32.0, 0.95, 0.90, 0.6, 0.1, 0.5, 0.05],
        ]
    )
    measured = centre[kind] * rng.normal(1, 0.03, (n, len(MEASURED)))
    grey = np.array([60, 200, 130])[kind][:, None, None, None]
    patches = np.clip(grey + rng.normal(0, 20, (n, 8, 8, 3)), 0, 255).astype(np.uint8)
    return CellData(measured, patches), kind


def test_each_finds_kinds_that_are_plain_to_see() -> None:
    data, kind = cells(240)
    found = baseline_classes(data, data, KINDS)
    assert list(found) == [
        "k-means on shape and stain",
        "Gaussian mixture on shape and stain",
        "k-means on pixels",
    ]
    for name, classes in found.items():
        assert cluster_scores(kind, classes).ari == pytest.approx(1), name


def test_other_cells_than_those_fitted_on_are_assigned() -> None:
    known, _ = cells(200)
    others, kind = cells(57, seed=1)
    for classes in baseline_classes(known, others, KINDS).values():
        assert classes.shape == (57,)
        assert cluster_scores(kind, classes).ari == pytest.approx(1)


def test_one_answer_for_one_seed_and_only_some_cells_are_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    data, kind = cells(300)
    noise = np.random.default_rng(3)
    data = CellData(data.measured * noise.normal(1, 0.5, data.measured.shape), data.patches)  # hard: starts matter
    monkeypatch.setattr(baselines, "FIT_CELLS", 120)
    monkeypatch.setattr(baselines, "_CHUNK", 70)
    first, again = (baseline_classes(data, data, 5, seed=4) for _ in range(2))
    for name, classes in first.items():
        np.testing.assert_array_equal(classes, again[name])
        assert len(classes) == 300
    assert cluster_scores(kind, first["k-means on pixels"]).purity > 0.9


@pytest.mark.parametrize(("n", "different"), [(1, 1), (6, 2), (3, 3)])
def test_fewer_cells_than_classes(n: int, different: int) -> None:
    data, _ = cells(different)
    rows = np.arange(n) % different
    few = CellData(data.measured[rows], data.patches[rows])
    for classes in baseline_classes(few, few, 5).values():
        assert classes.max() < different


def test_sizes_are_logarithms_and_the_input_stays() -> None:
    measured = np.array([[np.e, 1.0, 0.5, 1, 1, 0, 0, 0], [0.0, 0, 0, 0, 0, 0, 0, 0]])
    before = measured.copy()
    features = shape_and_stain(measured)
    np.testing.assert_allclose(features[0], [1, 0, 0.5, 1, 1, 0, 0, 0])
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(measured, before)


def test_measurements_and_patches_go_together() -> None:
    with pytest.raises(ValueError, match="2 patches"):
        CellData(np.zeros((3, 8)), np.zeros((2, 8, 8, 3), np.uint8))

"""Vahadane's factorization."""

import numpy as np
import pytest

from wsipipe.image.stain_vectors import degrees, vahadane_vectors

STAINS = np.array([[0.65, 0.70, 0.29], [0.20, 0.93, 0.30]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)
START = np.array([[0.56, 0.72, 0.41], [0.22, 0.80, 0.56]])


def mixture(n: int = 4000, seed: int = 0) -> np.ndarray:
    """Most pixels of mainly one stain, some of both."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.2, 0.9, (n, 2)) * (rng.random((n, 2)) < 0.5)
    return amounts @ STAINS


def objective(od: np.ndarray, vectors: np.ndarray, penalty: float) -> float:
    """The paper's, with concentrations by projected gradient descent: slow, and written another way."""
    amounts = np.full((len(od), 2), 0.1)
    for _ in range(3000):
        gradient = (amounts @ vectors - od) @ vectors.T + penalty
        amounts = np.maximum(amounts - 0.45 * gradient, 0)
    return float(0.5 * ((od - amounts @ vectors) ** 2).sum() + penalty * amounts.sum())


def test_stains_of_a_sparse_mixture_are_found() -> None:
    for found, true in zip(vahadane_vectors(mixture(), 0.1, START), STAINS, strict=True):
        assert degrees(found, true) < 3


@pytest.mark.parametrize("sparsity", [0.02, 0.1, 0.3])
def test_no_small_turn_of_a_vector_makes_the_objective_smaller(sparsity: float) -> None:
    od = mixture(300)
    vectors = vahadane_vectors(od, sparsity, START)
    best = objective(od, vectors, sparsity / np.log(10))
    rng = np.random.default_rng(0)
    for _ in range(12):
        other = np.maximum(vectors + rng.normal(0, 0.02, (2, 3)), 0)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        assert objective(od, other, sparsity / np.log(10)) > best - 1e-6


def test_more_sparsity_makes_a_tighter_cone() -> None:
    angles = [degrees(*vahadane_vectors(mixture(), sparsity, START)) for sparsity in (0.01, 0.1, 0.3)]
    assert angles[0] > angles[1] > angles[2]


def test_a_stain_that_no_pixel_uses_stays_where_it_is() -> None:
    first, second = vahadane_vectors(np.outer(np.linspace(0.1, 1, 500), STAINS[0]), 0.1, STAINS)
    assert degrees(first, STAINS[0]) < 1e-3
    assert (second == STAINS[1]).all()


def test_no_pixel_of_any_stain_gives_finite_vectors() -> None:
    assert (vahadane_vectors(np.zeros((10, 3)), 0.1, START) == START).all()

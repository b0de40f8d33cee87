"""The two directions in optical-density space that a sample of stained pixels is made of.

Both fits are of one sample that is never larger than a few hundred thousand pixels, and add up in a fixed order, so
that neither threads nor tiles can change a vector.

References
----------
Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009.
Vahadane et al., "Structure-preserving color normalization and sparse stain separation for histological images", IEEE
TMI 35(8), 2016.
"""

import numpy as np
from numpy.typing import NDArray

LOG_UNIT = 1.0 / 4096.0
"""Unit of optical density in fits and normalization."""

VAHADANE_PIXELS = 50_000
"""Pixels that enter the factorization, evenly spread over the sample."""
VAHADANE_ROUNDS = 300
"""Most alternations between concentrations and vectors."""
VAHADANE_STEP = 1e-6
"""The factorization has converged when no component of a vector moves by more than this."""

Floats = NDArray[np.float64]


def macenko_vectors(od: Floats, percentile: float) -> Floats:
    """Extreme directions in the plane of the two largest principal components (Macenko 2009, section 2).

    Parameters
    ----------
    od : float64, (n, 3)
        Optical density in whole multiples of LOG_UNIT.
    percentile : float
        Percentile of the angles in the plane, from both ends, that is an extreme.

    Returns
    -------
    float64, (2, 3)
        Unit vectors in no particular order, not negative.
    """
    # Whole-number sums keep the covariance independent of how many threads add it up.
    units = np.rint(od / LOG_UNIT).astype(np.int64)
    mean = units.sum(axis=0) / len(units)
    covariance = np.array([[(units[:, i] * units[:, j]).sum() for j in range(3)] for i in range(3)]) / len(units)
    covariance -= np.outer(mean, mean)
    axes = np.linalg.eigh(covariance)[1][:, [2, 1]]
    axes = axes * np.where(axes.sum(axis=0) < 0, -1.0, 1.0)
    x = od[:, 0] * axes[0, 0] + od[:, 1] * axes[1, 0] + od[:, 2] * axes[2, 0]
    y = od[:, 0] * axes[0, 1] + od[:, 1] * axes[1, 1] + od[:, 2] * axes[2, 1]
    low, high = np.percentile(np.arctan2(y, x), [percentile, 100.0 - percentile])
    return np.stack([unit(axes[:, 0] * np.cos(angle) + axes[:, 1] * np.sin(angle)) for angle in (low, high)])


def vahadane_vectors(od: Floats, sparsity: float, start: Floats) -> Floats:
    """Sparse non-negative factorization of optical density into two stains (Vahadane 2016).

    The paper's objective, over pixels V (3, n), stain vectors W (3, 2) and concentrations H (2, n):

        1/2 ||V - W H||_F^2 + lambda sum_ij |H_ij|,    W, H >= 0,    ||W_j||_2 = 1

    Concentrations are solved exactly, vectors by block coordinate descent, in turns, from a fixed start: no random
    numbers. Without the second term any cone that holds all pixels would do; it draws the two vectors together
    until they are the tightest such cone, but for the noise.

    Parameters
    ----------
    od : float64, (n, 3)
        Optical density, decimal logarithm.
    sparsity : float
        The paper's lambda, which is for natural logarithms.
    start : float64, (2, 3)
        Unit vectors to begin with.

    Returns
    -------
    float64, (2, 3)
        Unit vectors in the order of `start`, not negative.
    """
    pixels = od[:: -(-len(od) // VAHADANE_PIXELS)]
    vectors = np.asarray(start, np.float64)
    for _ in range(VAHADANE_ROUNDS):
        amounts = _amounts(pixels, vectors, sparsity / np.log(10.0))
        after = _refit(pixels, amounts, vectors)
        moved = float(np.abs(after - vectors).max())
        vectors = after
        if moved < VAHADANE_STEP:
            break
    return vectors


def unit(vector: Floats) -> Floats:
    """The vector, or its opposite where that is more positive, cut off at 0 and of length 1."""
    positive = np.maximum(vector if vector.sum() >= 0 else -vector, 0.0)
    return np.asarray(positive / np.linalg.norm(positive))


def degrees(a: Floats, b: Floats) -> float:
    """Angle between two vectors."""
    cosine = float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b)))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _amounts(pixels: Floats, vectors: Floats, penalty: float) -> Floats:
    """Concentrations (2, n) that minimize the objective for given unit vectors: the best of four closed forms."""
    first, second = (pixels[:, 0] * v[0] + pixels[:, 1] * v[1] + pixels[:, 2] * v[2] - penalty for v in vectors)
    cosine = float((vectors[0] * vectors[1]).sum())
    spread = max(1.0 - cosine * cosine, 1e-9)
    both = np.stack([first - cosine * second, second - cosine * first]) / spread
    # Where one is not positive, it is 0 and the other is alone.
    alone_first = (both[1] <= 0.0) & (both[0] > both[1])
    alone_second = (both[0] <= 0.0) & ~alone_first
    return np.stack(
        [
            np.where(alone_first, np.maximum(first, 0.0), np.where(alone_second, 0.0, np.maximum(both[0], 0.0))),
            np.where(alone_second, np.maximum(second, 0.0), np.where(alone_first, 0.0, np.maximum(both[1], 0.0))),
        ]
    )


def _refit(pixels: Floats, amounts: Floats, vectors: Floats) -> Floats:
    """One round of block coordinate descent on the unit vectors for given concentrations."""
    gram = np.array([[(a * b).sum() for b in amounts] for a in amounts])
    cross = np.array([[(a * pixels[:, c]).sum() for c in range(3)] for a in amounts])
    after = vectors.copy()
    for j in range(2):
        if gram[j, j] <= 0.0:
            continue  # a stain that no pixel uses stays where it is
        target = after[j] + (cross[j] - gram[j, 0] * after[0] - gram[j, 1] * after[1]) / gram[j, j]
        positive = np.maximum(target, 0.0)
        if positive.any():
            after[j] = positive / np.linalg.norm(positive)
    return after

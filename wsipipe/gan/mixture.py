"""Kinds of cell from descriptions alone: a mixture whose classes are coherent in the tissue. What Q begins with."""

from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STARTS, ROUNDS = 10, 80
"""Mixtures are fitted from this many starts, so many rounds each; the likeliest is kept. After fewer rounds one that
ends better can still be behind."""
FIT_CELLS = 8000
"""Most cells that starts are compared on; the mixture is then fitted to all."""

MIX = 0.05
"""Share of the whole prior in that of a cell's surroundings: a lone cell of its kind stays possible."""

TINY = 1e-9


@dataclass(frozen=True)
class Described:
    """What is known of the training cells, beside their patches.

    Attributes
    ----------
    values : float64, (n, d)
        Descriptions.
    neighbours : int64, (n, m)
        Rows of the nearest cells of the same slide; -1 where there is none within reach.
    """

    values: Floats
    neighbours: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    def standardized(self) -> Floats:
        """The descriptions, each column of mean 0 and standard deviation 1 over these cells."""
        mean, spread = self.scale()
        standard: Floats = (self.values - mean) / spread
        return standard

    def scale(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each column, 1 where it is 0."""
        spread = self.values.std(0)
        return self.values.mean(0), np.where(spread > TINY, spread, 1.0)


@dataclass(frozen=True)
class Taught:
    """Classes of the training cells, and how to tell them of others.

    Attributes
    ----------
    answers : float32, (n, k)
        Probability of each class for every training cell; rows sum to 1.
    weight, bias : float64, (k, d) and (k,)
        Logarithms of the probabilities of a cell, its neighbours' classes left aside, up to a constant: linear in its
        description, since all Gaussians have one spread.
    """

    answers: NDArray[np.float32]
    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Points:
    """Descriptions with what every round of a fit asks of them.

    Attributes
    ----------
    values : float64, (n, d)
    squares : float64, (n,)
        Squared length of each row.
    square : float
        Sum over all values.
    """

    values: Floats
    squares: Floats
    square: float

    @classmethod
    def of(cls, values: Floats) -> "Points":
        """Of descriptions (n, d)."""
        squared = values**2
        return cls(values, squared.sum(1), float(squared.sum()))


@dataclass(frozen=True)
class Mixture:
    """Gaussians of one common, spherical spread, with learned weights.

    Attributes
    ----------
    centres : float64, (k, d)
    spread : float
        Variance, the same for every class and column.
    weights : float64, (k,)
        Prior of each class; sums to 1.
    """

    centres: Floats
    spread: float
    weights: Floats

    def log_joint(self, points: Points) -> Floats:
        """Logarithm of p(class, description) of descriptions, up to a constant: (n, k)."""
        square = (points.squares[:, None] - 2.0 * (points.values @ self.centres.T)) + (self.centres**2).sum(1)
        dims = points.values.shape[1]
        found: Floats = np.log(self.weights + TINY) - 0.5 * square / self.spread - 0.5 * dims * np.log(self.spread)
        return found


def coherent_classes(cells: Described, k: int, coherence: float, rng: np.random.Generator) -> Taught:
    """Probability of each of `k` classes for every cell, from its description and its neighbours' classes.

    A mixture fitted by expectation and maximization in which a cell's prior is that of its surroundings, as in the
    hidden Markov random fields of Zhang, Brady and Smith (IEEE TMI 2001), mean-field: neighbours' mean probabilities
    over the whole prior, to the power `coherence`.

    Parameters
    ----------
    cells : Described
        At least `k` rows.
    k : int
    coherence : float
        0 looks at each cell alone.
    rng : numpy.random.Generator
        Of the starts.
    """
    values = cells.standardized()
    points, mixture = Points.of(values), _best_start(values, k, rng)
    there = (cells.neighbours >= 0)[..., None]
    count = np.maximum(there.sum(1), 1)
    lonely = ~there.any(1)
    answers = _softmax(mixture.log_joint(points))
    for _ in range(ROUNDS):
        mixture = _maximized(points, answers)
        log_joint = mixture.log_joint(points)
        if coherence:
            around = (answers[cells.neighbours] * there).sum(1) / count
            whole = answers.mean(0)
            lift = np.log((1.0 - MIX) * around + MIX * whole + TINY) - np.log(whole + TINY)
            log_joint = log_joint + coherence * np.where(lonely, 0.0, lift)
        answers = _softmax(log_joint)
    mean, spread = cells.scale()
    weight = mixture.centres / mixture.spread / spread
    bias = np.log(mixture.weights + TINY) - 0.5 * (mixture.centres**2).sum(1) / mixture.spread - weight @ mean
    return Taught(answers.astype(np.float32), weight, bias)


def _best_start(values: Floats, k: int, rng: np.random.Generator) -> Mixture:
    """The most likely of a few mixtures, neighbours left aside."""
    some = values if len(values) <= FIT_CELLS else values[rng.choice(len(values), FIT_CELLS, replace=False)]
    starts = (Mixture(_scattered(some, k, rng), 1.0, np.full(k, 1.0 / k)) for _ in range(STARTS))
    points = Points.of(some)
    return max((_fitted(start, points) for start in starts), key=itemgetter(0))[1]


def _fitted(mixture: Mixture, points: Points) -> tuple[float, Mixture]:
    """After ROUNDS of expectation and maximization: mean log-likelihood, and the mixture."""
    for _ in range(ROUNDS):
        mixture = _maximized(points, _softmax(mixture.log_joint(points)))
    return _log_likelihood(mixture, points), mixture


def _scattered(values: Floats, k: int, rng: np.random.Generator) -> Floats:
    """Starting centres far from one another: k-means++ of Arthur and Vassilvitskii (SODA 2007)."""
    centres = [values[rng.integers(len(values))]]
    nearest = np.full(len(values), np.inf)
    for _ in range(k - 1):
        nearest = np.minimum(nearest, ((values - centres[-1]) ** 2).sum(1))
        centres.append(values[rng.choice(len(values), p=(nearest + TINY) / (nearest + TINY).sum())])
    return np.array(centres)


def _maximized(points: Points, answers: Floats) -> Mixture:
    weight = answers.sum(0) + TINY
    centres = answers.T @ points.values / weight[:, None]
    square = points.square - (weight[:, None] * centres**2).sum()
    return Mixture(centres, max(square / points.values.size, TINY), weight / weight.sum())


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    normed: Floats = powers / powers.sum(1, keepdims=True)
    return normed


def _log_likelihood(mixture: Mixture, points: Points) -> float:
    log_joint = mixture.log_joint(points)
    highest = log_joint.max(1)
    return float((highest + np.log(np.exp(log_joint - highest[:, None]).sum(1))).mean())

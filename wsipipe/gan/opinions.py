"""Q's two opinions of a cell, of its patch and of its description, made one answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.gan.checkpoint import Model

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Slide:
    """What Q has got used to on a slide: see `gan.slide`.

    Attributes
    ----------
    seen, known : float64, (k,)
        By how much the logarithms of both opinions, of patches and of descriptions, are off here.
    lift : float64, (k,)
        Logarithm of each class's share here over its usual one.
    """

    seen: Floats
    known: Floats
    lift: Floats


def fused(
    model: Model, seen: NDArray[np.float32], described: NDArray[np.floating] | None, slide: Slide | None = None
) -> Floats:
    """Q's log-probabilities (n, k) from those of patches and, where the model weighs them, from descriptions.

    Both opinions count alike: their geometric mean, to the power of the model's sharpness, scaled to sum to 1. Every
    cell is computed by itself.
    """
    if not model.config.describe or described is None:
        return seen.astype(np.float64)
    return joined(seen.astype(np.float64), logits(model, described), power(model), slide)


def joined(seen: Floats, told: Floats, sharpness: float, slide: Slide | None = None) -> Floats:
    """Log-probabilities (n, k) from those of patches and the logits of descriptions, (n, k) each."""
    if slide is None:
        return log_softmax((seen + log_softmax(told)) * (sharpness / 2.0))
    both = (log_softmax(seen - slide.seen) + log_softmax(told - slide.known)) * (sharpness / 2.0)
    return log_softmax(both + slide.lift)


def power(model: Model) -> float:
    """How sure the answers of a model that weighs descriptions may be: see `gan.sharpness`."""
    return float(model.tensors["critic.sharpness"])


def known(model: Model, described: NDArray[np.floating]) -> Floats:
    """Log-probabilities (n, k) by descriptions alone."""
    return log_softmax(logits(model, described))


def logits(model: Model, described: NDArray[np.floating]) -> Floats:
    """The same up to a constant of each cell; summed column by column, so that no sum depends on n."""
    weight, bias = (model.tensors[f"critic.described.{name}"].double().numpy() for name in ("weight", "bias"))
    found = np.tile(bias, (len(described), 1))
    for column, weights in zip(described.T.astype(np.float64), weight.T, strict=True):
        found += column[:, None] * weights
    return found


def log_softmax(values: Floats) -> Floats:
    """Logarithms of probabilities that sum to 1 in each row."""
    shifted = values - values.max(1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found

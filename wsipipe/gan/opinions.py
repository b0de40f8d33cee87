"""Q's two opinions of a cell, of its patch and of its description, made one answer."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.gan.checkpoint import Model

Floats = NDArray[np.float64]


def fused(model: Model, seen: NDArray[np.float32], described: NDArray[np.floating] | None) -> Floats:
    """Q's log-probabilities (n, k) from those of patches and, where the model weighs them, from descriptions.

    Both opinions count alike: their geometric mean, to the power of the model's sharpness, scaled to sum to 1. Every
    cell is computed by itself.
    """
    both = seen.astype(np.float64)
    if model.config.describe and described is not None:
        both = log_softmax((both + known(model, described)) * (float(model.tensors["critic.sharpness"]) / 2.0))
    return both


def known(model: Model, described: NDArray[np.floating]) -> Floats:
    """Log-probabilities (n, k) by descriptions alone; summed column by column, so that no sum depends on n."""
    weight, bias = (model.tensors[f"critic.described.{name}"].double().numpy() for name in ("weight", "bias"))
    logits = np.tile(bias, (len(described), 1))
    for column, weights in zip(described.T.astype(np.float64), weight.T, strict=True):
        logits += column[:, None] * weights
    return log_softmax(logits)


def log_softmax(logits: Floats) -> Floats:
    """Logarithms of probabilities that sum to 1 in each row."""
    shifted = logits - logits.max(1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found

"""How sure Q may be: descriptions are made of columns that tell the same twice, so their probabilities are too sure."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 0.02
"""Where the two opinions have nothing to do with one another Q is nearly indifferent, but its classes keep an order."""

_HALVINGS = 40


def sharpness(known: Floats, seen: Floats) -> float:
    """Inverse temperature under which a cell's description best predicts what its patch is taken for.

    Temperature scaling (Guo et al., ICML 2017) with the other of Q's two opinions in the place of labels: the power
    of the description's probabilities that makes the patches' classes likeliest. The likelihood is concave in it.

    Parameters
    ----------
    known, seen : float64, (n, k)
        Log-probabilities of the classes by descriptions, and by patches, of the same cells.

    Returns
    -------
    float
        Between LEAST and 1: never surer than the mixture said.
    """
    classes = seen.argmax(1)
    stated = known[np.arange(len(known)), classes].mean()

    def too_low(power: float) -> bool:
        scaled = power * known
        p = np.exp(scaled - scaled.max(1, keepdims=True))
        return bool(stated > ((known * p).sum(1) / p.sum(1)).mean())  # the derivative is what was stated minus this

    low, high = LEAST, 1.0  # ends close to one of them when the best lies beyond
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return (low + high) / 2.0

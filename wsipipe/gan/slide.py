"""Q gets used to a slide before it answers: how common the classes are there, and what staining does to its opinions.

Slides differ more in staining, thickness and scanner than kinds of cell differ from one another, and some hold hardly
any of a kind that is common elsewhere. So a model is adapted to each slide by its cells, without labels, as models of
speech are to a speaker.
"""

import numpy as np
from numpy.typing import NDArray

from wsipipe.gan.checkpoint import Model
from wsipipe.gan.opinions import Floats, Slide, joined, logits, power

TRUST, HALF_TRUSTED = 0.7, 50.0
"""How far a slide is followed where it differs from what is usual, and for how many cells half as far. Never all the
way: kinds of cell differ between slides as staining does, and a kind not found yet may still be there."""

ROUNDS = 20
TINY = 1e-9
MOST_CELLS = 50_000
"""Cells of a slide that it is known by, evenly from all of it."""

USUAL = ("usual_share", "usual_seen", "usual_known")
"""Buffers of the critic, found at the end of a training: share of each class, and mean of both opinions' logits over
its cells, (k,), (k, k) and (k, k)."""


def usual(model: Model, seen: NDArray[np.float32], described: NDArray[np.floating]) -> tuple[Floats, Floats, Floats]:
    """What the classes are like over the training cells: values of the buffers USUAL.

    Parameters
    ----------
    model : Model
    seen : float32 (n, k)
        Log-probabilities by patches.
    described : floating, (n, len(DESCRIPTION))
        Of the same cells.
    """
    k = seen.shape[1]
    whole, of_seen, of_told = np.zeros(k), np.zeros((k, k)), np.zeros((k, k))
    for start in range(0, len(seen), MOST_CELLS):
        rows = slice(start, start + MOST_CELLS)
        patches, told = seen[rows].astype(np.float64), logits(model, described[rows])
        probability = np.exp(joined(patches, told, power(model)))
        for c, weights in enumerate(probability.T):  # no BLAS, whose sums depend on its threads
            whole[c] += weights.sum()
            of_seen[c] += (weights[:, None] * patches).sum(0)
            of_told[c] += (weights[:, None] * told).sum(0)
    count = np.maximum(whole, TINY)[:, None]
    return np.maximum(whole, TINY) / whole.sum(), of_seen / count, of_told / count


def slide_of(model: Model, seen: NDArray[np.float32], described: NDArray[np.floating] | None) -> Slide | None:
    """What Q gets used to on a slide, from all its cells (or MOST_CELLS of them); None where its model does not.

    Shares are found by expectation and maximization, as Saerens, Latinne and Decaestecker adjust a classifier to new
    priors (Neural Computation 14, 2002). Both opinions are shifted as a whole by what the slide's mean differs from
    what its classes usually give, as models of speech are by a bias of maximum likelihood (Sankar and Lee, IEEE
    Transactions on Speech and Audio Processing 4, 1996). Of both a part is done: see TRUST.

    Parameters
    ----------
    model : Model
    seen : float32 (n, k)
        Log-probabilities by patches.
    described : floating, (n, len(DESCRIPTION))
        Of the same cells; without them nothing is known of the slide.
    """
    if not model.config.adapt or described is None or not len(seen):
        return None
    step = -(-len(seen) // MOST_CELLS)
    patches, told = seen[::step].astype(np.float64), logits(model, described[::step])
    share, *wonts = (model.tensors[f"critic.{name}"].double().numpy() for name in USUAL)
    means, sharpness = (patches.mean(0), told.mean(0)), power(model)
    trust = TRUST * len(seen) / (len(seen) + HALF_TRUSTED)
    slide = Slide(np.zeros_like(share), np.zeros_like(share), np.zeros_like(share))
    for _ in range(ROUNDS):
        here = np.exp(joined(patches, told, sharpness, slide)).mean(0)
        lift = np.log((1.0 - trust) * share + trust * here) - np.log(share)
        shifts = [trust * (mean - (here[:, None] * wont).sum(0)) for mean, wont in zip(means, wonts, strict=True)]
        slide = Slide(shifts[0], shifts[1], lift)
    return slide

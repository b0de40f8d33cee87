"""How good classes are, judged without labels: for choosing among restarts, and among numbers of classes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsipipe.gan.augment import augment
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.device import fixed_arithmetic
from wsipipe.gan.mixture import Described
from wsipipe.gan.opinions import fused

CHOSEN_BY = "separation"
"""The criterion that a restart is chosen by: of four the one that ranks the seeds of one split most as labels do."""
JUDGED_CELLS = 2048
"""Most training cells that a model is judged on."""
STRETCHES = 8
JUDGED_AT_ONCE = 128
VIEW_SEED = 1


def judged(described: Described) -> tuple[NDArray[np.int64], Described]:
    """Rows of at most JUDGED_CELLS training cells, in stretches in which neighbours are together, and their part."""
    total = len(described)
    if total <= JUDGED_CELLS:
        return np.arange(total), described
    size = JUDGED_CELLS // STRETCHES
    starts = np.linspace(0, total - size, STRETCHES).astype(np.int64)
    rows = np.unique(starts[:, None] + np.arange(size))
    place = np.full(total + 1, -1)
    place[rows] = np.arange(len(rows))
    return rows, Described(described.values[rows], place[described.neighbours[rows]])


@torch.inference_mode()
def criteria(model: Model, patches: NDArray[np.uint8], described: Described) -> dict[str, float]:
    """Judge a model's classes on cells, best ones it was not trained on; more is better in each.

    Parameters
    ----------
    model : Model
    patches : uint8, (n, s, s, 3)
    described : Described
        Of the same cells.

    Returns
    -------
    dict
        "information": mutual information of Q's answers to two views of a cell, over log k (Ji et al., ICCV 2019).
        "agreement": share of cells that get one class in both views.
        "coherence": mutual information of the classes of a cell and of its neighbour, over the classes' entropy.
        "separation": share of the descriptions' variance that lies between the classes.
    """
    random, critic = torch.Generator().manual_seed(VIEW_SEED), model.critic()
    views: list[list[Tensor]] = [[], []]
    with fixed_arithmetic(1):
        for start in range(0, len(patches), JUDGED_AT_ONCE):
            some = torch.from_numpy(np.asarray(patches[start : start + JUDGED_AT_ONCE]))
            for view in views:
                view.append(critic.log_classes(augment(some, model.config.augment, random)))
    a, b = (np.exp(fused(model, torch.cat(view).numpy(), described.values)) for view in views)
    classes = (a + b).argmax(1)
    pairs = _neighbour_pairs(described)
    k = model.config.classes
    shares = np.bincount(classes, minlength=k) / len(classes)
    return {
        "information": _information(a.T @ b) / float(np.log(k)),
        "agreement": float((a.argmax(1) == b.argmax(1)).mean()),
        "coherence": _information(_table(classes[pairs[0]], classes[pairs[1]], k)) / max(_entropy(shares), 1e-9),
        "separation": _between(described.standardized(), classes, k),
    }


def _neighbour_pairs(described: Described) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    row, column = np.nonzero(described.neighbours >= 0)
    return row, described.neighbours[row, column]


def _table(a: NDArray[np.intp], b: NDArray[np.intp], k: int) -> NDArray[np.float64]:
    return np.bincount(a * k + b, minlength=k * k).reshape(k, k).astype(np.float64)


def _entropy(shares: NDArray[np.float64]) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def _information(table: NDArray[np.float64]) -> float:
    """Mutual information (nats) of a joint table of counts or probabilities; 0 for an empty one."""
    joint = (table + table.T) / max(2.0 * table.sum(), 1e-12)
    return 2.0 * _entropy(joint.sum(1)) - _entropy(joint.ravel())


def _between(values: NDArray[np.float64], classes: NDArray[np.intp], k: int) -> float:
    whole = ((values - values.mean(0)) ** 2).sum()
    parts = [values[classes == c] for c in range(k) if (classes == c).any()]
    within = sum(((part - part.mean(0)) ** 2).sum() for part in parts)
    return float(1.0 - within / whole) if whole > 0 else 0.0

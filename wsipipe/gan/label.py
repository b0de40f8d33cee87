"""Class and confidence of every cell: Q on real patches, then weighed with what else is known of the cells."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import ModelError
from wsipipe.gan.asking import Look, arithmetic, asking, pool
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.nets import Critic
from wsipipe.gan.opinions import Floats, fused
from wsipipe.records import DESCRIPTION

SLICE = 8192
"""Rows read at once; as many slices are in memory at a time as there are readers."""

READERS, MOST_CUDA_READERS = 2, 8
"""Slices read at a time: one is read while the other's patches are looked at. A GPU is kept busy by more of them."""

CLOSE = 0.1
"""A patch whose two best classes are this near in probability is looked at again in float32. In bfloat16 probabilities
are off by 0.014 (root mean square; the model that ships, on CoNSeP); docs/benchmarks.md says how many labels agree."""

WEIGHED_ROWS = 1 << 16
"""Cells weighed at once."""

Labelled = tuple[NDArray[np.uint8], NDArray[np.float32]]


def label(
    model: Model,
    patches: Any,
    *,
    device: str,
    threads: int,
    described: NDArray[np.floating] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Label cells: `looking` at their patches, then `weigh`.

    Parameters
    ----------
    model : Model
    patches : array_like uint8 (n, s, s, 3)
        RGB; NumPy or Zarr, read in slices.
    device : {"cpu", "cuda"}
    threads : int
        Batches computed at a time on the CPU; on a GPU, slices read at a time.
    described : floating, (n, len(DESCRIPTION)), optional
        Descriptions of the cells. Without them Q judges by the patches alone, as it does for cells that G draws.
    progress : callable, optional
        Called with the cells done and their total.

    Returns
    -------
    classes : uint8 (n,)
    confidence : float32 (n,)
        Probability of that class under Q.

    Raises
    ------
    ModelError
        If the patches are not of the model's size.
    ValueError
        If there is not one description for each patch.
    """
    if described is not None and described.shape != (len(patches), len(DESCRIPTION)):
        msg = f"{described.shape} descriptions for {len(patches)} patches"
        raise ValueError(msg)
    seen = seen_in(model, patches, device=device, threads=threads, alone=described is None, progress=progress)
    weighed = weigh(model, seen, described)
    return weighed.classes, weighed.confidence


def seen_in(
    model: Model,
    patches: Any,
    *,
    device: str,
    threads: int,
    alone: bool,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Q's log-probabilities (n, k) of patches, as `looking` gives them; parameters as for `label` and `looking`.

    Raises
    ------
    ModelError
        If the patches are not of the model's size.
    """
    check_patches(model, patches)
    total = patches.shape[0]
    seen = np.empty((total, model.config.classes), np.float32)
    with looking(model, device, threads, alone=alone) as look:

        def take(start: int, rows: NDArray[np.uint8]) -> None:
            seen[start : start + len(rows)] = look(rows)

        for done in feed(patches, take, readers(device, threads)):
            if progress is not None:
                progress(done, total)
    return seen


def check_patches(model: Model, patches: Any) -> None:
    """Refuse patches of another size or type than the model takes.

    Raises
    ------
    ModelError
    """
    shape = (model.patch_px, model.patch_px, 3)
    if tuple(patches.shape[1:]) != shape or patches.dtype != np.uint8:
        raise ModelError(
            f"the model takes uint8 patches of {shape}, these are {patches.dtype} of {tuple(patches.shape[1:])}",
            "use a model and a recipe of one patch size",
        )


def readers(device: str, threads: int) -> int:
    """Slices to read at a time, where `threads` threads may be kept busy."""
    return READERS if device == "cpu" else min(max(READERS, threads), MOST_CUDA_READERS)


def feed(patches: Any, take: Callable[[int, NDArray[np.uint8]], None], at_once: int = READERS) -> Iterator[int]:
    """Call `take` with the first row and the patches of every slice, `at_once` at a time; yields how many are done."""
    total = patches.shape[0]

    def one(start: int) -> int:
        rows = np.asarray(patches[start : start + SLICE])
        take(start, rows)
        return start + len(rows)

    with pool(at_once, "read") as workers:
        yield from workers.map(one, range(0, total, SLICE))


@contextmanager
def looking(model: Model, device: str, threads: int, *, alone: bool = True) -> Iterator[Look]:
    """Q's opinion on patches alone, while the context lasts; any number of threads may ask at once.

    See `asking`, to which it adds: where the patch alone decides, one whose two best classes are close is looked at
    again in float32.

    Parameters
    ----------
    model : Model
    device : {"cpu", "cuda"}
    threads : int
        Batches computed at a time on the CPU.
    alone : bool
        Whether patches alone will decide, even if the model could weigh descriptions.

    Yields
    ------
    callable
        From uint8 (n, s, s, 3) to log-probabilities of the classes, float32 (n, k).
    """
    again = arithmetic(model, device) != "float32" and (alone or not model.config.describe)
    with asking(model, device, threads, Critic.log_classes, model.config.classes) as (fast, exact):

        def look(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
            found = fast(patches)
            if again:
                close = np.flatnonzero(_is_close(found))
                found[close] = exact(patches[close])
            return found

        yield look


@dataclass(frozen=True, eq=False)
class Weighed:
    """Q's answers to the cells of one slide.

    Attributes
    ----------
    classes : uint8 (n,)
        The likeliest.
    confidence : float32 (n,)
        Its probability.
    expected : float64 (k,)
        Mean probability of each class: its expected share. Without cells, zeros.
    profile : float64 (k, len(DESCRIPTION)) or (k, 0)
        Mean description of the cells of each class, every cell weighed by its probability; without columns where cells
        are not described.
    """

    classes: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    expected: Floats
    profile: Floats


def weigh(model: Model, seen: NDArray[np.float32], described: NDArray[np.floating] | None = None) -> Weighed:
    """Classes from what Q sees in patches and, where the model weighs them, from descriptions of the cells.

    Parameters
    ----------
    model : Model
    seen : float32 (n, k)
        Log-probabilities, as `looking` gives them.
    described : floating, (n, len(DESCRIPTION)), optional
    """
    classes, confidence = np.empty(len(seen), np.uint8), np.empty(len(seen), np.float32)
    about = np.zeros((len(seen), 0)) if described is None else described.astype(np.float64, copy=False)
    expected, summed = np.zeros(seen.shape[1]), np.zeros((seen.shape[1], about.shape[1]))
    for start in range(0, len(seen), WEIGHED_ROWS):
        rows = slice(start, start + WEIGHED_ROWS)
        both = fused(model, seen[rows], None if described is None else described[rows])
        classes[rows] = both.argmax(1)
        confidence[rows] = np.exp(np.minimum(both.max(1), 0.0))
        probability = np.exp(both)
        expected += probability.sum(0)
        for c, weights in enumerate(probability.T):  # no BLAS, whose sums depend on its threads
            summed[c] += (weights[:, None] * about[rows]).sum(0)
    profile = summed / np.maximum(expected, np.finfo(float).tiny)[:, None]
    return Weighed(classes, confidence, expected / max(len(seen), 1), profile)


def _is_close(seen: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whose two best classes are less than CLOSE apart in probability."""
    best = np.exp(np.sort(seen, 1)[:, -2:])
    close: NDArray[np.bool_] = best[:, -1] - best[:, 0] < CLOSE
    return close

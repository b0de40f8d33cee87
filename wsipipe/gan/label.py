"""Class and confidence of every cell: Q on real patches."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsipipe.errors import ModelError
from wsipipe.gan.augment import to_unit
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.device import fast_dtype, fixed_arithmetic
from wsipipe.gan.folded import folded
from wsipipe.gan.nets import Critic

CPU_BATCH = 64
"""Cells per batch on the CPU; narrow networks are fastest at 64 to 128, wide ones do not mind."""
CUDA_BATCH = 4096

SLICE = 8192
"""Rows read at once; two slices are in memory at a time."""

Answer = tuple[NDArray[np.uint8], NDArray[np.float32]]


def label(
    model: Model,
    patches: Any,
    *,
    device: str,
    threads: int,
    progress: Callable[[int, int], None] | None = None,
) -> Answer:
    """Label cells.

    Every batch has the same size (the last is filled up with black patches) and is computed by one thread alone, so
    that the answer for a patch depends neither on `threads` nor on the number of patches.

    Parameters
    ----------
    model : Model
    patches : array_like uint8 (n, s, s, 3)
        RGB; NumPy or Zarr, read in slices.
    device : {"cpu", "cuda"}
    threads : int
        Batches computed at a time on the CPU.
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
    """
    shape = (model.patch_px, model.patch_px, 3)
    if tuple(patches.shape[1:]) != shape or patches.dtype != np.uint8:
        raise ModelError(
            f"the model takes uint8 patches of {shape}, these are {patches.dtype} of {tuple(patches.shape[1:])}",
            "use a model and a recipe of one patch size",
        )
    total = patches.shape[0]
    classes, confidence = np.empty(total, np.uint8), np.empty(total, np.float32)
    critic = folded(model.critic(device), fast_dtype(device))
    batch, workers = (CPU_BATCH, max(1, threads)) if device == "cpu" else (CUDA_BATCH, 1)

    def collect(answers: list[tuple[int, Future[Answer]]]) -> None:
        for at, answer in answers:
            classes[at : at + batch], confidence[at : at + batch] = answer.result()
        if progress is not None and answers:
            progress(min(answers[-1][0] + batch, total), total)

    with fixed_arithmetic(1), _pool(workers) as pool:
        waiting: list[tuple[int, Future[Answer]]] = []
        for start in range(0, total, SLICE):
            rows = np.asarray(patches[start : start + SLICE])
            submitted = [
                (start + at, pool.submit(_answer, critic, rows[at : at + batch], batch, device))
                for at in range(0, len(rows), batch)
            ]
            collect(waiting)
            waiting = submitted
        collect(waiting)
    return classes, confidence


def arithmetic(device: str) -> str:
    """Number format that labels are computed in on a device: "bfloat16" or "float32"."""
    return str(fast_dtype(device)).removeprefix("torch.")


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that compute alone, each with one PyTorch thread; what has not begun is dropped on an error."""
    pool = ThreadPoolExecutor(workers, "label", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@torch.inference_mode()
def _answer(critic: Critic, rows: NDArray[np.uint8], batch: int, device: str) -> Answer:
    filled = np.zeros((batch, *rows.shape[1:]), np.uint8)
    filled[: len(rows)] = rows
    best = critic.log_classes(to_unit(torch.from_numpy(filled).to(device))).max(1)
    probability = best.values.exp().clamp_(max=1.0)
    return best.indices[: len(rows)].to("cpu", torch.uint8).numpy(), probability[: len(rows)].cpu().numpy()

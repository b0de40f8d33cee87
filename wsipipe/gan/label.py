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
from wsipipe.records import DESCRIPTION

CPU_BATCH = 64
"""Cells per batch on the CPU; narrow networks are fastest at 64 to 128, wide ones do not mind."""
CUDA_BATCH = 4096

SLICE = 8192
"""Rows read at once; two slices are in memory at a time."""

CLOSE = 0.05
"""A cell whose two best classes are this near in probability is looked at again in float32. In bfloat16 probabilities
are off by 0.006 (root mean square, at most 0.05, on CoNSeP), so that the classes stay those of float32."""

Labelled = tuple[NDArray[np.uint8], NDArray[np.float32]]
Answer = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]
"""Class and confidence of each cell of a batch, and whether it was a close decision."""


def label(
    model: Model,
    patches: Any,
    *,
    device: str,
    threads: int,
    described: NDArray[np.floating] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Label cells.

    Every batch has the same size (the last is filled up with black patches) and is computed by one thread alone, so
    that the answer for a patch depends neither on `threads` nor on the number of patches. Where the hardware multiplies
    bfloat16, the trunk computes in it (`arithmetic` says which it is), and close decisions are made again in float32.

    Parameters
    ----------
    model : Model
    patches : array_like uint8 (n, s, s, 3)
        RGB; NumPy or Zarr, read in slices.
    device : {"cpu", "cuda"}
    threads : int
        Batches computed at a time on the CPU.
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
    shape = (model.patch_px, model.patch_px, 3)
    if tuple(patches.shape[1:]) != shape or patches.dtype != np.uint8:
        raise ModelError(
            f"the model takes uint8 patches of {shape}, these are {patches.dtype} of {tuple(patches.shape[1:])}",
            "use a model and a recipe of one patch size",
        )
    total = patches.shape[0]
    if described is not None and described.shape != (total, len(DESCRIPTION)):
        msg = f"{described.shape} descriptions for {total} patches"
        raise ValueError(msg)
    classes, confidence = np.empty(total, np.uint8), np.empty(total, np.float32)
    critic, dtype = model.critic(device), fast_dtype(device)
    exact, fast = folded(critic), folded(critic, dtype)
    batch, workers = (CPU_BATCH, max(1, threads)) if device == "cpu" else (CUDA_BATCH, 1)

    def submit(net: Critic, rows: NDArray[np.uint8], where: NDArray[np.int64]) -> list[Future[Answer]]:
        parts = [slice(at, at + batch) for at in range(0, len(rows), batch)]
        about = None if described is None else described[where].astype(np.float32)
        return [
            pool.submit(_answer, net, rows[part], None if about is None else about[part], batch, device)
            for part in parts
        ]

    def collect(start: int, rows: NDArray[np.uint8], answers: list[Future[Answer]]) -> None:
        here = slice(start, start + len(rows))
        classes[here], confidence[here], close = _joined(answers)
        if dtype != torch.float32 and close.any():
            again = np.flatnonzero(close)
            classes[start + again], confidence[start + again], _ = _joined(submit(exact, rows[again], start + again))
        if progress is not None:
            progress(here.stop, total)

    with fixed_arithmetic(1), _pool(workers) as pool:
        waiting: list[tuple[int, NDArray[np.uint8], list[Future[Answer]]]] = []
        for start in range(0, total, SLICE):
            rows = np.asarray(patches[start : start + SLICE])
            where = np.arange(start, start + len(rows))
            waiting.append((start, rows, submit(fast, rows, where)))  # work while the last slice is collected
            if len(waiting) > 1:
                collect(*waiting.pop(0))
        for last in waiting:
            collect(*last)
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
def _answer(
    critic: Critic, rows: NDArray[np.uint8], described: NDArray[np.float32] | None, batch: int, device: str
) -> Answer:
    about = None if described is None else torch.from_numpy(_filled(described, batch)).to(device)
    best = critic.log_classes(to_unit(torch.from_numpy(_filled(rows, batch)).to(device)), about).topk(2)
    probability = best.values.exp().clamp_(max=1.0)[: len(rows)].cpu().numpy()
    classes = best.indices[: len(rows), 0].to("cpu", torch.uint8).numpy()
    return classes, probability[:, 0], probability[:, 0] - probability[:, 1] < CLOSE


def _filled(rows: NDArray[Any], batch: int) -> NDArray[Any]:
    """Rows of zeros after `rows`, up to `batch`."""
    filled = np.zeros((batch, *rows.shape[1:]), rows.dtype)
    filled[: len(rows)] = rows
    return filled


def _joined(answers: list[Future[Answer]]) -> Answer:
    parts = [answer.result() for answer in answers]
    return (
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
    )

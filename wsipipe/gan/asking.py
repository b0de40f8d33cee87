"""Patches put to a critic in batches: by threads on a CPU, by lanes on a GPU."""

import functools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsipipe.gan.augment import to_unit
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.device import fast_dtype, fixed_arithmetic
from wsipipe.gan.draw import sample
from wsipipe.gan.folded import WIDE, folded
from wsipipe.gan.int8 import quantized
from wsipipe.gan.lanes import LANES, Answer, Ask, CudaStream, Lane, Lanes
from wsipipe.gan.nets import Critic

CPU_BATCH, WIDE_CPU_BATCH = 64, 16
"""Cells per batch on the CPU: narrow networks are fastest at 64 to 128; the maps of wide ones (`folded.WIDE`) leave the
processor's caches sooner."""
CUDA_BATCH, EXACT_CUDA_BATCH = 2048, 256
"""Cells per batch on a GPU, and of those that are looked at again in float32: few, whose operations cost many times as
much, so that filling up a large batch would cost more than all the rest."""

INT8_CHANNELS = 64
"""Networks of multiples of this many channels compute in 8 bits where that is fast: oneDNN has no fast kernels for some
other numbers (48 and 96)."""

DRAWN = 128
"""Patches that G draws to show what values 8 bits have to hold."""

Look = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Question = Callable[[Critic, Tensor], Tensor]


class Looks(NamedTuple):
    """What a critic says of uint8 patches (n, s, s, 3), float32 (n, width): in the fastest way, and in float32."""

    fast: Look
    exact: Look


@contextmanager
def asking(model: Model, device: str, threads: int, question: Question, width: int) -> Iterator[Looks]:
    """The model's critic, to be asked about patches while the context lasts, by any number of threads at once.

    Every batch has the same size (the last is filled up with black patches) and is computed by one thread alone (on a
    GPU by one stream), so that the answer for a patch depends on nothing but the patch: not on `threads`, nor on which
    patches it comes with. `arithmetic` says in which numbers the trunk computes; a patch whose values do not fit into
    8 bits is asked about in float32.

    Parameters
    ----------
    model : Model
    device : {"cpu", "cuda"}
    threads : int
        Batches computed at a time on the CPU.
    question : callable
        Of the critic and patches (n, 3, s, s) in [-1, 1], such as `Critic.log_classes`.
    width : int
        Numbers in an answer.
    """
    number = _number(model, device)
    with fixed_arithmetic(1):
        asks = [functools.partial(question, _network(model, device, n)) for n in (number, torch.float32)]
        way = _way(model, device, threads, width)  # its streams begin after the weights were sent
        with pool(way.at_once, "ask") as workers:

            def asked(ask: Ask, patches: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
                parts = [patches[at : at + batch] for at in range(0, len(patches), batch)]
                answers = [workers.submit(way.answer, ask, part, batch) for part in parts]
                return np.concatenate([np.empty((0, width), np.float32), *(answer.result() for answer in answers)])

            def exact(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
                return asked(asks[1], patches, way.exact_batch)

            def fast(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
                found = asked(asks[0], patches, way.batch)
                if number == torch.int8:
                    too_large = np.flatnonzero(np.isnan(found).any(1))
                    found[too_large] = exact(patches[too_large])
                return found

            yield Looks(fast, exact)


def arithmetic(model: Model, device: str) -> str:
    """Number format that a model's critic computes in on a device: "int8", "bfloat16" or "float32"."""
    return str(_number(model, device)).removeprefix("torch.")


def _number(model: Model, device: str) -> torch.dtype:
    return fast_dtype(device, wide=model.config.channels % INT8_CHANNELS == 0)


@functools.lru_cache(maxsize=4)
def _network(model: Model, device: str, number: torch.dtype) -> Critic:
    """The critic for answers in a number format; those of the last models are kept, for the slides to come."""
    if number != torch.int8:
        return folded(model.critic(device), number)
    each = math.ceil(DRAWN / model.config.classes)
    drawn = np.concatenate([sample(model, cls, each, seed=cls) for cls in range(model.config.classes)])
    return quantized(model.critic(device), to_unit(torch.from_numpy(drawn)))


class _Way(NamedTuple):
    """How batches are answered on a device: their sizes, how many at a time, and by what."""

    batch: int
    exact_batch: int
    at_once: int
    answer: Answer


def _way(model: Model, device: str, threads: int, width: int) -> _Way:
    if device == "cpu":
        return _Way(cpu_batch(model), cpu_batch(model), max(1, threads), _answer)
    shape = (model.patch_px, model.patch_px, 3)
    lanes = Lanes([Lane(CudaStream(), CUDA_BATCH, shape, width) for _ in range(LANES)])
    return _Way(CUDA_BATCH, EXACT_CUDA_BATCH, LANES, lanes.answer)


def cpu_batch(model: Model) -> int:
    """Cells per batch on the CPU."""
    return WIDE_CPU_BATCH if model.config.channels >= WIDE else CPU_BATCH


@contextmanager
def pool(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads, each with one PyTorch thread; what has not begun is dropped on an error."""
    executor = ThreadPoolExecutor(workers, name, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


@torch.inference_mode()
def _answer(ask: Ask, rows: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
    filled = np.zeros((batch, *rows.shape[1:]), np.uint8)
    filled[: len(rows)] = rows
    found = ask(to_unit(torch.from_numpy(filled)))
    return np.asarray(found[: len(rows)].numpy())

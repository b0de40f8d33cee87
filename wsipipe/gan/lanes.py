"""Batches on a GPU: while one is computed, the next is on its way."""

import queue
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsipipe.gan.augment import to_unit

LANES = 2
"""Batches under way at a time: one is copied while the other is computed."""

Ask = Callable[[Tensor], Tensor]
"""From patches (n, 3, s, s) in [-1, 1] to what a network says of them, (n, width)."""

Answer = Callable[[Ask, NDArray[np.uint8], int], NDArray[np.float32]]
"""From a network, uint8 patches and the size of their batch, which is at least as large, to what it says of them."""


class Stream(Protocol):
    """What a lane needs of the hardware: work that is done in its order, while the host goes on."""

    device: str

    def memory(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the host that the device reads and writes by itself."""

    def within(self) -> AbstractContextManager[object]:
        """What is begun in the context is this stream's."""

    def wait(self) -> None:
        """Return when all of it is done."""


class CudaStream:
    """A stream of its own on the current GPU, after everything that was begun there before (weights are sent there)."""

    device = "cuda"

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._stream.wait_stream(torch.cuda.current_stream())

    def memory(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Page-locked memory."""
        return torch.zeros(tuple(shape), dtype=dtype, pin_memory=True)

    def within(self) -> AbstractContextManager[object]:
        """Kernels and copies of this thread go into the stream."""
        return torch.cuda.stream(self._stream)

    def wait(self) -> None:
        """Wait for this stream alone, without the interpreter lock."""
        self._stream.synchronize()


class Lane:
    """One batch at a time: in by one buffer, out by another, and one wait.

    Parameters
    ----------
    stream : Stream
    batch : int
        Patches that the buffers hold.
    shape : (int, int, int)
        Of a patch.
    width : int
        Numbers in the answer to a patch.
    """

    def __init__(self, stream: Stream, batch: int, shape: Sequence[int], width: int) -> None:
        self._stream = stream
        self._there = stream.memory((batch, *shape), torch.uint8)
        self._back = stream.memory((batch, width), torch.float32)

    @torch.inference_mode()
    def answer(self, ask: Ask, rows: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        """What the network says of patches, in a batch of `size` that is filled up with black ones."""
        there, back = self._there[:size], self._back[:size]
        filled = there.numpy()
        filled[: len(rows)], filled[len(rows) :] = rows, 0
        try:
            with self._stream.within():
                patches = there.to(self._stream.device, non_blocking=True)
                back.copy_(ask(to_unit(patches)), non_blocking=True)
        finally:
            self._stream.wait()  # the buffers are the next batch's; also after an error
        return np.array(back[: len(rows)].numpy())


class Lanes:
    """Answers on whichever lane is free; any number of threads may ask, as many as there are lanes get one at once."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in lanes:
            self._free.put(lane)

    def answer(self, ask: Ask, rows: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        """As `Lane.answer`."""
        lane = self._free.get()
        try:
            return lane.answer(ask, rows, size)
        finally:
            self._free.put(lane)

"""A batch in parts of fixed size, each part computed by one thread alone: the same bits on any number of cores."""

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from wsipipe.gan.device import fixed_arithmetic

PARTS = 4
"""Most parts of a batch; more cores than this do not help a training."""
PART_CELLS = 16
"""Cells of a part below which a batch is cut in two at most: splitting small work finer costs more than it gains."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Threads for the parts of a batch; on a GPU there is one part and no thread."""

    def __init__(self, device: str, pool: ThreadPoolExecutor | None) -> None:
        self.device, self._pool = device, pool

    def bounds(self, count: int) -> list[slice]:
        """Rows of each part of a batch of `count`; depends on nothing else."""
        if self.device != "cpu" or count < 2:
            return [slice(0, count)]
        parts = min(PARTS, max(2, count // PART_CELLS))
        edges = [count * i // parts for i in range(parts + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(edges)]

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Results in the order of `items`."""
        if self._pool is None or len(items) == 1:
            return [function(item) for item in items]
        return list(self._pool.map(function, items))


@contextmanager
def workers(device: str) -> Iterator[Workers]:
    """Threads for one training, each computing its part without helpers; a GPU multiplies in TF32."""
    with fixed_arithmetic(1, tf32=device != "cpu"):
        if device != "cpu":
            yield Workers(device, None)
            return
        count = min(PARTS, os.cpu_count() or 1)
        with ThreadPoolExecutor(count, "train", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield Workers(device, pool)


class Features:
    """Features of a batch, computed in parts, as one tensor that gradients can be taken with respect to.

    Parameters
    ----------
    workers : Workers
    trunk : callable
        From patches (n, ...) to features (n, width); must treat patches one by one.
    patches : Tensor (n, ...)

    Attributes
    ----------
    joined : Tensor (n, width)
        Features, cut off from what made them: take gradients to here, then hand them to `gradients`.
    """

    def __init__(self, workers: Workers, trunk: Callable[[Tensor], Tensor], patches: Tensor) -> None:
        self._workers, self._bounds = workers, workers.bounds(len(patches))
        self._inputs = [patches[rows].detach().requires_grad_(patches.requires_grad) for rows in self._bounds]
        self._parts = workers.map(trunk, self._inputs)
        self.joined = torch.cat([part.detach() for part in self._parts]).requires_grad_()

    def gradients(self, gradient: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor | None, list[Tensor]]:
        """Gradients with respect to the patches (None where they need none) and to the trunk's parameters.

        Parameters
        ----------
        gradient : Tensor (n, width)
            Of the loss with respect to `joined`.
        parameters : sequence of Tensor
            Of the trunk; may be empty.
        """
        needed = self._inputs[0].requires_grad

        def backward(i: int) -> tuple[Tensor, ...]:
            inputs = (*parameters, *((self._inputs[i],) if needed else ()))
            return torch.autograd.grad(self._parts[i], inputs, gradient[self._bounds[i]])

        found = self._workers.map(backward, range(len(self._bounds)))
        sums = add_up([part[: len(parameters)] for part in found])
        return (torch.cat([part[-1] for part in found]) if needed else None), sums


def add_up(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Sum of the parts' tensors, added in the order of the parts."""
    return [functools.reduce(torch.add, tensors) for tensors in zip(*parts, strict=True)]

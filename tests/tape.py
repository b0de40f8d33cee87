"""A CUDA graph as far as a CPU can tell: keeps the operations of some work on the very tensors they were done on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {
    "_local_scalar_dense", "nonzero", "nonzero_static", "masked_select", "_unique2", "unique_dim", "unique_consecutive",
    "bincount", "repeat_interleave", "is_nonzero", "equal", "lift_fresh",
}  # fmt: skip
"""Operations that make the host wait for a GPU, give something of a size that depends on values, or copy a Python
number there: what a graph cannot hold."""


@dataclass(frozen=True)
class Operation:
    """One operation with what it was done on, and what it gave."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: list[Tensor]

    @property
    def waits(self) -> bool:
        """Whether no graph could hold it."""
        by_mask = self.function.overloadpacket == torch.ops.aten.index and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in self.args[1]
        )
        return by_mask or self.function.overloadpacket.__name__ in WAITS

    def again(self) -> None:
        """Do it again, into the same memory."""
        found = self.function(*self.args, **self.kwargs)
        inputs = {tensor.data_ptr() for tensor in tensors((self.args, self.kwargs))}
        for old, new in zip(self.given, tensors(found), strict=True):
            if new.data_ptr() not in inputs:  # neither a view of what went in nor done in place
                old.copy_(new)


class Listener(TorchDispatchMode):
    """Notes every operation, those of backward passes too."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = function(*args, **(kwargs or {}))
        if function.namespace != "profiler":
            self.operations.append(Operation(function, args, kwargs or {}, list(tensors(given))))
        return given


class Tape:
    """A recorder that does the kept operations one by one; what Python decided while recording stays so.

    Recording itself changes nothing that `kept` gives.
    """

    def __init__(self, kept: Callable[[], dict[str, Tensor]]) -> None:
        self._kept, self.calls = kept, list[str]()
        self.operations: list[Operation] = []

    def warm_up(self, work: Callable[[], None]) -> None:
        self.calls.append("warm up")
        work()

    def record(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> None:
        self.calls.append("record")
        before = {name: tensor.clone() for name, tensor in self._kept().items()}
        states = [generator.get_state() for generator in generators]
        with Listener() as listener:
            work()
        self.operations = listener.operations
        with torch.no_grad():
            for name, tensor in self._kept().items():
                tensor.copy_(before[name])
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)

    @torch.no_grad()
    def replay(self) -> None:
        self.calls.append("replay")
        for operation in self.operations:
            operation.again()


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors within lists, tuples and dicts."""
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))

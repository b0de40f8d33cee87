"""A training that was stopped goes on as if it had not been: its whole state in one safetensors file."""

import dataclasses
import hashlib
import json
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsipipe.atomic import atomic_write
from wsipipe.config import GanConfig
from wsipipe.gan.checkpoint import METADATA_KEY
from wsipipe.gan.optimizers import laid_out
from wsipipe.gan.trainer import Trainer

SAVE_EVERY_S = 120.0
"""A training that is killed loses at most about this much of its work."""

_DIGEST_ROWS = 4096
_RANDOM = "random state"
_NO_STATE = {"config", "cells", "lessons", "workers", "aside", "taught_rows", "one_hot", "repeated"}
"""Attributes of a Trainer that its arguments determine, and what repeats its steps."""


@dataclasses.dataclass(frozen=True)
class SavedTraining:
    """File that keeps the state of one training; a file of another training is not read.

    Attributes
    ----------
    path : Path
        Need not exist; removed when the training has ended.
    identity : dict
        Plain values that the training depends on, as `training_identity` gives them.
    """

    path: Path
    identity: dict[str, Any]

    def save(self, trainer: Trainer, reports: list[dict[str, float]]) -> None:
        """Write the state after a step; the file appears whole or not at all."""
        header = {"identity": self.identity, "steps_done": trainer.steps_done, "reports": reports}
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in _state(trainer).items()}
        with atomic_write(self.path, "wb") as file:
            file.write(safetensors.torch.save(tensors, {METADATA_KEY: json.dumps(header, allow_nan=False)}))

    def load(self, trainer: Trainer) -> list[dict[str, float]]:
        """Put what is saved into a new trainer and give back its reports; nothing and [] when it is another's."""
        try:
            with safetensors.safe_open(str(self.path), framework="pt") as file:
                header = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
                if not isinstance(header, dict) or header.get("identity") != self.identity:
                    return []
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not iterable)
        except (safetensors.SafetensorError, OSError, ValueError):  # none, or cut off by a full disk: start anew
            return []
        _restore(trainer, tensors)
        trainer.steps_done = header["steps_done"]
        return list(header["reports"])

    def remove(self) -> None:
        """Delete the file: the training has ended."""
        self.path.unlink(missing_ok=True)


def training_identity(
    cells: NDArray[np.uint8],
    config: GanConfig,
    seed: int,
    device: str,
    measured: NDArray[np.float64] | None = None,
    start: str = "",
) -> dict[str, Any]:
    """What the course of a training depends on: settings, cells and what is measured of them, start, seed, PyTorch.

    Of many cells, evenly spaced ones are looked at. `start` is the hash of the model whose weights it starts from.
    """
    rows = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), _DIGEST_ROWS)).round().astype(np.intp))
    digest = hashlib.sha256(str(cells.shape).encode())
    for row in rows:
        digest.update(np.ascontiguousarray(cells[row]).tobytes())
    if measured is not None:
        digest.update(np.ascontiguousarray(measured[rows]).tobytes())
    return {
        "config": dataclasses.asdict(config),
        "cells": digest.hexdigest(),
        "start": start,
        "seed": seed,
        "device": device,
        "torch": torch.__version__,
    }


@contextmanager
def interrupt_between_steps() -> Iterator[Callable[[], bool]]:
    """Within the block Ctrl-C is only noted; yields what tells whether it was pressed. A second one stops at once.

    In a thread other than the main one, which Ctrl-C does not reach, nothing changes.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            signal.default_int_handler(number, frame)
        pressed.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _state(trainer: Trainer) -> dict[str, Tensor]:
    """Every tensor that changes while a trainer works, by a name that tells where it is."""
    return {
        f"{attribute}.{name}": tensor
        for attribute, value in vars(trainer).items()
        if attribute not in _NO_STATE
        for name, tensor in _tensors(value)
    }


def _tensors(value: Any) -> Iterator[tuple[str, Tensor]]:
    """Tensors within a network, an optimizer, a source of random numbers, or our own objects that hold some."""
    if isinstance(value, nn.Module):
        yield from value.state_dict().items()
    elif isinstance(value, torch.optim.Optimizer):
        for i, slots in value.state_dict()["state"].items():
            yield from ((f"{i}.{slot}", tensor) for slot, tensor in slots.items())
    elif isinstance(value, torch.Generator):
        yield _RANDOM, value.get_state()
    elif isinstance(value, Tensor):
        if not isinstance(value, nn.Parameter):  # those are their network's
            yield "", value
    else:
        for key, item in _members(value):
            yield from ((f"{key}.{name}", tensor) for name, tensor in _tensors(item))


def _members(value: Any) -> Iterable[tuple[object, Any]]:
    if isinstance(value, list | tuple):
        return enumerate(value)
    return vars(value).items() if type(value).__module__.startswith("wsipipe.gan.") else ()


@torch.no_grad()
def _restore(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    """The reverse of `_state`, into a trainer that was made with the same arguments."""
    for name, value in vars(trainer).items():
        if isinstance(value, torch.optim.Optimizer):
            _restore_optimizer(name, value, tensors)
        elif isinstance(value, torch.Generator):
            value.set_state(tensors[f"{name}.{_RANDOM}"])
    for name, tensor in _state(trainer).items():
        if not name.endswith(f".{_RANDOM}"):
            tensor.copy_(tensors[name])


def _restore_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(f"{name}."):
            _, index, slot = key.split(".")
            laid = tensor if slot == "step" else laid_out(tensor, parameters[int(index)])
            slots.setdefault(int(index), {})[slot] = laid
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})

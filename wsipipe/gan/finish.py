"""What a trained model is told of its cells: order and shares of its classes, how sure it may be, how good it is."""

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsipipe.gan.checkpoint import Model
from wsipipe.gan.criteria import criteria, judged
from wsipipe.gan.label import seen_in, weigh
from wsipipe.gan.mixture import Described
from wsipipe.gan.opinions import known
from wsipipe.gan.parts import PARTS
from wsipipe.gan.sharpness import sharpness

RARE = 0.005
"""A class with a smaller share of the training cells counts as empty."""


def finished(model: Model, cells: NDArray[np.uint8], described: Described | None, device: str) -> Model:
    """The model with its commonest class first, as sure as it may be, and with its facts: shares, warnings, criteria.

    Parameters
    ----------
    model : Model
        Fresh from its training.
    cells : uint8, (n, s, s, 3)
        Patches that it was trained on.
    described : Described, optional
        Of the same cells.
    device : {"cpu", "cuda"}
    """
    about = described.values if described is not None and model.config.describe else None
    seen = seen_in(model, cells, device=device, threads=PARTS, alone=about is None)
    counts = np.bincount(weigh(model, seen, about).classes, minlength=model.config.classes)
    order = np.argsort(-counts, kind="stable")
    shares = (counts[order] / len(cells)).tolist()
    facts = {**model.facts, "shares": shares, "warnings": [*model.facts.get("warnings", []), *_warnings(shares)]}
    model = dataclasses.replace(model, tensors=_reordered(model, torch.from_numpy(order)), facts=facts)
    if described is None:
        return model
    seen, (rows, some) = seen[:, order], judged(described)
    if about is not None:
        power = sharpness(known(model, some.values), seen[rows].astype(np.float64))
        model = dataclasses.replace(model, tensors={**model.tensors, "critic.sharpness": torch.tensor(power).float()})
    found = {name: round(value, 4) for name, value in criteria(model, cells[rows], some).items()}
    return dataclasses.replace(model, facts={**model.facts, "criteria": found})


def _reordered(model: Model, order: Tensor) -> dict[str, Tensor]:
    """Tensors in which class i is what class `order[i]` was, for Q's answers and for G's class inputs."""
    tensors = dict(model.tensors)
    heads = ("q_head", "described") if model.config.describe else ("q_head",)
    for name in (f"critic.{head}.{part}" for head in heads for part in ("weight", "bias")):
        tensors[name] = tensors[name][order]
    weight = tensors["generator.linear.weight"]
    noise, classes = weight[:, : model.config.noise_dim], weight[:, model.config.noise_dim :]
    tensors["generator.linear.weight"] = torch.cat((noise, classes[:, order]), 1)
    return tensors


def _warnings(shares: list[float]) -> list[str]:
    empty = sum(share < RARE for share in shares)
    if not empty:
        return []
    return [f"{empty} of {len(shares)} classes hold fewer than {RARE:.1%} of the training cells"]

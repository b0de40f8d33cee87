"""Cells drawn from stores to train on: patches, descriptions, and who is whose neighbour."""

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import GanConfig
from wsipipe.describing import describe_store, nearest_in
from wsipipe.errors import TrainingError
from wsipipe.gan.mixture import Described
from wsipipe.io.store import CellStore

IN_MEMORY_BYTES = 1 << 29
"""Of training patches; more are kept on disk."""


@dataclass(frozen=True)
class Drawn:
    """Cells to train on.

    Attributes
    ----------
    patches : uint8, (n, size, size, 3)
    described : Described
        Of the same cells.
    patch_mpp : float
    """

    patches: NDArray[np.uint8]
    described: Described
    patch_mpp: float


def draw_cells(stores: Sequence[CellStore], config: GanConfig, seed: int, folder: Path) -> Drawn:
    """At most `config.max_cells` cells, evenly from all stores.

    A store with fewer cells than its share gives all it has, and the others make up for it. Of a larger one cells are
    drawn together with their neighbours, so that it can be seen which kinds lie together. Patches that are too many
    for memory are kept in a nameless file in `folder`, which ends with the process.

    Raises
    ------
    TrainingError
        If there is no cell, or the stores' patches differ in kind.
    """
    kinds = {(s.patches.shape[1], s.attributes["recipe"]["patches"]["mpp"]) for s in stores if len(s)}
    if len(kinds) != 1:
        found = ", ".join(f"{size} px at {mpp:g} um/px" for size, mpp in sorted(kinds)) or "no cells"
        raise TrainingError(f"one kind of patch is needed, found: {found}", "train on outputs of one recipe")
    rng = np.random.default_rng(seed)
    quotas = _quotas([len(store) for store in stores], config.max_cells)
    (size, patch_mpp), total = kinds.pop(), sum(quotas)
    patches = _space((total, size, size, 3), folder)
    values, neighbours, done = [], [], 0
    for store, quota in zip(stores, quotas, strict=True):
        if not quota:
            continue
        near = nearest_in(store)
        rows, beside = draw_groups(near, quota, rng)
        values.append(describe_store(store, near, rows, patches[done : done + quota]))
        neighbours.append(np.where(beside >= 0, beside + done, -1))
        done += len(rows)
    return Drawn(patches, Described(np.concatenate(values), np.concatenate(neighbours)), patch_mpp)


def draw_groups(
    near: NDArray[np.int64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At most `count` cells, each with its neighbours where they fit.

    Parameters
    ----------
    near : int64, (n, m)
        Rows of every cell's neighbours, -1 for none.

    Returns
    -------
    rows : int64, (count,)
        Ascending.
    neighbours : int64, (count, m)
        For each of them its neighbours, as places in `rows`; -1 where there is none, or it was not drawn.
    """
    total = len(near)
    if total <= count:
        return np.arange(total), near
    order = rng.permutation(total)
    groups = np.column_stack([order, near[order]]).ravel()
    groups = groups[groups >= 0]
    _, first = np.unique(groups, return_index=True)  # in the order of the draw, each row once
    rows = np.sort(groups[np.sort(first)[:count]])
    place = np.full(total + 1, -1)
    place[rows] = np.arange(count)
    return rows, place[near[rows]].astype(np.int64)  # -1 looks at the place kept for none


def _quotas(sizes: Sequence[int], count: int) -> list[int]:
    """Cells to draw from stores of these sizes."""
    left, quotas = count, [0] * len(sizes)
    ascending = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for position, i in enumerate(ascending):
        quotas[i] = min(sizes[i], math.ceil(left / (len(sizes) - position)))
        left -= quotas[i]
    return quotas


def _space(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    if math.prod(shape) <= IN_MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(dir=folder) as file:  # the map keeps it open
        os.posix_fallocate(file.fileno(), 0, math.prod(shape))  # a full disk is found out here, not while writing
        return np.memmap(file, np.uint8, "r+", shape=shape)

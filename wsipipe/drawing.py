"""Cells drawn from stores to train on: patches, measurements, and who is whose neighbour."""

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from wsipipe.config import GanConfig
from wsipipe.errors import TrainingError
from wsipipe.gan.mixture import Measured
from wsipipe.io.store import CellStore

NEIGHBOURS = 6
REACH_UM = 40.0
"""Cells farther away are no neighbours."""

SIZES = ("area_um2", "perimeter_um")
MEASURED = (*SIZES, "eccentricity", "solidity", "h_od_mean", "h_od_std", "e_od_mean", "e_od_std")
"""Columns of the store that the networks learn to tell; sizes as logarithms."""

IN_MEMORY_BYTES = 1 << 29
"""Of training patches; more are kept on disk."""

READ_ROWS = 4096
LEAST_SIZE = 1e-3


@dataclass(frozen=True)
class Drawn:
    """Cells to train on.

    Attributes
    ----------
    patches : uint8, (n, size, size, 3)
    measured : Measured
        Of the same cells.
    patch_mpp : float
    """

    patches: NDArray[np.uint8]
    measured: Measured
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
    values, neighbours, slides, done = [], [], [], 0
    for number, (store, quota) in enumerate(zip(stores, quotas, strict=True)):
        if not quota:
            continue
        centres = np.column_stack([np.asarray(store.array(name)[:]) for name in ("x_px", "y_px")])
        rows, near = draw_groups(centres * store.attributes["slide"]["mpp"], quota, rng)
        _read_patches(store, rows, patches[done : done + quota])
        values.append(np.column_stack([np.asarray(store.array(name)[:])[rows] for name in MEASURED]))
        neighbours.append(np.where(near >= 0, near + done, -1))
        slides.append(np.full(len(rows), number))
        done += len(rows)
    whole = standardized(np.concatenate(values).astype(np.float64), np.concatenate(slides), config.own_slide)
    measured = Measured(whole, np.concatenate(neighbours))
    return Drawn(patches, measured, patch_mpp)


def standardized(measurements: NDArray[np.float64], slides: NDArray[np.int64], own_slide: float) -> NDArray[np.float64]:
    """Measurements, each standardized partly over all cells and partly over its own slide; sizes as logarithms.

    Over all cells alone, differences between stainings look like kinds of cell; over each slide alone, slides that
    hold other kinds look alike.

    Parameters
    ----------
    measurements : float64, (n, 8)
        Columns as in MEASURED.
    slides : int64, (n,)
        Which slide each cell is from.
    own_slide : float
        Share of the standardization over a cell's own slide, from 0 to 1.

    Returns
    -------
    float64, (n, 8)
        Columns of mean 0.
    """
    values = measurements.copy()
    sizes = slice(0, len(SIZES))
    values[:, sizes] = np.log(np.maximum(values[:, sizes], LEAST_SIZE))
    found = (1.0 - own_slide) * _standard(values)
    for slide in np.unique(slides):
        found[slides == slide] += own_slide * _standard(values[slides == slide])
    return found


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = values.std(0)
    centred: NDArray[np.float64] = (values - values.mean(0)) / np.where(spread > 0, spread, 1.0)
    return centred


def draw_groups(
    centres_um: NDArray[np.float64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At most `count` rows of `centres_um` (n, 2), each with its nearest neighbours where they fit.

    Returns
    -------
    rows : int64, (m,)
        Ascending.
    neighbours : int64, (m, NEIGHBOURS)
        For each of them its neighbours, as places in `rows`; -1 where there is none, or it was not drawn.
    """
    total = len(centres_um)
    if total > 1:
        distance, near = cKDTree(centres_um).query(centres_um, NEIGHBOURS + 1)
        near = np.where(distance[:, 1:] <= REACH_UM, near[:, 1:], -1)
    else:
        near = np.full((total, NEIGHBOURS), -1)
    if total <= count:
        return np.arange(total), near.astype(np.int64)
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


def _read_patches(store: CellStore, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    """Patches of ascending `rows` into `out`, uint8 (m, size, size, 3)."""
    for start in range(0, len(store), READ_ROWS):
        begin, end = np.searchsorted(rows, [start, start + READ_ROWS])
        if end > begin:
            out[begin:end] = np.asarray(store.patches[start : start + READ_ROWS])[rows[begin:end] - start]

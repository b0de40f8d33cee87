"""What a cell is described by, beside its patch: its shape and stain, its texture, and its neighbours."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from wsipipe.image.texture import TEXTURES, textures
from wsipipe.io.store import CellStore
from wsipipe.records import DESCRIPTION, SPREAD

NEIGHBOURS = 6
REACH_UM = 40.0
"""Cells farther away are no neighbours."""

SIZES = ("area_um2", "perimeter_um")
MEASURED = (*SIZES, "eccentricity", "solidity", "h_od_mean", "h_od_std", "e_od_mean", "e_od_std")
"""Columns of the store that a description begins with; sizes as logarithms."""

_SPREAD = [DESCRIPTION.index(name) for name in SPREAD]

READ_ROWS = 4096
DESCRIBED_ROWS = 1 << 16
"""Cells described at once."""
LEAST_SIZE = 1e-3

Floats = NDArray[np.float64]


def nearest(centres_um: Floats) -> NDArray[np.int64]:
    """Neighbours of cells at `centres_um`, (n, 2): rows of the nearest, (n, NEIGHBOURS); -1 where none is in reach."""
    if not len(centres_um):
        return np.full((0, NEIGHBOURS), -1)
    # where there are too few cells, the distance is infinite
    distance, rows = cKDTree(centres_um).query(centres_um, NEIGHBOURS + 1)
    return np.where(distance[:, 1:] <= REACH_UM, rows[:, 1:], -1).astype(np.int64)


def nearest_in(store: CellStore) -> NDArray[np.int64]:
    """Neighbours of the cells of a store."""
    centres = np.column_stack([np.asarray(store.array(name)[:]) for name in ("x_px", "y_px")])
    return nearest(centres * store.attributes["slide"]["mpp"])


def describe_store(
    store: CellStore, near: NDArray[np.int64], rows: NDArray[np.int64], patches: NDArray[np.uint8] | None = None
) -> Floats:
    """Describe cells of a store by the columns of `records.DESCRIPTION`.

    A description depends on the slide alone, not on which of its cells are asked for.

    Parameters
    ----------
    store : CellStore
    near : int64, (n, NEIGHBOURS)
        Neighbours of all its cells.
    rows : int64, (m,)
        Ascending.
    patches : uint8, (m, size, size, 3), optional
        Filled with the patches of `rows`, which are read anyway.

    Returns
    -------
    float64, (m, len(DESCRIPTION))
    """
    around = near[rows]
    wanted = np.union1d(rows, around[around >= 0])
    texture = np.zeros((len(store), TEXTURES))
    for start in range(0, len(store), READ_ROWS):
        here = wanted[slice(*np.searchsorted(wanted, [start, start + READ_ROWS]))]
        if not len(here):
            continue
        read = np.asarray(store.patches[start : start + READ_ROWS])
        texture[here] = textures(read[here - start])
        begin, end = np.searchsorted(rows, [start, start + READ_ROWS])
        if patches is not None:
            patches[begin:end] = read[rows[begin:end] - start]
    return describe(measured_in(store), texture, near)[rows]


def measured_in(store: CellStore) -> Floats:
    """What `describe` takes of the cells' measurements: columns as in MEASURED, float64 (n, 8)."""
    measured = np.column_stack([np.asarray(store.array(name)[:]) for name in MEASURED])
    return measured.astype(np.float64)


def describe(measured: Floats, texture: Floats, near: NDArray[np.int64]) -> Floats:
    """Descriptions of the cells of one slide from their parts.

    Parameters
    ----------
    measured : float64, (n, 8)
        Columns as in MEASURED.
    texture : float64, (n, 7)
        As `image.texture.textures` gives it.
    near : int64, (n, NEIGHBOURS)

    Returns
    -------
    float64, (n, len(DESCRIPTION))
        Of a cell without neighbours their mean is what it is itself, and their spread 0.
    """
    own = np.array(measured)
    sizes = slice(0, len(SIZES))
    own[:, sizes] = np.log(np.maximum(own[:, sizes], LEAST_SIZE))
    shared = np.column_stack([own, texture[:, -1]])
    around, spread = np.empty_like(shared), np.empty((len(own), len(_SPREAD)))
    for start in range(0, len(near), DESCRIBED_ROWS):
        rows = slice(start, start + DESCRIBED_ROWS)
        there = (near[rows] >= 0)[..., None]
        count = there.sum(1)
        beside = shared[near[rows]]
        mean = (beside * there).sum(1) / np.maximum(count, 1)
        around[rows] = np.where(count > 0, mean, shared[rows])
        off = (beside[..., _SPREAD] - mean[:, None, _SPREAD]) * there
        spread[rows] = np.sqrt((off**2).sum(1) / np.maximum(count, 1))
    return np.column_stack([own, texture, around, spread])

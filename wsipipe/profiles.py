"""The classes of an output next to one another: their cells on all its slides, counted and measured."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.profiles import ClassProfile, class_quartiles, enrichment, neighbour_counts
from wsipipe.io.store import CellStore

PROFILED = ("area_um2", "eccentricity", "solidity", "h_od_mean", "e_od_mean")
"""Fields of `Cells` that a profile has, besides the confidence."""


Number = TypeVar("Number", np.uint8, np.float32)


def class_profiles(stores: Sequence[CellStore], model_hash: str, k: int) -> tuple[ClassProfile, ...]:
    """Profiles of the k classes of one model over all cells of some stores; one column is in memory at a time.

    Raises
    ------
    StoreError
        If a store is not labelled under this model.
    """
    classes = _joined([store.labels(model_hash).classes for store in stores], np.uint8)
    counts = np.bincount(classes, minlength=k)
    quartiles = {}
    for name in ("confidence", *PROFILED):
        parts = [
            store.labels(model_hash).confidence if name == "confidence" else np.asarray(store.array(name)[:])
            for store in stores
        ]
        quartiles[name] = class_quartiles(_joined(parts, np.float32), classes, k)
    beside = enrichment(sum((_neighbours(s, model_hash, k) for s in stores), np.zeros((k, k), np.int64)))
    return tuple(
        ClassProfile(
            cells=int(counts[i]),
            share=float(counts[i] / max(1, len(classes))),
            quartiles={name: (float(q[i, 0]), float(q[i, 1]), float(q[i, 2])) for name, q in quartiles.items()},
            neighbours=tuple(beside[i].tolist()),
        )
        for i in range(k)
    )


def _neighbours(store: CellStore, model_hash: str, k: int) -> NDArray[np.int64]:
    xy = np.column_stack([np.asarray(store.array(name)[:]) for name in ("x_px", "y_px")])
    return neighbour_counts(xy, store.labels(model_hash).classes, k)


def _joined(parts: Sequence[NDArray[Number]], dtype: type[Number]) -> NDArray[Number]:
    return np.concatenate([np.zeros(0, dtype), *parts])

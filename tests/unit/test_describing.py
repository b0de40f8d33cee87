"""Descriptions of cells: their columns, their neighbours, and the same whichever cells are asked for."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.cells import random_cells
from wsipipe import describing
from wsipipe.describing import MEASURED, NEIGHBOURS, describe, describe_store, nearest, nearest_in
from wsipipe.image.texture import textures
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import HeldRows, write_store
from wsipipe.records import DESCRIPTION

COUNT, SIDE = 300, 8
OWN = len(MEASURED) + 7


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CellStore:
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
    cells = dataclasses.replace(random_cells(COUNT), patches=patches)
    path: Path = tmp_path_factory.mktemp("described") / "cells.zarr"
    write_store(path, HeldRows(cells), SIDE, {}, {"slide": {"slide_id": "s", "mpp": 0.25}})
    return CellStore(path)


def test_columns_are_what_their_names_say(store: CellStore) -> None:
    near, rows = nearest_in(store), np.arange(COUNT)
    found = describe_store(store, near, rows)
    column = {name: found[:, i] for i, name in enumerate(DESCRIPTION)}
    cells = store.rows(0, COUNT)
    np.testing.assert_allclose(column["log_area_um2"], np.log(cells.area_um2), rtol=1e-6)
    np.testing.assert_array_equal(column["h_od_std"], cells.h_od_std)
    np.testing.assert_array_equal(found[:, len(MEASURED) : OWN], textures(cells.patches))
    with_one = np.flatnonzero((near >= 0).any(1))
    assert 0 < len(with_one) < COUNT
    for i in with_one[:20]:
        there = near[i][near[i] >= 0]
        assert column["beside_log_area_um2"][i] == pytest.approx(column["log_area_um2"][there].mean())
        assert column["beside_log_light"][i] == pytest.approx(column["log_light"][there].mean())
        assert column["beside_eccentricity_std"][i] == pytest.approx(column["eccentricity"][there].std(), abs=1e-12)
    lonely = np.flatnonzero((near < 0).all(1))
    np.testing.assert_array_equal(column["beside_solidity"][lonely], column["solidity"][lonely])
    assert (column["beside_h_od_mean_std"][lonely] == 0).all()


def test_same_bits_whichever_cells_are_asked_for(store: CellStore, monkeypatch: pytest.MonkeyPatch) -> None:
    near = nearest_in(store)
    whole = describe_store(store, near, np.arange(COUNT))
    rows = np.sort(np.random.default_rng(1).choice(COUNT, 40, replace=False))
    monkeypatch.setattr(describing, "READ_ROWS", 64)
    monkeypatch.setattr(describing, "DESCRIBED_ROWS", 70)
    patches = np.zeros((40, SIDE, SIDE, 3), np.uint8)
    np.testing.assert_array_equal(describe_store(store, near, rows, patches), whole[rows])
    np.testing.assert_array_equal(patches, store.rows(0, COUNT).patches[rows])


@pytest.mark.parametrize("count", [0, 1])
def test_no_cell_and_one(count: int) -> None:
    near = nearest(np.zeros((count, 2)))
    assert near.shape == (count, NEIGHBOURS)
    assert (near == -1).all()
    found = describe(np.zeros((count, len(MEASURED))), textures(np.zeros((count, 8, 8, 3), np.uint8)), near)
    assert found.shape == (count, len(DESCRIPTION))
    assert np.isfinite(found).all()

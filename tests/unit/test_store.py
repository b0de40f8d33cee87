import dataclasses
import json
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsipipe.errors import DamagedStoreError, StoreError
from wsipipe.io import spool as spool_module
from wsipipe.io import store as store_module
from wsipipe.io import store_writer
from wsipipe.io.spool import Spool, SpooledRows
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import HeldRows, write_store
from wsipipe.records import Cells, Labels, row_order

PATCH = 8
SLIDE = {"slide": {"slide_id": "s"}}


def make_cells(n: int, seed: int = 0) -> Cells:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 9, n)
    fields: dict[str, NDArray[np.generic]] = {}
    for f in dataclasses.fields(Cells):
        shape = tuple(PATCH if s == -1 else s for s in f.metadata["shape"])
        rows = int(lengths.sum()) if f.name == "contour_xy" else n
        fields[f.name] = rng.integers(0, 200, (rows, *shape)).astype(f.metadata["dtype"])
    fields["contour_offset"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Cells(**fields)  # type: ignore[arg-type]


def assert_same(a: Cells, b: Cells) -> None:
    for f in dataclasses.fields(Cells):
        np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name), f.name)


def ordered(cells: Cells) -> Cells:
    return cells.take(cells.order())


def read_all(store: CellStore, rows: int = 7) -> Cells:
    return Cells.concatenate([cells for _, cells in store.chunks(rows)])


def gathered(rows: SpooledRows, step: int) -> Cells:
    """All that the spool gives, read in steps that have nothing to do with where cells begin."""
    lengths = {"contour_offset": len(rows) + 1, "contour_xy": rows.n_vertices}
    fields = {}
    for f in dataclasses.fields(Cells):
        n = lengths.get(f.name, len(rows))
        fields[f.name] = np.concatenate([rows.read(f.name, i, min(i + step, n)) for i in range(0, n, step)])
    return Cells(**fields)


@pytest.mark.parametrize("shard", [16, 64])
@pytest.mark.parametrize("threads", [1, 3])
def test_store_round_trip_over_several_shards(tmp_path, monkeypatch, shard, threads):
    monkeypatch.setattr(store_writer, "ROWS_PER_SHARD", shard)
    monkeypatch.setattr(store_writer, "_ROWS_PER_CHUNK", 8)
    monkeypatch.setattr(store_writer, "_SCALARS_PER_SHARD", 32)
    cells = ordered(make_cells(50))
    images = {"tissue": np.eye(3, dtype=bool)}
    write_store(tmp_path / "cells.zarr", HeldRows(cells), PATCH, images, SLIDE, threads)
    store = CellStore(tmp_path / "cells.zarr")
    assert len(store) == 50
    assert_same(read_all(store), cells)
    np.testing.assert_array_equal(store.array("tissue")[:], np.eye(3, dtype=bool))
    assert not (tmp_path / ".cells.zarr.partial").exists()


def test_a_store_without_cells_is_a_store(tmp_path):
    write_store(tmp_path / "cells.zarr", HeldRows(Cells.empty(PATCH)), PATCH, {}, SLIDE)
    store = CellStore(tmp_path / "cells.zarr")
    assert len(store) == 0
    assert len(store.rows(0, 0)) == 0
    assert store.sample_patches(5, np.random.default_rng(0)).shape == (0, PATCH, PATCH, 3)
    store.write_labels(Labels("abc", np.zeros(0, np.uint8), np.zeros(0, np.float32)))
    assert len(store.labels("abc").classes) == 0


def test_a_million_cells_are_a_hundred_files(tmp_path):
    shards = {"patches": store_writer.ROWS_PER_SHARD, "contour_xy": store_writer._SCALARS_PER_SHARD}
    write_store(tmp_path / "cells.zarr", HeldRows(make_cells(3)), PATCH, {}, SLIDE)
    store = CellStore(tmp_path / "cells.zarr")
    files = 0
    for f in dataclasses.fields(Cells):
        assert store.array(f.name).shards[0] == shards.get(f.name, store_writer._SCALARS_PER_SHARD)
        entries = 40_000_000 if f.name == "contour_xy" else 1_000_000
        files += -(-entries // store.array(f.name).shards[0])
    assert files < 130


def test_the_bytes_of_a_store_are_the_same_for_any_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "ROWS_PER_SHARD", 64)
    monkeypatch.setattr(store_writer, "_ROWS_PER_CHUNK", 16)
    cells = ordered(make_cells(500))
    for threads in (1, 2, 7):
        write_store(tmp_path / str(threads), HeldRows(cells), PATCH, {"tissue": np.eye(9)}, SLIDE, threads)
    one = {p.relative_to(tmp_path / "1"): p.read_bytes() for p in (tmp_path / "1").rglob("*") if p.is_file()}
    for threads in (2, 7):
        root = tmp_path / str(threads)
        assert one == {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_unfinished_and_foreign_stores_are_refused(tmp_path):
    with pytest.raises(StoreError, match="wsipipe segment"):
        CellStore(tmp_path / "nothing.zarr")

    class Broken(HeldRows):
        def read(self, name, start, stop):
            if name == "area_um2":
                raise RuntimeError
            return super().read(name, start, stop)

    with pytest.raises(RuntimeError):
        write_store(tmp_path / "cells.zarr", Broken(make_cells(9)), PATCH, {}, SLIDE)
    assert not (tmp_path / "cells.zarr").exists()
    write_store(tmp_path / "cells.zarr", HeldRows(make_cells(3)), PATCH, {}, SLIDE)
    meta = tmp_path / "cells.zarr" / "zarr.json"
    document = json.loads(meta.read_text())
    document["attributes"]["format_version"] = 99
    meta.write_text(json.dumps(document))
    with pytest.raises(StoreError, match="version 99"):
        CellStore(tmp_path / "cells.zarr")


def test_damaged_chunk_is_never_read_as_good(tmp_path):
    write_store(tmp_path / "cells.zarr", HeldRows(ordered(make_cells(20))), PATCH, {}, SLIDE)
    shard = next(p for p in (tmp_path / "cells.zarr" / "patches" / "c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[40] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(DamagedStoreError, match="s: damaged"):
        CellStore(tmp_path / "cells.zarr").rows(0, 20)


def test_labels_lie_beside_the_cells(tmp_path):
    write_store(tmp_path / "cells.zarr", HeldRows(ordered(make_cells(20))), PATCH, {}, SLIDE)
    store = CellStore(tmp_path / "cells.zarr")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cells.zarr" / "patches").rglob("*")}
    for model in ("aaaa", "bbbb"):
        assert not store.has_labels(model)
        labels = Labels(
            model,
            np.arange(20, dtype=np.uint8),
            np.full(20, 0.5, np.float32),
            (0.1, 1 / 3),
            ((0.1, 2.0), (1 / 3, 0.0)),
            "cpu, x",
        )
        store.write_labels(labels)
    there = {p: p.stat().st_ino for p in (tmp_path / "cells.zarr" / "labels" / "bbbb").rglob("*")}
    store.write_labels(labels)  # as another process may that works on the same folder
    assert there == {p: p.stat().st_ino for p in (tmp_path / "cells.zarr" / "labels" / "bbbb").rglob("*")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = CellStore(tmp_path / "cells.zarr")
    np.testing.assert_array_equal(again.labels("bbbb").classes, np.arange(20))
    assert again.labels("bbbb").computed == "cpu, x"
    assert again.labels("bbbb").expected == (0.1, 1 / 3)
    assert again.labels("bbbb").profile == ((0.1, 2.0), (1 / 3, 0.0))
    with pytest.raises(StoreError, match="cccc"):
        again.labels("cccc")
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "cells.zarr" / "patches").rglob("*")}


def test_labels_may_be_written_by_several_at_once(tmp_path):
    """As several runs into one folder do, each of which labels all its slides."""
    write_store(tmp_path / "cells.zarr", HeldRows(ordered(make_cells(300))), PATCH, {}, SLIDE)
    labels = Labels("abc", np.arange(300, dtype=np.uint8) % 5, np.linspace(0, 1, 300, dtype=np.float32))

    def write(_: int) -> None:
        CellStore(tmp_path / "cells.zarr").write_labels(labels)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, range(12)))
    np.testing.assert_array_equal(CellStore(tmp_path / "cells.zarr").labels("abc").classes, labels.classes)
    assert sorted(p.name for p in (tmp_path / "cells.zarr" / "labels").iterdir()) == ["abc", "zarr.json"]


@pytest.mark.parametrize("begun_again", [False, True])
def test_a_spool_that_another_process_finishes_while_it_is_opened_is_not_written_into(
    tmp_path, monkeypatch, begun_again
):
    def finish(_file) -> None:
        shutil.rmtree(tmp_path / "p")
        if begun_again:  # by a third
            (tmp_path / "p").mkdir()
            (tmp_path / "p" / "lock").touch()

    monkeypatch.setattr(spool_module, "take", finish)
    with pytest.raises(StoreError, match="another process was working on this slide: run it again"):
        Spool(tmp_path / "p", {"tile": 1}, PATCH).__enter__()
    assert sorted(path.name for path in tmp_path.glob("p/*")) == ["lock"] * begun_again


def test_sample_is_without_replacement_and_repeatable(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_SAMPLED_ROWS", 4)
    cells = make_cells(40)
    cells.patches[:] = np.arange(40, dtype=np.uint8)[:, None, None, None]
    write_store(tmp_path / "cells.zarr", HeldRows(cells), PATCH, {}, SLIDE)
    store = CellStore(tmp_path / "cells.zarr")
    drawn = store.sample_patches(15, np.random.default_rng(1))[:, 0, 0, 0]
    assert len(np.unique(drawn)) == 15
    np.testing.assert_array_equal(drawn, store.sample_patches(15, np.random.default_rng(1))[:, 0, 0, 0])
    assert len(store.sample_patches(1000, np.random.default_rng(1))) == 40


def test_spool_sorts_and_survives_a_kill_at_any_byte(tmp_path):
    parts = [ordered(make_cells(n, seed)) for seed, n in enumerate((5, 0, 7, 3))]
    with Spool(tmp_path / "full", {"a": 1}, PATCH) as spool:
        for i, part in enumerate(parts):
            spool.append(i, part, {"oversized": i})
        want = ordered(Cells.concatenate(parts))
        assert_same(gathered(spool.rows(), 4), want)
        kept = np.arange(15) % 3 > 0
        assert_same(gathered(spool.rows(kept), 4), ordered(Cells.concatenate(parts).take(kept)))
    rng = np.random.default_rng(3)
    for name in ("cells.bin", "patches.bin", "contours.bin", "journal.jsonl"):
        size = (tmp_path / "full" / name).stat().st_size
        for cut in rng.integers(0, size, 4):
            with (tmp_path / "full" / name).open("r+b") as f:
                f.truncate(int(cut))
            with Spool(tmp_path / "full", {"a": 1}, PATCH) as spool:
                assert len(spool.tiles) < 4 or name == "cells.bin"
                for i, part in enumerate(parts):
                    if i not in spool.tiles:
                        spool.append(i, part, {"oversized": i})
                assert spool.tiles == {i: {"oversized": i} for i in range(4)}
                assert_same(gathered(spool.rows(), 100), want)


def test_spool_with_another_plan_starts_again_and_is_locked(tmp_path):
    with Spool(tmp_path / "p", {"tile": 1}, PATCH) as spool:
        spool.append(0, make_cells(2), {})
        with pytest.raises(StoreError, match="another process"), Spool(tmp_path / "p", {"tile": 1}, PATCH):
            pass
    with Spool(tmp_path / "p", {"tile": 2}, PATCH) as spool:
        assert spool.tiles == {}
        assert len(spool) == 0
        spool.remove()
    assert not (tmp_path / "p").exists()


def test_rows_cut_short_on_disk_are_refused(tmp_path):
    with Spool(tmp_path / "p", {}, PATCH) as spool:
        spool.append(0, make_cells(5), {})
        (tmp_path / "p" / "patches.bin").write_bytes(b"x" * 100)
        with pytest.raises(StoreError, match="cut short"):
            spool.rows().read("patches", 0, 5)


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=20))
def test_rows_are_ordered_by_y_then_x_then_what_tells_ties_apart(keys):
    y, x, area, left = (np.array([k[i] for k in keys], np.float64) for i in range(4))
    box = np.zeros((len(keys), 4), np.int32)
    box[:, 0] = left
    order = row_order(x, y, area.astype(np.float32), box)
    assert [keys[i] for i in order] == sorted(keys)
    assert sorted(order) == list(range(len(keys)))

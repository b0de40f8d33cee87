"""A store that lost, gained or changed anything is named, never read; metadata of strangers are not believed."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_store import PATCH, SLIDE, make_cells, ordered
from wsipipe.errors import DamagedStoreError, StoreError
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import HeldRows, write_store
from wsipipe.records import Labels


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "s" / "cells.zarr"
    path.parent.mkdir()
    write_store(path, HeldRows(ordered(make_cells(40))), PATCH, {"tissue": np.eye(9, dtype=bool)}, SLIDE)
    CellStore(path).write_labels(Labels("abc", np.full(40, 3, np.uint8), np.full(40, 0.5, np.float32)))
    return path


@pytest.fixture
def store(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "s" / "cells.zarr")


def read_everything(path: Path) -> None:
    store = CellStore(path)
    store.rows(0, len(store))
    for name in store.images():
        store.array(name)[...]
    store.labels("abc")


def forget(path: Path) -> None:
    """What a reader noted of damage that is undone now."""
    for note in path.rglob(".damaged"):
        note.unlink()


def test_what_is_sound_is_read(store: Path) -> None:
    read_everything(store)
    assert CellStore(store).images() == ["tissue"]


def test_no_file_can_be_lost_cut_or_changed_in_silence(store: Path, tmp_path: Path) -> None:
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and path != store / "labels/zarr.json"]
    assert len(files) > 30  # nothing is read from the one left out
    for path in files:
        kept = path.read_bytes()
        flipped = bytearray(kept)
        flipped[len(kept) // 2] ^= 0x04
        for damaged in (None, kept[:-1], bytes(flipped)):
            path.unlink(missing_ok=True)
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(StoreError):
                read_everything(store)
            forget(store)
        path.write_bytes(kept)
    read_everything(store)


def test_damage_found_once_is_known_to_whoever_opens_the_store(store: Path) -> None:
    shard = next(path for path in (store / "patches/c").rglob("*") if path.is_file())
    changed = bytearray(shard.read_bytes())
    changed[len(changed) // 2] ^= 1
    shard.write_bytes(changed)
    opened = CellStore(store)
    assert len(opened.rows(0, 40, patches=False)) == 40, "what is sound can be read"
    with pytest.raises(DamagedStoreError, match="s: damaged: patches is not as it was written") as caught:
        opened.rows(0, 40)
    with pytest.raises(DamagedStoreError) as again:
        CellStore(store)
    assert again.value.what == caught.value.what


def test_damage_on_a_disk_that_takes_no_note_needs_overwrite(store: Path) -> None:
    (store / ".damaged").mkdir()  # nobody can write a file there
    shard = next(path for path in (store / "patches/c").rglob("*") if path.is_file())
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DamagedStoreError, match="patches is not as it was written: run the slide again with --overwri"):
        CellStore(store).rows(0, 40)


def test_a_row_that_there_is_not_is_no_damage(store: Path) -> None:
    with pytest.raises(DamagedStoreError):
        CellStore(store).array("area_um2")[99]
    assert not list(store.rglob(".damaged"))


@settings(max_examples=40)
@given(st.data())
def test_no_flipped_bit_goes_unnoticed(sound: Path, data: st.DataObject) -> None:
    """Reading gives an error, or all that was written."""
    files = [path for path in sorted(sound.rglob("*")) if path.is_file()]
    path = data.draw(st.sampled_from(files), "file")
    kept = path.read_bytes()
    place = data.draw(st.integers(0, len(kept) - 1), "byte")
    changed = bytearray(kept)
    changed[place] ^= 1 << data.draw(st.integers(0, 7), "bit")
    expected = CellStore(sound).rows(0, 40)
    path.write_bytes(changed)
    try:
        store = CellStore(sound)
        cells, tissue, labels = store.rows(0, 40), store.array("tissue")[...], store.labels("abc")
    except StoreError:
        pass
    else:
        for name in vars(expected):
            np.testing.assert_array_equal(getattr(cells, name), getattr(expected, name), name)
        np.testing.assert_array_equal(tissue, np.eye(9, dtype=bool))
        assert (labels.classes == 3).all()
        assert (labels.confidence == 0.5).all()
    finally:
        path.write_bytes(kept)
        forget(sound)


def test_damaged_labels_count_as_none_and_can_be_written_again(store: Path) -> None:
    chunk = next(path for path in (store / "labels/abc/classes/c").rglob("*") if path.is_file())
    chunk.unlink()
    opened = CellStore(store)
    assert not opened.has_labels("abc")
    with pytest.raises(StoreError, match="no labels of model abc"):
        opened.labels("abc")
    opened.write_labels(Labels("abc", np.ones(40, np.uint8), np.full(40, 0.5, np.float32)))
    assert CellStore(store).labels("abc").classes.all()


def test_the_list_names_what_is_wrong(store: Path) -> None:
    shard = next(path for path in (store / "patches/c").rglob("*") if path.is_file())
    shard.unlink()
    with pytest.raises(DamagedStoreError, match=r"s: damaged: cells.zarr/patches/c/.* is missing"):
        CellStore(store)
    group = zarr.open_group(store, mode="r+")
    group.attrs["n_cells"] = 39
    with pytest.raises(DamagedStoreError, match=r"cells.zarr/zarr.json was changed"):
        CellStore(store)


def forged(store: Path, array: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """The store with another description of an array, and a list that fits: what a stranger could send."""
    path = store / array / "zarr.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"].pop("seal")
    (store / "zarr.json").write_text(json.dumps(root))
    return store


def grow(document: dict[str, Any]) -> None:
    document["shape"] = [1 << 50]
    document["chunk_grid"]["configuration"]["chunk_shape"] = [1 << 50]


def shard_of_a_petabyte(document: dict[str, Any]) -> None:
    sharding = next(codec for codec in document["codecs"] if codec["name"] == "sharding_indexed")
    sharding["configuration"]["chunk_shape"] = document["chunk_grid"]["configuration"]["chunk_shape"] = [1 << 50]


def unknown_codec(document: dict[str, Any]) -> None:
    document["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]


def foreign_codec(document: dict[str, Any]) -> None:
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    document["codecs"] = [little, {"name": "gzip", "configuration": {"level": 1}}]


def other_type(document: dict[str, Any]) -> None:
    document["data_type"] = "float64"


def nonsense(document: dict[str, Any]) -> None:
    document.clear()
    document.update({"zarr_format": 3, "node_type": "array", "shape": -1})


@pytest.mark.parametrize("change", [grow, shard_of_a_petabyte, unknown_codec, foreign_codec, other_type, nonsense])
def test_descriptions_of_strangers_are_refused(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = forged(store, "area_um2", change)
    with pytest.raises(DamagedStoreError, match="s: damaged"):
        CellStore(path).rows(0, 40)


class Bomb:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Bomb, "ran", True)


def test_an_old_zarr_format_with_pickles_is_never_decoded(tmp_path: Path) -> None:
    path = tmp_path / "s" / "cells.zarr"
    (path / "area_um2").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps({"format_version": 1, "n_cells": 1, **SLIDE}))
    described = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "order": "C",
                 "fill_value": None, "filters": [{"id": "pickle", "protocol": 5}]}  # fmt: skip
    (path / "area_um2/.zarray").write_text(json.dumps(described))
    (path / "area_um2/0").write_bytes(pickle.dumps(np.array([Bomb()], dtype=object)))
    with pytest.raises(StoreError):
        CellStore(path).array("area_um2")[:]
    assert not Bomb.ran


@pytest.mark.parametrize("version", [0, 2, 99, "1", None])
def test_another_format_version_is_refused_by_name(store: Path, version: object) -> None:
    group = zarr.open_group(store, mode="r+")
    group.attrs["format_version"] = version
    with pytest.raises(StoreError, match=f"format version {version}; this wsipipe reads 1"):
        CellStore(store)

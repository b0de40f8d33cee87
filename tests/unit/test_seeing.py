"""Labels made while cells are stored: the bytes of those made later, and no patch is read again."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from wsipipe import pipeline
from wsipipe.config import Settings, parse_recipe
from wsipipe.gan import asking
from wsipipe.image.synthetic import make_slide
from wsipipe.io import store_writer
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.store import CellStore
from wsipipe.io.stored_array import StoredArray
from wsipipe.labelling import label_store, load_model
from wsipipe.progress import Quiet, Stage
from wsipipe.seeing import WhileStored
from wsipipe.slides import segment, segment_all

ROOT = Path(__file__).parents[2]
MODEL = load_model("default")
LABELLED = functools.partial(WhileStored, MODEL)


class Listening(Quiet):
    """Keeps what stages are told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, str]] = []
        self.told: list[tuple[str, int, str]] = []

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Stage]:
        self.stages.append((name, total, unit))
        told = self.told

        class _Stage:
            def advance(self, amount: int = 1, note: str = "") -> None:
                told.append((name, amount, note))

        yield _Stage()


def labels(out: Path) -> dict[str, bytes]:
    """Labels in the store, and the tables where there are some."""
    files = [*out.glob("*/cells.zarr/labels/*/**/*"), *out.glob("*/cells.csv"), *out.glob("proportions.csv")]
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.is_file()}


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "s.tiff"
    write_pyramid(path, make_slide(768, 512, 0.5, 4).rgb, 0.5)
    return path


@pytest.fixture(scope="module")
def later(slide: Path) -> Path:
    """Segmented first, labelled from the store in a run of its own."""
    out = slide.parent / "later"
    assert segment([slide], Settings(out, workers=1), Quiet()) == 0
    assert len(CellStore(out / "s/cells.zarr")) > 2 * asking.CPU_BATCH
    assert not labels(out)
    assert pipeline.run([slide], Settings(out, workers=2), Quiet()) == 0
    assert {Path(name).name for name in labels(out)} >= {"cells.csv", "proportions.csv", "zarr.json"}
    return out


@pytest.fixture
def no_patch_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = StoredArray.__getitem__

    def refuse(self: StoredArray, key: object) -> np.ndarray:
        assert self._array.name != "/patches", "patches were read from the store"
        return read(self, key)

    monkeypatch.setattr(StoredArray, "__getitem__", refuse)


@pytest.mark.usefixtures("no_patch_is_read")
@pytest.mark.parametrize(("workers", "tile_px"), [(1, 1024), (2, 256)])
def test_labels_while_stored_are_those_made_later(
    slide: Path, later: Path, tmp_path: Path, workers: int, tile_px: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "ROWS_PER_SHARD", 256)  # several, in any order
    recipe = parse_recipe({"tiling": {"tile_px": tile_px}})
    settings, report = Settings(tmp_path, recipe, workers=workers), Listening()
    done, code = segment_all([slide], settings, report, labelling=LABELLED)
    assert code == 0
    made = labels(tmp_path)
    assert made
    assert made.items() <= labels(later).items()
    store = CellStore(done[0].store)
    assert ("label", len(store), "cells") in report.stages
    amounts = [amount for name, amount, note in report.told if name == "label" and note == "while they were stored"]
    assert (sum(amounts), len(amounts)) == (len(store), -(-len(store) // 256))
    assert done[0].facts()["timings"].keys() == {"plan_s", "tiles_s", "store_and_label_s"}
    report.stages.clear()
    label_store(store, MODEL, settings, report)
    assert not report.stages, "they are there"
    with pytest.raises(AssertionError, match="patches were read"):
        store.patches[:1]


def test_a_run_labels_while_it_stores_and_its_tables_are_the_same(slide: Path, later: Path, tmp_path: Path) -> None:
    report = Listening()
    assert pipeline.run([slide], Settings(tmp_path, workers=2), report) == 0
    assert labels(tmp_path) == labels(later)
    assert [name for name, *_ in report.stages].count("label") == 1
    assert all(note == "while they were stored" for name, _, note in report.told if name == "label")
    assert "store_and_label_s" in json.loads((tmp_path / "s/run.json").read_text())["timings"]


def test_killed_before_the_labels_are_written(
    slide: Path, later: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(WhileStored, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run([slide], Settings(tmp_path, workers=2), Quiet())
    assert (tmp_path / "s/cells.zarr").is_dir()
    assert not labels(tmp_path)
    report = Listening()
    assert pipeline.run([slide], Settings(tmp_path, workers=1), report) == 0
    assert ("cells", 1, "tiles") not in report.stages
    assert {note for name, _, note in report.told if name == "label"} == {""}, "from the store"
    assert labels(tmp_path) == labels(later)


def test_what_fails_while_it_looks_costs_no_tiles(
    slide: Path, later: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(asking, "_answer", broken)
        _, code = segment_all([slide], Settings(tmp_path, workers=2), Quiet(), labelling=LABELLED)
    assert code == 1
    assert not (tmp_path / "s/cells.zarr").exists()
    assert "out of memory" in (tmp_path / "failures.csv").read_text()
    monkeypatch.setattr("wsipipe.tiles.find_nuclei", None)
    assert pipeline.run([slide], Settings(tmp_path, workers=1), Quiet()) == 0
    assert labels(tmp_path) == labels(later)


def test_a_slide_without_cells(tmp_path: Path) -> None:
    rgb = make_slide(256, 256, 0.5, 4).rgb
    rgb[:] = (225, 190, 215)
    write_pyramid(tmp_path / "s.tiff", rgb, 0.5)
    done, code = segment_all([tmp_path / "s.tiff"], Settings(tmp_path / "out", workers=1), Quiet(), labelling=LABELLED)
    assert code == 0
    assert len(CellStore(done[0].store)) == 0
    assert not CellStore(done[0].store).has_labels(MODEL.hash)


def test_segmenting_alone_loads_no_networks(slide: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from wsipipe.cli.main import main\n"
        f"try:\n    main(['segment', {str(slide)!r}, '-o', {str(tmp_path)!r}, '--workers', '1'])\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "assert 'wsipipe.segmenting' in sys.modules\n"
        "assert not {'torch', 'wsipipe.seeing'} & set(sys.modules)\n"
        "print('no torch')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.endswith("no torch\n"), done.stderr

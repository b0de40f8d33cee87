"""Training on more cells than fit in memory: the same model, and memory that does not grow with them."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cells import random_cells
from wsipipe import drawing, labelling
from wsipipe.config import GanConfig, Settings, load_recipe
from wsipipe.drawing import draw_cells
from wsipipe.gan.train import train
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import HeldRows, write_store
from wsipipe.labelling import train_model
from wsipipe.progress import Quiet

MANY = 24_000
"""Cells of the store whose patches are kept on disk: 74 MB."""

GROWTH = """
import dataclasses, sys
from pathlib import Path
from wsipipe import drawing
from wsipipe.config import GanConfig
from wsipipe.gan.train import train
from wsipipe.io.store import CellStore

def held():
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("RssAnon"))
    return int(line.split()[1]) / 1024

folder, drawing.IN_MEMORY_BYTES = Path(sys.argv[1]), int(sys.argv[2])
store = CellStore(folder / "cells.zarr")
drawing.draw_cells([store], GanConfig(max_cells=6000), 0, folder)
before = held()
drawn = drawing.draw_cells([store], GanConfig(max_cells=10**6), 0, folder)
print(len(drawn.patches), int(drawn.patches[::100].sum()), held() - before)
"""


def stored(folder: Path, n: int, size: int = 32, seed: int = 0) -> CellStore:
    rng = np.random.default_rng(seed)
    patches = np.empty((n, size, size, 3), np.uint8)
    patches[:] = rng.integers(0, 256, (n, 1, 1, 3), np.uint8)
    patches[:, ::5] = rng.integers(0, 256, (n, 1, 1, 1), np.uint8)
    cells = dataclasses.replace(random_cells(n, seed, vertices=3), patches=patches)
    attributes = {"slide": {"slide_id": folder.name, "mpp": 0.5}, "recipe": {"patches": {"mpp": 0.5}}}
    write_store(folder / "cells.zarr", HeldRows(cells), size, {}, attributes)
    return CellStore(folder / "cells.zarr")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_memory_does_not_grow_with_the_cells(tmp_path: Path) -> None:
    stored(tmp_path, MANY)
    found = {}
    for limit in (1 << 20, 1 << 40):  # on disk; in memory
        command = [sys.executable, "-c", GROWTH, str(tmp_path), str(limit)]
        found[limit] = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    on_disk, in_memory = found.values()
    assert on_disk[:2] == in_memory[:2] == [str(MANY), on_disk[1]], "the same cells"
    assert float(in_memory[2]) > 60, "what all of them take, MB"
    assert float(on_disk[2]) < 30
    assert not list(tmp_path.glob("tmp*")), "the file has no name"


def test_on_disk_and_in_memory_are_the_same_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = []
    for i, n in enumerate((700, 90, 1500)):
        (tmp_path / str(i)).mkdir()
        stores.append(stored(tmp_path / str(i), n, size=8, seed=i))
    some = GanConfig(max_cells=600)
    held = draw_cells(stores, some, 3, tmp_path)
    monkeypatch.setattr(drawing, "IN_MEMORY_BYTES", 0)
    mapped = draw_cells(stores, some, 3, tmp_path)
    assert isinstance(mapped.patches, np.memmap)
    assert not isinstance(held.patches, np.memmap)
    np.testing.assert_array_equal(mapped.patches, held.patches)
    assert (len(held.patches), held.patch_mpp) == (600, 0.5)
    assert len(draw_cells(stores, dataclasses.replace(some, max_cells=10_000), 3, tmp_path).patches) == 2290
    assert not np.array_equal(draw_cells(stores, some, 4, tmp_path).patches, held.patches)
    tiny = GanConfig(channels=4, batch=4, steps=1, critic_steps=1)
    models = [train(drawn.patches, tiny, seed=0, device="cpu", patch_mpp=0.5) for drawn in (held, mapped)]
    assert models[0].hash == models[1].hash


def test_a_training_that_was_stopped_leaves_its_state_and_takes_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("toy")
    gan = dataclasses.replace(recipe.gan, channels=4, batch=4, real_batch=8, steps=4, max_cells=300)
    settings = Settings(out=tmp_path, recipe=dataclasses.replace(recipe, gan=gan), device="cpu")
    stores, state = [stored(tmp_path, 400)], tmp_path / ".training"
    wanted = train_model(stores, settings, Quiet(), tmp_path / "other").hash

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(labelling, "estimate_seconds", lambda *_: 0.0)
        patched.setattr("wsipipe.gan.train.SAVE_EVERY_S", -1.0)
        patched.setattr("wsipipe.gan.train._thinned", stop)  # after the last step
        with pytest.raises(KeyboardInterrupt):
            train_model(stores, settings, Quiet(), state)
    assert state.is_file()
    assert train_model(stores, settings, Quiet(), state).hash == wanted


def test_what_is_to_be_said_of_a_training_is_said_when_it_ends(tmp_path: Path) -> None:
    class Heard(Quiet):
        def __init__(self) -> None:
            self.warned: list[str] = []

        def warn(self, text: str) -> None:
            self.warned.append(text)

    gan = dataclasses.replace(load_recipe("toy").gan, classes=40, channels=4, batch=4, real_batch=8, steps=1)
    settings = Settings(out=tmp_path, recipe=dataclasses.replace(load_recipe("toy"), gan=gan), device="cpu")
    heard = Heard()
    model = train_model([stored(tmp_path, 400)], settings, heard, tmp_path / ".training")
    (line,) = model.facts["warnings"]
    assert "of 40 classes hold fewer than" in line
    assert heard.warned == [f"training: {line}"]

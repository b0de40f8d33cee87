"""Proof 3 of the main job: one answer for any tiling, number of workers and scheduler, and after a kill."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomli_w

from wsipipe import pipeline
from wsipipe.config import Settings, TilingConfig, load_recipe
from wsipipe.progress import Quiet

UNTILED = 1 << 20
CASES = {
    "slide": ("slides/CMU-1-Small-Region.svs", None, "default"),
    "marrow": ("bm_graz/images/BM_GRAZ_HE_0003_01.png", 0.25, "he-40x"),
}
TABLES = ("proportions.csv", "expected.csv", "profiles.csv", "{stem}/cells.csv", "{stem}/cells.geojson")


def settings_for(case: str, out: Path, model: Path | None, tile_px: int, **more: object) -> Settings:
    recipe = load_recipe(CASES[case][2])
    gan = dataclasses.replace(load_recipe("toy").gan, describe=load_recipe("default").gan.describe)
    recipe = dataclasses.replace(recipe, tiling=TilingConfig(tile_px=tile_px), gan=gan)
    named = model and str(model)
    return Settings(out=out, recipe=recipe, mpp=CASES[case][1], model=named, train=named is None, **more)  # type: ignore[arg-type]


def tables(out: Path, stem: str) -> dict[str, bytes]:
    return {name: (out / name.format(stem=stem)).read_bytes() for name in TABLES}


@dataclasses.dataclass(frozen=True)
class Reference:
    case: str
    path: Path
    model: Path
    tables: dict[str, bytes]

    def check(self, out: Path) -> None:
        for name, data in tables(out, self.path.stem).items():
            assert data == self.tables[name], f"{name} differs"


@pytest.fixture(scope="module", params=CASES)
def reference(
    request: pytest.FixtureRequest, real_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """The untiled run in one thread, with a model trained on its cells."""
    path = real_file(CASES[request.param][0])
    out = tmp_path_factory.mktemp(request.param) / "untiled"
    assert pipeline.run([path], settings_for(request.param, out, None, UNTILED, workers=1), Quiet()) == 0
    found = tables(out, path.stem)
    assert found["{stem}/cells.csv"].count(b"\n") > 200
    return Reference(request.param, path, out / "model.safetensors", found)


@pytest.mark.parametrize(("tile_px", "workers"), [(256, 1), (512, 2), (1024, 2), (1024, 1), (256, 2)])
def test_tile_size_and_workers_do_not_matter(reference: Reference, tmp_path: Path, tile_px: int, workers: int) -> None:
    settings = settings_for(reference.case, tmp_path / "out", reference.model, tile_px, workers=workers)
    assert pipeline.run([reference.path], settings, Quiet()) == 0
    reference.check(tmp_path / "out")


def test_training_here_gives_the_same_model_whatever_the_tiles(reference: Reference, tmp_path: Path) -> None:
    settings = settings_for(reference.case, tmp_path / "out", None, 512, workers=2)
    assert pipeline.run([reference.path], settings, Quiet()) == 0
    reference.check(tmp_path / "out")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A real `dask scheduler` with two `dask worker` processes on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    commands = [
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        *([*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"] for _ in range(2)),
    ]
    running = [subprocess.Popen(command, **quiet) for command in commands]
    yield address
    for process in running:
        process.kill()  # asked kindly, a worker whose scheduler is gone may take minutes
    for process in running:
        process.wait()


@pytest.mark.parametrize("tile_px", [512])
def test_a_cluster_gives_the_same_bytes(reference: Reference, cluster: str, tmp_path: Path, tile_px: int) -> None:
    settings = settings_for(reference.case, tmp_path / "out", reference.model, tile_px, scheduler=cluster)
    assert pipeline.run([reference.path], settings, Quiet()) == 0
    reference.check(tmp_path / "out")


@pytest.mark.parametrize(
    ("after_tiles", "how", "code"),
    [(1, signal.SIGKILL, -signal.SIGKILL), (5, signal.SIGKILL, -signal.SIGKILL), (3, signal.SIGINT, 130)],
)
def test_stopped_and_run_again(
    reference: Reference, tmp_path: Path, after_tiles: int, how: signal.Signals, code: int
) -> None:
    recipe = tmp_path / "small-tiles.toml"
    recipe.write_text(tomli_w.dumps(settings_for(reference.case, tmp_path, None, 256).recipe.to_dict()))
    command = [sys.executable, "-m", "wsipipe.cli.main", "run", str(reference.path), "-o", str(tmp_path / "out")]
    command += ["--recipe", str(recipe), "--model", str(reference.model), "--workers", "1"]
    command += ["--mpp", str(CASES[reference.case][1])] if CASES[reference.case][1] else []
    journal = tmp_path / "out" / reference.path.stem / ".segment" / "journal.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if journal.is_file() and journal.read_bytes().count(b"\n") >= after_tiles:
            break
        time.sleep(0.005)
    assert process.poll() is None, "ended before it could be killed"
    process.send_signal(how)
    assert process.wait(timeout=20) == code
    assert not (tmp_path / "out" / reference.path.stem / "cells.zarr").exists()
    done_before = journal.read_bytes().count(b"\n")
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{done_before} of" in again.stderr, "finished tiles were done again"
    reference.check(tmp_path / "out")

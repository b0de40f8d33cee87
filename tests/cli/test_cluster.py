"""A cohort on a real Dask cluster on loopback: `dask scheduler`, `dask worker`, one of them killed in the middle."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.synth import write_tiny_slide
from wsipipe.batch.check import check_workers, look_around
from wsipipe.errors import UsageError
from wsipipe.io.cohort_table import Entry
from wsipipe.io.output import OutputFolder

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def batch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", "batch", *map(str, arguments)],
        capture_output=True, text=True, env=ENVIRONMENT, check=False,
    )  # fmt: skip


def tables(out: Path) -> dict[str, bytes]:
    found = [
        out / "proportions.csv",
        out / "expected.csv",
        *out.glob("profiles.csv"),
        *out.glob("*/cells.csv"),
        *out.glob("*/cells.geojson"),
    ]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slides of twelve tiles each, and the recipe."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "slides").mkdir()
    for seed in range(4):
        write_tiny_slide(folder / "slides", f"s{seed}.tiff", seed=seed)
    toy = (ROOT / "pipelines" / "toy.toml").read_text()
    (folder / "recipe.toml").write_text(toy + "\n[tiling]\ntile_px = 256\n")
    return folder


@pytest.fixture(scope="module")
def reference(cohort: Path) -> dict[str, bytes]:
    """The tables that one process gives."""
    done = batch(cohort / "slides", "-o", cohort / "one", "--recipe", cohort / "recipe.toml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    found = tables(cohort / "one")
    assert len(found) == 10
    return found


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler, and its three worker processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ENVIRONMENT}
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    running = [subprocess.Popen(command, **quiet) for command in (scheduler, worker, worker, worker)]
    yield address, running[1:]
    for process in running:
        process.kill()  # asked kindly, a worker whose scheduler is gone may take minutes
    for process in running:
        process.wait()


def busy_worker(out: Path, workers: list[subprocess.Popen[bytes]], text: str) -> subprocess.Popen[bytes]:
    """The worker that works on a slide whose log does not say `text` yet."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        for log in out.glob("*/log.txt"):
            said = log.read_text().rpartition("process ")[2]
            found = re.match(r"(\d+)", said)
            if found and text not in said and (log.parent / ".segment" / "journal.jsonl").exists():
                return next(worker for worker in workers if worker.pid == int(found[1]))
        time.sleep(0.002)
    pytest.fail("no worker was seen at work")


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_costs_a_retry_and_not_the_result(
    cohort: Path, reference: dict[str, bytes], cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    out = cohort / "killed"
    command = [sys.executable, "-m", "wsipipe.cli.main", "batch", cohort / "slides", "-o", out]
    command += ["--recipe", cohort / "recipe.toml", "--scheduler", address]
    process = subprocess.Popen(list(map(str, command)), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    victim = busy_worker(out, workers, "the process holds")
    victim.send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert victim.wait() == -signal.SIGKILL
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert tables(out) == reference
    logs = [log.read_text() for log in out.glob("*/log.txt")]
    assert len(set(re.findall(r"process (\d+)", "".join(logs)))) == 3, "not every worker had a slide"
    assert any(log.count("process ") > 4 for log in logs), "no slide was begun twice"


@pytest.mark.slow
def test_one_slide_spreads_its_tiles_over_the_workers(
    cohort: Path, reference: dict[str, bytes], cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    (cohort / "one.csv").write_text("path\nslides/s2\n")
    out = cohort / "spread"
    done = batch(cohort / "one.csv", "-o", out, "--recipe", cohort / "recipe.toml", "--scheduler", address,
                 "--model", cohort / "one" / "model.safetensors")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (out / "s2" / "cells.csv").read_bytes() == reference["s2/cells.csv"]
    maps = [Path(f"/proc/{worker.pid}/maps").read_text() for worker in workers]
    loaded = sum("openslide" in text for text in maps)
    assert loaded == 3, f"{loaded} of 3 workers read tiles"
    assert all(psutil.pid_exists(worker.pid) for worker in workers)


class OneHost:
    """Stands in for a fleet with one worker, which sees what `found` says."""

    def __init__(self, **found: object) -> None:
        self.found = found

    def everywhere(self, function: Any, *arguments: object) -> dict[str, Any]:
        return {"tcp://10.0.0.9:41": {**function(*arguments), **self.found}}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"out": False}, "does not see the output folder"),
        ({"missing": 2, "first": "/slides/b.svs"}, "does not see 2 of 1 slides, the first is /slides/b.svs"),
        ({"versions": {"numpy": "0.0.1"}}, "has numpy 0.0.1, here "),
    ],
)
def test_a_host_that_sees_something_else_is_named_before_work_starts(
    tmp_path: Path, found: dict[str, object], words: str
) -> None:
    slide = write_tiny_slide(tmp_path)
    out = OutputFolder(tmp_path / "out")
    out.make()
    with out.locked() as token:
        check_workers(OneHost(), out, token, [Entry(slide, "tiny")])  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=re.escape(words)) as refused:
            check_workers(OneHost(**found), out, token, [Entry(slide, "tiny")])  # type: ignore[arg-type]
    assert "worker tcp://10.0.0.9:41" in str(refused.value)


def test_what_a_host_sees(tmp_path: Path) -> None:
    out = OutputFolder(tmp_path / "out")
    out.make()
    with out.locked() as token:
        seen = look_around(out, token, [str(tmp_path / "no.svs"), str(write_tiny_slide(tmp_path))])
        assert seen["out"]
        assert (seen["missing"], seen["first"]) == (1, str(tmp_path / "no.svs"))
        assert not look_around(OutputFolder(tmp_path / "other"), token, [])["out"]


def test_an_unreachable_scheduler_is_wrong_usage(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "slides").mkdir()
    write_tiny_slide(tmp_path / "slides")
    done = subprocess.run(
        [sys.executable, "-c", ("import wsipipe.parallel.clients as c; c.CONNECT_S = 1\n"
         "from wsipipe.cli.main import main; import sys; main(sys.argv[1:])"),
         "batch", str(tmp_path / "slides"), "-o", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:1"],
        capture_output=True, text=True, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "dask scheduler" in done.stderr

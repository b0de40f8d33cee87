"""Memory really runs out: of the address space of a process, of a control group, of what a Dask worker may have.

One clear line each, nothing half-written under its final name, and the same command completes with the same bytes.
"""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.synth import hooked_slides

ROOT = Path(__file__).parents[2]
HOOK = """
import os, re, resource, sys, time
mode, hungry, held = os.environ.get("HUNGRY"), [], []
def look(event, arguments):
    if not mode or event != "open" or not isinstance(arguments[0], str):
        return
    name, hard = arguments[0], resource.getrlimit(resource.RLIMIT_AS)[1]
    if re.search("hungry/.segment/", name) and not hungry:
        hungry.append(1)
        if mode == "limit":  # what the process has by now and little more, less than it wants
            with open("/proc/self/statm") as file:
                pages = int(file.read().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (100 << 20), hard))
            held.append(b"x" * (200 << 20))
        else:
            held.append(b"x" * (int(mode) << 20))
            time.sleep(5)
    elif hungry and "hungry" not in name and name.endswith((".tiff", ".json")):
        hungry.clear()
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
sys.addaudithook(look)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts memory in this way")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hooked_slides(tmp_path_factory.mktemp("memory"), HOOK, "hungry.tiff")


def environment(folder: Path, hungry: str = "") -> dict[str, str]:
    paths = os.pathsep.join((str(folder), str(ROOT)))
    return {**os.environ, "PYTHONPATH": paths, "HUNGRY": hungry, "OMP_NUM_THREADS": "1"}


def ended(
    folder: Path, out: Path, kind: str, *options: object, hungry: str = "", first: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    what = [folder / "slides"] if kind == "batch" else sorted((folder / "slides").iterdir())
    call = [kind, *what, "-o", out, "--recipe", folder / "small.toml", "--model", "default", *options]
    if kind == "segment":
        call = [word for word in call if word not in ("--model", "default")]
    return subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", *map(str, call)], capture_output=True, text=True,
        env=environment(folder, hungry), preexec_fn=first, check=False,
    )  # fmt: skip


def contents(out: Path) -> dict[str, bytes]:
    files = [*out.glob("*/cells.zarr/**/*"), *out.glob("*/cells.*"), out / "proportions.csv"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.is_file()}


@pytest.fixture(scope="module")
def peace(folder: Path) -> dict[str, dict[str, bytes]]:
    """What segment and run give; batch gives the same as run."""
    found = {}
    for kind in ("segment", "run"):
        done = ended(folder, folder / kind, kind, "--workers", "1")
        assert done.returncode == 0, done.stderr
        found[kind] = contents(folder / kind)
    return {**found, "batch": found["run"]}


def check(done: subprocess.CompletedProcess[str], words: str) -> None:
    """One line for the slide that had no memory, and none else."""
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("error: hungry: ")
    assert words in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["run", pytest.param("batch", marks=pytest.mark.slow)])
def test_no_more_address_space_for_one_slide(
    folder: Path, peace: dict[str, dict[str, bytes]], tmp_path: Path, kind: str
) -> None:
    """The system refuses what is asked for."""
    out = tmp_path / "out"
    done = ended(folder, out, kind, "--workers", "1", hungry="limit")
    check(done, "out of memory: use fewer --workers or a smaller tiling.tile_px, then run it again")
    assert not (out / "hungry/cells.zarr").exists()
    whole = contents(out)
    assert {name.split("/")[0] for name in whole} >= {"a", "z"}
    for name in whole.keys() - {"proportions.csv"}:
        assert whole[name] == peace[kind][name], name
    again = ended(folder, out, kind, "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert contents(out) == peace[kind]


def test_too_little_address_space_is_said_at_once(folder: Path, tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = ended(folder, tmp_path / "out", "segment", first=limited)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: this process: may use 1.1 GB of address space only: allow 2 GB at least")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def group() -> Iterator[Callable[[int], Path]]:
    """Makes a control group with so many MB, whose processes the system kills when they need more."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    v1 = next((Path(f"/sys/fs/cgroup/memory{place}") for _, names, place in lines if names == "memory"), None)
    v2 = next((Path(f"/sys/fs/cgroup{place}") for number, _, place in lines if number == "0"), None)
    base, limits = (v1, ("memory.limit_in_bytes",)) if v1 else (v2, ("memory.max", "memory.swap.max"))
    made = (base or Path("/nowhere")) / f"wsipipe-test-{os.getpid()}"

    def make(megabytes: int) -> Path:
        try:
            made.mkdir()
            for name in limits:
                (made / name).write_text("0" if "swap" in name else str(megabytes << 20))
        except OSError as error:
            with contextlib.suppress(OSError):
                made.rmdir()
            pytest.skip(f"may not make a control group here ({error.strerror})")
        return made

    yield make
    deadline = time.monotonic() + 10
    while made.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # its processes are on their way out
            made.rmdir()
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["segment", pytest.param("batch", marks=pytest.mark.slow)])
def test_the_system_kills_the_process(
    folder: Path, peace: dict[str, dict[str, bytes]], tmp_path: Path, group: Callable[[int], Path], kind: str
) -> None:
    place, out = group(1500), tmp_path / "out"

    def enter() -> None:
        (place / "cgroup.procs").write_text(str(os.getpid()))

    done = ended(folder, out, kind, "--workers", "1", hungry="2000", first=enter)
    check(done, "the process that worked on it died: its reader crashed, or memory ran out")
    assert not (out / "hungry/cells.zarr").exists()
    again = ended(folder, out, kind, "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert contents(out) == peace[kind]


@pytest.mark.slow
def test_a_dask_worker_needs_more_than_it_may_have(
    folder: Path, peace: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """Its nanny kills it, as often as it is tried."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--memory-limit", "1200MB"]
    commands = [[*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], worker]
    running = [
        subprocess.Popen(command, env=environment(folder, "2000"), stderr=subprocess.DEVNULL, cwd=tmp_path)
        for command in commands
    ]
    try:
        out = tmp_path / "out"
        done = ended(folder, out, "batch", "--scheduler", address)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    check(done, "the process that worked on it died: its reader crashed, or memory ran out")
    assert not (out / "hungry/cells.zarr").exists()
    again = ended(folder, out, "batch", "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert contents(out) == peace["batch"]

"""A crash costs the slide it happened in, also in `run` and `segment`; what it was is said in one line."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.synth import hooked_slides
from wsipipe.turns import Turns

ROOT = Path(__file__).parents[2]
CRASHER = """
import os, sys
needle = os.environ.get("CRASH_WHEN_OPENED")
def look(event, arguments):
    if event == "open" and needle and needle in str(arguments[0]):
        os.kill(os.getpid(), int(os.environ["CRASH_WITH"]))
sys.addaudithook(look)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the program is not watched")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hooked_slides(tmp_path_factory.mktemp("watched"), CRASHER, "deadly.tiff")


def command(folder: Path, *arguments: object) -> list[str]:
    slides = sorted(map(str, (folder / "slides").iterdir()))
    return [sys.executable, "-m", "wsipipe.cli.main", str(arguments[0]), *slides, *map(str, arguments[1:])]


def environment(folder: Path, opened: str = "", crash: signal.Signals = signal.SIGSEGV) -> dict[str, str]:
    paths = os.pathsep.join((str(folder), str(ROOT)))
    return {**os.environ, "PYTHONPATH": paths, "CRASH_WHEN_OPENED": opened, "CRASH_WITH": str(int(crash))}


def ended(folder: Path, *arguments: object, **crash: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments), capture_output=True, text=True, env=environment(folder, **crash), check=False
    )  # type: ignore[arg-type]


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.glob("*/cells.zarr/**/*") if p.is_file()}


@pytest.mark.parametrize("crash", [signal.SIGSEGV, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_crash_costs_its_slide_only(folder: Path, tmp_path: Path, crash: signal.Signals) -> None:
    """SIGKILL is what the system sends when memory runs out."""
    out = tmp_path / "out"
    call = ("segment", "-o", out, "--recipe", "toy", "--workers", "1")
    done = ended(folder, *call, "--overwrite", opened="deadly/.segment", crash=crash)
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: deadly: the process that worked on it died: its reader crashed, or memory ran")
    assert "Traceback" not in done.stderr
    assert sorted(path.parent.name for path in out.glob("*/cells.zarr")) == ["a", "z"]
    with (out / "failures.csv").open(newline="") as file:
        assert [row["slide_id"] for row in csv.DictReader(file)] == ["deadly"]
    assert '"state": "failed"' in (out / "deadly/run.json").read_text()
    assert done.stderr.count("a: cells are there already") == 1, "what was finished is not done again"
    again = ended(folder, *call)
    assert again.returncode == 0, again.stderr
    assert not (out / "failures.csv").exists()
    assert ended(folder, *call[:2], tmp_path / "peace", *call[3:]).returncode == 0
    assert contents(out) == contents(tmp_path / "peace")


def test_a_crash_between_slides_is_one_line(folder: Path, tmp_path: Path) -> None:
    done = ended(folder, "segment", "-o", tmp_path / "out", opened="slides/a.tiff", crash=signal.SIGABRT)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the process died (SIGABRT): a library crashed, or memory ran out: run the same")


def started(folder: Path, out: Path) -> subprocess.Popen[str]:
    """A run that has tiles in its journal."""
    call = command(folder, "segment", "-o", out, "--recipe", folder / "small.toml", "--workers", "1")
    process = subprocess.Popen(
        call, stderr=subprocess.PIPE, text=True, env=environment(folder), start_new_session=True
    )  # fmt: skip
    journal, deadline = out / "a/.segment/journal.jsonl", time.monotonic() + 60
    while not (journal.is_file() and journal.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.002)
    assert process.poll() is None, "ended before it could be stopped"
    return process


def test_who_is_killed_takes_its_child_along(folder: Path, tmp_path: Path) -> None:
    process = started(folder, tmp_path / "out")
    children = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    assert len(children) == 1
    assert psutil.wait_procs(children, timeout=5)[1] == []


@pytest.mark.parametrize("to_all", [True, False])
def test_ctrl_c_is_one_line(folder: Path, tmp_path: Path, to_all: bool) -> None:
    """A terminal sends it to parent and child, who asks for it with `kill` to the parent alone."""
    process = started(folder, tmp_path / "out")
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [line for line in said.splitlines() if line.startswith("error: ")] == [
        "error: stopped: what is finished is kept: run the same command again to continue"
    ]
    assert "Traceback" not in said


def pressed(folder: Path, out: Path, after_s: float) -> subprocess.CompletedProcess[str]:
    """Ctrl-C so long after the first worker process of a batch began, as a terminal sends it: to all."""
    call = [
        sys.executable,
        "-m",
        "wsipipe.cli.main",
        "batch",
        str(folder / "slides"),
        "-o",
        str(out),
        "--recipe",
        "toy",
    ]
    process = subprocess.Popen(
        call, stderr=subprocess.PIPE, text=True, env=environment(folder), start_new_session=True
    )  # fmt: skip
    watched, deadline = psutil.Process(process.pid), time.monotonic() + 60
    while len(watched.children(recursive=True)) < 3 and time.monotonic() < deadline:  # a child, a tracker, a worker
        time.sleep(0.002)
    time.sleep(after_s)
    family = watched.children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert psutil.wait_procs(family, timeout=5)[1] == []
    return subprocess.CompletedProcess(call, process.returncode, "", said)


def stopped_well(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 130
    lines = [line for line in done.stderr.splitlines() if line]
    assert lines[-1] == "error: stopped: what is finished is kept: run the same command again to continue"
    assert all(line.startswith(("check: ", "cohort: ", "segment: ", "train", "label: ")) for line in lines[:-1]), lines


def test_ctrl_c_while_workers_start_is_one_line(folder: Path, tmp_path: Path) -> None:
    stopped_well(pressed(folder, tmp_path / "out", 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("index", range(30))
def test_ctrl_c_at_any_moment_of_a_batch_is_one_line(folder: Path, tmp_path: Path, index: int) -> None:
    stopped_well(pressed(folder, tmp_path / "out", index * 0.15))


def test_an_interrupt_that_a_library_swallows_ends_the_process_all_the_same() -> None:
    code = (
        "import gc, os, signal, time\nfrom wsipipe.cli.interrupt import Interrupt\nInterrupt().listen()\n"
        "gc.callbacks.append(lambda *_: os.kill(os.getpid(), signal.SIGINT))\ngc.collect()\ntime.sleep(60)"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines() == [
        "error: stopped: what is finished is kept: run the same command again to continue"
    ]  # fmt: skip
    assert time.monotonic() - begun < 30


def test_a_request_to_end_is_passed_on(folder: Path, tmp_path: Path) -> None:
    process = started(folder, tmp_path / "out")
    child = psutil.Process(process.pid).children()
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert psutil.wait_procs(child, timeout=5)[1] == []


def test_a_starter_that_ignores_children_is_no_hindrance() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", "--version"], capture_output=True, text=True, timeout=60, cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wsipipe")


def test_a_reader_of_its_answer_may_go_away() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", "--help"], stdout=writing, stderr=subprocess.PIPE, text=True,
        cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_turns() -> None:
    turns, path = Turns(), Path("a.svs")
    with turns.of(path):
        pass
    assert not turns.blame()
    assert not turns.any_deadly()
    crashed = turns.of(path)
    crashed.__enter__()  # who crashes comes to no end of it
    assert turns.blame()
    assert turns.is_deadly(path)
    assert not turns.is_deadly(Path("b.svs"))
    assert turns.any_deadly()
    assert not turns.blame(), "nobody's turn any more"
    del crashed

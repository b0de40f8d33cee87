"""Disks that fill up or go away, folders that vanish, memory that runs out: one line, nothing half-written, go on."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.calls import code_and_lines as wsipipe
from tests.calls import must_succeed
from tests.synth import write_tiny_slide
from wsipipe import tiles
from wsipipe.io.spool import Spool

ROOT = Path(__file__).parents[2]


def call(slide: Path, recipe: Path, out: Path) -> list[object]:
    return ["segment", slide, "-o", out, "--recipe", recipe, "--workers", "1"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many tiles."""
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text("[tiling]\ntile_px = 256\n")
    return path


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_slide(tmp_path_factory.mktemp("slide"))


@pytest.fixture(scope="module")
def store_bytes(slide: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run left in peace gives."""
    out = tmp_path_factory.mktemp("peace") / "out"
    must_succeed(*call(slide, recipe, out))
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    found = sorted(path for path in out.glob("*/cells.zarr/**/*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def one_error(lines: list[str]) -> str:
    """The only error among them; no traceback."""
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    assert not [line for line in lines if "Traceback" in line or line.startswith("  ")], lines
    return errors[0]


def nothing_half_written(out: Path) -> None:
    assert not contents(out)
    assert not list(out.glob("*/cells.csv"))
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def no_room(folder: Path) -> None:
    raise OSError(28, "No space left on device", str(folder / "tiny" / ".segment" / "patches.bin"))


def no_memory(folder: Path) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("happens", "words"),
    [(no_room, "patches.bin: No space left on device: check the disk"), (no_memory, "out of memory: use fewer")],
)
def test_in_the_middle_of_the_tiles(
    slide: Path, recipe: Path, store_bytes: dict[str, bytes], tmp_path: Path, capsys, monkeypatch,
    happens: Callable[[Path], None], words: str,
) -> None:  # fmt: skip
    out, real = tmp_path / "out", Spool.append

    def append(self: Spool, *arguments: object) -> None:
        if len(self.tiles) == 2:
            happens(out)
        real(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "append", append)
        code, lines = wsipipe(capsys, *call(slide, recipe, out))
    assert code == 1
    assert words in one_error(lines)
    nothing_half_written(out)
    code, lines = wsipipe(capsys, *call(slide, recipe, out))
    assert code == 0
    assert [line for line in lines if "2 of 12 tiles are there" in line]
    assert contents(out) == store_bytes


def test_the_output_folder_is_deleted_meanwhile(
    slide: Path, recipe: Path, store_bytes: dict[str, bytes], tmp_path: Path, capsys, monkeypatch
) -> None:
    out, real = tmp_path / "out", tiles.find_nuclei
    calls = []

    def find(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            remove(out)
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(tiles, "find_nuclei", find)
        code, lines = wsipipe(capsys, *call(slide, recipe, out))
    assert code == 1
    assert "error: tiny: its output folder was deleted or moved meanwhile: run it again" in lines
    nothing_half_written(out)
    assert wsipipe(capsys, *call(slide, recipe, out))[0] == 0
    assert contents(out) == store_bytes


def test_a_store_whose_run_json_is_lost_or_was_never_finished_gets_one(
    slide: Path, recipe: Path, store_bytes: dict[str, bytes], tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    assert wsipipe(capsys, *call(slide, recipe, out))[0] == 0
    path = out / "tiny/run.json"
    facts = json.loads(path.read_text())
    late = ("counts", "slide", "grid", "stain", "warnings", "timings")
    killed = {**{name: value for name, value in facts.items() if name not in late}, "state": "segmenting"}
    for left in (None, killed):
        path.unlink()
        if left is not None:
            path.write_text(json.dumps(left))
        code, lines = wsipipe(capsys, *call(slide, recipe, out))
        assert code == 0
        assert [line for line in lines if "are there already" in line]
        again = json.loads(path.read_text())
        for name in facts.keys() - {"timings", "versions"}:
            assert again[name] == facts[name], name
    assert contents(out) == store_bytes


def test_a_damaged_store_is_named_and_made_anew(
    slide: Path, recipe: Path, store_bytes: dict[str, bytes], tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    assert wsipipe(capsys, *call(slide, recipe, out))[0] == 0
    next(path for path in (out / "tiny/cells.zarr/patches/c").rglob("*") if path.is_file()).unlink()
    assert "is missing" in subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", "doctor", out], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    ).stdout  # fmt: skip
    code, lines = wsipipe(capsys, *call(slide, recipe, out))
    assert code == 0
    assert [line for line in lines if line.startswith("warning: tiny: damaged: cells.zarr/patches/c/")]
    assert contents(out) == store_bytes


def test_a_file_system_that_takes_no_more(
    slide: Path, recipe: Path, store_bytes: dict[str, bytes], tmp_path: Path
) -> None:
    """A limit on the size of files, as a quota has; the system itself refuses the bytes."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "wsipipe.cli.main", *map(str, call(slide, recipe, out))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    ended = subprocess.run(
        command, preexec_fn=limited, capture_output=True, text=True, env=environment, check=False
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "File too large" in one_error(ended.stderr.splitlines())
    nothing_half_written(out)
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    assert contents(out) == store_bytes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB; where this process may not mount one the test is skipped by name."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=900k", "tmpfs", folder],
                                       capture_output=True, check=False).returncode:  # fmt: skip
        pytest.skip("may not mount a disk here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_and_one_that_turned_read_only(
    slide: Path, recipe: Path, store_bytes: dict[str, bytes], small_disk: Path, capsys
) -> None:
    out = small_disk / "out"
    code, lines = wsipipe(capsys, *call(slide, recipe, out))
    assert code == 1
    assert "error: tiny: No space left on device: check the disk" in lines[1]
    assert all("No space left on device" in line for line in lines[1:]), lines  # failures.csv finds no room either
    nothing_half_written(out)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    code, lines = wsipipe(capsys, *call(slide, recipe, out))
    assert code == 1
    assert all("Read-only file system" in line for line in lines), lines
    subprocess.run(["mount", "-o", "remount,rw,size=64m", small_disk], check=True)
    assert wsipipe(capsys, *call(slide, recipe, out))[0] == 0
    assert contents(out) == store_bytes

"""One byte that a disk changed in a finished store: named by whoever reads it, never used, made anew when it can be."""

import json
import shutil
from pathlib import Path

import pytest

from tests.calls import code_and_lines, must_succeed, wsipipe
from tests.synth import write_tiny_slide


def flip(folder: Path) -> Path:
    """A byte in the middle of its largest file of pixels or numbers."""
    path = max((p for p in (folder / "c").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)
    return path


def contents(out: Path) -> dict[str, bytes]:
    files = [*out.glob("*/cells.zarr/**/*"), *out.glob("*/cells.*"), out / "proportions.csv"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.is_file()}


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("slides")
    return [write_tiny_slide(folder, f"{name}.tiff", seed=seed) for seed, name in enumerate("ab")]


@pytest.fixture(scope="module")
def peace(slides: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("peace") / "out"
    must_succeed("run", *slides, "-o", out, "--workers", "1")
    return out


@pytest.fixture
def out(peace: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(peace, tmp_path / "out"))


def test_doctor_names_it_and_the_same_command_makes_it_anew(out: Path, peace: Path, slides: list[Path], capsys) -> None:
    """Patches are not needed for tables that are there: without the doctor nobody would read them."""
    flip(out / "a/cells.zarr/patches")
    call = ("run", *slides, "-o", out, "--workers", "1")
    code, lines = code_and_lines(capsys, *call)
    assert code == 0
    assert not [line for line in lines if "damaged" in line]
    code, said, _ = wsipipe(capsys, "doctor", out)
    assert code == 1
    named = [line for line in said.splitlines() if "damaged" in line and "FAIL" in line]
    assert named
    assert named[0].startswith("FAIL a: damaged: patches is not as it was written")
    code, lines = code_and_lines(capsys, *call)
    assert code == 0, lines
    (warning,) = (line for line in lines if line.startswith("warning: "))
    assert warning.startswith("warning: a: damaged: patches is not as it was written")
    assert warning.endswith("the slide is done again")
    assert "b: cells are there already" in lines
    assert contents(out) == contents(peace)
    assert wsipipe(capsys, "doctor", out)[0] == 0


@pytest.mark.parametrize("array", ["area_um2", "labels"])
def test_run_comes_upon_it_and_makes_it_anew(out: Path, peace: Path, slides: list[Path], capsys, array: str) -> None:
    folder = out / "a/cells.zarr" / array
    flip(folder if array != "labels" else next(path for path in folder.iterdir() if path.is_dir()) / "confidence")
    (out / "a/cells.csv").unlink()
    code, lines = code_and_lines(capsys, "run", *slides, "-o", out, "--workers", "1")
    assert code == 0, lines
    assert [line for line in lines if line.startswith("warning: a: damaged: ") and "made anew" in line]
    assert contents(out) == contents(peace)


@pytest.mark.parametrize(
    "call",
    [
        ("export", "{out}", "--to", "anndata", "--no-embedding"),
        ("export", "{out}", "--to", "csv"),
        ("label", "{out}", "--model", "default"),
        ("proportions", "{out}"),
        ("report", "{out}"),
    ],
    ids=lambda call: f"{call[0]} {call[3]}" if call[0] == "export" else call[0],
)
def test_every_other_command_names_it_and_stops(out: Path, slides: list[Path], capsys, call: tuple[str, ...]) -> None:
    for array in ("x_px", "patches"):
        flip(out / "a/cells.zarr" / array)
    (out / "a/cells.csv").unlink()
    before = {path for path in out.rglob("*") if path.is_file()}
    code, lines = code_and_lines(capsys, *(word.format(out=out) for word in call))
    assert code == 1, lines
    (error,) = (line for line in lines if line.startswith("error: "))
    assert error.startswith("error: a: damaged: ")
    assert error.endswith("run the slide again: what is damaged is made anew")
    new = {path.name for path in out.rglob("*") if path.is_file()} - {path.name for path in before}
    assert new <= {".damaged"}, "nothing half-written"
    assert wsipipe(capsys, "run", *slides, "-o", out, "--workers", "1")[0] == 0
    assert wsipipe(capsys, "doctor", out)[0] == 0


def test_a_batch_goes_on_without_it_and_makes_it_anew_the_next_time(
    out: Path, peace: Path, slides: list[Path], capsys
) -> None:
    flip(out / "a/cells.zarr/area_um2")
    for name in "ab":
        (out / name / "cells.csv").unlink()
    call = ("batch", slides[0].parent, "-o", out, "--workers", "1")
    code, lines = code_and_lines(capsys, *call)
    assert code == 1
    assert len([line for line in lines if line.startswith("error: a: damaged: area_um2")]) == 1
    assert (out / "b/cells.csv").is_file()
    assert "a.tiff,damaged: area_um2" in (out / "failures.csv").read_text()
    code, lines = code_and_lines(capsys, *call)
    assert code == 0, lines
    assert contents(out) == contents(peace)
    assert json.loads((out / "a/run.json").read_text())["state"] == "labelled"
    assert "the slide is done again" in (out / "a/log.txt").read_text()

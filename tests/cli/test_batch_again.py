"""What a batch says of slides that it does again, and what it leaves behind where no slide could be done."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.calls import code_and_lines
from tests.synth import write_tiny_slide

CALL = ["--recipe", "toy", "--workers", "1", "--model", "default"]


def batch(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    """Exit code, and lines on stderr of a call in this process."""
    return code_and_lines(capsys, "batch", *arguments, *CALL)


def test_a_slide_that_is_done_again_is_named_with_the_reason(tmp_path: Path, capsys) -> None:
    cohort, out = tmp_path / "slides", tmp_path / "out"
    cohort.mkdir()
    for seed, name in enumerate(("a.tiff", "b.tiff", "c.tiff")):
        write_tiny_slide(cohort, name, seed=seed)
    assert batch(capsys, cohort, "-o", out)[0] == 0
    write_tiny_slide(cohort, "a.tiff", seed=5)
    chunk = next(path for path in (out / "b/cells.zarr/patches/c").rglob("*") if path.is_file())
    chunk.unlink()
    code, lines = batch(capsys, cohort, "-o", out)
    assert code == 0, lines
    a, b = sorted(line for line in lines if line.startswith("warning: "))
    assert a == "warning: a: changed since: the file; the slide is done again"
    assert b.startswith("warning: b: damaged: cells.zarr/patches/")
    assert b.endswith("is missing; the slide is done again")
    (segmented,) = (line for line in lines if line.startswith("segment: 3 of 3 slides"))
    assert "2 done again" in segmented
    for name, line in (("a", a), ("b", b)):
        assert json.loads((out / name / "run.json").read_text())["warnings"][-1] == line.split(": ", 2)[2]
    assert "done_again" not in json.loads((out / "c" / "run.json").read_text())
    code, lines = batch(capsys, cohort, "-o", out)
    assert code == 0
    assert not any("again" in line for line in lines)


def test_where_no_slide_is_done_no_model_stays(tmp_path: Path, capsys) -> None:
    cohort, out = tmp_path / "slides", tmp_path / "out"
    cohort.mkdir()
    Image.new("RGB", (700, 600), "white").save(cohort / "blank.png")  # found out while it is segmented
    code, lines = batch(capsys, cohort, "-o", out, "--mpp", "0.5")
    assert code == 1
    assert any(line.startswith("error: blank: ") for line in lines)
    assert not (out / "model.safetensors").exists()
    assert not (out / ".given.safetensors").exists()
    write_tiny_slide(cohort, "a.tiff")
    assert batch(capsys, cohort, "-o", out, "--mpp", "0.5")[0] == 1
    assert (out / "model.safetensors").is_file()
    assert not (out / ".given.safetensors").exists()

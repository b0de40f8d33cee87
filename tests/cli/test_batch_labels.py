"""A batch whose model is known beforehand: its worker processes label cells while they store them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synth import write_tiny_slide

ROOT = Path(__file__).parents[2]


def command(*arguments: object) -> str:
    """What a call in a process of its own says on stderr; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", *map(str, arguments), "--recipe", "toy", "--workers", "2"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "slides"
    folder.mkdir()
    for seed, name in enumerate(("a.tiff", "b.tiff", "c.tiff")):
        write_tiny_slide(folder, name, seed=seed)
    return folder


def answers(out: Path) -> dict[str, bytes]:
    tables = [*out.glob("*/cells.csv"), out / "proportions.csv", out / "expected.csv", *out.glob("profiles.csv")]
    files = [*out.glob("*/cells.zarr/labels/*/**/*"), *tables]
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.is_file()}


def test_workers_label_while_they_store_and_say_what_one_process_says(slides: Path, tmp_path: Path) -> None:
    command("batch", slides, "-o", tmp_path / "batch", "--model", "default")
    command("run", *sorted(slides.iterdir()), "-o", tmp_path / "run")
    assert answers(tmp_path / "batch") == answers(tmp_path / "run")
    for name in ("a", "b", "c"):
        log = (tmp_path / "batch" / name / "log.txt").read_text()
        assert log.count("label: ") == 1
        assert "while they were stored" in log
        assert "store_and_label_s" in json.loads((tmp_path / "batch" / name / "run.json").read_text())["timings"]
    write_tiny_slide(slides, "d.tiff", seed=3)
    command("batch", slides, "-o", tmp_path / "batch")
    log = (tmp_path / "batch" / "d" / "log.txt").read_text()
    assert "while they were stored" in log, "the model in OUT is known, too"

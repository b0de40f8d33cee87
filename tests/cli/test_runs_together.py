"""Several runs into one folder at once, as the tasks of a Slurm array: every slide ends in every table."""

import csv
import subprocess
import sys
from pathlib import Path

from tests.synth import write_tiny_slide


def test_runs_into_one_folder_wait_for_one_another(tmp_path: Path) -> None:
    names = [f"s{seed}" for seed in range(3)]
    slides = [write_tiny_slide(tmp_path, f"{name}.tiff", seed=seed) for seed, name in enumerate(names)]
    bad = [tmp_path / f"bad{i}.svs" for i in range(2)]
    for path in bad:
        path.write_text("no slide")
    call = [sys.executable, "-m", "wsipipe.cli.main", "run", "-o", str(tmp_path / "out"), "--workers", "1"]
    runs = [subprocess.Popen([*call, str(slide)], stderr=subprocess.PIPE, text=True) for slide in (*slides, *bad)]
    said = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 1, 1], said
    for table in ("proportions.csv", "expected.csv", "profiles.csv"):
        assert slide_ids(tmp_path / "out" / table) == names
    assert slide_ids(tmp_path / "out" / "failures.csv") == ["bad0", "bad1"]


def slide_ids(table: Path) -> list[str]:
    with table.open(encoding="utf-8", newline="") as file:
        return sorted({row["slide_id"] for row in csv.DictReader(file)})

"""Files with names of any language, on terminals of any encoding."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.calls import wsipipe
from tests.synth import write_tiny_slide

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names are text there")


def latin(folder: Path) -> Path:
    """A slide whose name is Latin-1, as old network shares have it."""
    target = Path(os.fsdecode(os.fsencode(folder) + b"/F\xe4ll.tiff"))
    write_tiny_slide(folder, "x.tiff").rename(target)
    return target


def failures(out: Path) -> list[dict[str, str]]:
    with (out / "failures.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_name_that_is_no_text_is_this_slides_failure(tmp_path: Path, capsys) -> None:
    bad, good = latin(tmp_path), write_tiny_slide(tmp_path, "good.tiff")
    code, _, err = wsipipe(capsys, "segment", bad, good, "-o", tmp_path / "out", "--workers", "1", "--recipe", "toy")
    assert code == 1
    assert "error: F\ufffdll: its name is not UTF-8 text: rename the file" in err
    assert (tmp_path / "out" / "good" / "cells.csv").is_file() or (tmp_path / "out" / "good" / "cells.zarr").is_dir()
    (row,) = failures(tmp_path / "out")
    assert row["slide_id"] == "F\ufffdll"


def test_files_of_one_name_in_two_folders_fail_each_by_itself(tmp_path: Path, capsys) -> None:
    (tmp_path / "a").mkdir()
    good = write_tiny_slide(tmp_path / "a", "s.tiff")
    lost = [tmp_path / folder / "s.tiff" for folder in ("b", "c")]
    code, _, err = wsipipe(capsys, "segment", *lost, good, "-o", tmp_path / "out", "--workers", "1", "--recipe", "toy")
    assert code == 1
    assert err.count("cannot be read (No such file or directory)") == 2
    rows = failures(tmp_path / "out")
    assert [row["path"] for row in sorted(rows, key=lambda row: row["path"])] == list(map(str, lost))
    assert "s" not in {row["slide_id"] for row in rows}
    assert (tmp_path / "out" / "s" / "cells.zarr").is_dir()


def test_a_terminal_without_a_letter_shows_its_number(tmp_path: Path) -> None:
    slide = write_tiny_slide(tmp_path, "β.tiff")
    done = subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", "info", str(slide)],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"slide_id: \\u03b2" in done.stdout


def test_windows_is_told_where_it_works() -> None:
    code = "import sys; sys.platform = 'win32'; import wsipipe.cli.main"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: wsipipe does not run on Windows itself: use it in WSL 2 or in Docker\n"

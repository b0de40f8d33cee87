"""`wsipipe batch` as a user types it, on small drawn slides, with real worker processes."""

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.calls import wsipipe
from tests.synth import write_tiny_slide

TOY = ["--recipe", "toy"]
ROOT = Path(__file__).parents[2]
KILLER = """
import os, signal, sys
needle = os.environ.get("KILL_WHEN_OPENED")
def look(event, arguments):
    if event == "open" and needle and needle in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(look)
"""


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, check=False,
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


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
    """Three slides, one in a folder below, and one that is none."""
    folder = tmp_path_factory.mktemp("cohort") / "slides"
    (folder / "more").mkdir(parents=True)
    write_tiny_slide(folder, "a.tiff")
    write_tiny_slide(folder, "b&<i>.svs", seed=1)
    write_tiny_slide(folder / "more", "c.tiff", seed=2)
    (folder / "bad.svs").write_text("this is no slide")
    return folder


@pytest.fixture(scope="module")
def finished(cohort: Path) -> tuple[Path, int, str]:
    """Output folder, exit code and stderr of a batch on it."""
    out = cohort.parent / "out"
    done = command("batch", cohort, "-o", out, *TOY, "--workers", "2")
    return out, done.returncode, done.stderr


@pytest.fixture
def copied(finished: tuple[Path, int, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "out"))


def test_a_cohort_gives_every_file_of_the_contract_and_one_failure(finished: tuple[Path, int, str]) -> None:
    out, code, err = finished
    assert code == 1, err
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        line for line in err.splitlines() if line.startswith("error: bad: no reader opens it")
    ]
    told = "slides: 3 slides done, 1 failed; see report.html, proportions.csv, expected.csv, failures.csv in out"
    assert err.splitlines()[-1] == told
    names = {p.name for p in out.iterdir() if not p.name.startswith(".")}
    assert names == {
        "a", "b&<i>", "c", "proportions.csv", "expected.csv", "failures.csv", "model.safetensors", "classes.toml",
        "report.html", "training.html",
    }  # fmt: skip
    (failure,) = rows(out / "failures.csv")
    assert failure["slide_id"] == "bad"
    assert failure["path"].endswith("slides/bad.svs")
    assert failure["reason"]
    assert failure["remedy"]
    table = rows(out / "proportions.csv")
    assert [row["slide_id"] for row in table] == ["a", "b&<i>", "c"]
    for row in table:
        assert int(row["n_cells"]) == len(rows(out / row["slide_id"] / "cells.csv")) > 100
        facts = json.loads((out / row["slide_id"] / "run.json").read_text())
        assert facts["model"]["hash"] == row["model"]
        assert "trained" in facts["model"]["origin"]
        log = (out / row["slide_id"] / "log.txt").read_text()
        assert f"{row['n_cells']} cells" in log
        assert "open files" in log
    assert "b&amp;&lt;i&gt;" in (out / "report.html").read_text()
    assert "<i>.svs" not in (out / "report.html").read_text()


def test_the_answer_is_that_of_one_process(
    finished: tuple[Path, int, str], cohort: Path, tmp_path: Path, capsys
) -> None:
    slides = [cohort / "a.tiff", cohort / "b&<i>.svs", cohort / "more" / "c.tiff"]
    code, _, err = wsipipe(capsys, "run", *slides, "-o", tmp_path / "out", *TOY, "--workers", "1", "--train")
    assert code == 0, err
    assert tables(tmp_path / "out") == tables(finished[0])


@pytest.fixture
def changed(cohort: Path, tmp_path: Path) -> Iterator[Path]:
    """The same folder with the bad file repaired and another slide in place of `a`; put back afterwards."""
    kept = [Path(shutil.copy2(cohort / name, tmp_path / name)) for name in ("a.tiff", "bad.svs")]
    for seed, path in enumerate(kept):
        (cohort / path.name).unlink()
        write_tiny_slide(cohort, path.name, seed=3 + seed)
    yield cohort
    for path in kept:
        shutil.copy2(path, cohort / path.name)


def test_a_second_run_does_what_is_left(copied: Path, changed: Path, capsys) -> None:
    before = tables(copied)
    stores = {path: path.stat().st_mtime_ns for path in copied.glob("*/cells.zarr/zarr.json")}
    code, _, err = wsipipe(capsys, "batch", changed, "-o", copied, *TOY, "--workers", "1")
    assert code == 0, err
    assert "training" not in err
    assert not (copied / "failures.csv").exists()
    after = tables(copied)
    same = {name for name in before if before[name] == after[name]}
    assert same == {f"{slide}/cells.{kind}" for slide in ("b&<i>", "c") for kind in ("csv", "geojson")}
    assert [row["slide_id"] for row in rows(copied / "proportions.csv")] == ["a", "b&<i>", "bad", "c"]
    again = {path for path, then in stores.items() if path.stat().st_mtime_ns != then}
    assert {path.parts[-3] for path in again} == {"a"}


def test_only_one_batch_at_a_time(copied: Path, cohort: Path, capsys) -> None:
    with (copied / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = wsipipe(capsys, "batch", cohort, "-o", copied, *TOY, "--workers", "1")
    assert code == 1
    assert err.startswith("error: out: another batch is working on this folder")


@pytest.mark.slow
def test_a_process_that_dies_costs_its_slide_only(copied: Path, cohort: Path, tmp_path: Path) -> None:
    """One slide kills whoever reads its header, another whoever segments it."""
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    (tmp_path / "list.csv").write_text("path\n" + "".join(f"{p}\n" for p in sorted(cohort.rglob("*.tiff"))))
    slides = Path(shutil.copytree(cohort, tmp_path / "slides"))
    (slides / "bad.svs").unlink()
    write_tiny_slide(slides, "deadly.tiff", seed=5)
    died = []
    for place in ("slides/deadly.tiff", "deadly/.segment"):
        done = command(
            "batch", slides, "-o", copied, *TOY, "--workers", "2",
            PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", KILL_WHEN_OPENED=place,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        (failure,) = rows(copied / "failures.csv")
        assert failure["slide_id"] == "deadly"
        died.append(failure["reason"])
        assert [row["slide_id"] for row in rows(copied / "proportions.csv")] == ["a", "b&<i>", "c"]
    assert died == ["the process that worked on it died: its reader crashed, or memory ran out"] * 2
    assert "died" in (copied / "deadly" / "log.txt").read_text()
    done = command("batch", slides, "-o", copied, *TOY, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert len(rows(copied / "proportions.csv")) == 4


@pytest.mark.slow
@pytest.mark.parametrize("after", ["a/.segment/journal.jsonl", "model.safetensors"])
def test_killed_and_run_again_gives_the_same(
    finished: tuple[Path, int, str], cohort: Path, tmp_path: Path, after: str
) -> None:
    out = tmp_path / "out"
    arguments = [sys.executable, "-m", "wsipipe.cli.main", "batch", str(cohort), "-o", str(out), *TOY, "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not (out / after).exists():
        time.sleep(0.005)
    assert process.poll() is None, "ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = command(*arguments[3:])
    assert again.returncode == 1, again.stderr
    assert tables(out) == tables(finished[0])


def test_a_table_with_everything_wrong_says_all_at_once(cohort: Path, tmp_path: Path, capsys) -> None:
    lines = [
        "path,slide_id,mpp,case_id,label",
        f"{cohort}/a,first,0.5,P1,x",
        f"{cohort}/a.tiff,first,0.5,P1,x",
        f"{cohort}/more/c,first,,P2,y",
        f"{cohort}/gone.svs,gone,,,",
        f"{cohort}/bad.svs,bad,,,",
        f"{cohort}/b&<i>,third,wide,,",
    ]
    (tmp_path / "cohort.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    code, text, err = wsipipe(capsys, "batch", tmp_path / "cohort.csv", "-o", out, *TOY, "--workers", "1", "--dry-run")
    assert code == 1
    assert not out.exists()
    assert "listed 2 times" in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4
    for words in ("no such file", "no reader opens it", "not a number: wide", "has the slide_id of"):
        assert any(words in line for line in errors), words
    assert text.startswith("first: 1024 x 768 px at 0.5 um/px (cohort table)")
    for words in ("1 slide, 4 that cannot be done", "mm2 of tissue", "on 1 worker,", "of memory", "of disk"):
        assert words in text
    code, _, err = wsipipe(capsys, "batch", tmp_path / "cohort.csv", "-o", out, *TOY, "--workers", "1")
    assert code == 1
    assert [row["slide_id"] for row in rows(out / "proportions.csv")] == ["first"]
    assert rows(out / "cohort.csv") == [{"slide_id": "first", "label": "x", "patient": "P1"}]
    assert {row["slide_id"] for row in rows(out / "failures.csv")} >= {"gone", "bad", "third"}
    assert len(rows(out / "failures.csv")) == 4
    assert "P1" in (out / "report.html").read_text()


def test_a_slide_without_resolution_need_not_change_that_of_all(tmp_path: Path, capsys) -> None:
    (tmp_path / "slides").mkdir()
    Image.new("RGB", (64, 64), "pink").save(tmp_path / "slides" / "photo.png")
    call = ["batch", tmp_path / "slides", "-o", tmp_path / "out", *TOY, "--workers", "1", "--dry-run"]
    err = wsipipe(capsys, *call)[2]
    words = "--mpp; that is for all slides: for this one alone write it in column mpp of a CSV"
    what = "microns per pixel are not in the metadata: give the microns per pixel of level 0 with"
    assert f"error: photo: {what} {words}\n" in err
    assert "that is for all" not in wsipipe(capsys, *call, "--mpp", "6")[2], "too coarse for a recipe"


def test_a_cohort_of_nothing_but_failures_ends_well(tmp_path: Path, capsys) -> None:
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "empty.svs").touch()
    code, _, err = wsipipe(capsys, "batch", tmp_path / "slides", "-o", tmp_path / "out", *TOY, "--workers", "1")
    assert code == 1
    assert "the file is empty" in err
    assert " 0 of 0 " not in err, "a stage of nothing is not drawn"
    assert err.splitlines()[-1] == "slides: 0 slides done, 1 failed; see report.html, failures.csv in out"
    assert [row["slide_id"] for row in rows(tmp_path / "out" / "failures.csv")] == ["empty"]
    assert "1 failed" in (tmp_path / "out" / "report.html").read_text()
    assert not (tmp_path / "out" / "proportions.csv").exists()


def test_another_recipe_is_refused(copied: Path, cohort: Path, capsys) -> None:
    code, _, err = wsipipe(capsys, "batch", cohort, "-o", copied, "--recipe", "he-40x", "--workers", "1")
    assert code == 2
    assert "working.mpp was 0.5, is 0.25" in err

"""Odd, but plausible: what is lost or broken between two calls, and tables as people leave them."""

import shutil
from pathlib import Path

import pytest
import tifffile

from tests.calls import must_succeed, wsipipe
from tests.synth import tiny_slide, write_tiny_slide

ONE_WORKER = ("--workers", "1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a slide and its output under the model that ships; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("odd")
    must_succeed("run", write_tiny_slide(folder, "tiny.tiff"), "-o", folder / "out", *ONE_WORKER)
    return folder


@pytest.mark.parametrize("left", [None, "", "no json"])
def test_a_slide_whose_run_json_is_lost_stays_in_every_table(
    finished: Path, tmp_path: Path, capsys, left: str | None
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "out", out)
    tables = {name: (out / name).read_bytes() for name in ("proportions.csv", "expected.csv", "tiny/cells.csv")}
    facts = (out / "tiny" / "run.json").read_text()
    if left is None:
        (out / "tiny" / "run.json").unlink()
    else:
        (out / "tiny" / "run.json").write_text(left)

    code, said, _ = wsipipe(capsys, "doctor", out)
    assert code == 1
    assert "FAIL tiny: run.json is missing, damaged or of another slide: run the slide again" in said.splitlines()
    assert wsipipe(capsys, "proportions", out)[0] == 0
    assert {name: (out / name).read_bytes() for name in tables} == tables

    code, _, err = wsipipe(capsys, "run", finished / "tiny.tiff", "-o", out, *ONE_WORKER)
    assert code == 0
    assert "tiny: cells are there already" in err
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["tiny"]
    assert wsipipe(capsys, "doctor", out)[0] == 0
    for name in ("fingerprint", "path_hash", "segment_recipe", "counts"):
        assert f'"{name}"' in facts
        assert f'"{name}"' in (out / "tiny" / "run.json").read_text()


def test_doctor_names_the_table_that_is_missing(finished: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "out", out)
    for name in ("proportions.csv", "expected.csv", "profiles.csv"):
        (out / name).unlink()
        code, said, _ = wsipipe(capsys, "doctor", out)
        assert code == 1
        assert said.splitlines()[-1] == f"FAIL {name}: missing: run `wsipipe proportions`, which writes it again"
        assert wsipipe(capsys, "proportions", out)[0] == 0


def test_a_quote_that_is_never_closed_swallows_no_slides(tmp_path: Path, capsys) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "cohort.csv").write_text('path,label\na.png,"x\nb.png,y\n')
    code, _, err = wsipipe(capsys, "batch", tmp_path / "cohort.csv", "-o", tmp_path / "out")
    assert code == 2
    assert "is no CSV (line 2: a quote is opened and never closed): correct the file" in err
    assert not (tmp_path / "out").exists()


def test_classes_are_evaluated_against_points_and_not_masks(finished: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "tiny.png").touch()
    code, _, err = wsipipe(capsys, "evaluate", "classes", finished / "out", "--truth", tmp_path)
    assert code == 2
    assert err.endswith("no file there is named like a finished slide of OUT: name them <slide_id>.csv\n")
    (tmp_path / "tiny.csv").write_text("X;Y;Class\n1,5;2;a\n")
    code, _, err = wsipipe(capsys, "evaluate", "classes", finished / "out", "--truth", tmp_path)
    assert "no cell lies near a point with a class" in err


def test_info_tells_what_a_run_goes_on_with_from_what_stops_it(tmp_path: Path, capsys) -> None:
    tifffile.imwrite(tmp_path / "plain.tif", tiny_slide().rgb, photometric="rgb")
    code, said, _ = wsipipe(capsys, "info", tmp_path / "plain.tif", "--mpp", "0.5")
    assert code == 0
    assert said.splitlines()[-1].startswith("warning: read by tiffslide, because OpenSlide cannot open it")
    code, said, _ = wsipipe(capsys, "info", tmp_path / "plain.tif")
    assert code == 1
    assert said.splitlines()[-1].startswith("problem: microns per pixel are not in the metadata")


def test_what_cannot_be_written_is_told_before_hours_of_work(finished: Path, tmp_path: Path, capsys) -> None:
    table = finished / "out" / "proportions.csv"
    (tmp_path / "file").touch()
    (tmp_path / "labels.csv").write_text("slide,label\ntiny,a\n")
    train = ("train", finished / "out", "--model-out")
    predict = ("classify", "predict", table, "--classifier", tmp_path / "file", "-o")
    for call in (train, predict):
        code, _, err = wsipipe(capsys, *call, tmp_path / "none" / "new")
        said = f"error: {call[-1]} new: its folder does not exist: make it, or name another\n"
        assert (code, err) == (2, said)
    for call in ("cv", "fit"):
        code, _, err = wsipipe(
            capsys, "classify", call, table, "--labels", tmp_path / "labels.csv", "-o", tmp_path / "file" / "new"
        )
        assert (code, err) == (2, "error: -o new: cannot be written to: name another folder\n")


def test_a_variable_that_is_not_set_is_no_place(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    slide = write_tiny_slide(tmp_path, "s.tiff")
    out = tmp_path / "out"
    out.mkdir()
    calls = [
        ("run", slide, "-o", ""),
        ("run", "", "-o", "out"),
        ("batch", "", "-o", "out"),
        ("doctor", ""),
        ("info", ""),
    ]
    for call in (*calls, ("train", out, "--model-out", "", "--overwrite")):
        code, _, err = wsipipe(capsys, *call)
        assert code == 2
        assert "it is empty, as a variable of the shell that was never set: see `wsipipe" in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out", "s.tiff"]


def test_tables_without_a_model_say_what_is_missing(tmp_path: Path, capsys) -> None:
    must_succeed("segment", write_tiny_slide(tmp_path, "s.tiff"), "-o", tmp_path / "out", *ONE_WORKER)
    code, _, err = wsipipe(capsys, "proportions", tmp_path / "out")
    assert code == 0
    assert err == (
        "out: per slide cells.csv, cells.geojson and report.html; no proportions, as there is no model here: "
        "run `wsipipe label`\n"
    )


NO_SLIDE_IDS = [
    ("proportions.csv.tiff", "'proportions.csv': a file of wsipipe's own is called so"),
    (f"{'n' * 201}.tiff", f"'{'n' * 40}...': it is longer than 200 bytes"),
    ("a\nb.tiff", r"'a\nb': it holds a slash, a line break or the like"),
]
HIDDEN = ("...tiff", "'..': it begins with a dot")
"""`batch` does not look at hidden files."""


@pytest.mark.parametrize(
    ("command", "name", "why"),
    [(command, *case) for case in NO_SLIDE_IDS for command in ("run", "batch")] + [("run", *HIDDEN)],
)
def test_a_file_whose_name_no_slide_can_have_harms_nothing(
    tmp_path: Path, capsys, command: str, name: str, why: str
) -> None:
    (tmp_path / "slides").mkdir()
    slide = write_tiny_slide(tmp_path / "slides", "s.tiff").rename(tmp_path / "slides" / name)
    source = slide if command == "run" else slide.parent
    out = tmp_path / "kept" / "out"
    (out / "notes").mkdir(parents=True)
    code, _, err = wsipipe(capsys, command, source, "-o", out, "--overwrite", *ONE_WORKER)
    assert code == 1
    assert f"a slide cannot be called {why}: rename the file" in err
    assert (out / "notes").is_dir()
    assert len((out / "failures.csv").read_text().splitlines()) >= 2

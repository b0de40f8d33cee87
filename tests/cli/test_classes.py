"""`wsipipe classes` and `wsipipe evaluate classes`, as a user types them, on one toy run."""

import csv
import json
from pathlib import Path

import pytest

from tests.calls import must_succeed, wsipipe
from tests.synth import tiny_slide, write_tiny_slide
from wsipipe.gan import class_number


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    slide = write_tiny_slide(folder, "tiny.tiff")
    must_succeed("run", slide, "-o", folder / "out", "--recipe", "toy", "-k", "3", "--workers", "1", "--train")
    return folder / "out"


def test_classes_are_listed_named_and_named_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, table, _ = wsipipe(capsys, "classes", out)
    assert code == 0
    assert table.split()[:5] == ["index", "name", "color", "cells", "share"]
    before = json.loads(wsipipe(capsys, "classes", out, "--json")[1])
    assert [row["name"] for row in before] == ["c0", "c1", "c2"]
    assert sum(row["share"] for row in before) == pytest.approx(1)
    cells = (out / "tiny" / "cells.csv").read_text()
    code, _, err = wsipipe(
        capsys, "classes", out, "--name", "c0=lymphocyte", "--name", "c2=tumour", "--color", "c0=#123456"
    )
    assert code == 0, err
    assert (out / "tiny" / "cells.csv").read_text() == cells.replace(",c0,", ",lymphocyte,").replace(",c2,", ",tumour,")
    header = (out / "proportions.csv").read_text().splitlines()[0].split(",")
    assert {"n_lymphocyte", "p_tumour", "n_c1"} <= set(header)
    assert "n_c0" not in header
    for name in ("cells.geojson", "report.html"):
        assert "lymphocyte" in (out / "tiny" / name).read_text(), name
    assert "#123456" in (out / "classes.toml").read_text()
    code, _, err = wsipipe(capsys, "classes", out, "--name", "lymphocyte=c0", "--name", "tumour=c2")
    assert code == 0, err
    assert (out / "tiny" / "cells.csv").read_text() == cells
    after = json.loads(wsipipe(capsys, "classes", out, "--json")[1])
    assert [row["cells"] for row in after] == [row["cells"] for row in before]


def test_colours_that_look_alike_are_warned_of(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    was = {row["name"]: row["color"] for row in json.loads(wsipipe(capsys, "classes", out, "--json")[1])}
    warning = "warning: classes.toml: colours look alike: c2 like c0; `wsipipe classes OUT --color c2=#RRGGBB` helps"
    code, _, err = wsipipe(capsys, "classes", out, "--color", f"c2={was['c0']}")
    assert (code, err.splitlines()[0]) == (0, warning), err
    assert warning in wsipipe(capsys, "proportions", out)[2].splitlines()
    assert "alike" not in wsipipe(capsys, "classes", out, "--color", f"c2={was['c2']}")[2]


def test_a_number_of_classes_is_suggested(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, fewer in {"MOST_CLASSES": 8, "SPLITS": 1, "CLOUDS": 2}.items():
        monkeypatch.setattr(class_number, name, fewer)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    code, table, err = wsipipe(capsys, "classes", out, "--suggest")
    assert code == 0, err
    lines = table.splitlines()
    assert lines[0].split() == ["classes", "strength", "halves", "views"]
    assert [int(line.split()[0]) for line in lines[1:8]] == list(range(2, 9))
    found = json.loads(wsipipe(capsys, "classes", out, "--suggest", "--json")[1])
    assert list(found["supports"]) == [line.split()[0] for line in lines[1:8]]
    assert lines[8].startswith(f"suggested: {found['suggested']}, ")
    assert ("no kinds clearer" in table) == (not found["kinds_show"])
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    code, _, err = wsipipe(capsys, "classes", out, "--suggest", "--name", "c0=x")
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--name", "c9=x"], "no class 'c9'"),
        (["--name", "c1"], "has no ="),
        (["--name", "c1=a", "--name", "c1=b"], "given twice"),
        (["--name", "c1=c2"], "'c2' is used twice"),
        (["--color", "c1=red"], "must be like"),
    ],
)
def test_wrong_names_change_nothing(
    out: Path, arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in (out / "classes.toml", out / "proportions.csv", out / "tiny" / "cells.csv")}
    code, _, err = wsipipe(capsys, "classes", out, *arguments)
    assert code == 2
    assert fault in err
    assert before == {p: p.read_bytes() for p in before}


def test_run_json_says_how_labels_were_computed(out: Path) -> None:
    facts = json.loads((out / "tiny" / "run.json").read_text())
    assert facts["labels"]["computed"] in ("cpu, float32", "cpu, bfloat16", "cuda, float32", "cuda, bfloat16")


def test_an_output_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = wsipipe(capsys, "classes", tmp_path)
    assert code == 2
    assert "holds no labels" in err


def test_evaluate_classes_shows_the_baselines(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = tiny_slide()
    with (tmp_path / "tiny.csv").open("w", newline="") as file:
        rows = zip(truth.x_px, truth.y_px, truth.kind, strict=True)
        csv.writer(file).writerows([("x", "y", "class"), *((x, y, f"kind{c}") for x, y, c in rows)])
    code, table, err = wsipipe(capsys, "evaluate", "classes", out, "--truth", tmp_path)
    assert code == 0, err
    assert [line.split()[-1] for line in table.splitlines() if line.endswith(("model", "stain", "pixels"))] == [
        "model", "stain", "stain", "pixels",
    ]  # fmt: skip
    code, text, _ = wsipipe(capsys, "evaluate", "classes", out, "--truth", tmp_path, "--json")
    found = json.loads(text)
    assert found["n"] == found["matched"] > 20
    assert all(scores["n"] == found["n"] for scores in found["baselines"].values())
    assert found["baselines"]["k-means on shape and stain"]["ami"] > 0.1

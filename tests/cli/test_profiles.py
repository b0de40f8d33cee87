"""profiles.csv of a run with the model that ships: what it holds, that doctor checks it, and that it comes back."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import zarr

from tests.calls import wsipipe
from tests.synth import write_tiny_slide
from wsipipe.gan.checkpoint import save
from wsipipe.io.output import OutputFolder
from wsipipe.io.seal import sealed
from wsipipe.io.store import CellStore
from wsipipe.labelling import load_model
from wsipipe.records import DESCRIPTION


def test_profiles_of_a_slide(tmp_path: Path, capsys) -> None:
    slide, out = write_tiny_slide(tmp_path, "tiny.tiff"), tmp_path / "out"
    code, _, err = wsipipe(capsys, "run", slide, "-o", out, "--mpp", "0.5", "--workers", "1")
    assert code == 0, err
    with (out / "profiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    model = load_model("default")
    assert [row["class"] for row in rows] == [f"c{i}" for i in range(model.config.classes)]
    assert {row["model"] for row in rows} == {model.hash}
    written = np.array([[float(row[name]) for name in DESCRIPTION] for row in rows])
    labels = CellStore(OutputFolder(out).finished()[0].store).labels(model.hash)
    np.testing.assert_allclose(written, labels.profile, rtol=1e-6)

    with (out / "tiny" / "cells.csv").open(newline="") as file:
        areas = np.array([float(row["area_um2"]) for row in csv.DictReader(file)])
    mean = float(np.array(labels.expected) @ written[:, DESCRIPTION.index("log_area_um2")])
    assert abs(mean - np.log(areas).mean()) < 1e-3, "classes together are all cells"

    good = (out / "profiles.csv").read_bytes()
    assert wsipipe(capsys, "doctor", out)[0] == 0
    (out / "profiles.csv").write_text((out / "profiles.csv").read_text().replace(rows[0]["log_area_um2"], "9.5", 1))
    code, said, _ = wsipipe(capsys, "doctor", out)
    assert code == 1
    assert "FAIL proportions.csv: 1 row for 1 finished slide; wrong: tiny: run `wsipipe proportions`" in said
    (out / "profiles.csv").unlink()
    assert wsipipe(capsys, "doctor", out)[0] == 1
    assert wsipipe(capsys, "proportions", out)[0] == 0
    assert (out / "profiles.csv").read_bytes() == good


def as_older(store: Path) -> None:
    """Leave of the labels what was noted of them before there were profiles."""
    (folder,) = [path for path in (store / "labels").iterdir() if path.is_dir()]
    facts = dict(zarr.open_group(folder, mode="r").attrs)
    description = json.loads((folder / "zarr.json").read_text())
    (folder / "zarr.json").write_text(json.dumps({**description, "attributes": {}}))
    kept = {name: facts[name] for name in ("model", "expected", "computed")}
    zarr.open_group(folder, mode="r+").attrs.update(sealed(folder, kept))


def test_labels_of_an_older_wsipipe_are_told_and_made_again(tmp_path: Path, capsys) -> None:
    slide, out = write_tiny_slide(tmp_path, "tiny.tiff"), tmp_path / "out"
    run = ("run", slide, "-o", out, "--mpp", "0.5", "--workers", "1")
    assert wsipipe(capsys, *run)[0] == 0
    good = (out / "profiles.csv").read_bytes()
    for command in (("proportions", out), ("classes", out, "--name", "c0=c0"), run):
        as_older(out / "tiny" / "cells.zarr")
        (out / "profiles.csv").unlink()
        for reads in ("report", "classes"):
            code, _, err = wsipipe(capsys, reads, out)
            assert code == 1
            assert "by an older wsipipe: run `wsipipe proportions` on the folder, which makes them again" in err
        code, _, err = wsipipe(capsys, *command)
        assert code == 0, err
        assert "label: 391 of 391 cells" in err
        assert (out / "profiles.csv").read_bytes() == good


def test_names_of_another_models_classes_are_dropped_with_a_word(tmp_path: Path, capsys) -> None:
    slide, out, other = write_tiny_slide(tmp_path, "tiny.tiff"), tmp_path / "out", tmp_path / "other.safetensors"
    assert wsipipe(capsys, "run", slide, "-o", out, "--mpp", "0.5", "--workers", "1")[0] == 0
    assert wsipipe(capsys, "proportions", out, "--intervals")[0] == 0
    before = [line.split(",")[1:] for line in (out / "proportions.csv").read_text().splitlines()[1:]]
    assert wsipipe(capsys, "classes", out, "--name", "c0=tumour", "--name", "c2=lymphocyte")[0] == 0
    assert "lo_tumour" in (out / "proportions.csv").read_text()
    assert before == [line.split(",")[1:] for line in (out / "proportions.csv").read_text().splitlines()[1:]]
    for table in ("proportions.csv", "expected.csv", "profiles.csv"):
        assert "tumour" in (out / table).read_text(), "renamed in all of them"
    model = load_model("default")
    changed = {name: tensor + 0.125 if name.endswith("sharpness") else tensor for name, tensor in model.tensors.items()}
    save(dataclasses.replace(model, tensors=changed), other)
    code, _, err = wsipipe(capsys, "label", out, "--model", other, "--workers", "1")
    assert code == 0, err
    said = "warning: classes.toml: names given to classes of the model before are dropped: c0 tumour, c2 lymphocyte\n"
    assert said in err
    for table in ("proportions.csv", "expected.csv", "profiles.csv"):
        assert "tumour" not in (out / table).read_text()
    code, _, err = wsipipe(capsys, "label", out, "--model", "paper")
    assert (code, err.count("\n")) == (2, 1)
    assert "--model paper: no such file: give a file that `wsipipe train` wrote, or the name of the model" in err

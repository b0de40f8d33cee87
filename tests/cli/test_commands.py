"""The commands as a user types them, on small drawn slides."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.calls import must_succeed, wsipipe
from tests.synth import tiny_slide, write_tiny_slide

TOY = ["--recipe", "toy", "--workers", "1"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a whole run on one slide; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("finished")
    slide = write_tiny_slide(folder, "tiny.svs")
    must_succeed("run", slide, "-o", folder / "out", *TOY, "--train")
    return folder


def test_run_gives_every_file_of_the_contract(finished: Path) -> None:
    out = finished / "out"
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and "cells.zarr" not in p.parts}
    assert names == {
        "proportions.csv", "expected.csv", "model.safetensors", "classes.toml", "training.html", ".tables.lock",
        *(f"tiny/{n}" for n in ("cells.csv", "cells.geojson", "report.html", "run.json")),
    }  # fmt: skip
    assert (out / "tiny" / "cells.zarr" / "zarr.json").is_file()
    cells, (row,) = rows(out / "tiny" / "cells.csv"), rows(out / "proportions.csv")
    assert list(cells[0])[:6] == ["cell_id", "x_px", "y_px", "area_um2", "class", "confidence"]
    assert [int(c["cell_id"]) for c in cells] == list(range(len(cells)))
    places = [(float(c["y_px"]), float(c["x_px"])) for c in cells]
    assert places == sorted(places)
    assert int(row["n_cells"]) == len(cells) == sum(int(row[f"n_c{i}"]) for i in range(5))
    assert sum(float(row[f"p_c{i}"]) for i in range(5)) == pytest.approx(1, abs=1e-12)
    facts = json.loads((out / "tiny" / "run.json").read_text())
    assert facts["slide"]["mpp"] == 0.5
    assert facts["counts"]["cells"] == len(cells)
    assert "/" not in json.dumps(facts["slide"]), "no path may leave in the facts"


def test_without_model_the_shipped_one_labels_and_k_is_refused(tmp_path: Path, capsys) -> None:
    slide = write_tiny_slide(tmp_path, "s.svs")
    code, _, err = wsipipe(capsys, "run", slide, "-o", tmp_path / "out", *TOY)
    assert code == 0
    assert "ships with wsipipe" in err
    assert "training" not in err
    tables = "proportions.csv, expected.csv, profiles.csv"
    assert err.endswith(f"out: {tables}, and per slide cells.csv, cells.geojson and report.html\n")
    assert not (tmp_path / "out" / "training.html").exists()
    code, _, err = wsipipe(capsys, "run", slide, "-o", tmp_path / "three", *TOY, "-k", "3")
    assert code == 2
    assert "has 5 classes: add --train" in err
    assert not (tmp_path / "three").exists(), "refused before any work"


def test_cells_lie_on_the_drawn_nuclei(finished: Path) -> None:
    truth = tiny_slide()
    cells = rows(finished / "out" / "tiny" / "cells.csv")
    xy = np.array([[float(c["x_px"]), float(c["y_px"])] for c in cells])
    distance = np.hypot(truth.x_px[:, None] - xy[:, 0], truth.y_px[:, None] - xy[:, 1]).min(axis=1)
    assert (distance < 6).mean() > 0.75


def test_second_run_reuses_and_overwrite_starts_again(finished: Path, tmp_path: Path, capsys) -> None:
    out = finished / "out"
    before = {p: p.read_bytes() for p in out.rglob("cells.csv")}
    code, _, err = wsipipe(capsys, "run", finished / "tiny.svs", "-o", out, *TOY)
    assert code == 0
    assert "cells are there already" in err
    assert "training" not in err
    assert before == {p: p.read_bytes() for p in out.rglob("cells.csv")}
    code, _, err = wsipipe(capsys, "run", finished / "tiny.svs", "-o", out, *TOY, "--train", "--overwrite")
    assert code == 0
    assert "already" not in err
    assert "training" in err
    assert before == {p: p.read_bytes() for p in out.rglob("cells.csv")}


def test_another_recipe_is_refused_and_named(finished: Path, capsys) -> None:
    code, _, err = wsipipe(
        capsys, "run", finished / "tiny.svs", "-o", finished / "out", "--recipe", "he-40x", "--workers", "1"
    )
    assert code == 2
    assert "working.mpp was 0.5, is 0.25" in err
    assert "--overwrite" in err
    code, _, err = wsipipe(capsys, "run", finished / "tiny.svs", "-o", finished / "out", *TOY, "-k", "3")
    assert code == 2
    assert "classes was 5, is 3" in err
    assert "use -k 5, another -o folder, or --overwrite" in err


def test_train_label_and_proportions(finished: Path, tmp_path: Path, capsys) -> None:
    slide = write_tiny_slide(tmp_path, "b.tiff", seed=1)
    out, model = tmp_path / "out", tmp_path / "three.safetensors"
    code, _, _ = wsipipe(capsys, "segment", slide, "-o", out, *TOY)
    assert code == 0
    assert {p.name for p in (out / "b").iterdir()} == {"cells.zarr", "run.json"}
    code, _, err = wsipipe(capsys, "proportions", out)
    assert code == 0, err
    assert rows(out / "b" / "cells.csv")[0]["class"] == ""
    code, _, _ = wsipipe(capsys, "train", out, finished / "out", "--model-out", model, "--recipe", "toy", "-k", "3")
    assert code == 0
    code, _, err = wsipipe(capsys, "train", out, "--model-out", model, "--recipe", "toy")
    assert code == 2
    assert "--overwrite" in err
    code, _, err = wsipipe(capsys, "label", out, "--model", model, "--workers", "1")
    assert code == 0
    assert "dropped" not in err
    (row,) = rows(out / "proportions.csv")
    assert "n_c2" in row
    assert "n_c3" not in row
    (out / "proportions.csv").unlink()
    code, _, _ = wsipipe(capsys, "proportions", out)
    assert code == 0
    assert rows(out / "proportions.csv") == [row]
    code, _, err = wsipipe(capsys, "run", slide, "-o", out, *TOY, "--model", finished / "out" / "model.safetensors")
    assert code == 2
    assert "wsipipe label" in err
    code, _, err = wsipipe(capsys, "run", slide, "-o", out, *TOY, "--train")
    assert code == 2
    assert "which was given" in err
    code, _, err = wsipipe(capsys, "run", slide, "-o", tmp_path / "no", *TOY, "--train", "--model", model)
    assert code == 2
    assert not (tmp_path / "no").exists(), "refused before any work"


def test_one_bad_slide_never_stops_the_rest(tmp_path: Path, capsys) -> None:
    good = write_tiny_slide(tmp_path, "good.tiff")
    (tmp_path / "bad.svs").write_text("this is no slide")
    glass = tmp_path / "glass.png"
    Image.new("RGB", (400, 300), (243, 242, 244)).save(glass)
    out = tmp_path / "out"
    code, _, err = wsipipe(
        capsys, "run", tmp_path / "bad.svs", tmp_path / "gone.svs", glass, good, "-o", out, "--mpp", "0.5", *TOY
    )
    assert code == 1
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in sorted(errors)] == ["bad", "glass", "gone"]
    assert all(len(line.split(": ")) >= 4 for line in errors)
    assert [row["slide_id"] for row in rows(out / "failures.csv")] == ["bad", "glass", "gone"]
    assert [row["slide_id"] for row in rows(out / "proportions.csv")] == ["good"]
    write_tiny_slide(tmp_path, "glass.png.tiff", seed=2).rename(tmp_path / "gone.svs")
    code, _, err = wsipipe(capsys, "run", tmp_path / "gone.svs", "-o", out, "--mpp", "0.5", *TOY)
    assert code == 0, err
    assert [row["slide_id"] for row in rows(out / "failures.csv")] == ["bad", "glass"]
    assert [row["slide_id"] for row in rows(out / "proportions.csv")] == ["gone", "good"]


def test_same_stem_of_another_file_gets_its_own_name(tmp_path: Path, capsys) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = write_tiny_slide(tmp_path / "a", "s.tiff"), write_tiny_slide(tmp_path / "b", "s.tiff", seed=1)
    code, _, _ = wsipipe(capsys, "segment", first, second, "-o", tmp_path / "out", *TOY)
    assert code == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names[0] == "s"
    assert len(names[1]) == len("s-01234567")


def test_missing_resolution_names_the_option(tmp_path: Path, capsys) -> None:
    image = tmp_path / "tile.png"
    Image.fromarray(tiny_slide().rgb).save(image)
    code, _, err = wsipipe(capsys, "run", image, "-o", tmp_path / "out", *TOY)
    assert code == 1
    assert err.count("error:") == 1
    assert "--mpp" in err


def test_slide_without_nuclei_is_a_result(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    pink = np.clip(rng.normal((225, 160, 190), 3, (600, 800, 3)), 0, 255).astype(np.uint8)
    pink[:60] = 244
    tifffile.imwrite(tmp_path / "pink.tif", pink, photometric="rgb")
    code, _, err = wsipipe(capsys, "run", tmp_path / "pink.tif", "--mpp", "0.5", "-o", tmp_path / "out", *TOY)
    assert code == 0, err
    (row,) = rows(tmp_path / "out" / "proportions.csv")
    assert row["n_cells"] == "0"
    assert row["p_c0"] == ""
    assert "no_nuclei" in row["flags"]
    assert rows(tmp_path / "out" / "pink" / "cells.csv") == []


def test_regions_keep_the_analysis_inside(finished: Path, tmp_path: Path, capsys) -> None:
    ring = [[200, 150], [800, 150], [800, 600], [200, 600], [200, 150]]
    regions = tmp_path / "r.geojson"
    regions.write_text(json.dumps({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}))
    code, _, _ = wsipipe(
        capsys, "run", finished / "tiny.svs", "-o", tmp_path / "out", *TOY, "--regions", regions,
        "--model", finished / "out" / "model.safetensors",
    )  # fmt: skip
    assert code == 0
    inside = rows(tmp_path / "out" / "tiny" / "cells.csv")
    assert inside
    assert all(200 <= float(c["x_px"]) <= 800 and 150 <= float(c["y_px"]) <= 600 for c in inside)


def test_changed_slide_is_done_again(tmp_path: Path, capsys) -> None:
    slide = write_tiny_slide(tmp_path, "s.tiff")
    assert wsipipe(capsys, "segment", slide, "-o", tmp_path / "out", *TOY)[0] == 0
    first = json.loads((tmp_path / "out" / "s" / "run.json").read_text())["counts"]["cells"]
    slide.unlink()
    write_tiny_slide(tmp_path, "s.tiff", seed=3)
    code, _, err = wsipipe(capsys, "segment", slide, "-o", tmp_path / "out", *TOY)
    assert code == 0
    assert "done again" in err
    assert json.loads((tmp_path / "out" / "s" / "run.json").read_text())["counts"]["cells"] != first


def test_info_and_doctor(finished: Path, tmp_path: Path, capsys) -> None:
    code, out, _ = wsipipe(capsys, "info", finished / "tiny.svs")
    assert code == 0
    assert "mpp: 0.5" in out
    code, out, _ = wsipipe(capsys, "info", finished / "tiny.svs", "--json")
    assert json.loads(out)["width_px"] == 1024
    code, _, err = wsipipe(capsys, "info", tmp_path / "no.svs")
    assert code == 1
    assert err.startswith("error: no: ")
    code, out, _ = wsipipe(capsys, "doctor")
    assert code == 0, out
    code, out, _ = wsipipe(capsys, "doctor", finished / "out")
    assert code == 0, out
    code, out, _ = wsipipe(capsys, "doctor", tmp_path)
    assert code == 1
    assert "FAIL" in out


def test_doctor_names_what_is_damaged(tmp_path: Path, capsys) -> None:
    slide = write_tiny_slide(tmp_path, "s.tiff")
    assert wsipipe(capsys, "run", slide, "-o", tmp_path / "out", *TOY)[0] == 0
    shard = next(p for p in (tmp_path / "out/s/cells.zarr/patches/c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[100] ^= 0xFF
    shard.write_bytes(data)
    code, out, _ = wsipipe(capsys, "doctor", tmp_path / "out")
    assert code == 1
    assert any(line.startswith("FAIL s:") for line in out.splitlines())
    (tmp_path / "out/expected.csv").unlink()
    code, out, _ = wsipipe(capsys, "doctor", tmp_path / "out")
    assert code == 1
    assert "FAIL expected.csv: missing: run `wsipipe proportions`, which writes it again" in out.splitlines()


def test_demo_on_a_small_slide(tmp_path: Path, capsys) -> None:
    code, out, _ = wsipipe(capsys, "demo", "-o", tmp_path / "d", "--width", "1024", "--height", "768", *TOY)
    assert code == 0
    assert "purity" in out
    assert "recall" in out


def test_dry_run_prints_a_plan_and_writes_nothing(finished: Path, tmp_path: Path, capsys) -> None:
    code, out, _ = wsipipe(capsys, "run", finished / "tiny.svs", "-o", tmp_path / "out", "--dry-run")
    assert code == 0
    assert "mm2 of tissue" in out
    assert not (tmp_path / "out").exists()

"""`wsipipe export` as a user types it, on a slide with bounds."""

import csv
import json
import shutil
from pathlib import Path

import anndata
import cv2
import numpy as np
import openslide
import pyarrow.parquet as pq
import pytest
import shapely

from tests.calls import all_said, must_succeed
from tests.calls import code_and_stderr as wsipipe
from tests.slides import write_scn
from tests.synth import tiny_slide
from wsipipe.export import masks as masks_module
from wsipipe.io.truth_files import read_mask

CORNER = (1000, 700)
TOY = ["--recipe", "toy", "--workers", "1"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled output of a scan in the middle of its canvas."""
    folder = tmp_path_factory.mktemp("export")
    slide = write_scn(folder / "tiny.scn", tiny_slide().rgb, (3000, 2000), CORNER)
    assert openslide.OpenSlide(slide).properties["openslide.bounds-x"] == "1000"
    must_succeed("run", slide, "-o", folder / "out", *TOY)
    return folder / "out"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_form_beside_the_store_and_in_a_folder(out: Path, tmp_path: Path, capsys) -> None:
    names = {
        "csv": ["cells.csv"], "parquet": ["cells.parquet"], "geojson": ["cells.geojson", "tissue.geojson"],
        "anndata": ["cells.h5ad"], "masks": ["masks.png"],
    }  # fmt: skip
    for kind, files in names.items():
        assert wsipipe(capsys, "export", out, "--to", kind, "--workers", "1")[0] == 0
        assert all((out / "tiny" / name).is_file() for name in files)
        assert wsipipe(capsys, "export", out, "--to", kind, "-o", tmp_path, "--workers", "1", "--no-embedding")[0] == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "tiny.csv", "tiny.parquet", "tiny.geojson", "tiny-tissue.geojson", "tiny.h5ad", "tiny.png",
    }  # fmt: skip
    cells = rows(out / "tiny" / "cells.csv")
    data = anndata.read_h5ad(out / "tiny" / "cells.h5ad")
    assert data.obs["class"].tolist() == [c["class"] for c in cells]
    assert data.obsm["embedding"].shape[0] == len(cells) == pq.read_metadata(tmp_path / "tiny.parquet").num_rows
    assert "embedding" not in anndata.read_h5ad(tmp_path / "tiny.h5ad").obsm


def test_geojson_lies_where_qupath_shows_the_slide(out: Path) -> None:
    """QuPath shows the scanned rectangle only; its pixels are those of the drawn slide."""
    drawn, truth = tiny_slide().rgb, tiny_slide()
    features = json.loads((out / "tiny" / "cells.geojson").read_text())["features"]
    shapes = [shapely.geometry.shape(f["geometry"]) for f in features]
    inside = np.zeros(drawn.shape[:2], np.uint8)
    for shape in shapes:
        cv2.fillPoly(inside, [np.array(shape.exterior.coords).astype(np.int32)], 1)
    assert drawn[inside > 0].mean() < drawn[inside == 0].mean() - 40
    middles = shapely.get_coordinates([s.centroid for s in shapes])
    nearest = np.hypot(truth.x_px[:, None] - middles[:, 0], truth.y_px[:, None] - middles[:, 1]).min(axis=1)
    assert (nearest < 6).mean() > 0.75
    cells = rows(out / "tiny" / "cells.csv")
    xy = np.array([[float(c["x_px"]), float(c["y_px"])] for c in cells])
    np.testing.assert_allclose(middles + CORNER, xy, atol=1.0)


def test_tissue_is_in_the_same_frame(out: Path, capsys) -> None:
    wsipipe(capsys, "export", out, "--to", "geojson")
    (tissue,) = json.loads((out / "tiny" / "tissue.geojson").read_text())["features"]
    outline = shapely.geometry.shape(tissue["geometry"])
    cells = json.loads((out / "tiny" / "cells.geojson").read_text())["features"]
    assert all(outline.contains(shapely.geometry.shape(f["geometry"]).centroid) for f in cells)
    assert outline.bounds[2] <= 1024 + 16
    assert tissue["properties"]["objectType"] == "annotation"


@pytest.mark.parametrize("packed", [False, True])
def test_nuclei_come_back_from_geojson_without_loss(out: Path, tmp_path: Path, capsys, packed: bool) -> None:
    wsipipe(capsys, "export", out, "--to", "geojson", "-o", tmp_path, *(["--gz"] if packed else []))
    given = tmp_path / ("tiny.geojson.gz" if packed else "tiny.geojson")
    slide = out.parent / "tiny.scn"
    assert wsipipe(capsys, "segment", slide, "-o", tmp_path / "again", "--nuclei", given, *TOY)[0] == 0
    wsipipe(capsys, "export", tmp_path / "again", "--to", "geojson", "-o", tmp_path / "second")
    first, second = (
        json.loads(path.read_text())["features"]
        for path in (out / "tiny/cells.geojson", tmp_path / "second/tiny.geojson")
    )
    assert [f["geometry"] for f in second] == [f["geometry"] for f in first]
    assert [f["id"] for f in second] == [f["id"] for f in first]


def test_masks_beyond_a_png_are_ome_zarr_and_evaluate_reads_both(
    out: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    wsipipe(capsys, "export", out, "--to", "masks", "-o", tmp_path / "png")
    monkeypatch.setattr(masks_module, "PNG_MAX_CELLS", 10)
    assert wsipipe(capsys, "export", out, "--to", "masks", "-o", tmp_path / "zarr")[0] == 0
    png, zarr = tmp_path / "png" / "tiny.png", tmp_path / "zarr" / "tiny.ome.zarr"
    np.testing.assert_array_equal(read_mask(png), read_mask(zarr))
    assert (read_mask(zarr) > 0).any()
    for truth in (png.parent, zarr.parent):
        (row, _) = json.loads(all_said(capsys, "evaluate", "nuclei", out, "--truth", truth, "--json"))
        assert row["aji"] == pytest.approx(1)


def test_overlay_of_a_region_is_the_slide_with_outlines(out: Path, tmp_path: Path, capsys) -> None:
    region = ["--region", "1100,800,400,300"]
    assert wsipipe(capsys, "export", out, "--to", "overlay", *region, "-o", tmp_path)[0] == 0
    drawn = cv2.imread(str(tmp_path / "tiny-1100-800-400-300.png"))
    pixels = tiny_slide().rgb[100:400, 100:500, ::-1].astype(int)
    far = np.abs(drawn - pixels).sum(axis=2) > 120  # JPEG blurs a little
    assert drawn.shape == (300, 400, 3)
    assert 0.005 < far.mean() < 0.2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "overlay"], "--region: is needed"),
        (["--to", "overlay", "--region", "2900,0,200,50"], "reaches beyond tiny, which is 3000 x 2000 px"),
        (["--to", "overlay", "--region", "1,2,3"], "is not x,y,w,h"),
        (["--to", "overlay", "--region", "-1,2,3,4"], "is not x,y,w,h"),
        (["--to", "csv", "--only", "other"], "--only other: is no finished slide of out"),
        (["--to", "xlsx"], "Invalid value for '--to'"),
    ],
)
def test_wrong_calls_are_one_line(out: Path, capsys, arguments: list[str], words: str) -> None:
    code, err = wsipipe(capsys, "export", out, *arguments)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_an_overlay_without_the_slide_file_says_how_to_name_it(out: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(out, tmp_path / "far" / "out")
    call = ("export", tmp_path / "far" / "out", "--to", "overlay", "--region", "1100,800,40,30")
    code, err = wsipipe(capsys, *call)
    assert code == 1
    assert "name the file or its folder with --slides" in err
    assert wsipipe(capsys, *call, "--slides", out.parent)[0] == 0
    assert (tmp_path / "far/out/tiny/overlay-1100-800-40-30.png").is_file()

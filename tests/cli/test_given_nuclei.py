"""`--nuclei`: every given nucleus comes out, the same whatever the tiles, workers and interruptions."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from tests.calls import code_and_lines as wsipipe
from tests.calls import must_succeed
from tests.synth import TINY_MPP, tiny_slide, write_tiny_slide
from wsipipe.config import Settings, TilingConfig, load_recipe
from wsipipe.export.masks import write_mask_png
from wsipipe.export.rings import simple_rings
from wsipipe.image.claims import distance
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.spool import Spool
from wsipipe.io.store import CellStore
from wsipipe.parallel import Pool
from wsipipe.progress import Quiet
from wsipipe.records import Cells
from wsipipe.segmenting import segment_slide

TOY = ["--recipe", "toy", "--workers", "1"]


def table(out: Path, slide_id: str = "tiny") -> dict[str, np.ndarray]:
    """Columns x_px, y_px and area_um2 of a slide's cells.csv."""
    with (out / slide_id / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in ("x_px", "y_px", "area_um2")}


def segmented(
    slide: Path, out: Path, nuclei: Path | None, tile_px: int = 1024, workers: int = 1, **more: Any
) -> tuple[SlideFolder, Cells]:
    """Folder and cells of a slide, segmented in this process."""
    recipe = dataclasses.replace(load_recipe("toy"), tiling=TilingConfig(tile_px=tile_px))
    settings = Settings(out=out, recipe=recipe, nuclei=nuclei, workers=workers, **more)
    folder = OutputFolder(out).slide(slide.stem)
    with Pool(workers) as pool:
        store = segment_slide(slide, folder, settings, pool, Quiet())
    return folder, store.rows(0, len(store))


def assert_same(a: Cells, b: Cells) -> None:
    for field in dataclasses.fields(Cells):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def polygons(path: Path, *rings: list[list[float]]) -> Path:
    features = [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}} for ring in rings]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny slide, its segmented cells in `own`, and its truth as a mask, as points and as GeoJSON."""
    folder = tmp_path_factory.mktemp("given")
    truth, slide = tiny_slide(), write_tiny_slide(folder, "tiny.svs")
    write_mask_png(folder / "mask.png", truth.labels.astype(np.uint32))
    lines = [f"{x},{y}\n" for x, y in zip(truth.x_px, truth.y_px, strict=True)]
    (folder / "points.csv").write_text("x,y\n" + "".join(lines))
    must_succeed("segment", slide, "-o", folder / "own", *TOY)
    must_succeed("proportions", folder / "own")
    (folder / "own.geojson").write_bytes((folder / "own" / "tiny" / "cells.geojson").read_bytes())
    return folder


def test_a_mask_gives_every_nucleus_with_its_exact_area(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert wsipipe(capsys, "segment", folder / "tiny.svs", "-o", out, "--nuclei", folder / "mask.png", *TOY)[0] == 0
    assert wsipipe(capsys, "proportions", out)[0] == 0
    truth, found = tiny_slide(), table(out)
    order = np.lexsort((truth.x_px, truth.y_px))
    np.testing.assert_allclose(found["x_px"], truth.x_px[order], atol=0.011)
    np.testing.assert_allclose(found["y_px"], truth.y_px[order], atol=0.011)
    areas = np.bincount(truth.labels.ravel())[1:] * TINY_MPP**2
    np.testing.assert_allclose(found["area_um2"], areas[order], atol=0.005)


def test_points_give_as_many_cells_each_at_its_point(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    code, lines = wsipipe(capsys, "segment", folder / "tiny.svs", "-o", out, "--nuclei", folder / "points.csv", *TOY)
    assert code == 0
    assert any("points took a segmented object" in line for line in lines)
    store, truth = CellStore(out / "tiny" / "cells.zarr"), tiny_slide()
    cells = store.rows(0, len(store), patches=False)
    assert len(cells) == len(truth.x_px)
    rings = [ring.astype(np.float64) for ring in np.split(cells.contour_xy, cells.contour_offset[1:-1])]
    fits = [
        [distance(ring, x, y) * TINY_MPP <= 3.0 for ring in rings] for x, y in zip(truth.x_px, truth.y_px, strict=True)
    ]
    assert (maximum_bipartite_matching(csr_array(fits)) >= 0).all(), "a cell of its own for every point"
    discs = np.array([len(ring) == 64 and (ring % 1 != 0).any() for ring in rings])
    assert 0 < discs.sum() < len(cells) / 3
    np.testing.assert_allclose(cells.area_um2[discs], np.pi * 16, rtol=0.06)


def test_our_own_geojson_gives_back_the_same_files(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert wsipipe(capsys, "segment", folder / "tiny.svs", "-o", out, "--nuclei", folder / "own.geojson", *TOY)[0] == 0
    assert wsipipe(capsys, "proportions", out)[0] == 0
    for name in ("cells.csv", "cells.geojson"):
        assert (out / "tiny" / name).read_bytes() == (folder / "own" / "tiny" / name).read_bytes()
    mine, theirs = (
        store.rows(0, len(store)) for store in map(CellStore, (out / "tiny/cells.zarr", folder / "own/tiny/cells.zarr"))
    )
    xy, offset = simple_rings(theirs)  # the file has outlines that touch themselves opened there
    first = np.delete(np.arange(len(xy)), offset[1:] - 1)
    opened = dataclasses.replace(theirs, contour_xy=xy[first], contour_offset=offset - np.arange(len(offset)))
    assert_same(mine, opened)


@pytest.mark.parametrize("name", ["mask.png", "points.csv", "own.geojson"])
def test_tiles_and_workers_change_nothing(folder: Path, tmp_path: Path, name: str) -> None:
    slide = folder / "tiny.svs"
    _, wanted = segmented(slide, tmp_path / "1024", folder / name)
    for tile_px, workers in ((256, 1), (256, 2), (1024, 2), (200, 2)):
        assert_same(segmented(slide, tmp_path / f"{tile_px}-{workers}", folder / name, tile_px, workers)[1], wanted)


@pytest.mark.parametrize("name", ["mask.png", "points.csv"])
def test_a_stopped_run_goes_on(folder: Path, tmp_path: Path, monkeypatch, name: str) -> None:
    slide, append = folder / "tiny.svs", Spool.append
    _, wanted = segmented(slide, tmp_path / "whole", folder / name, 256)

    def stops(spool: Spool, tile: int, cells: Cells, facts: dict[str, Any]) -> None:
        if len(spool.tiles) == 4:
            raise KeyboardInterrupt
        append(spool, tile, cells, facts)

    monkeypatch.setattr(Spool, "append", stops)
    with pytest.raises(KeyboardInterrupt):
        segmented(slide, tmp_path / "out", folder / name, 256)
    appended = []
    monkeypatch.setattr(Spool, "append", lambda s, tile, *rest: (appended.append(tile), append(s, tile, *rest)))
    assert_same(segmented(slide, tmp_path / "out", folder / name, 256)[1], wanted)
    assert len(appended) == 12 - 4


def test_overlapping_tiny_huge_and_outlying_nuclei_all_come_out(folder: Path, tmp_path: Path) -> None:
    rings = [
        square(300, 300, 20), square(310, 310, 20), square(300, 300, 20),  # overlapping, and one twice
        square(500.6, 400.6, 0.2),  # smaller than a pixel
        square(250, 450, 200),  # 100 um, across tiles
        square(-50, -50, 20), square(1000, 700, 200), square(5, 5, 8),  # outside, half outside, on glass
    ]  # fmt: skip
    nuclei = polygons(tmp_path / "n.geojson", *rings)
    run, cells = segmented(folder / "tiny.svs", tmp_path / "a", nuclei, 256)
    assert_same(segmented(folder / "tiny.svs", tmp_path / "b", nuclei, 1024, 2)[1], cells)
    areas = np.round(cells.area_um2 / TINY_MPP**2).astype(int)
    assert sorted(areas) == sorted([400, 400, 400, 1, 200 * 200, 1, 24 * 68, 64])
    centres = {(x, y): a for x, y, a in zip(cells.x_px, cells.y_px, areas, strict=True)}
    assert centres[320.0, 320.0] == 400
    assert centres[500.5, 400.5] == centres[0.5, 0.5] == 1
    assert centres[350.0, 550.0] == 40_000
    outlines = {ring.tobytes() for ring in np.split(cells.contour_xy, cells.contour_offset[1:-1])}
    assert outlines == {np.array(ring[:-1], np.float32).tobytes() for ring in rings}, "unchanged, also where cut off"
    assert any("2 of 8 given nuclei lie outside" in line for line in run.facts()["warnings"])


def test_neither_tissue_nor_regions_leave_a_given_nucleus_out(folder: Path, tmp_path: Path) -> None:
    region = polygons(tmp_path / "r.geojson", square(300, 300, 300))
    nuclei = polygons(tmp_path / "n.geojson", square(5, 5, 20), square(400, 400, 20), square(800, 600, 20))
    _, cells = segmented(folder / "tiny.svs", tmp_path / "out", nuclei, 256, regions=region)
    assert cells.x_px.tolist() == [15, 410, 810]


def test_a_slide_without_tissue_works(tmp_path: Path, capsys) -> None:
    Image.new("RGB", (400, 300), (243, 242, 244)).save(tmp_path / "glass.png")
    nuclei = tmp_path / "n.csv"
    nuclei.write_text("x,y\n100,100\n399.5,10\n")
    call = ("segment", tmp_path / "glass.png", "--mpp", "0.5", "-o", tmp_path / "out", *TOY)
    code, lines = wsipipe(capsys, *call, "--nuclei", nuclei)
    assert code == 0
    assert sum("warning" in line and ("tissue" in line or "reference" in line) for line in lines) == 2
    assert wsipipe(capsys, "proportions", tmp_path / "out")[0] == 0
    found = table(tmp_path / "out", "glass")
    np.testing.assert_allclose(found["x_px"], [397, 100], atol=2.5)
    np.testing.assert_allclose(found["area_um2"][1], np.pi * 16, rtol=0.06)
    nuclei.write_text("x,y\n")
    code, lines = wsipipe(capsys, *call, "--nuclei", nuclei)
    assert code == 1
    assert lines[-1].startswith("error: glass: ")


def test_no_nuclei_given_is_a_result_without_cells(folder: Path, tmp_path: Path) -> None:
    assert len(segmented(folder / "tiny.svs", tmp_path / "out", polygons(tmp_path / "n.geojson"))[1]) == 0


def test_a_changed_file_makes_the_slide_be_done_again(folder: Path, tmp_path: Path, capsys) -> None:
    nuclei = polygons(tmp_path / "n.geojson", square(300, 300, 20))
    call = ("segment", folder / "tiny.svs", "-o", tmp_path / "out", *TOY)
    assert wsipipe(capsys, *call, "--nuclei", nuclei)[0] == 0
    assert any("there already" in line for line in wsipipe(capsys, *call, "--nuclei", nuclei)[1])
    polygons(nuclei, square(300, 300, 20), square(400, 400, 20))
    for more in (("--nuclei", nuclei), ()):
        code, lines = wsipipe(capsys, *call, *more)
        assert code == 0
        assert any("done again" in line for line in lines)
    assert len(CellStore(tmp_path / "out" / "tiny" / "cells.zarr")) > 100


def test_a_folder_fails_only_the_slides_it_has_no_good_file_for(tmp_path: Path, capsys) -> None:
    slides = [write_tiny_slide(tmp_path, f"{name}.tiff") for name in ("good", "none", "bad")]
    given = tmp_path / "given"
    given.mkdir()
    polygons(given / "good.geojson", square(300, 300, 20))
    (given / "bad.geojson").write_text("[{")
    code, lines = wsipipe(capsys, "segment", *slides, "-o", tmp_path / "out", "--nuclei", given, *TOY)
    assert code == 1
    errors = [line for line in lines if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in errors] == ["none", "bad"]
    assert "no file for it in --nuclei given: put" in errors[0]
    assert "--nuclei bad.geojson: is no readable GeoJSON" in errors[1]
    assert len(CellStore(tmp_path / "out" / "good" / "cells.zarr")) == 1


def test_wrong_usage_is_one_line_and_exit_code_2(folder: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n")
    call = ("segment", folder / "tiny.svs", "-o", tmp_path / "out", *TOY)
    second = write_tiny_slide(tmp_path, "second.tiff")
    for arguments, wanted in (
        ([*call, "--nuclei", tmp_path / "bad.csv"], "bad.csv: is no list of points"),
        ([*call, "--nuclei", tmp_path / "gone.csv"], "gone.csv"),
        ([*call, second, "--nuclei", folder / "points.csv"], "one file for 2 slides"),
        (["segment", folder / "tiny.svs", "-o", folder / "own", "--nuclei", folder / "own" / "tiny" / "cells.csv",
          "--overwrite", *TOY], "lies in the output folder"),
    ):  # fmt: skip
        code, lines = wsipipe(capsys, *arguments)
        assert code == 2
        (line,) = [line for line in lines if line.startswith("error: ")]
        assert wanted in line
    assert (folder / "own" / "tiny" / "cells.csv").is_file()


def test_the_plan_knows_of_given_nuclei(folder: Path, tmp_path: Path, capsys) -> None:
    call = ("segment", folder / "tiny.svs", "-o", tmp_path / "out", "--dry-run", *TOY)
    assert wsipipe(capsys, *call, "--nuclei", folder / "mask.png")[0] == 0
    assert not (tmp_path / "out").exists()

"""Exports as the programs they are for read them: pyarrow, anndata, ome-zarr-py, shapely."""

import dataclasses
import gzip
import json
from pathlib import Path

import anndata
import cv2
import numpy as np
import ome_zarr.io
import ome_zarr.reader
import pyarrow.parquet as pq
import pytest
import shapely
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tests.cells import random_cells
from wsipipe.export import ome_zarr as module
from wsipipe.export.classes import default_classes
from wsipipe.export.geojson import cells_geojson, tissue_geojson
from wsipipe.export.h5ad import cells_h5ad
from wsipipe.export.masks import fits_png
from wsipipe.export.ome_zarr import Overview, write_label_zarr
from wsipipe.export.overlay import write_overlay
from wsipipe.export.parquet import cells_parquet
from wsipipe.export.rows import LabelledCells
from wsipipe.export.tables import CELL_COLUMNS, MORPHOLOGY
from wsipipe.image.label_image import label_image, paint_labels
from wsipipe.io.truth_files import find_truth, read_mask
from wsipipe.records import Box, Cells, Level, SlideInfo

CELLS = random_cells(900)
RNG = np.random.default_rng(0)
CLASSES, CONFIDENCE = RNG.integers(0, 3, 900).astype(np.uint8), RNG.random(900, np.float32)
NAMED = default_classes(3)
INFO = SlideInfo(
    slide_id="s µ", reader="openslide", vendor="leica", mpp=0.5, mpp_source="metadata", objective_power=20.0,
    levels=(Level(5100, 5040, 1.0),), bounds=Box(100, 40, 5000, 5000), has_bounds=True, fingerprint="0123456789abcdef",
)  # fmt: skip


def chunks(labelled: bool = True, at: tuple[int, ...] = (0, 1, 400)) -> list[LabelledCells]:
    parts = np.split(np.arange(900), at)
    if labelled:
        return [LabelledCells(CELLS.take(r), CLASSES[r], CONFIDENCE[r]) for r in parts]
    return [LabelledCells(CELLS.take(r)) for r in parts]


def test_parquet_holds_the_columns_of_the_csv_to_the_last_bit(tmp_path: Path) -> None:
    assert cells_parquet(tmp_path / "a.parquet", chunks(), INFO, [c.name for c in NAMED]) == 900
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == list(CELL_COLUMNS)
    assert table["cell_id"].to_pylist() == list(range(900))
    for name in ("x_px", "y_px", "area_um2", "solidity", "e_od_std"):
        np.testing.assert_array_equal(table[name].to_numpy(), getattr(CELLS, name))
    assert table["class"].to_pylist() == [f"c{i}" for i in CLASSES]
    np.testing.assert_array_equal(table["confidence"].to_numpy(), CONFIDENCE)
    facts = json.loads(table.schema.metadata[b"wsipipe"])
    assert (facts["slide_id"], facts["classes"]) == ("s µ", ["c0", "c1", "c2"])


def test_parquet_without_labels_or_cells(tmp_path: Path) -> None:
    cells_parquet(tmp_path / "a.parquet", chunks(labelled=False), INFO)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["class"].null_count == table["confidence"].null_count == 900
    cells_parquet(tmp_path / "b.parquet", [], INFO)
    assert pq.read_table(tmp_path / "b.parquet").schema.names == table.schema.names


def test_anndata_opens_what_was_streamed(tmp_path: Path) -> None:
    features = RNG.random((900, 7), np.float32)
    cells_h5ad(tmp_path / "a.h5ad", chunks(), 900, INFO, NAMED, np.split(features, [5, 300]))
    data = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert list(data.var_names) == list(MORPHOLOGY)
    np.testing.assert_array_equal(data.X, np.column_stack([getattr(CELLS, name) for name in MORPHOLOGY]))
    np.testing.assert_array_equal(data.obsm["spatial"], np.column_stack([CELLS.x_px, CELLS.y_px]))
    np.testing.assert_array_equal(data.obsm["embedding"], features)
    assert list(data.obs_names[[0, 899]]) == ["s µ-0", "s µ-899"]
    assert data.obs["class"].tolist() == [f"c{i}" for i in CLASSES]
    assert list(data.obs["class"].cat.categories) == ["c0", "c1", "c2"]
    assert data.obs["cell_id"].tolist() == list(range(900))
    assert set(data.obs["slide_id"]) == {"s µ"}
    np.testing.assert_array_equal(data.obs["confidence"], CONFIDENCE)
    assert list(data.uns["class_colors"]) == [c.hex for c in NAMED]
    assert data.uns["wsipipe"]["mpp"] == 0.5
    data.write_h5ad(tmp_path / "again.h5ad")
    assert anndata.read_h5ad(tmp_path / "again.h5ad").obs.equals(data.obs)


def test_anndata_without_labels_or_cells(tmp_path: Path) -> None:
    cells_h5ad(tmp_path / "a.h5ad", chunks(labelled=False), 900, INFO)
    data = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert list(data.obs.columns) == ["slide_id", "cell_id"]
    assert list(data.obsm) == ["spatial"]
    cells_h5ad(tmp_path / "b.h5ad", [LabelledCells(Cells.empty(8))], 0, INFO, NAMED)
    assert anndata.read_h5ad(tmp_path / "b.h5ad").shape == (0, len(MORPHOLOGY))


def test_anndata_with_another_number_of_rows_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="900 cells came, not 901"):
        cells_h5ad(tmp_path / "a.h5ad", chunks(), 901, INFO)
    with pytest.raises(ValueError, match="5 cells have an embedding"):
        cells_h5ad(tmp_path / "a.h5ad", chunks(), 900, INFO, NAMED, [np.zeros((5, 2), np.float32)])
    assert not list(tmp_path.iterdir())


def test_compressed_geojson_is_the_same_text_and_always_the_same_bytes(tmp_path: Path) -> None:
    cells_geojson(tmp_path / "a.geojson", chunks(), INFO, NAMED)
    for name in ("a.geojson.gz", "b.geojson.gz"):
        cells_geojson(tmp_path / name, chunks(), INFO, NAMED)
    assert gzip.decompress((tmp_path / "a.geojson.gz").read_bytes()) == (tmp_path / "a.geojson").read_bytes()
    assert (tmp_path / "a.geojson.gz").read_bytes() == (tmp_path / "b.geojson.gz").read_bytes()


def test_shapely_reads_every_outline_without_loss(tmp_path: Path) -> None:
    cells_geojson(tmp_path / "a.geojson", chunks(), INFO, NAMED)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    shapes = [shapely.geometry.shape(f["geometry"]) for f in features]
    assert all(s.is_valid and s.geom_type == "Polygon" for s in shapes)
    for i, shape in enumerate(shapes):
        ring = CELLS.contour_xy[CELLS.contour_offset[i] : CELLS.contour_offset[i + 1]]
        np.testing.assert_allclose(np.array(shape.exterior.coords)[:-1] + INFO.bounds[:2], ring, atol=0.0051)
    assert len({f["id"] for f in features}) == 900


@given(st.integers(0, 10_000))
def test_tissue_outline_covers_exactly_the_mask(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = cv2.resize(rng.random((6, 8)).astype(np.float32), (17, 13)) > rng.uniform(0.2, 0.7)
    info = dataclasses.replace(INFO, levels=(Level(170, 130, 1.0),), bounds=Box(20, 10, 150, 120))
    path = tmp_path_factory.mktemp("tissue") / "tissue.geojson"
    tissue_geojson(path, mask, 10.0, info)
    features = json.loads(path.read_text())["features"]
    assert len(features) == int(mask.any())
    if features:
        outline = shapely.geometry.shape(features[0]["geometry"])
        assert outline.is_valid
        assert outline.area == pytest.approx(100 * mask.sum())
        y, x = np.mgrid[0:13, 0:17]
        inside = shapely.contains_xy(outline, x * 10 + 5 - 20, y * 10 + 5 - 10)
        np.testing.assert_array_equal(inside, mask)
        assert features[0]["properties"]["objectType"] == "annotation"


def drawer(cells: Cells):
    """Labels of any box, of those cells only that touch it."""

    def draw(box: Box) -> np.ndarray | None:
        left, top, right, bottom = cells.bbox_px.T
        ids = np.flatnonzero((left < box.right) & (right > box.x) & (top < box.bottom) & (bottom > box.y))
        labels = np.zeros((box.height, box.width), np.uint32)
        paint_labels(labels, cells.take(ids), ids, (box.x, box.y))
        return labels if len(ids) else None

    return draw


@pytest.fixture
def masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "BLOCK_PX", 1024)
    monkeypatch.setattr(module, "_CHUNK_PX", 256)
    overview = Overview(np.full((126, 128, 3), 200, np.uint8), 40.0)
    path = tmp_path / "s.ome.zarr"
    write_label_zarr(path, drawer(CELLS), INFO, overview, NAMED, CLASSES)
    return path


def test_ome_zarr_py_opens_the_pyramid_of_labels_over_the_overview(masks: Path) -> None:
    nodes = list(ome_zarr.reader.Reader(ome_zarr.io.parse_url(masks))())
    image, nuclei, classes = (n for n in nodes if n.data)
    assert image.data[0].shape == (3, 126, 128)
    assert [d.shape for d in nuclei.data] == [(5040, 5100), (2520, 2550), (1260, 1275), (630, 638)]
    assert nuclei.data[0].dtype == np.uint32
    assert [a["name"] for a in nuclei.metadata["axes"]] == ["y", "x"]
    assert nuclei.metadata["coordinateTransformations"][2] == [{"type": "scale", "scale": [2.0, 2.0]}]
    whole = label_image([CELLS], 5100, 5040)
    np.testing.assert_array_equal(nuclei.data[0].compute(), whole)
    for level, data in enumerate(nuclei.data):
        np.testing.assert_array_equal(data.compute(), whole[:: 2**level, :: 2**level])
    np.testing.assert_array_equal(classes.data[0].compute(), np.concatenate([[0], CLASSES + 1])[whole])
    assert classes.metadata["color"][1] == [c / 255 for c in (*NAMED[0].color, 255)]
    assert classes.metadata["properties"][3] == {"class": "c2"}
    assert zarr.open_group(masks, mode="r").attrs["ome"]["version"] == "0.5"


def test_ome_zarr_is_read_as_a_mask(masks: Path) -> None:
    assert find_truth(masks.parent, "s") == masks
    np.testing.assert_array_equal(read_mask(masks), label_image([CELLS], 5100, 5040))


def test_blocks_without_cells_are_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_PX", 512)
    monkeypatch.setattr(module, "_CHUNK_PX", 256)
    few = CELLS.take(np.flatnonzero((CELLS.x_px < 400) & (CELLS.y_px < 400)))
    write_label_zarr(tmp_path / "s.ome.zarr", drawer(few), INFO, Overview(np.zeros((9, 9, 3), np.uint8), 600.0))
    files = [p for p in (tmp_path / "s.ome.zarr" / "labels" / "nuclei" / "0").rglob("*") if p.name != "zarr.json"]
    assert [p.name for p in files if p.is_file()] == ["0"]
    assert not (tmp_path / "s.ome.zarr" / "labels" / "classes").exists()


@pytest.mark.parametrize(
    ("cells", "width", "height", "fits"),
    [(65_535, 20_000, 20_000, True), (65_536, 10, 10, False), (1, 20_001, 10, False), (1, 10, 20_001, False)],
)
def test_what_fits_a_png(cells: int, width: int, height: int, fits: bool) -> None:
    assert fits_png(cells, width, height) == fits


def test_an_overlay_shows_each_class_in_its_colour_and_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    box = Box(1000, 1000, 600, 500)
    rgb = np.full((500, 600, 3), 190, np.uint8)
    left, top, right, bottom = CELLS.bbox_px.T
    seen = np.flatnonzero((left < box.right) & (right > box.x) & (top < box.bottom) & (bottom > box.y))
    cells = LabelledCells(CELLS.take(seen), CLASSES[seen], CONFIDENCE[seen])
    write_overlay(tmp_path / "a.png", rgb, box, cells, NAMED)
    drawn = cv2.cvtColor(cv2.imread(str(tmp_path / "a.png")), cv2.COLOR_BGR2RGB)
    changed = (drawn != 190).any(axis=2)
    assert 0 < changed.mean() < 0.2
    for i, row in enumerate(seen):
        x, y = CELLS.contour_xy[CELLS.contour_offset[row]] - (box.x, box.y)
        if 5 < x < 595 and 5 < y < 495:
            near = drawn[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].reshape(-1, 3).astype(int)
            assert np.abs(near - NAMED[cells.classes[i]].color).sum(axis=1).min() < 150
    write_overlay(tmp_path / "b.png", rgb, box, LabelledCells(CELLS.take(seen)))
    assert (cv2.imread(str(tmp_path / "b.png")) != 190).any()

"""cells.geojson: to the byte, in the right place, closed rings, stable ids."""

import dataclasses
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cells import few_cells, random_cells
from wsipipe import __version__
from wsipipe.export import geojson
from wsipipe.export.classes import CellClass, default_classes
from wsipipe.export.geojson import cells_geojson
from wsipipe.export.rings import closed_rings
from wsipipe.export.rows import LabelledCells
from wsipipe.records import Box, Cells, Level, SlideInfo

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSES = (CellClass("c0", (230, 159, 0)), CellClass("tumour", (0, 0, 255)))
LABELLED = LabelledCells(few_cells(), np.array([1, 0, 1], np.uint8), np.array([1, 0.5, 0.25], np.float32))
INFO = SlideInfo(
    slide_id='a "slide" µ',
    reader="openslide",
    vendor="mirax",
    mpp=0.2527,
    mpp_source="metadata",
    objective_power=40.0,
    levels=(Level(120_000, 100_000, 1.0),),
    bounds=Box(1000, 10, 5000, 4000),
    has_bounds=True,
    fingerprint="0123456789abcdef",
)
WHOLE = dataclasses.replace(INFO, bounds=Box(0, 0, 120_000, 100_000), has_bounds=False)


def written(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


def test_it_is_the_golden_file(tmp_path: Path) -> None:
    assert cells_geojson(tmp_path / "a.geojson", [LABELLED], INFO, CLASSES) == 3
    text = (tmp_path / "a.geojson").read_bytes().replace(f"wsipipe {__version__}".encode(), b"wsipipe VERSION")
    assert text == (GOLDEN / "cells.geojson").read_bytes()


def test_one_feature_a_cell_with_class_and_measurements(tmp_path: Path) -> None:
    cells_geojson(tmp_path / "a.geojson", [LABELLED], WHOLE, CLASSES)
    data = written(tmp_path / "a.geojson")
    assert data["type"] == "FeatureCollection"
    first = data["features"][0]
    assert first["type"] == "Feature"
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["classification"] == {"name": "tumour", "color": [0, 0, 255]}
    assert first["properties"]["measurements"]["Nucleus: Area µm^2"] == 50.12
    assert first["properties"]["measurements"]["Class confidence"] == 1
    assert first["geometry"] == {"type": "Polygon", "coordinates": [[[5, 0], [16, 0], [16, 6], [5, 6], [5, 0]]]}


def test_coordinates_are_those_that_qupath_shows(tmp_path: Path) -> None:
    """QuPath counts from the corner of the bounds; metadata holds what brings level-0 coordinates back."""
    cells_geojson(tmp_path / "whole.geojson", [LABELLED], WHOLE, CLASSES)
    cells_geojson(tmp_path / "bounds.geojson", [LABELLED], INFO, CLASSES)
    whole, bounds = written(tmp_path / "whole.geojson"), written(tmp_path / "bounds.geojson")
    assert whole["metadata"]["offset_px"] == [0, 0]
    assert bounds["metadata"]["offset_px"] == [1000, 10]
    assert "bounds" in bounds["metadata"]["coordinates"]
    assert bounds["metadata"]["mpp"] == 0.2527
    assert bounds["metadata"]["notice"] == "For research use only."
    for a, b in zip(whole["features"], bounds["features"], strict=True):
        ring_a, ring_b = (np.array(f["geometry"]["coordinates"][0]) for f in (a, b))
        np.testing.assert_allclose(ring_b + [1000, 10], ring_a, atol=1e-9)


def test_an_outline_that_is_no_area_becomes_its_box(tmp_path: Path) -> None:
    cells_geojson(tmp_path / "a.geojson", [LABELLED], WHOLE, CLASSES)
    last = written(tmp_path / "a.geojson")["features"][2]
    assert last["geometry"]["coordinates"] == [[[99998, 19], [100000, 19], [100000, 21], [99998, 21], [99998, 19]]]


def test_ids_are_version_5_uuids_of_slide_and_cell_id(tmp_path: Path) -> None:
    cells_geojson(tmp_path / "a.geojson", [LABELLED], INFO, CLASSES)
    ids = [f["id"] for f in written(tmp_path / "a.geojson")["features"]]
    assert ids == [str(uuid.uuid5(geojson.NAMESPACE, f"0123456789abcdef/{i}")) for i in range(3)]


def test_chunks_and_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = random_cells(500)
    rng = np.random.default_rng(0)
    classes, confidence = rng.integers(0, 5, 500).astype(np.uint8), rng.random(500, np.float32)
    cells_geojson(tmp_path / "one.geojson", [LabelledCells(cells, classes, confidence)], INFO, default_classes(5))
    parts = (
        LabelledCells(cells.take(r), classes[r], confidence[r])
        for r in np.array_split(np.arange(500), [0, 1, 1, 130, 499])
    )
    monkeypatch.setattr(geojson, "BLOCK_ROWS", 64)
    cells_geojson(tmp_path / "parts.geojson", parts, INFO, default_classes(5))
    assert (tmp_path / "one.geojson").read_bytes() == (tmp_path / "parts.geojson").read_bytes()
    features = written(tmp_path / "one.geojson")["features"]
    assert [f["properties"]["classification"]["name"] for f in features] == [f"c{i}" for i in classes]
    centres = np.array([np.mean(f["geometry"]["coordinates"][0][:-1], axis=0) for f in features])
    np.testing.assert_allclose(centres + [1000, 10], np.stack([cells.x_px, cells.y_px], 1), atol=0.01)


def test_cells_without_labels_have_no_classification(tmp_path: Path) -> None:
    cells_geojson(tmp_path / "a.geojson", [LabelledCells(few_cells())], INFO)
    for feature in written(tmp_path / "a.geojson")["features"]:
        assert feature["properties"].keys() == {"objectType", "measurements"}
        assert "Class confidence" not in feature["properties"]["measurements"]


@pytest.mark.parametrize("chunks", [[], [LabelledCells(Cells.empty(32))]])
def test_no_cells_are_an_empty_collection(tmp_path: Path, chunks: list[LabelledCells]) -> None:
    assert cells_geojson(tmp_path / "a.geojson", chunks, INFO) == 0
    assert written(tmp_path / "a.geojson")["features"] == []


def test_a_class_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="class 1 has no name"):
        cells_geojson(tmp_path / "a.geojson", [LABELLED], INFO, CLASSES[:1])
    assert not list(tmp_path.iterdir())


@given(st.lists(st.integers(0, 9), max_size=12))
def test_every_ring_is_closed_and_keeps_its_vertices(lengths: list[int]) -> None:
    n, m = len(lengths), sum(lengths)
    base = random_cells(n)
    xy = np.arange(2 * m, dtype=np.float32).reshape(m, 2)
    cells = dataclasses.replace(
        base, contour_offset=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), contour_xy=xy
    )
    vertices, offset = closed_rings(cells)
    assert offset[-1] == len(vertices)
    for i, length in enumerate(lengths):
        ring = vertices[offset[i] : offset[i + 1]]
        assert len(ring) >= 4
        np.testing.assert_array_equal(ring[0], ring[-1])
        if length >= 3:
            np.testing.assert_array_equal(ring[:-1], xy[cells.contour_offset[i] : cells.contour_offset[i + 1]])
        else:
            np.testing.assert_array_equal([*ring.min(0), *ring.max(0)], cells.bbox_px[i])

"""Outlines in files are valid polygons, and still enclose the same pixels."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.cells import random_cells
from wsipipe.export.geojson import cells_geojson
from wsipipe.export.rings import MOST_RINGS, closed_rings, simple_rings
from wsipipe.export.rows import LabelledCells
from wsipipe.image.morphology import measure
from wsipipe.image.outlines import draw
from wsipipe.records import Box, Cells, Grid, Level, SlideInfo

INFO = SlideInfo("s", "image", "unknown", 0.5, "--mpp", None, (Level(400, 400, 1.0),), Box(0, 0, 400, 400), False, "f")
TOUCHING = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1]], np.uint8)


def cells_of(outlines: list[np.ndarray]) -> Cells:
    base = random_cells(len(outlines))
    low, high = (np.array([f(o, axis=0) for o in outlines]) for f in (np.min, np.max))
    return dataclasses.replace(
        base,
        bbox_px=np.concatenate([np.floor(low), np.ceil(high)], axis=1).astype(np.int32),
        contour_offset=np.cumsum([0, *map(len, outlines)]).astype(np.int64),
        contour_xy=np.concatenate(outlines).astype(np.float32),
    )


def outlines_of(mask: np.ndarray, scale: float = 1.0) -> list[np.ndarray]:
    """Outline of every 4-connected piece."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    nothing = np.zeros(mask.shape, np.uint16)
    found = measure(labels.astype(np.int32), nothing, nothing)
    return [ring * scale for ring in np.split(found.contour_xy.astype(np.float64), found.contour_offset[1:-1])]


def rings_of(cells: Cells, make=simple_rings) -> list[np.ndarray]:
    xy, offset = make(cells)
    return np.split(xy.astype(np.float64), offset[1:-1])


def test_a_ring_that_touches_itself_is_cut_off_at_that_corner_only() -> None:
    cells = cells_of(outlines_of(TOUCHING))
    assert not shapely.Polygon(rings_of(cells, closed_rings)[0]).is_valid
    (ring,) = rings_of(cells)
    polygon = shapely.Polygon(ring)
    assert polygon.is_valid
    pocket = shapely.box(1, 1, 2, 2)
    assert polygon.intersection(pocket).area == pytest.approx(0.0, abs=0.07)
    assert polygon.area == pytest.approx(TOUCHING.sum(), abs=0.2)


@given(st.integers(0, 10_000), st.sampled_from([1.0, 2.0, 1.9785, 0.8]), st.floats(0.4, 0.75))
def test_outlines_of_any_pixels_are_valid_and_enclose_the_same_pixels(seed: int, scale: float, share: float) -> None:
    mask = np.random.default_rng(seed).random((11, 13)) < share
    mask[5, 6] = True
    outlines = outlines_of(mask, scale)
    grid = Grid(mpp=0.5, level=0, level_downsample=1.0, scale=scale, width_px=20, height_px=20)
    for ring, outline in zip(rings_of(cells_of(outlines)), outlines, strict=True):
        assert shapely.Polygon(np.round(ring, 2)).is_valid
        np.testing.assert_array_equal(ring[0], ring[-1])
        assert draw((ring[:-1],), grid).mask.tolist() == draw((outline,), grid).mask.tolist()


@pytest.mark.parametrize(
    ("outline", "area"),
    [
        ([[0, 0], [10, 10], [10, 0], [0, 6]], 31.25),  # the larger wing of a bow tie
        ([[0, 0], [4, 0], [4, 4], [8, 4], [8, 8], [4, 8], [4, 4], [0, 4]], 32),  # two squares with a corner in common
        ([[0, 0], [5, 5], [9, 9]], 81),  # no area: the box of its pixels
        ([[0, 0], [10, 0], [10, 10], [5, 10], [5, -5], [0, -5]], 50),  # right angles, no corner twice
        ([[0, 0], [10, 0], [10, 4], [5, 4], [5, 0], [4, 0], [4, 4], [0, 4]], 20),  # back along an edge
    ],
)
def test_given_outlines_that_cross_themselves(outline: list[list[float]], area: float) -> None:
    triangle = np.array([[20, 20], [30, 20], [30, 30.5]])
    ring, untouched = rings_of(cells_of([np.array(outline, float), triangle]), partial(simple_rings, given=True))
    assert shapely.Polygon(ring).is_valid
    assert shapely.Polygon(ring).area == pytest.approx(area, abs=0.1)
    np.testing.assert_array_equal(untouched[:-1], triangle)


def test_no_ring_is_touched_that_is_valid_already() -> None:
    cells = random_cells(300)
    for one, other in zip(simple_rings(cells), closed_rings(cells), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(simple_rings(Cells.empty(8)), closed_rings(Cells.empty(8)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_last_of_as_many_rings_as_may_be_is_looked_at_too() -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    rings = rings_of(cells_of([square] * (MOST_RINGS - 1) + outlines_of(TOUCHING)[:1]))
    assert shapely.is_valid(shapely.Polygon(rings[-1]))
    with pytest.raises(ValueError, match="32769 rings at once"):
        simple_rings(cells_of([square] * (MOST_RINGS + 1)))


def test_every_feature_of_the_file_is_valid(tmp_path: Path) -> None:
    cells = cells_of([o for seed in range(20) for o in outlines_of(np.random.default_rng(seed).random((12, 12)) < 0.6)])
    cells_geojson(tmp_path / "a.geojson", [LabelledCells(cells.take(cells.order()))], INFO)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in features]
    assert len(shapes) == len(cells.x_px)
    assert all(shape.is_valid and shape.area > 0 for shape in shapes)

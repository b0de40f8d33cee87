"""Maps, densities, outlines and montages of the slide page: where the cells are, in their colours."""

import base64
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.cells import few_cells, random_cells
from wsipipe.export.classes import default_classes
from wsipipe.export.encode import mask_uri, palette_uri, png_uri
from wsipipe.export.report.charts import round_length, scale_bar
from wsipipe.export.report.maps import VIRIDIS, CellMaps, Frame, density_levels, rim
from wsipipe.export.report.pictures import UNLABELLED_RGB, draw_nuclei, montage
from wsipipe.export.rows import LabelledCells


def decoded(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def test_marks_and_densities_are_where_the_cells_are() -> None:
    cells = random_cells(500)
    classes = (np.arange(500) % 2).astype(np.uint8)
    whole, parts = CellMaps(5040, 4000, 2), CellMaps(5040, 4000, 2)
    whole.add(LabelledCells(cells, classes, np.ones(500, np.float32)))
    for rows in np.array_split(np.arange(500), 7):
        parts.add(LabelledCells(cells.take(rows), classes[rows], np.ones(len(rows), np.float32)))
    tissue = np.zeros((40, 50), bool)
    tissue[:, :30] = True
    for i in range(2):
        np.testing.assert_array_equal(whole.marks(i), parts.marks(i))
        density = whole.density(i, tissue, 0.5)
        np.testing.assert_array_equal(density, parts.density(i, tissue, 0.5))
        assert np.isnan(density[:, -1]).all()
        assert np.isfinite(density[:, 0]).all()
    assert whole.marks(0).shape == (whole.map.height, whole.map.width) == (1111, 1400)
    first = whole.map.pixels(cells.x_px[:1], cells.y_px[:1])[0]
    assert whole.marks(0).ravel()[first]


def test_a_density_is_cells_per_area_of_tissue() -> None:
    """Cells on a lattice of 10 um are 10 000 per mm2, at the rim of the tissue too."""
    x, y = (axis.ravel() + 5.0 for axis in np.meshgrid(np.arange(0, 1000, 10), np.arange(0, 1000, 10)))
    cells = random_cells(len(x))
    cells.x_px[:], cells.y_px[:] = x, y
    maps = CellMaps(2000, 1000, 1)
    maps.add(LabelledCells(cells))
    tissue = np.zeros((100, 200), bool)
    tissue[:, :100] = True
    density = maps.density(0, tissue, 1.0)
    np.testing.assert_allclose(density[:, : maps.grid.width // 2 - 1], 10_000, rtol=0.04)
    everywhere = maps.density(0, np.zeros((100, 200), bool), 1.0)
    assert np.isfinite(everywhere).all()


def test_densities_go_from_none_to_the_most_and_are_transparent_outside_tissue() -> None:
    density = np.array([[np.nan, 0.0, 1.0, 2.0]], np.float32)
    assert density_levels(density).tolist() == [[0, 1, 128, 255]]
    assert density_levels(density * 0).tolist() == [[0, 1, 1, 1]]
    data = base64.b64decode(palette_uri(density_levels(density), VIRIDIS).partition(",")[2])
    rgba = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    assert rgba[0, :, 3].tolist() == [0, 255, 255, 255]
    assert rgba[0, 3, :3].tolist() == VIRIDIS[255].tolist()


def test_many_classes_have_smaller_pictures() -> None:
    few, many = CellMaps(1000, 500, 8), CellMaps(1000, 500, 64)
    assert few.map.width == 1400
    assert many.map.width == 495
    assert many.map.height in {247, 248}


def test_a_rim_follows_the_mask() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:8, 2:8] = True
    outline = rim(mask, Frame(100, 100, 1.0))
    rows, columns = np.nonzero(outline)
    assert abs(rows.min() - 20) <= 3
    assert abs(columns.max() - 79) <= 3
    assert not outline[40:60, 40:60].any()
    assert rim(np.ones((10, 10), bool), Frame(100, 100, 1.0))[0].all()


@pytest.mark.parametrize(("limit", "length"), [(9.99, 5), (1.0, 1), (2499, 2000), (0.3, 0.2), (50, 50)])
def test_scale_bars_have_round_lengths(limit: float, length: float) -> None:
    assert round_length(limit) == pytest.approx(length)


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    assert 'style="width:12.50%">500 µm' in scale_bar(4.0, 1000)
    assert 'style="width:20.00%">2 mm' in scale_bar(10.0, 1000)


def test_masks_are_one_colour_and_transparent_elsewhere() -> None:
    mask = np.random.default_rng(0).random((13, 21)) < 0.3
    data = base64.b64decode(mask_uri(mask, (1, 2, 3)).partition(",")[2])
    rgba = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    np.testing.assert_array_equal(rgba[..., 3] == 255, mask)
    assert (rgba[mask, :3] == (1, 2, 3)).all()


def test_dots_lie_on_the_nuclei_in_their_colours() -> None:
    view = np.full((50, 60, 3), 255, np.uint8)
    cells = random_cells(1)
    cells.x_px[:], cells.y_px[:] = 205.0, 107.0
    labels = np.array([1], np.uint8), np.ones(1, np.float32)
    drawn = draw_nuclei(view, LabelledCells(cells, *labels), [(1, 2, 3), (4, 5, 6)], downsample=10.0)
    rows, columns = np.nonzero((drawn != 255).any(2))
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(10, 20), (10, 21), (11, 20), (11, 21)]
    assert drawn[10, 20].tolist() == [4, 5, 6]
    assert (view == 255).all()


def test_outlines_lie_where_the_nuclei_are() -> None:
    """The first cell's outline is the rectangle from (5, 0) to (16, 6); the view starts at (2, -3)."""
    view = np.full((40, 40, 3), 255, np.uint8)
    cells = few_cells().take(np.array([0]))
    drawn = draw_nuclei(view, LabelledCells(cells), [], downsample=1.0, origin_px=(2.0, -3.0))
    rows, columns = np.nonzero((drawn < 128).any(2))
    assert (columns.min(), columns.max()) == (2, 14)
    assert (rows.min(), rows.max()) == (2, 9)
    assert not (drawn[5:7, 5:11] < 255).any()  # only the line, not what it encloses
    assert np.abs(drawn[2:10, 2:15].reshape(-1, 3).min(0).astype(int) - UNLABELLED_RGB).max() < 100


@pytest.mark.parametrize("downsample", [1.0, 8.0])
def test_nuclei_outside_the_view_and_chunks_change_nothing(downsample: float) -> None:
    view = np.full((1000, 900, 3), 240, np.uint8)
    cells = random_cells(400)
    classes = (np.arange(400) % 3).astype(np.uint8)
    colors = [c.color for c in default_classes(3)]
    whole = draw_nuclei(view, LabelledCells(cells, classes, np.ones(400, np.float32)), colors, downsample)
    parts = view
    for rows in np.array_split(np.arange(400), 7):
        chunk = LabelledCells(cells.take(rows), classes[rows], np.ones(len(rows), np.float32))
        parts = draw_nuclei(parts, chunk, colors, downsample)
    if downsample > 3:
        np.testing.assert_array_equal(parts, whole)
    assert (whole != view).any()
    nothing = draw_nuclei(view, LabelledCells(cells), colors, downsample, origin_px=(1e6, 1e6))
    np.testing.assert_array_equal(nothing, view)


def test_montage_puts_patches_side_by_side() -> None:
    patches = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (10, 20)])
    strip = montage(patches)
    assert strip.shape == (4, 10, 3)
    assert strip[0, :, 0].tolist() == [10] * 4 + [255] * 2 + [20] * 4
    assert montage(patches[:1], gap_px=0).shape == (4, 4, 3)


def test_png_is_lossless() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (9, 4, 3), np.uint8)
    np.testing.assert_array_equal(decoded(png_uri(rgb)), rgb)

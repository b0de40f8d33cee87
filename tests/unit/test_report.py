"""The page of a slide: self-contained, escaped, readable without colour."""

import base64
import io
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.cells import few_cells, random_cells
from wsipipe.export.classes import PALETTE, CellClass, default_classes
from wsipipe.export.encode import mask_uri, palette_uri, png_uri
from wsipipe.export.report.charts import Measurement, round_length, scale_bar
from wsipipe.export.report.document import NOTICE
from wsipipe.export.report.maps import VIRIDIS, CellMaps, Frame, density_levels, rim
from wsipipe.export.report.markup import ink_on
from wsipipe.export.report.page import Area, ClassReport, Detail, SlideReport, slide_page
from wsipipe.export.report.pictures import UNLABELLED_RGB, draw_nuclei, montage
from wsipipe.export.rows import LabelledCells

VOID = {"meta", "img", "br", "link", "input"}
EVIL = '<script>alert("x")</script>&\''


class Page(HTMLParser):
    """Reads a page, checking that its tags are balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + " "


def class_report(name: str, color: tuple[int, int, int], count: int, **changes: object) -> ClassReport:
    values: dict[str, object] = {
        "cell_class": CellClass(name, color),
        "count": count,
        "interval": None,
        "marks": np.eye(6, 8, dtype=bool),
        "density": np.linspace(0, 1500, 12, dtype=np.float32).reshape(3, 4),
        "real": np.zeros((3, 4, 4, 3), np.uint8),
        "drawn": np.zeros((2, 4, 4, 3), np.uint8),
    }
    return ClassReport(**(values | changes))  # type: ignore[arg-type]


NONE = np.zeros((0, 4, 4, 3), np.uint8)
BOX = np.array([10.0, 20.0, 30.0, 40.0, 50.0])


def report(**changes: object) -> SlideReport:
    values: dict[str, object] = {
        "slide_id": "slide_1",
        "n_cells": 1200,
        "tissue_mm2": 2.0,
        "warnings": ["The stain could not be fitted."],
        "thumbnail": np.full((6, 8, 3), 200, np.uint8),
        "width_um": 4000.0,
        "areas": [Area("tissue", np.eye(6, 8, dtype=bool), (40, 40, 40))],
        "classes": [
            class_report("lymphocytes", (0, 0, 255), 900, interval=(0.72, 0.78)),
            class_report("c1", (240, 228, 66), 300, real=NONE, drawn=NONE),
        ],
        "labelled": True,
        "measurements": [Measurement("Area", "µm²", np.stack([BOX, BOX + np.nan]))],
        "details": [Detail(np.full((20, 30, 3), 90, np.uint8), 0.25, "At x 5", [(0, np.ones((3, 2)))])],
        "facts": [("Size", "100 x 80 px")],
        "made": [("Recipe", "default")],
    }
    return SlideReport(**(values | changes))  # type: ignore[arg-type]


def decoded(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def test_warnings_come_first_and_how_it_was_made_last() -> None:
    text = Page(slide_page(report())).text
    parts = ("could not be fitted", "nuclei per mm", "Tissue and quality", "Proportions", "Density", "Drawn by G",
             "Morphology", "At x 5", "100 x 80", "Recipe")  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.count(NOTICE) == 2


def test_counts_shares_and_intervals_are_words_and_bars() -> None:
    page = slide_page(report())
    text = Page(page).text
    for part in ("1,200", "2.00 mm²", "600", "900", "75.0 %", "300", "25.0 %", "72.0 to 78.0 %"):
        assert part in text
    assert re.findall(r'class="bar" style="width:([\d.]+)%', page) == ["75.00", "25.00"]
    assert 'class="interval" style="left:72.00%;width:6.00%"' in page
    without = slide_page(report(classes=[class_report("a", (0, 0, 0), 1, interval=None)], measurements=[]))
    assert "interval" not in Page(without).text


def test_classes_are_told_apart_by_number_too() -> None:
    page = slide_page(report())
    marks = re.findall(r'class="mark" style="background:(#\w+);color:(#\w+)">(\d+)<', page)
    assert marks[:2] == [("#0000FF", "#fff", "0"), ("#F0E442", "#000", "1")]


@pytest.mark.parametrize("color", [tuple(bytes.fromhex(digits)) for digits in PALETTE])
def test_numbers_on_colours_have_the_contrast_of_wcag_aa(color: tuple[int, int, int]) -> None:
    channels = np.array(color) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    assert (luminance + 0.05) / 0.05 >= 4.5 if ink_on(color) == "#000" else 1.05 / (luminance + 0.05) >= 4.5


def test_it_needs_no_other_file_and_no_script() -> None:
    page = slide_page(report())
    for tag, attributes in Page(page).tags:
        assert tag not in {"script", "link", "iframe", "object"}
        assert not {"onload", "onerror", "srcset"} & attributes.keys()
        source = attributes.get("src") or attributes.get("href")
        if tag in {"img", "image"}:
            assert source is not None
            assert source.startswith("data:image/")
        if tag == "img" or attributes.get("role") == "img":
            assert attributes.get("alt") or attributes.get("aria-label")
    assert "url(" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_every_text_is_escaped() -> None:
    evil = report(
        slide_id=EVIL,
        warnings=[EVIL],
        areas=[Area(EVIL, np.zeros((2, 2), bool), (0, 0, 0))],
        classes=[class_report(EVIL, (0, 0, 0), 1)],
        measurements=[Measurement(EVIL, EVIL, BOX[None])],
        details=[Detail(np.zeros((2, 2, 3), np.uint8), 1.0, EVIL, [(0, np.ones((3, 2)))])],
        facts=[(EVIL, EVIL)],
        made=[(EVIL, EVIL)],
    )
    page = slide_page(evil)
    assert "<script" not in page
    parsed = Page(page)
    assert parsed.text.count("alert(") >= 12
    spoken = [attributes.get("alt") or attributes.get("aria-label") or "" for _, attributes in parsed.tags]
    assert sum("alert(" in words for words in spoken) >= 6


def test_every_layer_of_the_map_has_a_box_that_hides_it() -> None:
    page = slide_page(report())
    boxes = [attributes["id"] for tag, attributes in Page(page).tags if tag == "input"]
    layers = [word for tag, attributes in Page(page).tags for word in (attributes.get("class") or "").split()]
    assert boxes == ["a0", "k0", "k1"]
    for box in boxes:
        assert box in layers
        assert f"#{box}:not(:checked)) .{box}{{visibility:hidden}}" in page


def test_a_slide_without_nuclei_or_labels_has_a_page_too() -> None:
    nothing = [class_report("a", (0, 0, 0), 0, real=NONE, drawn=NONE, density=np.full((3, 4), np.nan, np.float32))]
    empty = Page(slide_page(report(n_cells=0, tissue_mm2=0.0, classes=nothing, measurements=[], warnings=[])))
    assert "No nuclei were found" in empty.text
    assert "0.0 %" in empty.text
    assert "Warnings" not in empty.text
    unlabelled = Page(slide_page(report(labelled=False, details=[], facts=[], made=[])))
    assert "no classes yet" in unlabelled.text
    assert "Drawn by G" not in unlabelled.text


def test_a_page_is_the_same_every_time() -> None:
    assert slide_page(report()) == slide_page(report())


def test_classes_and_boxes_go_together() -> None:
    with pytest.raises(ValueError, match="one box per class"):
        report(measurements=[Measurement("Area", "", BOX[None])])


def test_a_detail_is_outlined_in_the_colour_and_line_of_the_class() -> None:
    ring = np.array([[1.0, 2.0], [3.25, 4.0], [5.0, 6.04]])
    page = slide_page(report(details=[Detail(np.zeros((8, 8, 3), np.uint8), 0.5, "x", [(1, ring)])]))
    assert 'd="M1.0 2.0L3.2 4.0L5.0 6.0Z" stroke="#F0E442" stroke-dasharray="6 2"' in page


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

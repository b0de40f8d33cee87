"""The page of a slide: self-contained, escaped, readable without colour."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from tests.cells import few_cells, random_cells
from wsipipe.export.classes import CellClass, default_classes
from wsipipe.export.report.page import NOTICE, SlideReport, View, slide_page
from wsipipe.export.report.pictures import UNLABELLED_RGB, draw_nuclei, montage, png_uri
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


def report(**changes: object) -> SlideReport:
    values: dict[str, object] = {
        "slide_id": "slide_1",
        "n_cells": 1200,
        "tissue_mm2": 2.0,
        "warnings": ["The stain could not be fitted."],
        "views": [View(np.full((6, 8, 3), 200, np.uint8), "The whole slide")],
        "classes": [CellClass("lymphocytes", (0, 0, 255)), CellClass("c1", (240, 228, 66))],
        "counts": [900, 300],
        "examples": [np.zeros((3, 4, 4, 3), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)],
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
    places = [
        text.index(part)
        for part in ("could not be fitted", "nuclei per mm", "The whole slide", "lymphocytes", "100 x 80", "Recipe")
    ]
    assert places == sorted(places)
    assert text.count(NOTICE) == 2


def test_counts_and_shares_are_words_and_bars() -> None:
    page = slide_page(report())
    text = Page(page).text
    for part in ("1,200", "2.00 mm²", "600", "900", "75.0 %", "300", "25.0 %"):
        assert part in text
    assert re.findall(r'class="bar" style="width:([\d.]+)%', page) == ["75.00", "25.00"]


def test_classes_are_told_apart_by_number_too() -> None:
    page = slide_page(report())
    marks = re.findall(r'class="mark" style="background:(#\w+);color:(#\w+)">(\d+)<', page)
    assert marks[:2] == [("#0000FF", "#fff", "0"), ("#F0E442", "#000", "1")]


def test_it_needs_no_other_file() -> None:
    page = slide_page(report())
    for tag, attributes in Page(page).tags:
        assert tag not in {"script", "link", "iframe", "object"}
        assert not {"href", "onload", "onerror", "srcset"} & attributes.keys()
        if tag == "img":
            assert attributes["src"] is not None
            assert attributes["src"].startswith("data:image/png;base64,")
            assert attributes["alt"]
    assert "url(" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in page


def test_every_text_is_escaped() -> None:
    evil = report(
        slide_id=EVIL,
        warnings=[EVIL],
        views=[View(np.zeros((2, 2, 3), np.uint8), EVIL)],
        classes=[CellClass(EVIL, (0, 0, 0))],
        counts=[1],
        examples=[np.zeros((1, 4, 4, 3), np.uint8)],
        facts=[(EVIL, EVIL)],
        made=[(EVIL, EVIL)],
    )
    page = slide_page(evil)
    assert "<script" not in page
    assert Page(page).text.count("alert(") >= 9
    alts = [attributes["alt"] for tag, attributes in Page(page).tags if tag == "img"]
    assert alts == [f"{EVIL}: {EVIL}", f"1 cells of class {EVIL}"]


def test_pictures_are_those_given() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    page = Page(slide_page(report(views=[View(rgb, "x")])))
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    np.testing.assert_array_equal(decoded(sources[0] or ""), rgb)
    assert len(sources) == 2  # the second class has no examples


def test_a_slide_without_nuclei_or_labels_has_a_page_too() -> None:
    empty = Page(slide_page(report(n_cells=0, tissue_mm2=0.0, counts=[0, 0], warnings=[], views=[])))
    assert "No nuclei were found" in empty.text
    assert "0.0 %" in empty.text
    assert "Warnings" not in empty.text
    unlabelled = Page(slide_page(report(classes=[], counts=[], examples=[], facts=[], made=[])))
    assert "no classes yet" in unlabelled.text


def test_a_page_is_the_same_every_time() -> None:
    assert slide_page(report()) == slide_page(report())


def test_classes_counts_and_examples_go_together() -> None:
    with pytest.raises(ValueError, match="one count"):
        report(counts=[1])


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

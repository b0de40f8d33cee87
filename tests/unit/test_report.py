"""The page of a slide: self-contained, escaped, readable without colour."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from wsipipe.export.classes import PALETTE, CellClass
from wsipipe.export.report.charts import Measurement
from wsipipe.export.report.document import NOTICE
from wsipipe.export.report.markup import ink_on
from wsipipe.export.report.page import Area, ClassReport, Detail, SlideReport, slide_page

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
    assert 'class="bar"' not in slide_page(report(classes=[class_report("a", (0, 0, 0), 0)], measurements=[]))


def test_no_picture_is_much_higher_than_the_window() -> None:
    tall = np.full((2800, 56, 3), 200, np.uint8)
    page = slide_page(report(thumbnail=tall, details=[Detail(tall, 0.25, "At x 5", [])]))
    assert re.findall(r'class="stage" style="max-width:([\d.]+)vh"', page) == ["2.40"] * 3


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

from html.parser import HTMLParser

from wsipipe.export.classes import default_classes
from wsipipe.export.report.cohort_page import CohortReport, CohortRow, cohort_page

EVIL = "<script>alert('1')</script>&\"x"


class Outline(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def row(slide_id: str, **more: object) -> CohortRow:
    facts: dict[str, object] = {
        "n_cells": 1234, "tissue_mm2": 2.5, "p": (0.25, 0.75), "notes": ("pixels are not square",),
        "unusual": (), "label": "", "patient": "", "thumbnail": "data:image/jpeg;base64,AAAA",
    }  # fmt: skip
    return CohortRow(slide_id=slide_id, **{**facts, **more})  # type: ignore[arg-type]


def report(*rows: CohortRow, failures: tuple[tuple[str, str, str], ...] = ()) -> str:
    return cohort_page(CohortReport("study", rows, default_classes(2), failures, [("Recipe", "default")]))


def test_a_row_shows_picture_counts_shares_and_notes_and_leads_to_its_page() -> None:
    page = Outline(report(row("s 1#a"), row("t", unusual=("c1 90 %, median 20 %",), label="tumour")))
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert "s%201%23a/report.html" in links
    assert "#slide-1" in links
    assert any(a.get("id") == "slide-1" for _, a in page.tags)
    assert sum(tag == "img" for tag, _ in page.tags) == 2
    for words in ("1,234", "494", "25.0 %", "75.0 %", "pixels are not square", "c1 90 %, median 20 %", "tumour"):
        assert words in page.words
    assert sum(a.get("class") == "notes" for _, a in page.tags) == 2
    assert ".cohort .notes { min-width:" in page.words, "a long note makes no tall row"


def test_every_text_is_escaped_and_nothing_is_loaded() -> None:
    text = report(row(EVIL, notes=(EVIL,), unusual=(EVIL,), label=EVIL, patient=EVIL), failures=((EVIL, EVIL, EVIL),))
    page = Outline(text)
    assert not any(tag in {"script", "link", "iframe", "object"} for tag, _ in page.tags)
    assert page.words.count("alert") >= 7
    sources = [value for _, a in page.tags for key, value in a.items() if key == "src"]
    assert all(str(source).startswith("data:") for source in sources)
    assert "http" not in text.replace("http-equiv", "")


def test_failures_come_first_and_a_page_of_failures_only_is_a_page() -> None:
    page = Outline(report(failures=(("bad", "the file is empty", "copy it again"),)))
    assert "1 failed" in page.words
    assert "bad: the file is empty: copy it again" in page.words
    assert not any(tag == "table" and "cohort" in str(a.get("class")) for tag, a in page.tags)


def test_slides_without_cells_or_labels_have_no_shares() -> None:
    page = Outline(report(row("none", n_cells=0, tissue_mm2=0.0, p=())))
    assert page.words.count("-") >= 2
    assert not any(a.get("class") == "parts" for _, a in page.tags)


def test_shares_stand_under_the_numbers_of_their_classes_in_colours_that_are_told_once() -> None:
    text = report(row("a"), row("b"))
    assert text.count('<b class="mark k1">1</b> 75.0 %') == 2
    assert text.count(".k1 { background: #56B4E9; color: #000; }") == 1

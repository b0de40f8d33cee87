"""The page of a cohort: a row a slide, with its picture, counts, proportions and what is unusual."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from wsipipe.export.classes import CellClass
from wsipipe.export.report.document import document
from wsipipe.export.report.markup import facts, ink_on, listed_table, mark, named_cell, section, text

_COHORT_CSS = """
.cohort { width: 100%; }
.cohort td, .cohort th { font-variant-numeric: tabular-nums; }
.cohort img { width: auto; max-width: 7rem; border-radius: 4px; background: #fff; }
.cohort .number { text-align: right; white-space: nowrap; }
.cohort td.name { overflow-wrap: anywhere; min-width: 6.5rem; }
.cohort th.name { overflow-wrap: anywhere; min-width: 8.5rem; }
.cohort ul { margin: 0; padding-left: 1.1rem; }
.cohort .notes { min-width: 9rem; overflow-wrap: anywhere; }
.cohort .drawn { width: 40%; }
.cohort .failed th { color: var(--warn-line); }
.stack { display: flex; height: 1.1rem; border-radius: 3px; overflow: hidden; background: var(--track); }
.stack i { display: block; height: 100%; }
.parts { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.6rem, 1fr)); gap: 0.2rem 0.4rem;
  min-width: 10rem; padding-top: 0.3rem; font-size: 0.875rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; padding: 0; list-style: none; }
@media (max-width: 64rem) { .cohort tr { padding: 0.75rem 0; } .cohort .drawn { width: auto; }
  .cohort td:first-child, .cohort .drawn, .cohort .notes { display: block; text-align: left; }
  .cohort .notes:empty { display: none; } }
"""


_NUMBERS = ("Nuclei", "mm²", "per mm²")


@dataclass(frozen=True)
class CohortRow:
    """One finished slide.

    Attributes
    ----------
    slide_id : str
        The slide.
    n_cells : int
        Nuclei found.
    tissue_mm2 : float
        Area of the tissue searched.
    p : sequence of float
        Share of each class; empty without cells or labels.
    notes : sequence of str
        Warnings and flags, one sentence each.
    unusual : sequence of str
        In what it is unlike the other slides.
    label, patient : str
        As the cohort's table states them.
    thumbnail : str
        `data:` address of a small picture.
    """

    slide_id: str
    n_cells: int
    tissue_mm2: float
    p: Sequence[float]
    notes: Sequence[str]
    unusual: Sequence[str]
    label: str
    patient: str
    thumbnail: str


@dataclass(frozen=True)
class CohortReport:
    """What the page of a cohort shows; `failures` are (slide_id, reason, remedy)."""

    title: str
    rows: Sequence[CohortRow]
    classes: Sequence[CellClass]
    failures: Sequence[tuple[str, str, str]]
    made: Sequence[tuple[str, str]]


def cohort_page(report: CohortReport) -> str:
    """One HTML document that needs no other file, no script and no network; links lead to the slides' own pages.

    Parameters
    ----------
    report : CohortReport
        What to show; every text in it is escaped.
    """
    parts = (
        _failures(report.failures),
        _found(report),
        _unusual(report.rows),
        section("Slides", _legend(report.classes) + _table(report) if report.rows else ""),
        facts("How it was made", report.made),
    )
    return document(report.title, parts, _COHORT_CSS + _class_css(report.classes), kind="slides")


def _failures(failures: Sequence[tuple[str, str, str]]) -> str:
    if not failures:
        return ""
    items = "".join(
        f"<li><strong>{text(slide_id)}</strong>: {text(reason)}: {text(remedy)}</li>"
        for slide_id, reason, remedy in failures
    )
    return f'<section class="warnings" role="note"><h2>{len(failures)} failed</h2><ul>{items}</ul></section>'


def _found(report: CohortReport) -> str:
    cells = sum(row.n_cells for row in report.rows)
    tissue = sum(row.tissue_mm2 for row in report.rows)
    numbers = [
        (f"{len(report.rows):,}", "slides"),
        (f"{cells:,}", "nuclei"),
        (f"{tissue:,.2f} mm²", "tissue"),
        (f"{sum(bool(row.unusual) for row in report.rows):,}", "unlike the others"),
    ]
    items = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for value, name in numbers)
    return section("Found", f'<dl class="numbers">{items}</dl>')


def _unusual(rows: Sequence[CohortRow]) -> str:
    items = "".join(
        f'<li><a href="#{_anchor(i)}">{text(row.slide_id)}</a>: {text("; ".join(row.unusual))}</li>'
        for i, row in enumerate(rows)
        if row.unusual
    )
    note = "More than 3.5 robust standard deviations from the median of all slides. Look at them before you use them."
    return section("Unlike the others", f"<ul>{items}</ul>" if items else "", note)


def _legend(classes: Sequence[CellClass]) -> str:
    items = "".join(f"<li>{mark(str(i), c)} {text(c.name)}</li>" for i, c in enumerate(classes))
    return f'<ul class="legend">{items}</ul>' if items else ""


def _table(report: CohortReport) -> str:
    said = [name for name in ("label", "patient") if any(getattr(row, name) for row in report.rows)]
    names = ["", "Slide", *(name.capitalize() for name in said), *_NUMBERS, "Shares", "To look at"]
    rows = "".join(_row(i, row, report.classes, said) for i, row in enumerate(report.rows))
    return listed_table(names, rows, "cohort")


def _row(index: int, row: CohortRow, classes: Sequence[CellClass], said: Sequence[str]) -> str:
    link = f"{quote(row.slide_id)}/report.html"
    density = f"{row.n_cells / row.tissue_mm2:,.0f}" if row.tissue_mm2 > 0 else "-"
    notes = "".join(f"<li>{text(note)}</li>" for note in (*row.unusual, *row.notes))
    numbers = (f"{row.n_cells:,}", f"{row.tissue_mm2:,.2f}", density)
    return (
        f'<tr id="{_anchor(index)}"><td><img src="{row.thumbnail}" alt="" loading="lazy"></td>'
        f'<th scope="row" class="name"><a href="{text(link)}">{text(row.slide_id)}</a></th>'
        + "".join(named_cell(name.capitalize(), text(getattr(row, name)), "name") for name in said)
        + "".join(named_cell(name, number, "number") for name, number in zip(_NUMBERS, numbers, strict=True))
        + f'<td class="drawn">{_stack(row.p, classes)}{_parts(row.p)}</td>'
        + f'<td class="notes">{f"<ul>{notes}</ul>" if notes else ""}</td></tr>'
    )


def _stack(p: Sequence[float], classes: Sequence[CellClass]) -> str:
    """The shares as one bar; the numbers below say the same."""
    parts = "".join(
        f'<i style="width:{100 * share:.2f}%;background:{cell_class.hex}"></i>'
        for share, cell_class in zip(p, classes, strict=False)
    )
    return f'<div class="stack" aria-hidden="true">{parts}</div>'


def _parts(p: Sequence[float]) -> str:
    """The share of each class under its number, at the same place in every row."""
    parts = "".join(f'<span><b class="mark k{i}">{i}</b> {100 * share:.1f} %</span>' for i, share in enumerate(p))
    return f'<div class="parts">{parts}</div>' if parts else "-"


def _class_css(classes: Sequence[CellClass]) -> str:
    """Colours of the marks, once: a page has many thousands of them."""
    return "".join(f".k{i} {{ background: {c.hex}; color: {ink_on(c.color)}; }}\n" for i, c in enumerate(classes))


def _anchor(index: int) -> str:
    return f"slide-{index}"

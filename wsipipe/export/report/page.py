"""The page itself: warnings first, then what was found, how it was made last. Every text is escaped."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import CellClass
from wsipipe.export.report.pictures import montage, png_uri
from wsipipe.export.report.style import CSS

NOTICE = "For research use only."
CAUTION = "Classes are found without labels: look at the examples before you name them."


@dataclass(frozen=True)
class View:
    """A picture of the slide: RGB, uint8 (height, width, 3), and the sentence under it."""

    rgb: NDArray[np.uint8]
    caption: str


@dataclass(frozen=True)
class SlideReport:
    """What the page of one slide shows.

    Attributes
    ----------
    slide_id : str
        The slide.
    n_cells : int
        Nuclei found.
    tissue_mm2 : float
        Area of the tissue searched.
    warnings : sequence of str
        What the user should know first, one sentence each.
    views : sequence of View
        Pictures of the slide with the nuclei drawn in: the whole slide, then details.
    classes : sequence of CellClass
        Name and colour of each class index; empty for a slide without labels.
    counts : sequence of int
        Cells of each class.
    examples : sequence of uint8, (m, size, size, 3)
        A few patches of each class, m may be 0.
    facts : sequence of (str, str)
        The slide in words: size, resolution, scanner.
    made : sequence of (str, str)
        How it was made: recipe, versions, model, times.
    """

    slide_id: str
    n_cells: int
    tissue_mm2: float
    warnings: Sequence[str]
    views: Sequence[View]
    classes: Sequence[CellClass]
    counts: Sequence[int]
    examples: Sequence[NDArray[np.uint8]]
    facts: Sequence[tuple[str, str]]
    made: Sequence[tuple[str, str]]

    def __post_init__(self) -> None:
        if not len(self.classes) == len(self.counts) == len(self.examples):
            msg = "a report needs one count and one set of examples per class"
            raise ValueError(msg)


def slide_page(report: SlideReport) -> str:
    """One HTML document that needs no other file and no network.

    Parameters
    ----------
    report : SlideReport
        What to show; every text in it is escaped.
    """
    title = _text(report.slide_id)
    sections = [
        _warnings(report.warnings),
        _summary(report),
        *(_view(view, report.slide_id) for view in report.views),
        _classes(report),
        _examples(report),
        _facts("The slide", report.facts),
        _facts("How it was made", report.made),
    ]
    body = "\n".join(section for section in sections if section)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}: cells</title>
<style>{CSS}</style>
</head>
<body>
<header><h1>{title}</h1><p class="notice">{NOTICE}</p></header>
<main>
{body}
</main>
<footer><p class="notice">{NOTICE} {CAUTION}</p></footer>
</body>
</html>
"""


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_text(warning)}</li>" for warning in warnings)
    return f'<section class="warnings" role="note"><h2>Warnings</h2><ul>{items}</ul></section>'


def _summary(report: SlideReport) -> str:
    density = f"{report.n_cells / report.tissue_mm2:,.0f}" if report.tissue_mm2 > 0 else "-"
    numbers = (
        (f"{report.n_cells:,}", "nuclei"),
        (f"{report.tissue_mm2:,.2f} mm²", "tissue"),
        (density, "nuclei per mm²"),
    )
    items = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for value, name in numbers)
    missing = "" if report.n_cells else "<p>No nuclei were found on this slide.</p>"
    return f'<section><h2>Found</h2><dl class="numbers">{items}</dl>{missing}</section>'


def _view(view: View, slide_id: str) -> str:
    height, width = view.rgb.shape[:2]
    alt = f"{slide_id}: {view.caption}"
    return (
        f'<figure><img src="{png_uri(view.rgb)}" alt="{_text(alt)}" width="{width}" height="{height}">'
        f"<figcaption>{_text(view.caption)}</figcaption></figure>"
    )


def _classes(report: SlideReport) -> str:
    if not report.classes:
        return "<section><h2>Classes</h2><p>The cells of this slide have no classes yet.</p></section>"
    total = sum(report.counts)
    rows = "".join(
        _class_row(i, cell_class, count, count / total if total else 0.0)
        for i, (cell_class, count) in enumerate(zip(report.classes, report.counts, strict=True))
    )
    head = '<tr><th scope="col">Class</th><th scope="col">Cells</th><th scope="col">Share</th><th></th></tr>'
    return (
        f'<section><h2>Classes</h2><table class="classes"><thead>{head}</thead><tbody>{rows}</tbody></table></section>'
    )


def _class_row(index: int, cell_class: CellClass, count: int, share: float) -> str:
    """Name, count and share say what the bar says; its number tells it apart without its colour."""
    return (
        f'<tr><th scope="row">{_mark(index, cell_class)} {_text(cell_class.name)}</th>'
        f'<td>{count:,}</td><td>{100 * share:.1f} %</td><td class="track" aria-hidden="true">'
        f'<span class="bar" style="width:{100 * share:.2f}%;background:{cell_class.hex}"></span></td></tr>'
    )


def _mark(index: int, cell_class: CellClass) -> str:
    """The class' colour with its number in it, dark on light colours and light on dark ones (WCAG 2 luminance)."""
    channels = [c / 255 for c in cell_class.color]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    ink = "#000" if float(np.dot(linear, (0.2126, 0.7152, 0.0722))) > 0.18 else "#fff"
    return f'<span class="mark" style="background:{cell_class.hex};color:{ink}">{index}</span>'


def _examples(report: SlideReport) -> str:
    rows = "".join(
        _example_row(i, cell_class, patches)
        for i, (cell_class, patches) in enumerate(zip(report.classes, report.examples, strict=True))
        if len(patches)
    )
    return f"<section><h2>Examples</h2>{rows}</section>" if rows else ""


def _example_row(index: int, cell_class: CellClass, patches: NDArray[np.uint8]) -> str:
    strip = montage(patches)
    height, width = strip.shape[:2]
    alt = _text(f"{len(patches)} cells of class {cell_class.name}")
    return (
        f'<figure class="examples"><figcaption>{_mark(index, cell_class)} {_text(cell_class.name)}</figcaption>'
        f'<img src="{png_uri(strip)}" alt="{alt}" width="{2 * width}" height="{2 * height}"></figure>'
    )


def _facts(title: str, facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    rows = "".join(f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>' for name, value in facts)
    return f'<section><h2>{_text(title)}</h2><table class="facts"><tbody>{rows}</tbody></table></section>'

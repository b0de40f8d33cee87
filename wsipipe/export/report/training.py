"""The page of a training: its curves, and what the generator draws of each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import CellClass
from wsipipe.export.encode import png_uri
from wsipipe.export.report.charts import ticks
from wsipipe.export.report.document import document
from wsipipe.export.report.markup import facts, image, mark, section, sentences, text
from wsipipe.export.report.pictures import montage

CURVE_CSS = """
.curve { fill: none; stroke: var(--curve); stroke-width: 1.8; stroke-linejoin: round; }
.zero { stroke: var(--soft); stroke-width: 1; }
svg .left { fill: var(--soft); text-anchor: end; }
.drawn { image-rendering: pixelated; border-radius: 4px; }
:root { --curve: #0072b2; } @media (prefers-color-scheme: dark) { :root { --curve: #56b4e9; } }
"""

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 420, 190, 52, 34, 10


@dataclass(frozen=True)
class Curve:
    """One loss over the steps of a training.

    Attributes
    ----------
    name, note : str
        What it is, and how it is read.
    steps, values : float, (n,)
        Steps rise; n is at least 1.
    """

    name: str
    note: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class DrawnClass:
    """A class, its share of the training cells (0 to 1), and what the generator draws: uint8 (m, size, size, 3)."""

    cell_class: CellClass
    share: float
    drawn: NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingReport:
    """What the page shows; the curves may be none, as of a model that was trained elsewhere."""

    title: str
    curves: Sequence[Curve]
    classes: Sequence[DrawnClass]
    warnings: Sequence[str]
    facts: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]


def training_page(report: TrainingReport) -> str:
    """One HTML document that needs no other file, no script and no network; every text is escaped."""
    sections = [
        sentences("Warnings", report.warnings),
        section("Curves", _curves(report.curves), "Means between two points, over generator steps."),
        section(
            "What the generator draws",
            "".join(_class(i, one) for i, one in enumerate(report.classes)),
            "Not real cells: how the model draws each class, coarsely after a short training. Labels do not depend on "
            "the pictures. Shares are of the training cells.",
        ),
        facts("The model", report.facts),
        facts("Settings", report.settings),
    ]
    return document(report.title, sections, CURVE_CSS, kind="training")


def curve_chart(curve: Curve) -> str:
    """A line over steps, with its axes, as inline SVG; where it begins and ends is said in `aria-label`."""
    low, high = float(curve.values.min()), float(curve.values.max())
    levels = ticks(low, high)
    low, high = min(low, levels[0]), max(high, levels[-1])
    last = float(curve.steps[-1])
    x = _LEFT + curve.steps / (last or 1.0) * (_WIDTH - _LEFT - 14)
    parts = []
    for level in levels:
        y = _height(level, low, high)
        parts.append(f'<path class="{"zero" if level == 0 else "grid"}" d="M{_LEFT} {y:.1f}H{_WIDTH - 6}"/>')
        parts.append(f'<text class="left" x="{_LEFT - 6}" y="{y + 4:.1f}">{level:g}</text>')
    for step in ticks(0.0, last):
        place = _LEFT + step / (last or 1.0) * (_WIDTH - _LEFT - 14)
        parts.append(f'<text class="tick" x="{place:.1f}" y="{_HEIGHT - 18}">{step:g}</text>')
    parts.append(f'<text class="tick" x="{(_WIDTH + _LEFT) / 2}" y="{_HEIGHT - 3}">generator step</text>')
    points = " ".join(
        f"{a:.1f},{_height(float(b), low, high):.1f}" for a, b in zip(x.tolist(), curve.values.tolist(), strict=True)
    )
    parts.append(f'<polyline class="curve" points="{points}"/>')
    first, end = (f"{curve.values[i]:.3g} at step {curve.steps[i]:.0f}" for i in (0, -1))
    label = f"{curve.name}: from {first} to {end}"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(label)}">{"".join(parts)}</svg>'


def _height(value: float, low: float, high: float) -> float:
    return _TOP + (high - value) / ((high - low) or 1.0) * (_HEIGHT - _TOP - _BOTTOM)


def _curves(curves: Sequence[Curve]) -> str:
    figures = "".join(
        f'<figure><figcaption>{text(curve.name)}</figcaption>{curve_chart(curve)}<p class="note">{text(curve.note)}</p>'
        "</figure>"
        for curve in curves
    )
    return f'<div class="grid large charts">{figures}</div>' if figures else ""


def _class(index: int, one: DrawnClass) -> str:
    title = f"{mark(str(index), one.cell_class)} {text(one.cell_class.name)}, {one.share:.1%}"
    if not len(one.drawn):
        return f'<article class="card"><h3>{title}</h3></article>'
    strip = montage(one.drawn)
    height, width = strip.shape[:2]
    alt = f"{len(one.drawn)} cells that the generator draws of class {one.cell_class.name}"
    picture = image(png_uri(strip), alt, 2 * width, 2 * height, "drawn")
    return f'<article class="card"><h3>{title}</h3>{picture}</article>'

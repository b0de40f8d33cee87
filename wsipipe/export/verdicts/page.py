"""The pages of `classify cv` and `classify fit`: self-contained, no script, light and dark. Every text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.report.document import document
from wsipipe.export.report.markup import facts, listed_table, named_cell, section, sentences, text
from wsipipe.export.verdicts.charts import (
    DASHES,
    calibration_chart,
    confusion_chart,
    label_color,
    null_chart,
    roc_chart,
)
from wsipipe.export.verdicts.drivers import CSS as DRIVERS_CSS
from wsipipe.export.verdicts.drivers import Driver, drivers_section

CAUTION = "A verdict here is a statement about classes of cells, found without labels: look at them."

_CSS = """
svg text { fill: var(--ink); } svg .tick { fill: var(--soft); } svg .side { text-anchor: end; }
svg .cell { fill: #0072b2; stroke: var(--line); } svg .value { font-size: 13px; } svg .small { font-size: 10px; }
svg .strong { fill: #fff; } svg .curve { fill: none; stroke-width: 2; } svg .ink { stroke: var(--ink); }
svg .chance { fill: none; stroke: var(--soft); stroke-dasharray: 3 3; } svg .dot { fill: #0072b2; fill-opacity: 0.85; }
svg .null { fill: var(--soft); fill-opacity: 0.55; } svg .observed { stroke: #d55e00; stroke-width: 2.5; }
.scores td { font-variant-numeric: tabular-nums; } .scores thead th { vertical-align: bottom; }
@media (min-width: 48rem) { .charts .broad { grid-column: span 2; } }
.scores .chosen th { font-weight: 600; }
.key { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; padding-top: 0.4rem; font-size: 0.875rem; }
.key svg { display: inline-block; width: 2.2em; height: 0.7em; vertical-align: 0; }
"""


@dataclass(frozen=True, eq=False)
class Charts:
    """What the charts of a cross-validation show; see `wsipipe.export.verdicts.charts`."""

    confusion: NDArray[np.float64]
    curves: Sequence[NDArray[np.float64]]
    areas: Sequence[float]
    stated: NDArray[np.float64]
    right: NDArray[np.float64]
    slides: NDArray[np.intp]
    null: NDArray[np.float64]
    observed: float
    p: float | None


@dataclass(frozen=True, eq=False)
class VerdictPage:
    """One page.

    Attributes
    ----------
    title : str
    classifier : str
        The one the page is about.
    labels : sequence of str
    numbers : sequence of (str, str)
        Value and name of what everybody asks first.
    warnings, notes : sequence of str
        Sentences.
    drivers : sequence of Driver
        All cell classes, those that matter most first.
    effect_words : str
        What `Driver.effect` measures.
    made : sequence of (str, str)
        How it was made.
    scores : sequence of dict
        A row per classifier; empty on the page of a fitted classifier.
    charts : Charts or None
    doubtful : sequence of (str, str, str, float)
        Slides judged wrong most often: slide_id, label, commonest verdict, share of the repeats in which it was right.
    """

    title: str
    classifier: str
    labels: Sequence[str]
    numbers: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    notes: Sequence[str]
    drivers: Sequence[Driver]
    effect_words: str
    made: Sequence[tuple[str, str]]
    scores: Sequence[dict[str, Any]] = ()
    charts: Charts | None = None
    doubtful: Sequence[tuple[str, str, str, float]] = field(default_factory=tuple)


def verdict_page(page: VerdictPage) -> str:
    """One HTML document that needs no other file, no script and no network."""
    numbers = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for value, name in page.numbers)
    sections = [
        sentences("Warnings", page.warnings),
        section("Found", f'<dl class="numbers">{numbers}</dl>' + "".join(f"<p>{text(n)}</p>" for n in page.notes)),
        _scores(page),
        _charts(page),
        drivers_section(page.drivers, page.labels, page.effect_words),
        _doubtful(page),
        facts("How it was made", page.made),
    ]
    return document(page.title, sections, _CSS + DRIVERS_CSS, caution=CAUTION)


def _scores(page: VerdictPage) -> str:
    if not page.scores:
        return ""
    ranges = ("F1, 95 % interval", "F1, repeats")
    names = ("Precision", "Recall", "F1", *ranges, "Balanced accuracy", "AUC", "Brier", "Vector chosen")
    rows = "".join(_score_row(row, names, row["classifier"] == page.classifier) for row in page.scores)
    note = (
        "Medians over the repeats, weighted by the slides of each label. The interval is what another cohort of this "
        "size might have shown (patients drawn anew); the range over repeats is what another dealing of the folds "
        "shows. Vector and strength are chosen inside the training slides, never on those that are judged. The bold "
        "classifier was named beforehand; the best of several looks a little better than it is."
    )
    return section("Scores", listed_table(("Classifier", *names), rows, "scores"), note)


def _score_row(row: dict[str, Any], names: Sequence[str], chosen: bool) -> str:
    ranges = [f"{low:.3f} to {high:.3f}" for low, high in (row["f1_95"], row["f1_repeats"])]
    vectors = sorted(row["vectors"].items(), key=lambda item: -item[1])
    total = max(1, sum(count for _, count in vectors))
    cells = [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")] + ranges
    cells += [f"{row[name]:.3f}" for name in ("balanced_accuracy", "auc", "brier")]
    cells.append(", ".join(f"{name} {100 * count / total:.0f} %" for name, count in vectors))
    return _row(row["classifier"], names, cells, ' class="chosen"' if chosen else "")


def _charts(page: VerdictPage) -> str:
    if page.charts is None:
        return ""
    c, names = page.charts, page.labels
    shown = [len(names) - 1] if len(names) == 2 else range(len(names))
    curves, areas = [c.curves[i] for i in shown], [c.areas[i] for i in shown]
    key = "".join(
        f'<span><svg viewBox="0 0 28 8" aria-hidden="true"><path class="curve" d="M0 4H28" stroke="{label_color(j)}" '
        f'stroke-dasharray="{DASHES[j % len(DASHES)]}"/></svg> {text(names[i])} {c.areas[i]:.3f}</span>'
        for j, i in enumerate(shown)
    )
    figures = [
        ("Confusion: mean slides, true label in rows", confusion_chart(c.confusion, names)),
        (
            "ROC, each label against the rest, with its area",
            roc_chart(curves, areas, [names[i] for i in shown]) + f'<div class="key">{key}</div>',
        ),
        ("Calibration of the verdicts", calibration_chart(c.stated, c.right, c.slides)),
    ]
    if c.p is not None:
        words = f"Permutation test, p = {c.p:.4f}: grey with labels exchanged, line with the true ones"
        figures.append((words, null_chart(c.null, c.observed)))
    wide = ' class="broad"' if len(names) > 2 else ""
    body = "".join(
        f"<figure{'' if i else wide}><figcaption>{text(words)}</figcaption>{chart}</figure>"
        for i, (words, chart) in enumerate(figures)
    )
    note = f"Of {page.classifier}, on slides it was not trained on, all repeats together."
    return section("Verdicts", f'<div class="grid charts">{body}</div>', note, "wide")


def _doubtful(page: VerdictPage) -> str:
    if not page.doubtful:
        return ""
    names = ("Label", "Mean verdict", "Repeats that were right")
    rows = "".join(
        _row(slide, names, (label, verdict, f"{100 * right:.0f} %")) for slide, label, verdict, right in page.doubtful
    )
    note = "Slides that the classifier gets wrong more often than right. Look at them: some labels may be wrong too."
    return section("Slides in doubt", listed_table(("Slide", *names), rows, "scores"), note)


def _row(heading: str, names: Sequence[str], values: Sequence[str], kind: str = "") -> str:
    cells = "".join(named_cell(name, text(value)) for name, value in zip(names, values, strict=True))
    return f'<tr{kind}><th scope="row">{text(heading)}</th>{cells}</tr>'

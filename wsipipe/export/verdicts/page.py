"""The pages of `classify cv` and `classify fit`: self-contained, no script, light and dark. Every text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import CellClass
from wsipipe.export.encode import png_uri
from wsipipe.export.report.document import document
from wsipipe.export.report.markup import facts, image, mark, section, sentences, table_head, text
from wsipipe.export.report.pictures import montage
from wsipipe.export.verdicts.charts import (
    DASHES,
    calibration_chart,
    confusion_chart,
    label_color,
    null_chart,
    roc_chart,
)

CAUTION = "A verdict here is a statement about proportions of cell classes."

SHOWN = 8
"""Cell classes shown with pictures; the others follow in a table."""

_CSS = """
svg text { fill: var(--ink); } svg .tick { fill: var(--soft); } svg .side { text-anchor: end; }
svg .cell { fill: #0072b2; stroke: var(--line); } svg .value { font-size: 13px; } svg .small { font-size: 10px; }
svg .strong { fill: #fff; } svg .curve { fill: none; stroke-width: 2; } svg .ink { stroke: var(--ink); }
svg .chance { fill: none; stroke: var(--soft); stroke-dasharray: 3 3; } svg .dot { fill: #0072b2; fill-opacity: 0.85; }
svg .null { fill: var(--soft); fill-opacity: 0.55; } svg .observed { stroke: #d55e00; stroke-width: 2.5; }
.scores td, .scores th { font-variant-numeric: tabular-nums; white-space: nowrap; }
.scores .chosen th { font-weight: 600; }
.key { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; padding-top: 0.4rem; font-size: 0.875rem; }
.key svg { display: inline-block; width: 2.2em; height: 0.7em; vertical-align: 0; }
.driver { display: grid; grid-template-columns: minmax(14rem, 22rem) 1fr; gap: 0.5rem 1.5rem; align-items: start; }
.driver img { image-rendering: pixelated; border-radius: 4px; }
.level { display: grid; grid-template-columns: 8rem 1fr 3.6rem; gap: 0.5rem; align-items: center; font-size: 0.875rem; }
.level i { display: block; height: 0.7rem; border-radius: 3px; min-width: 2px; }
.level span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
@media (max-width: 48rem) { .driver { grid-template-columns: 1fr; } }
"""


@dataclass(frozen=True, eq=False)
class Driver:
    """One cell class and its part in the verdicts.

    Attributes
    ----------
    index : int
    cell_class : CellClass
    shares : float64, (labels,)
        Mean share on the slides of each label.
    weights : float64, (labels,)
        Coefficient towards each label, per standard deviation of the slide vector; empty where there are none.
    effect : float
        What the classes are ordered by.
    effect_range : (float, float) or None
        Its range over the repeats.
    patches : uint8, (m, size, size, 3)
        Cells of the class, m may be 0.
    drawn : bool
        Whether the generator drew them.
    """

    index: int
    cell_class: CellClass
    shares: NDArray[np.float64]
    weights: NDArray[np.float64]
    effect: float
    effect_range: tuple[float, float] | None
    patches: NDArray[np.uint8]
    drawn: bool


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
        _drivers(page),
        _doubtful(page),
        facts("How it was made", page.made),
    ]
    return document(page.title, sections, _CSS, caution=CAUTION)


def _scores(page: VerdictPage) -> str:
    if not page.scores:
        return ""
    rows = "".join(_score_row(row, row["classifier"] == page.classifier) for row in page.scores)
    names = ("Classifier", "Precision", "Recall", "F1", "F1, 95 % interval", "F1, repeats", "Balanced accuracy")
    head = table_head((*names, "AUC", "Brier", "Vector chosen"))
    note = (
        "Medians over the repeats, weighted by the slides of each label. The interval is what another cohort of this "
        "size might have shown (patients drawn anew); the range over repeats is what another dealing of the folds "
        "shows. Vector and strength are chosen inside the training slides, never on those that are judged. The bold "
        "classifier was named beforehand; the best of several looks a little better than it is."
    )
    return section(
        "Scores", f'<div class="scroll"><table class="scores">{head}<tbody>{rows}</tbody></table></div>', note
    )


def _score_row(row: dict[str, Any], chosen: bool) -> str:
    ranges = [f"{low:.3f} to {high:.3f}" for low, high in (row["f1_95"], row["f1_repeats"])]
    vectors = sorted(row["vectors"].items(), key=lambda item: -item[1])
    total = max(1, sum(count for _, count in vectors))
    cells = [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")] + ranges
    cells += [f"{row[name]:.3f}" for name in ("balanced_accuracy", "auc", "brier")]
    cells.append(", ".join(f"{name} {100 * count / total:.0f} %" for name, count in vectors))
    kind = ' class="chosen"' if chosen else ""
    values = "".join(f"<td>{text(cell)}</td>" for cell in cells)
    return f'<tr{kind}><th scope="row">{text(row["classifier"])}</th>{values}</tr>'


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
    body = "".join(f"<figure><figcaption>{text(words)}</figcaption>{chart}</figure>" for words, chart in figures)
    note = f"Of {page.classifier}, on slides it was not trained on, all repeats together."
    return section("Verdicts", f'<div class="grid charts">{body}</div>', note, "wide")


def _drivers(page: VerdictPage) -> str:
    cards = "".join(_driver(driver, page.labels) for driver in page.drivers[:SHOWN])
    weights = any(len(driver.weights) for driver in page.drivers)
    names = ["Class", "Effect", *(f"Share in {name}" for name in page.labels)]
    names += [f"Weight for {name}" for name in page.labels] if weights else []
    rows = "".join(_driver_row(driver) for driver in page.drivers)
    table = f'<div class="scroll"><table>{table_head(names)}<tbody>{rows}</tbody></table></div>'
    note = f"Cell classes, those that matter most first. Effect: {page.effect_words}. Bars: mean share by label."
    return section("What drives the verdicts", f"{cards}<details><summary>All classes</summary>{table}</details>", note)


def _driver(driver: Driver, labels: Sequence[str]) -> str:
    top = max(1e-9, float(driver.shares.max()))
    bars = "".join(
        f'<div class="level"><span>{text(name)}</span><span><i style="width:{100 * share / top:.1f}%;'
        f'background:{label_color(i)}"></i></span><span>{100 * share:.1f} %</span></div>'
        for i, (name, share) in enumerate(zip(labels, driver.shares, strict=True))
    )
    words = f"effect {driver.effect:.3f}"
    if driver.effect_range is not None:
        words += f" ({driver.effect_range[0]:.3f} to {driver.effect_range[1]:.3f})"
    towards = f", speaks for {labels[int(driver.weights.argmax())]}" if len(driver.weights) else ""
    name = driver.cell_class.name
    head = f"<h3>{mark(str(driver.index), driver.cell_class)} {text(name)}</h3>"
    return (
        f'<article class="card">{head}<div class="driver"><div>{bars}<p class="note">{text(words + towards)}</p></div>'
        f"{_strip(driver, name)}</div></article>"
    )


def _strip(driver: Driver, name: str) -> str:
    if not len(driver.patches):
        return '<p class="note">No pictures: the stores do not lie beside the table.</p>'
    strip = montage(driver.patches)
    height, width = strip.shape[:2]
    whose = "drawn by the generator" if driver.drawn else "the surest cell of each of the slides with most of them"
    picture = image(
        png_uri(strip), f"{len(driver.patches)} cells of class {name}", round(1.5 * width), round(1.5 * height)
    )
    return f"<figure>{picture}<figcaption>{whose}</figcaption></figure>"


def _driver_row(driver: Driver) -> str:
    cells = [f"{driver.effect:.4f}", *(f"{100 * share:.2f} %" for share in driver.shares)]
    cells += [f"{weight:+.3f}" for weight in driver.weights]
    values = "".join(f"<td>{cell}</td>" for cell in cells)
    name = f"{mark(str(driver.index), driver.cell_class)} {text(driver.cell_class.name)}"
    return f'<tr><th scope="row">{name}</th>{values}</tr>'


def _doubtful(page: VerdictPage) -> str:
    if not page.doubtful:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{text(slide)}</th><td>{text(label)}</td><td>{text(verdict)}</td>'
        f"<td>{100 * right:.0f} %</td></tr>"
        for slide, label, verdict, right in page.doubtful
    )
    head = table_head(("Slide", "Label", "Mean verdict", "Repeats that were right"))
    note = "Slides that the classifier gets wrong more often than right. Look at them: some labels may be wrong too."
    body = f'<div class="scroll"><table class="scores">{head}<tbody>{rows}</tbody></table></div>'
    return section("Slides in doubt", body, note)

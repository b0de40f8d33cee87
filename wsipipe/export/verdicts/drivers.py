"""The cell classes that drive the verdicts: their shares, their part in it, and what their cells look like."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import CellClass
from wsipipe.export.encode import png_uri
from wsipipe.export.report.markup import image, mark, section, table_head, text
from wsipipe.export.report.pictures import montage
from wsipipe.export.verdicts.charts import label_color

SHOWN = 8
"""Cell classes shown with pictures; the others follow in a table."""

NEAR_ZERO = 0.1
"""Part of the largest weight below which a weight says nothing about the direction."""

_NONE = "No class by itself: what one of them tells, others tell too, or there is nothing to tell."
_UNSURE = "Classes whose effect may be none: over the repeats it reaches zero"

CSS = """
.driver { display: grid; grid-template-columns: minmax(14rem, 22rem) 1fr; gap: 0.5rem 1.5rem; align-items: start; }
.driver img { image-rendering: pixelated; border-radius: 4px; }
.looks { margin: 0; padding-left: 1.1rem; font-size: 0.875rem; }
.level { display: grid; grid-template-columns: 8rem 1fr 3.6rem; gap: 0.5rem; align-items: center; font-size: 0.875rem; }
.level span { overflow-wrap: anywhere; }
.level i { display: block; height: 0.7rem; border-radius: 3px; min-width: 2px; }
.level span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
@media (max-width: 48rem) { .driver { grid-template-columns: minmax(0, 1fr); }
  .driver img { width: 100%; height: 3rem; object-fit: cover; object-position: left; } }
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
    looks : tuple of (str, float64 (labels,))
        What its cells look like on the slides of each label: a measurement and its means; may be empty.
    """

    index: int
    cell_class: CellClass
    shares: NDArray[np.float64]
    weights: NDArray[np.float64]
    effect: float
    effect_range: tuple[float, float] | None
    patches: NDArray[np.uint8]
    drawn: bool
    looks: tuple[tuple[str, NDArray[np.float64]], ...] = ()

    @property
    def told(self) -> bool:
        """Whether the effect is above zero in all but the rarest repeats."""
        return self.effect > 0 and (self.effect_range is None or self.effect_range[0] > 0)


def drivers_section(drivers: Sequence[Driver], labels: Sequence[str], effect_words: str) -> str:
    """Cards of the classes with an effect, those whose effect may be none folded away, and a table of all.

    Parameters
    ----------
    drivers : sequence of Driver
        All cell classes, those that matter most first.
    labels : sequence of str
    effect_words : str
        What `Driver.effect` measures.
    """
    largest = max((float(np.abs(_centred(driver)).max()) for driver in drivers if len(driver.weights)), default=0.0)
    shown = [driver for driver in drivers[:SHOWN] if driver.effect > 0]
    told = [driver for driver in shown if driver.told]
    unsure = [driver for driver in shown if not driver.told]
    body = "".join(_card(driver, labels, largest) for driver in told) or f"<p>{_NONE}</p>"
    if unsure:
        cards = "".join(_card(driver, labels, largest) for driver in unsure)
        body += f"<details{'' if told else ' open'}><summary>{_UNSURE}</summary>{cards}</details>"
    note = f"Cell classes, those that matter most first. Effect: {effect_words}. Bars: mean share by label."
    return section("What drives the verdicts", body + _all_classes(drivers, labels), note)


def _all_classes(drivers: Sequence[Driver], labels: Sequence[str]) -> str:
    weights = any(len(driver.weights) for driver in drivers)
    names = ["Class", "Effect", *(f"Share in {name}" for name in labels)]
    names += [f"Weight for {name}" for name in labels] if weights else []
    rows = "".join(_table_row(driver) for driver in drivers)
    table = f'<div class="scroll"><table>{table_head(names)}<tbody>{rows}</tbody></table></div>'
    return f"<details><summary>All classes</summary>{table}</details>"


def _table_row(driver: Driver) -> str:
    cells = [f"{driver.effect:.4f}", *(f"{100 * share:.2f} %" for share in driver.shares)]
    cells += [f"{weight:+.3f}" for weight in driver.weights]
    values = "".join(f"<td>{cell}</td>" for cell in cells)
    name = f"{mark(str(driver.index), driver.cell_class)} {text(driver.cell_class.name)}"
    return f'<tr><th scope="row">{name}</th>{values}</tr>'


def _card(driver: Driver, labels: Sequence[str], largest: float) -> str:
    top = max(1e-9, float(driver.shares.max()))
    bars = "".join(
        f'<div class="level"><span>{text(name)}</span><span><i style="width:{100 * share / top:.1f}%;'
        f'background:{label_color(i)}"></i></span><span>{100 * share:.1f} %</span></div>'
        for i, (name, share) in enumerate(zip(labels, driver.shares, strict=True))
    )
    words = f"effect {driver.effect:.3f}"
    if driver.effect_range is not None:
        words += f" ({driver.effect_range[0]:.3f} to {driver.effect_range[1]:.3f})"
    words += _towards(driver, labels, largest)
    name = driver.cell_class.name
    head = f"<h3>{mark(str(driver.index), driver.cell_class)} {text(name)}</h3>"
    return (
        f'<article class="card">{head}<div class="driver"><div>{bars}<p class="note">{text(words)}</p>'
        f"{_looks(driver, labels)}</div>"
        f"{_strip(driver, name)}</div></article>"
    )


def _looks(driver: Driver, labels: Sequence[str]) -> str:
    """What differs most in how the class's cells look."""
    if not driver.looks:
        return ""
    lines = "".join(
        f"<li>{text(measured)}: "
        f"{text(', '.join(f'{name} {mean:.3g}' for name, mean in zip(labels, means, strict=True)))}</li>"
        for measured, means in driver.looks
    )
    return f'<p class="note">Its cells differ most in</p><ul class="looks">{lines}</ul>'


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


def _towards(driver: Driver, labels: Sequence[str], largest: float) -> str:
    """Which verdict more of the class speaks for, or against where that is clearer."""
    if not len(driver.weights):
        return ""
    weights = _centred(driver)
    if np.abs(weights).max() < NEAR_ZERO * largest:
        return "; its weight is near zero"
    against = -weights.min() > 1.01 * weights.max()
    label = labels[int(weights.argmin() if against else weights.argmax())]
    return f"; more of it speaks {'against' if against else 'for'} {label}"


def _centred(driver: Driver) -> NDArray[np.float64]:
    """Weights towards each label against all: what is the same for all of them decides nothing."""
    return np.asarray(driver.weights - driver.weights.mean())

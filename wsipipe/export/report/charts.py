"""Charts as inline SVG, in the colours of the page, so that they are sharp on paper and follow light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import CellClass
from wsipipe.export.report.markup import ink_on, text

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of a box: whiskers at the outer two, the box between the inner two, a line at the middle one."""

_WIDTH, _LEFT, _ROW, _AXIS = 300, 30, 22, 22


@dataclass(frozen=True)
class Measurement:
    """One measurement of the cells of every class.

    Attributes
    ----------
    name, unit : str
        As a person reads them; the unit may be empty.
    boxes : float, (k, 5)
        QUANTILES of each class; NaN for a class without cells.
    """

    name: str
    unit: str
    boxes: NDArray[np.float64]


def box_chart(measurement: Measurement, classes: Sequence[CellClass], indices: Sequence[str]) -> str:
    """One box per class, drawn over one axis; what it shows is in `aria-label` too."""
    boxes, unit = measurement.boxes, f" {measurement.unit}" if measurement.unit else ""
    finite = boxes[np.isfinite(boxes)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    at = ticks(low, high)
    low, high = min(low, at[0]), max(high, at[-1])
    scale = (_WIDTH - _LEFT - 12) / ((high - low) or 1.0)
    height = _ROW * len(classes) + _AXIS
    parts = []
    for tick in at:
        x = _LEFT + (tick - low) * scale
        parts.append(f'<path class="grid" d="M{x:.1f} 0V{height - _AXIS + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 5}">{tick:g}</text>')
    for i, (cell_class, box) in enumerate(zip(classes, boxes, strict=True)):
        parts.append(_mark(indices[i], cell_class, i * _ROW + 3))
        if np.isfinite(box).all():
            parts.append(_box(_LEFT + (box - low) * scale, i * _ROW + _ROW / 2, cell_class.hex))
    label = ", ".join(
        f"{c.name} {box[2]:.3g}{unit}" for c, box in zip(classes, boxes, strict=True) if np.isfinite(box).all()
    )
    label = f"Medians of {measurement.name.lower()}: {label or 'no cells'}"
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{text(label)}">{"".join(parts)}</svg>'


def scale_bar(um_per_px: float, width: int) -> str:
    """A bar of a round length, at most a fifth of a picture `width` pixels wide, as HTML of relative width."""
    length = round_length(um_per_px * width / 5)
    share = 100 * length / (um_per_px * width)
    words = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    return f'<span class="scale" style="width:{share:.2f}%">{words}</span>'


def round_length(limit: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `limit`, which is positive."""
    power = 10.0 ** np.floor(np.log10(limit))
    return float(max(step * power for step in (1, 2, 5) if step * power <= limit * (1 + 1e-9)))


def ticks(low: float, high: float) -> list[float]:
    """Two to six round values inside a range, the ends included when it has none."""
    step = round_length((high - low) / 2) if high > low else 0.0
    if not step:
        return [low]
    first = int(np.ceil(low / step - 1e-9))
    return [round(i * step, 10) for i in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def _box(x: NDArray[np.float64], y: float, color: str) -> str:
    return (
        f'<path class="whisker" d="M{x[0]:.1f} {y:.1f}H{x[4]:.1f}M{x[0]:.1f} {y - 4:.1f}v8M{x[4]:.1f} {y - 4:.1f}v8"/>'
        f'<rect class="box" x="{x[1]:.1f}" y="{y - 6:.1f}" width="{max(1.0, x[3] - x[1]):.1f}" height="12" '
        f'fill="{color}"/><path class="median" d="M{x[2]:.1f} {y - 7:.1f}v14"/>'
    )


def _mark(index: str, cell_class: CellClass, y: float) -> str:
    ink = ink_on(cell_class.color)
    return (
        f'<rect x="0" y="{y}" width="22" height="16" rx="3" fill="{cell_class.hex}"/>'
        f'<text class="number" x="11" y="{y + 12}" fill="{ink}">{text(index)}</text>'
    )

"""Charts of a classifier as inline SVG: confusion, ROC, calibration, the permutation test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import PALETTE
from wsipipe.export.report.markup import text

DASHES = ("", "7 3", "2 2", "9 3 2 3", "4 4", "1 3")
"""Of the lines of label 0, 1, ...: not colour alone tells them apart."""

_SIDE, _LEFT, _BOTTOM, _TOP = 220.0, 44.0, 36.0, 8.0
_CELL, _NAME = 64.0, 124.0
_LONGEST, _UPRIGHT = 16, 9
"""Letters of a name that are shown, and that stand upright over a column of the confusion matrix."""


def label_color(index: int) -> str:
    """Colour of a label, as `#RRGGBB`."""
    return f"#{PALETTE[(index + 4) % len(PALETTE)]}"


def confusion_chart(table: NDArray[np.float64], labels: Sequence[str]) -> str:
    """Mean slides per true label (rows) and verdict (columns), shaded by their share of the row."""
    n = len(labels)
    slanted = max(map(len, labels)) > _UPRIGHT
    top, beyond = (100.0, 70.0) if slanted else (40.0, 4.0)
    parts = [f'<text x="{_NAME + n * _CELL / 2:.0f}" y="12" text-anchor="middle" class="tick">verdict</text>']
    for i, name in enumerate(labels):
        x, y = _NAME + (i + 0.5) * _CELL, top + (i + 0.5) * _CELL
        turned = f'transform="translate({x - 6:.0f} {top - 8:.0f}) rotate(-40)"'
        placed = turned if slanted else f'x="{x:.0f}" y="{top - 10:.0f}" text-anchor="middle"'
        parts.append(f"<text {placed}>{_short(name)}</text>")
        parts.append(f'<text x="{_NAME - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{_short(name)}</text>')
        total = max(1e-9, float(table[i].sum()))
        for j, slides in enumerate(table[i]):
            parts.append(_confusion_cell(_NAME + j * _CELL, top + i * _CELL, float(slides), float(slides) / total))
    words = "; ".join(
        f"true {labels[i]}: " + ", ".join(f"{v:.1f} judged {labels[j]}" for j, v in enumerate(row))
        for i, row in enumerate(table)
    )
    return _svg(_NAME + n * _CELL + beyond, top + n * _CELL, f"Confusion matrix. {words}", parts, natural=True)


def _confusion_cell(left: float, top: float, slides: float, share: float) -> str:
    kind, y = f"value{' strong' if share > 0.55 else ''}", top + _CELL / 2
    middle = f'x="{left + _CELL / 2 - 1:.0f}" text-anchor="middle"'
    return (
        f'<rect class="cell" x="{left:.0f}" y="{top:.0f}" width="{_CELL - 3:.0f}" '
        f'height="{_CELL - 3:.0f}" rx="4" fill-opacity="{0.06 + 0.75 * share:.3f}"/>'
        f'<text {middle} y="{y:.0f}" class="{kind}">{slides:.1f}</text>'
        f'<text {middle} y="{y + 14:.0f}" class="{kind} small">{100 * share:.0f} %</text>'
    )


def roc_chart(curves: Sequence[NDArray[np.float64]], areas: Sequence[float], labels: Sequence[str]) -> str:
    """One curve a label against the rest; with two labels one says it all."""
    parts = [*_axes("false positive rate", "true positive rate"), _path([(0, 0), (1, 1)], "chance")]
    for i, curve in enumerate(curves):
        style = f'stroke="{label_color(i)}" stroke-dasharray="{DASHES[i % len(DASHES)]}"'
        parts.append(_path(_thinned(curve), "curve", style))
    words = ", ".join(f"{name} {area:.3f}" for name, area in zip(labels, areas, strict=True))
    return _svg(_LEFT + _SIDE + 8, _TOP + _SIDE + _BOTTOM, f"ROC curves; area: {words}", parts)


def calibration_chart(stated: NDArray[np.float64], right: NDArray[np.float64], slides: NDArray[np.intp]) -> str:
    """Share of right verdicts over their stated probability; a dot's area goes with its verdicts."""
    parts = [*_axes("stated probability", "share that is right"), _path([(0, 0), (1, 1)], "chance")]
    radius = 3 + 5 * np.sqrt(slides / slides.max())
    parts.append(_path(list(zip(stated, right, strict=True)), "curve ink"))
    for x, y, r in zip(stated, right, radius, strict=True):
        parts.append(f'<circle class="dot" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{r:.1f}"/>')
    words = ", ".join(f"{s:.2f} stated {r:.2f} right" for s, r in zip(stated, right, strict=True))
    return _svg(_LEFT + _SIDE + 8, _TOP + _SIDE + _BOTTOM, f"Calibration: {words}", parts)


def null_chart(null: NDArray[np.float64], observed: float) -> str:
    """Scores with labels dealt anew, as a histogram, and the score with the true ones."""
    counts, edges = np.histogram(null, bins=np.linspace(0, 1, 41))
    parts = _axes("weighted F1", "")
    for count, left, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = float(count) / float(counts.max()) * _SIDE * 0.85
            parts.append(
                f'<rect class="null" x="{_x(left):.1f}" y="{_TOP + _SIDE - height:.1f}" '
                f'width="{_x(stop) - _x(left) - 1:.1f}" height="{height:.1f}"/>'
            )
    parts.append(f'<path class="observed" d="M{_x(observed):.1f} {_TOP:.0f}V{_TOP + _SIDE:.0f}"/>')
    words = f"with exchanged labels {np.min(null):.2f} to {np.max(null):.2f}, with the true ones {observed:.2f}"
    return _svg(_LEFT + _SIDE + 8, _TOP + _SIDE + _BOTTOM, f"Permutation test: weighted F1 {words}", parts)


def _axes(across: str, up: str) -> list[str]:
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path class="grid" d="M{_x(tick):.1f} {_TOP:.0f}V{_TOP + _SIDE:.0f}"/>')
        parts.append(f'<text class="tick" x="{_x(tick):.1f}" y="{_TOP + _SIDE + 14:.0f}">{tick:g}</text>')
        if up:
            parts.append(f'<path class="grid" d="M{_LEFT:.0f} {_y(tick):.1f}H{_LEFT + _SIDE:.0f}"/>')
            parts.append(f'<text class="tick side" x="{_LEFT - 5:.0f}" y="{_y(tick) + 4:.1f}">{tick:g}</text>')
    parts.append(f'<text class="tick" x="{_x(0.5):.1f}" y="{_TOP + _SIDE + 30:.0f}">{text(across)}</text>')
    if up:
        parts.append(f'<text class="tick" transform="translate(11 {_y(0.5):.1f}) rotate(-90)">{text(up)}</text>')
    return parts


def _path(points: Sequence[tuple[float, float]], kind: str, style: str = "") -> str:
    line = "L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in points)
    return f'<path class="{kind}" {style} d="M{line}"/>'


def _thinned(curve: NDArray[np.float64], most: int = 200) -> list[tuple[float, float]]:
    rows = np.unique(np.linspace(0, len(curve) - 1, min(most, len(curve))).round().astype(int))
    return [(float(x), float(y)) for x, y in curve[rows]]


def _svg(width: float, height: float, label: str, parts: Sequence[str], natural: bool = False) -> str:
    size = f' style="max-width:{width:.0f}px"' if natural else ""
    view = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg {view}{size} role="img" aria-label="{text(label)}">{"".join(parts)}</svg>'


def _short(name: str) -> str:
    return text(name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…")


def _x(value: float) -> float:
    return _LEFT + float(value) * _SIDE


def _y(value: float) -> float:
    return _TOP + (1.0 - float(value)) * _SIDE

"""The sections of a slide's page, each a function of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.encode import jpeg_uri, mask_uri, palette_uri
from wsipipe.export.report.charts import QUANTILES, Measurement, box_chart, scale_bar
from wsipipe.export.report.maps import DENSITY_UM, VIRIDIS, density_levels
from wsipipe.export.report.markup import image, ink_on, mark, section, table_head, text
from wsipipe.export.report.pictures import montage

if TYPE_CHECKING:
    from wsipipe.export.report.page import ClassReport, Detail, SlideReport

_DASHES = ("", "6 2", "2 2", "8 2 2 2", "4 4", "1 2")
"""Line styles of the outlines of class 0, 1, ...: not colour alone."""


_TALLEST_VH = 120
"""Height of a picture, at most, in hundredths of the window's: a core biopsy may be fifty times as high as wide."""

STRIP_PATCHES = 16
"""Patches that fill a strip."""


def found(report: SlideReport) -> str:
    """The three numbers everybody asks for."""
    density = f"{report.n_cells / report.tissue_mm2:,.0f}" if report.tissue_mm2 > 0 else "-"
    numbers = (
        (f"{report.n_cells:,}", "nuclei"),
        (f"{report.tissue_mm2:,.2f} mm²", "tissue"),
        (density, "nuclei per mm²"),
    )
    items = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for value, name in numbers)
    missing = "" if report.n_cells else "<p>No nuclei were found on this slide.</p>"
    return section("Found", f'<dl class="numbers">{items}</dl>{missing}')


def slide_map(report: SlideReport) -> str:
    """The slide with its tissue and what quality control found, and a map of its cells; any layer can be hidden."""
    base = jpeg_uri(report.thumbnail)
    areas, cells = [], []
    for i, area in enumerate(report.areas):
        swatch = "#{:02x}{:02x}{:02x}".format(*area.color)
        label = f'<span class="line"><i style="border-color:{swatch}"></i></span> {text(area.name)}'
        layer = _layer(f"a{i}", area.mask, area.color, f"Outline: {area.name}")
        areas.append((layer, _box(f"a{i}", label)))
    for i, (index, one) in enumerate(zip(report.indices, report.classes, strict=True)):
        layer = _layer(f"k{i}", one.marks, one.cell_class.color, f"Cells of class {one.cell_class.name}")
        cells.append((layer, _box(f"k{i}", f"{mark(index, one.cell_class)} {text(one.cell_class.name)}")))
    maps = _map(base, "base", report, areas, "Tissue and quality") + _map(base, "base faded", report, cells, "Cells")
    return section("The slide and its cells", f'<div class="grid large">{maps}</div>', "One mark per nucleus.")


def _map(base: str, kind: str, report: SlideReport, layers: list[tuple[str, str]], legend: str) -> str:
    height, width = report.thumbnail.shape[:2]
    picture = image(base, f"{report.slide_id}: the whole slide", width, height, kind)
    return (
        f'<div class="map">{_stage(width, height)}{picture}{"".join(layer for layer, _ in layers)}'
        f"{scale_bar(report.width_um / width, width)}</div><fieldset><legend>{legend}</legend>"
        f"{''.join(box for _, box in layers)}</fieldset></div>"
    )


def _stage(width: int, height: int) -> str:
    """What a picture stands in: as wide as there is room, but no higher than _TALLEST_VH."""
    return f'<div class="stage" style="max-width:{_TALLEST_VH * width / height:.2f}vh">'


def shares(report: SlideReport) -> str:
    """Share of each class, as words and bars."""
    if not report.labelled:
        words = "The cells of this slide have no classes yet: run <code>wsipipe label</code>."
        return section("Proportions", f"<p>{words}</p>")
    intervals = any(one.interval for one in report.classes)
    rows = "".join(
        _share_row(index, one, report.n_cells, intervals)
        for index, one in zip(report.indices, report.classes, strict=True)
    )
    names = ("Class", "Cells", "Share", *(("95 % interval",) if intervals else ()), "")
    note = "The thin line is the 95 % interval of the share." if intervals else ""
    return section("Proportions", f'<table class="shares">{table_head(names)}<tbody>{rows}</tbody></table>', note)


def _share_row(index: str, one: ClassReport, n_cells: int, intervals: bool) -> str:
    share = one.count / n_cells if n_cells else 0.0
    words, line = "", ""
    if one.interval:
        low, high = one.interval
        words = f"<td>{100 * low:.1f} to {100 * high:.1f} %</td>"
        line = f'<span class="interval" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></span>'
    elif intervals:
        words = "<td>-</td>"
    bar = f'<span class="bar" style="width:{100 * share:.2f}%;background:{one.cell_class.hex}"></span>'
    return (
        f'<tr><th scope="row">{mark(index, one.cell_class)} {text(one.cell_class.name)}</th><td>{one.count:,}</td>'
        f'<td>{100 * share:.1f} %</td>{words}<td class="track" aria-hidden="true"><div>'
        f"{bar if one.count else ''}{line}</div></td></tr>"
    )


def densities(report: SlideReport) -> str:
    """Small maps, one a class, each on its own scale."""
    figures = "".join(_density(index, one) for index, one in zip(report.indices, report.classes, strict=True))
    note = f"Cells per mm² of tissue, smoothed over {DENSITY_UM:g} µm; each map has its own scale."
    return section("Density", f'<div class="grid">{figures}</div>' if figures else "", note, "wide")


def _density(index: str, one: ClassReport) -> str:
    height, width = one.density.shape
    top = float(np.nanmax(one.density, initial=0.0))
    name = text(one.cell_class.name)
    alt = f"Density of class {one.cell_class.name}, up to {top:,.0f} cells per mm²"
    return (
        f"<figure>{image(palette_uri(density_levels(one.density), VIRIDIS), alt, width, height)}"
        f'<figcaption>{mark(index, one.cell_class)} {name}<span class="ramp"><span>0</span><i></i>'
        f"<span>{top:,.0f} /mm²</span></span></figcaption></figure>"
    )


def class_cards(report: SlideReport) -> str:
    """Real cells of each class beside what G draws for it."""
    if not report.labelled:
        return ""
    cards = "".join(_card(index, one) for index, one in zip(report.indices, report.classes, strict=True))
    note = (
        "Real cells are those the network is most certain of. What the generator draws shows what it has learnt of a "
        "class: where that is noise, it has learnt little."
    )
    return section("Classes", cards, note)


def _card(index: str, one: ClassReport) -> str:
    name = one.cell_class.name
    strips = "".join(
        _strip(patches, title, f"{len(patches)} {words} {name}")
        for patches, title, words in (
            (one.real, "Real cells", "real cells of class"),
            (one.drawn, "Drawn by G", "patches drawn by the generator for class"),
        )
        if len(patches)
    )
    empty = "" if len(one.real) else '<p class="note">No cell of this slide is in this class.</p>'
    return f'<article class="card"><h3>{mark(index, one.cell_class)} {text(name)}</h3>{strips}{empty}</article>'


def _strip(patches: NDArray[np.uint8], title: str, alt: str) -> str:
    strip = montage(patches)
    height, width = strip.shape[:2]
    picture = image(jpeg_uri(strip), alt, 2 * width, 2 * height, share=min(1.0, len(patches) / STRIP_PATCHES))
    return f'<figure class="strip"><figcaption>{title}</figcaption>{picture}</figure>'


def morphology(report: SlideReport) -> str:
    """A chart per measurement, and the same numbers as a table."""
    if not report.n_cells or not report.measurements:
        return ""
    classes = [one.cell_class for one in report.classes]
    charts = "".join(
        f"<figure><figcaption>{text(_titled(m))}</figcaption>{box_chart(m, classes, report.indices)}</figure>"
        for m in report.measurements
    )
    rows = "".join(
        f'<tr><th scope="row">{mark(index, one.cell_class)} {text(one.cell_class.name)}</th>'
        + "".join(f"<td>{_numbers(m.boxes[i])}</td>" for m in report.measurements)
        + "</tr>"
        for i, (index, one) in enumerate(zip(report.indices, report.classes, strict=True))
    )
    head = table_head(["Class", *(_titled(m) for m in report.measurements)])
    table = f'<details><summary>The numbers</summary><div class="scroll"><table>{head}{rows}</table></div></details>'
    low, high = 100 * QUANTILES[0], 100 * QUANTILES[-1]
    note = f"Line: median. Box: middle half of the cells. Whiskers: {low:g} to {high:g} %."
    return section("Morphology", f'<div class="grid charts">{charts}</div>{table}', note, "wide")


def _titled(measurement: Measurement) -> str:
    return f"{measurement.name}, {measurement.unit}" if measurement.unit else measurement.name


def _numbers(box: NDArray[np.float64]) -> str:
    return f"{box[2]:.3g} ({box[0]:.3g} to {box[4]:.3g})" if np.isfinite(box).all() else "-"


def details(report: SlideReport) -> str:
    """Fields of view with the outlines of their nuclei, as vectors over the picture."""
    figures = "".join(_detail(detail, report) for detail in report.details)
    note = "The parts with the most nuclei. Classes differ in colour and line." if report.labelled else ""
    return section("Details", f'<div class="grid large">{figures}</div>' if figures else "", note, "wide")


def _detail(detail: Detail, report: SlideReport) -> str:
    height, width = detail.rgb.shape[:2]
    groups = []
    for i, one in enumerate(report.classes):
        path = "".join(_path(ring) for index, ring in detail.rings if index == i)
        if path:
            dash = f' stroke-dasharray="{_DASHES[i % len(_DASHES)]}"' if _DASHES[i % len(_DASHES)] else ""
            title = f"<title>{text(one.cell_class.name)}</title>"
            around = f"halo on-{ink_on(one.cell_class.color)[1:]}"
            groups.append(f'<path d="{path}" class="{around}"/><path d="{path}" stroke="{one.cell_class.hex}"{dash}>')
            groups.append(f"{title}</path>")
    alt = text(f"{detail.caption}, {len(detail.rings)} nuclei outlined")
    return (
        f"<figure>{_stage(width, height)}"
        f'<svg class="detail" viewBox="0 0 {width} {height}" role="img" aria-label="{alt}">'
        f'<image href="{jpeg_uri(detail.rgb)}" width="{width}" height="{height}"/>{"".join(groups)}</svg>'
        f"{scale_bar(detail.um_per_px, width)}</div><figcaption>{text(detail.caption)}</figcaption></figure>"
    )


def _path(ring: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring) + "Z"


def _layer(name: str, mask: NDArray[np.bool_], color: tuple[int, int, int], alt: str) -> str:
    return image(mask_uri(mask, color), alt, mask.shape[1], mask.shape[0], f"layer {name}")


def _box(name: str, label: str) -> str:
    return f'<label><input type="checkbox" id="{name}" checked> <span>{label}</span></label>'

"""What people get to see of finished stores: tables, GeoJSON, reports, and one row per slide."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.cohort.proportions import ProportionsRow, proportions, proportions_row
from wsipipe.config import Recipe, parse_recipe
from wsipipe.errors import StoreError
from wsipipe.export.classes import CellClass, default_classes, read_classes, write_classes
from wsipipe.export.geojson import cells_geojson
from wsipipe.export.masks import PNG_MAX_CELLS, PNG_MAX_SIDE_PX, label_image, write_mask_png
from wsipipe.export.report.page import SlideReport, View, slide_page
from wsipipe.export.report.pictures import draw_nuclei
from wsipipe.export.rows import LabelledCells
from wsipipe.export.tables import cells_csv, proportions_csv
from wsipipe.gan.checkpoint import Model
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.store import CellStore
from wsipipe.records import Box, Labels, Level, SlideInfo

ROWS_AT_ONCE = 50_000
"""Cells held in memory while tables are written."""

EXPORTS = {"csv": "cells.csv", "geojson": "cells.geojson", "masks": "masks.png"}
"""File beside the store, of every form that `write_export` knows."""

_VIEW_PX = 1200
_DETAIL_ZOOM = 3
_EXAMPLES = 24
_UNLABELLED = (0, 160, 0)


def write_tables(out: OutputFolder, folder: SlideFolder, store: CellStore, model: Model | None) -> None:
    """cells.csv, cells.geojson and report.html of a slide; nothing to do when they show these labels already."""
    classes = class_names(out, model)
    shown = {"model": model.hash if model else "", "classes": _digest(classes)}
    csv_path, geojson_path, report_path = folder.tables
    if folder.facts().get("tables") == shown and all(path.is_file() for path in folder.tables):
        return
    labels = store.labels(model.hash) if model else None
    cells_csv(csv_path, _chunks(store, labels), [c.name for c in classes])
    cells_geojson(geojson_path, _chunks(store, labels), slide_info(store), classes)
    origin = str(model.facts.get("origin", "")) if model else ""
    page = slide_page(_report(store, folder.facts(), labels, classes, origin))
    with atomic_write(report_path) as file:
        file.write(page)
    made_by = {"model": {"hash": model.hash, "origin": origin, "seed": model.facts.get("seed")}} if model else {}
    folder.note(state="labelled" if model else "segmented", **made_by, tables=shown)


def write_export(kind: str, target: Path, store: CellStore, model: Model | None, classes: Sequence[CellClass]) -> None:
    """Write the cells of a slide to `target` in one of the forms of EXPORTS.

    Raises
    ------
    StoreError
        If the slide is too large for the form.
    """
    labels = store.labels(model.hash) if model else None
    if kind == "csv":
        cells_csv(target, _chunks(store, labels), [c.name for c in classes])
    elif kind == "geojson":
        cells_geojson(target, _chunks(store, labels), slide_info(store), classes)
    else:
        info = slide_info(store)
        if len(store) > PNG_MAX_CELLS or max(info.width_px, info.height_px) > PNG_MAX_SIDE_PX:
            raise StoreError(
                f"{len(store)} cells on {info.width_px} x {info.height_px} px do not fit a 16-bit PNG",
                "export geojson instead",
                info.slide_id,
            )
        cells = (chunk.cells for chunk in _chunks(store, labels))
        write_mask_png(target, label_image(cells, info.width_px, info.height_px))


def write_proportions(out: OutputFolder, model: Model | None) -> None:
    """proportions.csv: one row for every finished slide, by slide_id. Needs labels, or slides without cells."""
    rows = [_row(CellStore(folder.store), model) for folder in out.finished()]
    if model is None and any(len(CellStore(folder.store)) for folder in out.finished()):
        return
    classes = class_names(out, model) or default_classes(len(rows[0].counts))
    proportions_csv(out.proportions, rows, [c.name for c in classes])


def class_names(out: OutputFolder, model: Model | None) -> tuple[CellClass, ...]:
    """Names and colours of the model's classes, from classes.toml; written there with defaults when absent."""
    if model is None:
        return ()
    if not out.classes.is_file():
        write_classes(out.classes, default_classes(model.config.classes))
    return read_classes(out.classes, model.config.classes)


def slide_info(store: CellStore) -> SlideInfo:
    """The slide's facts, as the store keeps them."""
    facts = dict(store.attributes["slide"])
    facts["levels"] = tuple(Level(**level) for level in facts["levels"])
    facts["bounds"] = Box(*facts["bounds"])
    facts["warnings"] = tuple(facts["warnings"])
    return SlideInfo(**facts)


def _row(store: CellStore, model: Model | None) -> ProportionsRow:
    recipe, counts = _recipe(store), store.attributes["counts"]
    k = model.config.classes if model else recipe.gan.classes
    classes = store.labels(model.hash).classes if model else np.zeros(0, np.uint8)
    flags = (
        *(("unreadable",) if counts["unreadable_share"] > 0 else ()),
        *(("stain_fallback",) if store.attributes["stain"]["fallback"] else ()),
    )
    return proportions_row(
        store.slide_id,
        proportions(classes, k)[0],
        counts["tissue_mm2"],
        model.hash if model else "",
        recipe.proportions,
        flags,
    )


def _chunks(store: CellStore, labels: Labels | None) -> Iterator[LabelledCells]:
    for start, cells in store.chunks(ROWS_AT_ONCE, patches=False):
        if labels is None:
            yield LabelledCells(cells)
        else:
            rows = slice(start, start + len(cells))
            yield LabelledCells(cells, labels.classes[rows], labels.confidence[rows])


def _report(
    store: CellStore, facts: dict[str, Any], labels: Labels | None, classes: Sequence[CellClass], origin: str
) -> SlideReport:
    info, counts, recipe = slide_info(store), store.attributes["counts"], _recipe(store)
    made = [
        ("Recipe", recipe.name),
        ("Model", f"{labels.model_hash}, {origin}" if labels else "none"),
        ("Stain", f"{store.attributes['stain']['method']}, threshold {store.attributes['stain']['threshold']:.2f} OD"),
        ("Versions", ", ".join(f"{name} {number}" for name, number in facts.get("versions", {}).items())),
        ("Time", ", ".join(f"{name.removesuffix('_s')} {s:g} s" for name, s in facts.get("timings", {}).items())),
    ]
    return SlideReport(
        slide_id=info.slide_id,
        n_cells=len(store),
        tissue_mm2=counts["tissue_mm2"],
        warnings=store.attributes["warnings"],
        views=_views(store, labels, classes),
        classes=classes,
        counts=np.bincount(labels.classes, minlength=len(classes)).tolist() if labels else [],
        examples=[_examples(store, labels, i) for i in range(len(classes))] if labels else [],
        facts=[
            ("Size", f"{info.width_px} x {info.height_px} px"),
            ("Resolution", f"{info.mpp:.4g} um/px ({info.mpp_source})"),
            ("Read by", f"{info.reader}, vendor {info.vendor}"),
            ("Objects too large for a nucleus", f"{counts['oversized']} left out"),
        ],
        made=made,
    )


def _views(store: CellStore, labels: Labels | None, classes: Sequence[CellClass]) -> list[View]:
    """The whole slide and, where the store keeps one, the densest sampled blocks, with the nuclei drawn in."""
    overview, scale = np.asarray(store.array("overview")[:]), store.attributes["overview_downsample"]
    shrink = max(overview.shape[:2]) / _VIEW_PX  # small slides are enlarged
    size = (round(overview.shape[1] / shrink), round(overview.shape[0] / shrink))
    picture = cv2.resize(overview, size, interpolation=cv2.INTER_AREA if shrink > 1 else cv2.INTER_CUBIC)
    frames = [(picture, scale * shrink, (0.0, 0.0), "the whole slide, one mark per nucleus")]
    downsample = store.attributes["grid"]["level_downsample"] * store.attributes["grid"]["scale"]
    for block, (x, y) in zip(np.asarray(store.array("details")[:]), store.attributes["details_xy"], strict=True):
        large = cv2.resize(block, None, fx=_DETAIL_ZOOM, fy=_DETAIL_ZOOM, interpolation=cv2.INTER_CUBIC)
        caption = f"detail at x {x:.0f}, y {y:.0f} px, {block.shape[1] * store.attributes['grid']['mpp']:.0f} um wide"
        frames.append((large, downsample / _DETAIL_ZOOM, (x, y), caption))
    colors = [c.color for c in classes] or [_UNLABELLED]
    pictures = [frame[0] for frame in frames]
    for chunk in _chunks(store, labels):
        for i, (_, down, origin, _) in enumerate(frames):
            pictures[i] = draw_nuclei(pictures[i], chunk, colors, down, origin)
    return [View(picture, frame[3]) for picture, frame in zip(pictures, frames, strict=True)]


def _examples(store: CellStore, labels: Labels, index: int) -> NDArray[np.uint8]:
    """The most confident cells of a class; uint8 (m, size, size, 3)."""
    rows = np.flatnonzero(labels.classes == index)
    best = rows[np.argsort(-labels.confidence[rows], kind="stable")[:_EXAMPLES]]
    picked = [np.asarray(store.patches[int(row)]) for row in best]
    return np.stack(picked) if picked else np.zeros((0, *store.patches.shape[1:]), np.uint8)


def _recipe(store: CellStore) -> Recipe:
    return parse_recipe(store.attributes["recipe"], "stored recipe")


def _digest(classes: Sequence[CellClass]) -> str:
    return hashlib.sha256(repr([(c.name, c.color) for c in classes]).encode()).hexdigest()[:16]

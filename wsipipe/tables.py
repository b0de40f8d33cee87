"""What people get to see of finished stores: tables, GeoJSON, reports, and one row per slide."""

import csv
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsipipe.atomic import atomic_write, sweep
from wsipipe.cohort.intervals import proportion_intervals
from wsipipe.cohort.proportions import ProportionsRow, proportions, proportions_row
from wsipipe.export.classes import CellClass, alike, default_classes, read_classes, write_classes
from wsipipe.export.geojson import cells_geojson
from wsipipe.export.report.page import slide_page
from wsipipe.export.tables import cells_csv, expected_csv, profiles_csv, proportions_csv
from wsipipe.gan.checkpoint import Model
from wsipipe.image.quality import unfit_flags
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.store import CellStore
from wsipipe.progress import Reporter
from wsipipe.records import Labels
from wsipipe.reporting import slide_report
from wsipipe.stored import has_given_nuclei, labelled_chunks, slide_info, stored_recipe


def write_tables(out: OutputFolder, folder: SlideFolder, store: CellStore, model: Model | None) -> None:
    """cells.csv, cells.geojson and report.html of a slide; nothing to do when they show these labels already.

    run.json gets the size and SHA-256 of the first two, by which a change or loss is noticed.
    """
    classes = class_names(out, model)
    shown = {"model": model.hash if model else "", "classes": _digest(classes)}
    csv_path, geojson_path, report_path = folder.tables
    facts = folder.facts()
    if facts.get("tables") == shown and report_path.is_file() and not table_faults(folder, sizes_only=True):
        return
    labels = store.labels(model.hash) if model else None
    cells_csv(csv_path, labelled_chunks(store, labels), [c.name for c in classes])
    info, given = slide_info(store), has_given_nuclei(store)
    cells_geojson(geojson_path, labelled_chunks(store, labels), info, classes, given=given)
    write_report(report_path, store, folder.facts(), model, classes)
    origin = str(model.facts.get("origin", "")) if model else ""
    made_by: dict[str, Any] = {}
    if model is not None and labels is not None:
        made_by["model"] = {"hash": model.hash, "origin": origin, "seed": model.facts.get("seed")}
        made_by["labels"] = {"computed": labels.computed}
    digests = {path.name: [path.stat().st_size, _file_digest(path)] for path in (csv_path, geojson_path)}
    folder.note(state="labelled" if model else "segmented", **made_by, tables=shown, digests=digests)
    if facts.get("state") != "segmenting":  # else another run may be at work there
        sweep(folder.path)


def table_faults(folder: SlideFolder, *, sizes_only: bool = False) -> list[str]:
    """What is wrong with the tables of a slide, a few words each: missing, or other bytes than were written."""
    noted = folder.facts().get("digests")
    digests = noted if isinstance(noted, dict) else {}
    faults = []
    for path in folder.tables[:2]:
        if not path.is_file():
            faults.append(f"{path.name} missing")
            continue
        size, digest = digests.get(path.name, (None, None))  # older outputs noted none
        if size is not None and size != path.stat().st_size:
            faults.append(f"{path.name} has {path.stat().st_size} bytes instead of {size}")
        elif digest is not None and not sizes_only and digest != _file_digest(path):
            faults.append(f"{path.name} was changed")
    return faults


def write_report(
    target: Path, store: CellStore, facts: dict[str, Any], model: Model | None, classes: Sequence[CellClass]
) -> None:
    """The page of a slide."""
    labels = store.labels(model.hash) if model else None
    intervals = tuple(zip(*slide_intervals(store, labels, len(classes)), strict=True)) if labels else ()
    page = slide_page(slide_report(store, facts, labels, model, classes, intervals))
    with atomic_write(target) as file:
        file.write(page)


def write_proportions(
    out: OutputFolder, model: Model | None, done: Sequence[SlideFolder], intervals: bool = False
) -> None:
    """proportions.csv, expected.csv and profiles.csv of these finished slides.

    Needs labels, or no cells.
    """
    if model is None and any(len(CellStore(folder.store)) for folder in done):
        return
    write_rows(out, model, [slide_row(CellStore(folder.store), model, intervals) for folder in done])


def has_intervals(out: OutputFolder) -> bool:
    """Whether proportions.csv has columns of intervals, which whoever only names classes must not lose."""
    if not out.proportions.is_file():
        return False
    with out.proportions.open(encoding="utf-8", newline="") as file:
        return any(name.startswith("lo_") for name in next(csv.reader(file), []))


def write_rows(out: OutputFolder, model: Model | None, rows: Sequence[ProportionsRow]) -> None:
    """proportions.csv, expected.csv and profiles.csv of these rows; with intervals when one of them has some.

    No profiles.csv where cells are not described.
    """
    classes = class_names(out, model) or default_classes(len(rows[0].counts))
    names = [c.name for c in classes]
    proportions_csv(out.proportions, rows, names, any(row.low for row in rows))
    expected_csv(out.expected, rows, names)
    if any(row.profile for row in rows):
        profiles_csv(out.profiles, rows, names)
    else:
        out.profiles.unlink(missing_ok=True)  # of another model
    for path in (
        out.proportions,
        out.expected,
        out.profiles,
        out.model,
        out.classes,
        out.failures,
        out.cohort,
        out.report,
    ):
        sweep(out.path, path.name)


def class_names(out: OutputFolder, model: Model | None, report: Reporter | None = None) -> tuple[CellClass, ...]:
    """Names and colours of the model's classes, from classes.toml; written there with defaults when absent.

    `report` is told of colours that look alike: some labs want that, most have mistyped one.
    """
    if model is None:
        return ()
    if not out.classes.is_file():
        write_classes(out.classes, default_classes(model.config.classes))
    classes = read_classes(out.classes, model.config.classes)
    same = alike(classes)
    if same and report is not None:
        one = same.partition(" ")[0]
        report.warn(
            f"{out.classes.name}: colours look alike: {same}; `wsipipe classes OUT --color {one}=#RRGGBB` helps"
        )
    return classes


def slide_row(store: CellStore, model: Model | None, intervals: bool = False) -> ProportionsRow:
    """The row of a slide in proportions.csv; with intervals when asked for here or by the slide's recipe."""
    recipe, counts = stored_recipe(store), store.attributes["counts"]
    k = model.config.classes if model else recipe.gan.classes
    labels = store.labels(model.hash) if model else None
    classes = labels.classes if labels else np.zeros(0, np.uint8)
    flags = (
        *(("unreadable",) if counts["unreadable_share"] > 0 else ()),
        *(("stain_fallback",) if store.attributes["stain"]["fallback"] else ()),
        *unfit_flags(counts.get("unfit", {}), recipe.quality),  # older stores have not counted it
    )
    row = proportions_row(
        store.slide_id,
        proportions(classes, k)[0],
        counts["tissue_mm2"],
        model.hash if model else "",
        recipe.proportions,
        flags,
        labels.expected if labels else (),
        labels.profile if labels else (),
    )
    if not labels or not (intervals or recipe.proportions.intervals):
        return row
    low, high = slide_intervals(store, labels, k)
    return dataclasses.replace(row, low=low, high=high)


def slide_intervals(store: CellStore, labels: Labels, k: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lower and upper ends of the 95 % intervals of the shares of k classes."""
    mpp = slide_info(store).mpp
    x, y = (np.asarray(store.array(name)[:]) * mpp for name in ("x_px", "y_px"))
    return proportion_intervals(x, y, labels.classes, k)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(classes: Sequence[CellClass]) -> str:
    return hashlib.sha256(repr([(c.name, c.color) for c in classes]).encode()).hexdigest()[:16]

"""What a slide's page shows, gathered from its store, its labels and the model, in one pass over the cells."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import CellClass
from wsipipe.export.report.charts import QUANTILES, Measurement
from wsipipe.export.report.maps import CellMaps, Frame, rim
from wsipipe.export.report.page import Area, ClassReport, Detail, SlideReport
from wsipipe.export.report.sections import STRIP_PATCHES
from wsipipe.export.rings import closed_rings
from wsipipe.export.rows import LabelledCells
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.draw import sample
from wsipipe.io.store import CellStore
from wsipipe.records import Labels, SlideInfo
from wsipipe.stored import labelled_chunks, slide_info, stored_recipe

MEASUREMENTS = (
    ("area_um2", "Area", "µm²"),
    ("perimeter_um", "Perimeter", "µm"),
    ("eccentricity", "Eccentricity", ""),
    ("solidity", "Solidity", ""),
    ("h_od_mean", "Haematoxylin", "OD"),
    ("h_od_std", "Texture of haematoxylin", "OD"),
    ("e_od_mean", "Eosin or second stain", "OD"),
)
"""Column of the store, name and unit of what the page shows of each class."""

_ALL_NUCLEI = CellClass("nuclei", (0, 114, 178))
_TISSUE_RGB = (40, 40, 40)
_UNFIT = {"blurred": ("out of focus", (0, 90, 220)), "pen": ("pen", (210, 0, 60)), "folded": ("folds", (225, 120, 0))}
_THUMBNAIL_PX = 1400
_DETAIL_ZOOM = 2


def slide_report(
    store: CellStore,
    facts: dict[str, Any],
    labels: Labels | None,
    model: Model | None,
    classes: Sequence[CellClass],
    intervals: Sequence[tuple[float, float]] = (),
) -> SlideReport:
    """Everything that the page of a slide shows.

    Parameters
    ----------
    store : CellStore
        The slide's cells.
    facts : dict
        Contents of its run.json.
    labels : Labels or None
        Class of each cell under `model`.
    model : Model or None
        Draws examples of each class.
    classes : sequence of CellClass
        Name and colour of each class index; ignored without labels.
    intervals : sequence of (float, float)
        Where the share of each class lies with 95 % confidence; empty when nobody has estimated it.
    """
    info, counts = slide_info(store), store.attributes["counts"]
    shown = tuple(classes) if labels else (_ALL_NUCLEI,)
    maps = CellMaps(info.width_px, info.height_px, len(shown))
    frames = _frames(store)
    rings: list[list[tuple[int, NDArray[np.float64]]]] = [[] for _ in frames]
    for chunk in labelled_chunks(store, labels):
        maps.add(chunk)
        for i, (picture, down, origin, _) in enumerate(frames):
            rings[i] += _rings_within(chunk, picture.shape[1::-1], down, origin)
    tissue = np.asarray(store.array("tissue")[:])
    return SlideReport(
        slide_id=info.slide_id,
        n_cells=len(store),
        tissue_mm2=counts["tissue_mm2"],
        warnings=store.attributes["warnings"],
        thumbnail=_thumbnail(store),
        width_um=info.width_px * info.mpp,
        areas=_areas(store, tissue, maps.map),
        classes=[
            ClassReport(
                cell_class,
                int((labels.classes == i).sum()) if labels else len(store),
                intervals[i] if intervals else None,
                maps.marks(i),
                maps.density(i, tissue, info.mpp),
                _surest(store, labels, i),
                sample(model, i, STRIP_PATCHES, 0) if model and labels else _no_patches(store),
            )
            for i, cell_class in enumerate(shown)
        ],
        labelled=labels is not None,
        measurements=_measurements(store, labels, len(shown)),
        details=[
            Detail(picture, down * info.mpp, caption, found)
            for (picture, down, _, caption), found in zip(frames, rings, strict=True)
        ],
        facts=_slide_facts(info, counts),
        made=_made(store, facts, model if labels else None),
    )


def _areas(store: CellStore, tissue: NDArray[np.bool_], frame: Frame) -> list[Area]:
    """The tissue, and what quality control found."""
    areas = [Area("tissue", rim(tissue, frame), _TISSUE_RGB)] if tissue.any() else []
    for kind, found in store.attributes["counts"].get("unfit", {}).items():
        if found["blocks"]:
            name, color = _UNFIT[kind]
            mask = np.asarray(store.array(f"unfit_{kind}")[:])
            areas.append(Area(f"{name}, {found['mm2']:.2f} mm²", rim(mask, frame), color))
    return areas


def _slide_facts(info: SlideInfo, counts: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Size", f"{info.width_px:,} x {info.height_px:,} px"),
        ("Resolution", f"{info.mpp:.4g} µm/px ({info.mpp_source})"),
        ("Read by", f"{info.reader}, vendor {info.vendor}"),
        ("Objects too large for a nucleus", f"{counts['oversized']:,} left out"),
    ]


def _made(store: CellStore, facts: dict[str, Any], model: Model | None) -> list[tuple[str, str]]:
    stain, recipe = store.attributes["stain"], stored_recipe(store)
    return [
        ("Recipe", f"{recipe.name}, nuclei found at {recipe.working.mpp:g} µm/px"),
        ("Model", f"{model.hash}, {model.facts.get('origin', '')}".rstrip(", ") if model else "none"),
        ("Stain", f"{stain['method']}, threshold {stain['threshold']:.2f} OD"),
        ("Versions", ", ".join(f"{name} {number}" for name, number in facts.get("versions", {}).items())),
        ("Time", ", ".join(f"{_words(name)} {s:g} s" for name, s in facts.get("timings", {}).items())),
    ]


def _words(timing: str) -> str:
    """Name of a timing of run.json, such as "store_and_label_s", for people."""
    return timing.removesuffix("_s").replace("_", " ")


def _thumbnail(store: CellStore) -> NDArray[np.uint8]:
    """The whole slide, its longer side at most _THUMBNAIL_PX; small slides are enlarged by the browser.

    Of a picture no larger than a sampled block, such as a tile of a public data set, that block is sharper.
    """
    grid, details = store.attributes["grid"], store.array("details")
    if details.shape[:3] == (1, grid["height_px"], grid["width_px"]):
        return np.asarray(details[0], np.uint8)
    overview = np.asarray(store.array("overview")[:])
    shrink = max(1.0, max(overview.shape[:2]) / _THUMBNAIL_PX)
    size = (max(1, round(overview.shape[1] / shrink)), max(1, round(overview.shape[0] / shrink)))
    return np.asarray(cv2.resize(overview, size, interpolation=cv2.INTER_AREA))


def _frames(store: CellStore) -> list[tuple[NDArray[np.uint8], float, tuple[float, float], str]]:
    """The densest sampled blocks that the store keeps: picture, level-0 px per pixel, corner, caption."""
    grid = store.attributes["grid"]
    downsample = grid["level_downsample"] * grid["scale"]
    frames = []
    for block, (x, y) in zip(np.asarray(store.array("details")[:]), store.attributes["details_xy"], strict=True):
        large = cv2.resize(block, None, fx=_DETAIL_ZOOM, fy=_DETAIL_ZOOM, interpolation=cv2.INTER_CUBIC)
        caption = f"At x {x:.0f}, y {y:.0f} px, {block.shape[1] * grid['mpp']:.0f} µm wide"
        frames.append((large, downsample / _DETAIL_ZOOM, (x, y), caption))
    return frames


def _rings_within(
    chunk: LabelledCells, size: tuple[int, int], downsample: float, origin: tuple[float, float]
) -> list[tuple[int, NDArray[np.float64]]]:
    """Class and outline, in pixels of a picture, of the cells that reach into it."""
    left, top, right, bottom = chunk.cells.bbox_px.T
    right_end, bottom_end = (start + n * downsample for start, n in zip(origin, size, strict=True))
    rows = np.flatnonzero((right > origin[0]) & (bottom > origin[1]) & (left < right_end) & (top < bottom_end))
    xy, ends = closed_rings(chunk.cells.take(rows))
    index = np.zeros(len(rows), np.uint8) if chunk.classes is None else chunk.classes[rows]
    outlines = np.split((xy - np.array(origin)) / downsample, ends[1:-1]) if len(rows) else []
    return [(int(i), outline[:-1]) for i, outline in zip(index, outlines, strict=True)]


def _surest(store: CellStore, labels: Labels | None, index: int) -> NDArray[np.uint8]:
    """The cells of a class that the network is most certain of; uint8 (m, size, size, 3)."""
    if labels is None:
        return _no_patches(store)
    rows = np.flatnonzero(labels.classes == index)
    best = rows[np.argsort(-labels.confidence[rows], kind="stable")[:STRIP_PATCHES]]
    if not len(best):
        return _no_patches(store)
    in_order, back = np.unique(best, return_inverse=True)
    return np.asarray(store.patches.oindex[in_order])[back]


def _no_patches(store: CellStore) -> NDArray[np.uint8]:
    return np.zeros((0, *store.patches.shape[1:]), np.uint8)


def _measurements(store: CellStore, labels: Labels | None, k: int) -> list[Measurement]:
    """QUANTILES of each measurement in each class; one column is in memory at a time."""
    found = []
    for column, name, unit in MEASUREMENTS:
        values = np.asarray(store.array(column)[:], np.float64)
        parts = [values[labels.classes == i] for i in range(k)] if labels else [values]
        boxes = [np.quantile(part, QUANTILES) if len(part) else np.full(len(QUANTILES), np.nan) for part in parts]
        found.append(Measurement(name, unit, np.stack(boxes)))
    return found

"""`wsipipe view`: the slides and cells of an output as the viewer's page asks for them."""

import functools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import StoreError, UsageError
from wsipipe.export.classes import CellClass, alike
from wsipipe.export.encode import png_uri
from wsipipe.export.viewer.packing import OUTLINE_TILE_PX, pack_cells, pack_outlines
from wsipipe.export.viewer.server import ViewerServer
from wsipipe.gan.checkpoint import Model, load
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.slide_files import find_slide, slide_files
from wsipipe.io.store import CellStore
from wsipipe.pipeline import name_classes
from wsipipe.progress import Reporter
from wsipipe.stored import slide_info
from wsipipe.tables import class_names
from wsipipe.tilesource import StoredPicture, TileSource

GALLERY_CELLS = 48
"""Cells on a page of the gallery."""

_ALL_NUCLEI = CellClass("nuclei", (0, 114, 178))
_FACTS = ("area_um2", "perimeter_um", "eccentricity", "solidity", "h_od_mean", "h_od_std", "e_od_mean", "e_od_std")
_STRIPS_KEPT = 8

_COPY = "this file is a copy or was changed after its cells were found"
_NOT_FOUND = (
    "the slide file was not found, so the small overview that is kept with the cells is shown; "
    "name the file or its folder with --slides"
)


class SlideView:
    """One slide of an output: its cells in memory (ten bytes each), its pixels where the file was found."""

    def __init__(self, folder: SlideFolder, model: Model | None, k: int, found: Path | None, note: str) -> None:
        self.store = CellStore(folder.store)
        self.info = slide_info(self.store)
        self.note = note
        self.pixels = TileSource(found, self.info, StoredPicture.of(self.store))
        self.x = np.asarray(self.store.array("x_px")[:], np.float32)
        self.y = np.asarray(self.store.array("y_px")[:], np.float32)
        labels = self.store.labels(model.hash) if model else None
        self.classes = labels.classes if labels else np.zeros(len(self.store), np.uint8)
        self.confidence = labels.confidence if labels else np.ones(len(self.store), np.float32)
        self.counts = np.bincount(self.classes, minlength=k).tolist()
        self._strip = functools.lru_cache(_STRIPS_KEPT)(self._read_strip)
        self._order = functools.lru_cache(k)(self._sort)

    def facts(self) -> dict[str, Any]:
        """What the page knows of the slide from the start."""
        info = self.info
        return {
            "name": info.slide_id,
            "width": info.width_px,
            "height": info.height_px,
            "mpp": info.mpp,
            "bounds": list(info.bounds),
            "cells": len(self.store),
            "counts": self.counts,
            "tissue_mm2": self.store.attributes["counts"]["tissue_mm2"],
            "note": self.note,
            "warnings": list(self.store.attributes["warnings"]),
        }

    def cells(self) -> bytes:
        """All cells."""
        return pack_cells(self.x, self.y, self.classes, self.confidence)

    def outlines(self, column: int, row: int) -> bytes:
        """Outlines of the cells whose centre lies in a square of OUTLINE_TILE_PX."""
        left, top = column * OUTLINE_TILE_PX, row * OUTLINE_TILE_PX
        if left >= self.info.width_px or top >= self.info.height_px:
            raise LookupError((column, row))
        first, offset, vertices = self._strip(row)
        x = self.x[first : first + len(offset) - 1]
        inside = np.flatnonzero((x >= left) & (x < left + OUTLINE_TILE_PX))
        rings = [vertices[offset[i] : offset[i + 1]] for i in inside]
        xy = np.concatenate(rings) if rings else np.zeros((0, 2), np.float32)
        return pack_outlines(first + inside, np.diff(offset)[inside], xy, (left, top))

    def cell(self, cell_id: int) -> dict[str, Any]:
        """The facts of a cell and its patch."""
        if cell_id >= len(self.store):
            raise LookupError(cell_id)
        columns = ((name, np.asarray(self.store.array(name)[cell_id])) for name in ("x_px", "y_px", *_FACTS))
        facts = {name: round(float(value), 4) for name, value in columns}
        return {**self._brief(cell_id), **facts}

    def gallery(self, index: int, order: int, page: int) -> dict[str, Any]:
        """A page of the cells of a class: most certain first (order 0), least certain first (1), or mixed (2)."""
        if index >= len(self.counts) or order > 2:
            raise LookupError(index)
        rows = self._order(index)
        if order == 1:
            rows = rows[::-1]
        elif order == 2:
            rows = np.random.default_rng(0).permutation(rows)
        picked = rows[page * GALLERY_CELLS : (page + 1) * GALLERY_CELLS]
        return {"total": len(rows), "per_page": GALLERY_CELLS, "cells": [self._brief(int(i)) for i in picked]}

    def _brief(self, cell_id: int) -> dict[str, Any]:
        return {
            "id": cell_id,
            "class": int(self.classes[cell_id]),
            "confidence": round(float(self.confidence[cell_id]), 4),
            "patch": png_uri(np.asarray(self.store.patches[cell_id])),
        }

    def _sort(self, index: int) -> NDArray[np.intp]:
        """Cells of a class, most certain first."""
        rows = np.flatnonzero(self.classes == index)
        return rows[np.argsort(-self.confidence[rows], kind="stable")]

    def _read_strip(self, row: int) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """The first cell of a strip as wide as the slide, the offsets of its outlines, and their vertices."""
        top = row * OUTLINE_TILE_PX
        first, end = (int(i) for i in np.searchsorted(self.y, [top, top + OUTLINE_TILE_PX]))
        offset = np.asarray(self.store.array("contour_offset")[first : end + 1])
        vertices = np.asarray(self.store.array("contour_xy")[int(offset[0]) : int(offset[-1])])
        return first, offset - offset[0], vertices


class OutputView:
    """A finished output, as `wsipipe.export.viewer.server.Backend` asks for it."""

    def __init__(self, path: Path, slides: Sequence[Path], report: Reporter) -> None:
        self._out = OutputFolder(path)
        finished = self._out.finished()
        if not finished:
            raise StoreError("holds no finished slide", "run `wsipipe run` into it first", path.name)
        self._model = load(self._out.model) if self._out.model.is_file() else None
        self._report = report
        self._naming, self._opening = threading.Lock(), threading.Lock()
        self._files = slide_files([*slides, path, path.resolve().parent])
        self._folders = finished
        self._views: dict[int, SlideView] = {}

    def overview(self) -> dict[str, Any]:
        """The slides by name, the classes, and which of these look alike."""
        classes = class_names(self._out, self._model) or (_ALL_NUCLEI,)
        return {
            "slides": [folder.slide_id for folder in self._folders],
            "labelled": self._model is not None,
            "classes": [{"name": c.name, "color": c.hex} for c in classes],
            "alike": alike(classes),
        }

    def slide(self, slide: int) -> dict[str, Any]:
        """The facts of a slide."""
        return self._slide(slide).facts()

    def tile(self, slide: int, level: int, column: int, row: int) -> bytes:
        """A Deep Zoom tile as JPEG."""
        return self._slide(slide).pixels.tile(level, column, row)

    def cells(self, slide: int) -> bytes:
        """All cells of a slide."""
        return self._slide(slide).cells()

    def outlines(self, slide: int, column: int, row: int) -> bytes:
        """Outlines of the cells in a square."""
        return self._slide(slide).outlines(column, row)

    def cell(self, slide: int, cell_id: int) -> dict[str, Any]:
        """The facts of a cell."""
        return self._slide(slide).cell(cell_id)

    def gallery(self, slide: int, index: int, order: int, page: int) -> dict[str, Any]:
        """A page of the cells of a class."""
        return self._slide(slide).gallery(index, order, page)

    def rename(self, names: Mapping[int, str], colors: Mapping[int, str]) -> dict[str, Any]:
        """Name and colour classes, in every table of the output."""
        with self._naming:
            name_classes(self._out.path, names, colors, self._report)
        return self.overview()

    def close(self) -> None:
        """Close every slide that was looked at."""
        with self._opening:
            for view in self._views.values():
                view.pixels.close()

    def _slide(self, slide: int) -> SlideView:
        """A slide, opened when it is first looked at."""
        if slide >= len(self._folders):
            raise LookupError(slide)
        with self._opening:
            if slide not in self._views:
                self._views[slide] = self._view(self._folders[slide])
            return self._views[slide]

    def _view(self, folder: SlideFolder) -> SlideView:
        info = slide_info(CellStore(folder.store))
        found, same = find_slide(info, self._files)
        note = "" if same else _NOT_FOUND if found is None else _COPY
        if note:
            self._report.warn(f"{info.slide_id}: {note}")
        k = self._model.config.classes if self._model else 1
        return SlideView(folder, self._model, k, found, note)


def serve(path: Path, slides: Sequence[Path], port: int, report: Reporter) -> ViewerServer:
    """A server for a finished output, not started yet.

    Parameters
    ----------
    path : Path
        The output folder.
    slides : sequence of Path
        Slide files, or folders of them; the output folder and the one around it are searched too.
    port : int
        0 takes any free one.

    Raises
    ------
    StoreError
        If the output holds no finished slide.
    UsageError
        If the port is taken.
    """
    backend = OutputView(path, slides, report)
    try:
        return ViewerServer(backend, port)
    except OSError as error:
        raise UsageError(
            f"cannot be used ({error.strerror})", "leave it out to take a free one", f"--port {port}"
        ) from error

"""Outputs for the browser: finished folders without a run."""

import dataclasses
from pathlib import Path

import numpy as np

from tests.cells import random_cells
from wsipipe.config import load_recipe
from wsipipe.io.output import SlideFolder
from wsipipe.io.store_writer import write_store
from wsipipe.records import Box, Grid, Level, SlideInfo

MPP = 0.5


def made_up_output(
    folder: Path,
    n: int,
    side_px: int,
    images: dict[str, np.ndarray] | None = None,
    attributes: dict[str, object] | None = None,
) -> Path:
    """An output with one unlabelled slide of n cells spread over a square slide whose file does not exist.

    `images` and `attributes` go over those that its store gets.
    """
    slide_id = "made-up"
    out = folder / "out"
    slide = SlideFolder(out / slide_id)
    slide.path.mkdir(parents=True)
    info = SlideInfo(
        slide_id, "openslide", "unknown", MPP, "metadata", 20.0, (Level(side_px, side_px, 1.0),),
        Box(0, 0, side_px, side_px), False, "0" * 32, ("The cells are made up.",),
    )  # fmt: skip
    overview_px = 600
    held = {
        "slide": dataclasses.asdict(info),
        "grid": dataclasses.asdict(Grid(MPP, 0, 1.0, 1.0, side_px, side_px)),
        "overview_downsample": side_px / overview_px,
        "stain": {"method": "none", "threshold": 0.3, "fallback": ""},
        "recipe": load_recipe("toy").to_dict(),
        "identity": {},
        "counts": {"cells": n, "tiles": 1, "oversized": 0, "unreadable_share": 0.0, "tissue_mm2": 1.0},
        "warnings": list(info.warnings),
        "details_xy": [],
    }
    pictures = {
        "overview": np.full((overview_px, overview_px, 3), (230, 190, 210), np.uint8),
        "tissue": np.ones((overview_px, overview_px), bool),
        "details": np.zeros((0, 64, 64, 3), np.uint8),
    }
    write_store(slide.store, _MadeUpRows(n, side_px), 32, pictures | (images or {}), held | (attributes or {}))
    slide.note(state="segmented", slide_id=slide_id)
    return out


class _MadeUpRows:
    """n cells all over a square slide; patches are made when they are read."""

    def __init__(self, n: int, side_px: int) -> None:
        cells = random_cells(n, vertices=16)
        place = np.stack([cells.x_px, cells.y_px], axis=1)
        moved = np.round(place * (side_px - 100) / 5000, 2) - place
        self._cells = dataclasses.replace(
            cells,
            x_px=np.round(cells.x_px + moved[:, 0], 2),
            y_px=np.round(cells.y_px + moved[:, 1], 2),
            bbox_px=(cells.bbox_px + np.tile(moved, 2)).astype(np.int32),
            contour_xy=(cells.contour_xy + np.repeat(moved, 16, axis=0)).astype(np.float32),
        )

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def n_vertices(self) -> int:
        return len(self._cells.contour_xy)

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        if name != "patches":
            return np.asarray(getattr(self._cells, name)[start:stop])
        patches = np.full((stop - start, 32, 32, 3), (200, 150, 180), np.uint8)
        patches[:, 8:24, 8:24] = (np.arange(start, stop) % 60 + 60)[:, None, None, None]
        return patches

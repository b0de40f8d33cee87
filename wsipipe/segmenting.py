"""One slide, from its file to its finished store."""

import dataclasses
import platform
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.config import Recipe, Settings, config_hash, differences
from wsipipe.errors import OutputMismatchError, UnreadableSlideError
from wsipipe.image.nuclei import find_nuclei
from wsipipe.image.patches import collect
from wsipipe.image.tiling import inside
from wsipipe.io.output import SlideFolder, path_hash
from wsipipe.io.regions import Regions, read_regions
from wsipipe.io.slide import BLOCK_PX, Slide, open_slide
from wsipipe.io.spool import Spool
from wsipipe.io.store import FORMAT_VERSION, ROWS_PER_SHARD, CellStore, write_store
from wsipipe.parallel import Pool, per_thread
from wsipipe.planning import SlidePlan, SlideTask, plan_slide
from wsipipe.progress import Reporter
from wsipipe.records import Cells, SlideInfo, Tile

DETAILS = 2
"""Sampled blocks that the store keeps for the report."""

_this_thread = threading.local()


@dataclass(frozen=True)
class TileResult:
    """What came out of a tile."""

    cells: Cells
    oversized: int
    unreadable: frozenset[tuple[int, int]]


def segment_slide(path: Path, folder: SlideFolder, settings: Settings, pool: Pool, report: Reporter) -> CellStore:
    """Read, mask, normalize, deconvolve, threshold and split, store; or reuse what is already there.

    Raises
    ------
    SlideError
        If the slide cannot be processed.
    OutputMismatchError
        If the folder was made with another recipe.
    """
    begun = time.monotonic()
    with open_slide(path, slide_id=folder.slide_id, mpp=settings.mpp) as slide:
        identity = identify(path, slide.info, settings)
        if is_finished(folder, identity):
            report.say(f"{folder.slide_id}: cells are there already")
            return CellStore(folder.store)
        if folder.store.is_dir():
            report.say(f"{folder.slide_id}: the file or its resolution changed; it is done again")
            folder.clear()
        for line in slide.info.warnings:
            report.warn(f"{folder.slide_id}: {line}")
        folder.note(
            state="segmenting",
            slide_id=folder.slide_id,
            **identity,
            recipe=settings.recipe.to_dict(),
            versions=versions(),
        )
        plan = plan_slide(slide, path, settings)
    planned = time.monotonic()
    for line in plan.warnings:
        report.warn(f"{folder.slide_id}: {line}")
    with Spool(folder.spool, _spool_plan(identity, settings), settings.recipe.patches.size_px) as spool:
        _run_tiles(plan, spool, pool, report, read_regions(settings.regions) if settings.regions else None)
        tiled = time.monotonic()
        _finish(plan, spool, folder, identity, settings.recipe)
        spool.remove()
    timings = {"plan_s": planned - begun, "tiles_s": tiled - planned, "store_s": time.monotonic() - tiled}
    store = CellStore(folder.store)
    counts = store.attributes["counts"]
    folder.note(
        state="segmented",
        slide=store.attributes["slide"],
        grid=store.attributes["grid"],
        stain=store.attributes["stain"],
        counts=counts,
        warnings=store.attributes["warnings"],
        timings={name: round(seconds, 2) for name, seconds in timings.items()},
    )
    report.say(f"{folder.slide_id}: {counts['cells']} cells on {counts['tissue_mm2']:.2f} mm2 of tissue")
    return store


def identify(path: Path, info: SlideInfo, settings: Settings) -> dict[str, Any]:
    """What a finished store must match to be reused; plain values."""
    return {
        "fingerprint": info.fingerprint,
        "path_hash": path_hash(path),
        "mpp": info.mpp,
        "segment_recipe": settings.recipe.segment_dict(),
        "regions": read_regions(settings.regions).digest if settings.regions else "",
        "format_version": FORMAT_VERSION,
    }


def is_finished(folder: SlideFolder, identity: dict[str, Any]) -> bool:
    """Whether the store there is whole and made from this file, at this resolution, by this recipe."""
    if not folder.store.is_dir():
        return False
    there = CellStore(folder.store).attributes["identity"]
    same = ("fingerprint", "mpp", "segment_recipe", "regions", "format_version")
    return all(there.get(key) == identity[key] for key in same)


def check_recipe(folder: SlideFolder, settings: Settings) -> None:
    """Refuse to mix recipes in one output.

    Raises
    ------
    OutputMismatchError
        Naming what differs, when the slide was begun with another recipe.
    """
    there = folder.facts().get("segment_recipe")
    if there is None:
        return
    changed = differences(there, settings.recipe.segment_dict())
    if changed:
        raise OutputMismatchError(
            f"made with another recipe ({'; '.join(changed)})",
            "use that recipe, another -o folder, or --overwrite to start this slide again",
            folder.slide_id,
        )


def segment_tile(task: SlideTask, tile: Tile) -> TileResult:
    """Do one tile; runs on a worker. The slide stays open for the worker's next tile."""
    cv2.setNumThreads(1)  # tiles are what runs side by side

    def reopen() -> Slide:
        return open_slide(task.path, slide_id=task.info.slide_id, mpp=task.info.mpp)

    with per_thread(_this_thread, (task.path, task.info.fingerprint, task.info.mpp), reopen) as slide:
        region = slide.read(task.grid, tile.view)
    nuclei = find_nuclei(region.rgb, task.grid.mpp, task.profile, task.recipe.nuclei)
    found = collect(region.rgb, nuclei, tile, task.grid, task.profile, task.recipe.patches)
    return TileResult(found.cells, found.oversized, region.unreadable)


def versions() -> dict[str, str]:
    """Versions of everything that a result depends on."""
    names = ("wsipipe", "numpy", "scipy", "opencv-python-headless", "scikit-image", "zarr", "openslide-bin", "torch")
    return {"python": platform.python_version(), "machine": platform.machine(), **{n: version(n) for n in names}}


def _spool_plan(identity: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What finished tiles depend on: the slide's identity, and how it is cut up."""
    return {"identity": config_hash(identity), "tile_px": settings.recipe.tiling.tile_px}


def _run_tiles(plan: SlidePlan, spool: Spool, pool: Pool, report: Reporter, regions: Regions | None) -> None:
    """Send the tiles that are not in the spool yet to the workers; one writer takes them in order."""
    todo = [tile for tile in plan.tiles if tile.index not in spool.tiles]
    if len(todo) < len(plan.tiles):
        report.say(f"{plan.task.info.slide_id}: {len(plan.tiles) - len(todo)} of {len(plan.tiles)} tiles are there")
    mask_px = plan.overview_grid.downsample
    with report.stage("cells", len(plan.tiles), "tiles") as stage:
        stage.advance(len(plan.tiles) - len(todo))
        for tile, result in pool.ordered_map(segment_tile, plan.task, todo):
            cells = result.cells
            cells = cells.take(inside(plan.tissue, cells.x_px, cells.y_px, mask_px))
            if regions:
                cells = cells.take(regions.contains(plan.task.info.bounds, cells.x_px, cells.y_px))
            facts = {"oversized": result.oversized, "unreadable": sorted(map(list, result.unreadable))}
            spool.append(tile.index, cells, facts)
            stage.advance(1, f"{len(spool)} cells")


def _finish(plan: SlidePlan, spool: Spool, folder: SlideFolder, identity: dict[str, Any], recipe: Recipe) -> None:
    """Check what could not be read, then write the store."""
    unreadable = {tuple(block) for facts in spool.tiles.values() for block in facts["unreadable"]}
    share = _unreadable_share(plan, unreadable)
    if share > recipe.working.max_unreadable:
        spool.remove()  # a repaired file has another fingerprint; nothing here can be reused
        raise UnreadableSlideError(
            f"{share:.0%} of the tissue cannot be read, more than the recipe's {recipe.working.max_unreadable:.0%}",
            "copy or export the slide again, or raise working.max_unreadable",
        )
    warnings = [*plan.task.info.warnings, *plan.warnings]
    if share > 0:
        warnings.append(f"{share:.1%} of the tissue could not be read and holds no cells")
    counts = {
        "cells": len(spool),
        "tiles": len(plan.tiles),
        "oversized": sum(facts["oversized"] for facts in spool.tiles.values()),
        "unreadable_share": round(share, 6),
        "tissue_mm2": round(plan.tissue_mm2, 4),
    }
    down = plan.task.grid.downsample
    attributes = {
        "slide": dataclasses.asdict(plan.task.info),
        "grid": dataclasses.asdict(plan.task.grid),
        "overview_downsample": plan.overview_grid.downsample,
        "stain": dataclasses.asdict(plan.task.profile),
        "recipe": recipe.to_dict(),
        "identity": identity,
        "counts": counts,
        "warnings": warnings,
    }
    details = _densest(plan, spool.centres())
    attributes["details_xy"] = [(plan.sampled[i].x * down, plan.sampled[i].y * down) for i in details]
    write_store(
        folder.store,
        spool.sorted_chunks(ROWS_PER_SHARD),
        len(spool),
        recipe.patches.size_px,
        {"overview": plan.overview, "tissue": plan.tissue, "details": plan.blocks[details]},
        attributes,
    )


def _densest(plan: SlidePlan, centres: NDArray[np.float64]) -> list[int]:
    """Indices of the sampled blocks with the most cells, for people to look at; `centres` is (n, 2) level-0 x, y."""
    x, y = (centres / plan.task.grid.downsample).T
    counts = [int(((x >= b.x) & (x < b.right) & (y >= b.y) & (y < b.bottom)).sum()) for b in plan.sampled]
    return [int(i) for i in np.argsort(-np.array(counts), kind="stable")[:DETAILS]]


def _unreadable_share(plan: SlidePlan, blocks: set[tuple[int, ...]]) -> float:
    """Share of the tissue that lies in unreadable blocks; counts the same for every tiling."""
    grid, mask_px = plan.task.grid, plan.overview_grid.downsample
    side = BLOCK_PX * grid.level_downsample
    lost = np.zeros_like(plan.tissue)
    for column, row in blocks:
        top, left = int(row * side / mask_px), int(column * side / mask_px)
        lost[
            top : max(top + 1, int((row + 1) * side / mask_px)),
            left : max(left + 1, int((column + 1) * side / mask_px)),
        ] = True
    return float((lost & plan.tissue).sum() / plan.tissue.sum())

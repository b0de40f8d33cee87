"""One slide, from its file to its finished store."""

import dataclasses
import time
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import Settings, config_hash, differences
from wsipipe.errors import DamagedStoreError, OutputMismatchError, StoreError, UnreadableSlideError
from wsipipe.given import deal_outlines, given_digest, outline_all, read_given
from wsipipe.image.quality import KINDS, blurred_mask, found_sentences, pack
from wsipipe.image.tiling import inside
from wsipipe.io.output import SlideFolder, path_hash
from wsipipe.io.regions import Regions, read_regions
from wsipipe.io.slide import BLOCK_PX, open_slide
from wsipipe.io.spool import Spool
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import FORMAT_VERSION, Rows, write_store
from wsipipe.labeller import Labeller, Labelling
from wsipipe.parallel import Mapper
from wsipipe.planning import SlidePlan, plan_slide
from wsipipe.progress import Reporter
from wsipipe.records import Cells, Rings, SlideInfo
from wsipipe.tiles import TileResult, measure_tile, segment_tile
from wsipipe.units import counted
from wsipipe.versions import versions

Facts = dict[str, Any]
DETAILS = 2
"""Sampled blocks that the store keeps for the report."""

_COMPARED = {
    "fingerprint": "the file", "mpp": "its resolution", "segment_recipe": "the recipe", "regions": "the regions",
    "nuclei": "the given nuclei", "format_version": "the form of the store",
}  # fmt: skip
"""What a finished store must have in common with what is asked for, and its name."""


def segment_slide(
    path: Path, folder: SlideFolder, settings: Settings, pool: Mapper, report: Reporter, label: Labelling | None = None
) -> CellStore:
    """Read, mask, normalize, deconvolve, threshold and split, store; or reuse what is already there.

    With `label` its cells are labelled while they are stored.

    Raises
    ------
    SlideError
        If the slide cannot be processed.
    OutputMismatchError
        If the folder was made with another recipe.
    """
    begun = time.monotonic()
    with open_slide(path, slide_id=folder.slide_id, mpp=settings.mpp, mpp_source=settings.mpp_source) as slide:
        identity = identify(path, slide.info, settings)
        again = _why_again(folder, identity)
        if not again and folder.store.is_dir():
            report.say(f"{folder.slide_id}: cells are there already")
            return _noted(folder)
        given = read_given(settings, slide.info)
        if again:
            folder.clear()  # with its log, which begins anew
            report.again(f"{folder.slide_id}: {again}")
        for line in slide.info.warnings:
            report.warn(f"{folder.slide_id}: {line}")
        folder.note(
            state="segmenting",
            slide_id=folder.slide_id,
            **identity,
            recipe=settings.recipe.to_dict(),
            versions=versions(),
            **({"done_again": again} if again else {}),
        )
        plan = plan_slide(slide, path, settings, None if given is None else given.places)
    if given is not None:
        plan = dataclasses.replace(plan, warnings=(*plan.warnings, *given.warnings(plan.task.info)))
    planned = time.monotonic()
    for line in plan.warnings:
        report.warn(f"{folder.slide_id}: {line}")
    with Spool(folder.spool, _spool_plan(identity, settings), settings.recipe.patches.size_px) as spool:
        if given is None:
            _segment_tiles(plan, spool, pool, report, read_regions(settings.regions) if settings.regions else None)
        else:
            plan = _measure_tiles(plan, outline_all(given, plan, pool, report), spool, pool, report)
        tiled = time.monotonic()
        spool.check_there()
        labeller = None if label is None else label(settings, report)
        _finish(plan, spool, folder, identity, pool.threads, labeller)
        spool.remove()
    if labeller is not None:
        labeller.write(CellStore(folder.store))
    last = "store_s" if labeller is None else "store_and_label_s"
    timings = {"plan_s": planned - begun, "tiles_s": tiled - planned, last: time.monotonic() - tiled}
    store = _noted(folder, timings={name: round(seconds, 2) for name, seconds in timings.items()})
    counts = store.attributes["counts"]
    report.say(f"{folder.slide_id}: {counted(counts['cells'], 'cell')} on {counts['tissue_mm2']:.2f} mm2 of tissue")
    return store


def _noted(folder: SlideFolder, **more: Any) -> CellStore:
    """The finished store, whose facts are in run.json; a run that was killed may not have come to write them there."""
    store, there = CellStore(folder.store), folder.facts()
    identity = store.attributes["identity"]
    if more or "counts" not in there or there.get("fingerprint") != identity["fingerprint"]:
        facts = {name: store.attributes[name] for name in ("recipe", "slide", "grid", "stain", "counts", "warnings")}
        if "done_again" in there:  # the store does not tell: it is the same as if it were the first
            facts["warnings"] = [*facts["warnings"], there["done_again"]]
        folder.note(state="segmented", slide_id=store.slide_id, **identity, **facts, **more)
    return store


def identify(path: Path, info: SlideInfo, settings: Settings) -> dict[str, Any]:
    """What a finished store must match to be reused; plain values."""
    return {
        "fingerprint": info.fingerprint,
        "path_hash": path_hash(path),
        "mpp": info.mpp,
        "segment_recipe": settings.recipe.segment_dict(),
        "regions": read_regions(settings.regions).digest if settings.regions else "",
        "nuclei": given_digest(settings, info.slide_id),
        "format_version": FORMAT_VERSION,
    }


def _why_again(folder: SlideFolder, identity: dict[str, Any]) -> str:
    """Why the finished store there cannot be used; "" when it can, or none is there."""
    if not folder.store.is_dir():
        return ""
    try:
        there = CellStore(folder.store).attributes["identity"]
    except DamagedStoreError as error:
        return f"{error.what}; the slide is done again"
    changed = [name for key, name in _COMPARED.items() if there.get(key) != identity[key]]
    return f"changed since: {', '.join(changed)}; the slide is done again" if changed else ""


def check_recipe(folder: SlideFolder, settings: Settings) -> None:
    """Refuse to mix recipes in one output.

    Raises
    ------
    OutputMismatchError
        Naming what differs, when the slide was begun with another recipe.
    """
    facts = folder.facts()
    there = facts.get("segment_recipe")
    if there is None or (facts.get("state") == "failed" and not folder.store.is_dir()):  # nothing is there to mix with
        return
    changed = differences(there, settings.recipe.segment_dict())
    if changed:
        raise OutputMismatchError(
            f"made with another recipe ({'; '.join(changed)})",
            "use that recipe, another -o folder, or --overwrite to start this slide again",
            folder.slide_id,
        )


def _spool_plan(identity: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What finished tiles depend on: the slide's identity, and how it is cut up."""
    return {"identity": config_hash(identity), "tile_px": settings.recipe.tiling.tile_px}


def _segment_tiles(plan: SlidePlan, spool: Spool, pool: Mapper, report: Reporter, regions: Regions | None) -> None:
    """Find the nuclei of every tile that is not in the spool yet; those outside tissue and regions are left out."""
    mask_px = plan.overview_grid.downsample

    def kept(cells: Cells) -> Cells:
        cells = cells.take(inside(plan.tissue, cells.x_px, cells.y_px, mask_px))
        return cells.take(regions.contains(plan.task.info.bounds, cells.x_px, cells.y_px)) if regions else cells

    todo = [tile for tile in plan.tiles if tile.index not in spool.tiles]
    results = ((tile.index, result) for tile, result in pool.ordered_map(segment_tile, plan.task, todo))
    _collect(results, kept, plan, spool, report)


def _measure_tiles(
    plan: SlidePlan, outlines: tuple[Rings, ...], spool: Spool, pool: Mapper, report: Reporter
) -> SlidePlan:
    """Measure all given nuclei, in the tiles that are not in the spool yet; returns the plan with the tiles done."""
    dealt = deal_outlines(outlines, plan)
    plan = dataclasses.replace(plan, tiles=tuple(item.tile for item in dealt.values()))
    todo = [item for index, item in dealt.items() if index not in spool.tiles]
    results = ((item.tile.index, result) for item, result in pool.ordered_map(measure_tile, plan.task, todo))
    _collect(results, lambda cells: cells, plan, spool, report)
    if len(spool) != len(outlines):
        raise StoreError(f"{len(spool)} of {len(outlines)} given nuclei were measured", "run it with --overwrite")
    return plan


def _collect(
    results: Generator[tuple[int, TileResult], None, None],
    kept: Callable[[Cells], Cells],
    plan: SlidePlan,
    spool: Spool,
    report: Reporter,
) -> None:
    """Take the tiles' results in order into the spool; nobody else writes to it."""
    there = len(spool.tiles)
    if there:
        report.say(f"{plan.task.info.slide_id}: {there} of {len(plan.tiles)} tiles are there")
    with closing(results), report.stage("cells", len(plan.tiles), "tiles") as stage:
        stage.advance(there)
        for index, result in results:
            facts = {"oversized": result.oversized, "unreadable": sorted(map(list, result.unreadable))}
            if result.energies is not None:
                facts["energies"] = pack(result.energies)
            spool.append(index, kept(result.cells), facts)
            stage.advance(1, f"{len(spool)} cells")


def _finish(
    plan: SlidePlan, spool: Spool, folder: SlideFolder, identity: Facts, threads: int, labeller: Labeller | None
) -> None:
    """Check what could not be read, then write the store."""
    recipe = plan.task.recipe
    unreadable = {tuple(block) for facts in spool.tiles.values() for block in facts["unreadable"]}
    share = _unreadable_share(plan, unreadable)
    if share > recipe.working.max_unreadable:
        spool.remove()  # a repaired file has another fingerprint; nothing here can be reused
        raise UnreadableSlideError(
            f"{share:.0%} of the tissue cannot be read, more than the recipe's {recipe.working.max_unreadable:.0%}",
            "copy or export the slide again, or raise working.max_unreadable",
        )
    told = [*plan.task.info.warnings, *plan.warnings]
    if share > 0:
        told.append(f"{share:.1%} of the tissue could not be read and holds no cells")
    plan, unfit = _judged(plan, spool)
    told += found_sentences(unfit, recipe.quality)
    centres = spool.centres()
    kept = np.ones(len(spool), bool)
    if not identity["nuclei"]:  # no given nucleus is dropped
        kept = inside(plan.tissue, centres[:, 0], centres[:, 1], plan.overview_grid.downsample)
    counts = {
        "cells": int(kept.sum()),
        "tiles": len(plan.tiles),
        "oversized": sum(facts["oversized"] for facts in spool.tiles.values()),
        "unreadable_share": round(share, 6),
        "tissue_mm2": round(plan.tissue_mm2, 4),
        "unfit": unfit,
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
        "warnings": told,
    }
    details = _densest(plan, centres[kept])
    attributes["details_xy"] = [(plan.sampled[i].x * down, plan.sampled[i].y * down) for i in details]
    images = {"overview": plan.overview, "tissue": plan.tissue, "details": plan.blocks[details]}
    images |= {f"unfit_{kind}": getattr(plan.unfit, kind) for kind in KINDS}
    rows: Rows = spool.rows(kept)
    with nullcontext(rows) if labeller is None else labeller.watching(rows) as rows:
        write_store(folder.store, rows, recipe.patches.size_px, images, attributes, threads)


def _judged(plan: SlidePlan, spool: Spool) -> tuple[SlidePlan, dict[str, dict[str, float]]]:
    """The plan without the tissue that is out of focus, where the recipe leaves it out; counts of all that is unfit."""
    grid, config = plan.task.grid, plan.task.recipe.quality
    done = [(tile.core, spool.tiles[tile.index].get("energies")) for tile in plan.tiles]
    packed = [(core, text) for core, text in done if text is not None]
    blurred = blurred_mask(packed, plan.tissue, plan.overview_grid, grid, config)
    unfit = dataclasses.replace(plan.unfit, blurred=blurred)
    counts = unfit.counts(plan.tissue, plan.overview_grid, grid)
    tissue = plan.tissue & ~blurred if config.leave_out_blurred else plan.tissue
    return dataclasses.replace(plan, tissue=tissue, unfit=unfit), counts


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
    return float((lost & plan.tissue).sum() / max(1, plan.tissue.sum()))  # given nuclei need no tissue

"""What is unfit on a slide: found, counted, said, left out as the recipe asks, whatever the tiling."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.degraded import defocus
from tests.synth import TINY_MPP, tiny_slide
from wsipipe import slides
from wsipipe.config import QualityConfig, Settings, TilingConfig, load_recipe, parse_recipe
from wsipipe.errors import RecipeError
from wsipipe.image.focus import block_energies, blocks_of
from wsipipe.image.quality import Unfit, blocks_with, blurred_mask, found_sentences, pack, unfit_flags
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.store import CellStore
from wsipipe.progress import Quiet
from wsipipe.records import Box, Grid

CONFIG = QualityConfig()
GRID = Grid(0.5, 0, 1.0, 1.0, 1024, 768)
OVERVIEW = Grid(8.0, 0, 1.0, 16.0, 64, 48)
RECIPE = load_recipe("default")


def masks(**rows: slice) -> Unfit:
    every = {kind: np.zeros((48, 64), bool) for kind in ("blurred", "pen", "folded")}
    for kind, part in rows.items():
        every[kind][part] = True
    return Unfit(**every)


def half_blurred() -> np.ndarray:
    rgb = tiny_slide().rgb.copy()
    rgb[:, 512:] = defocus(rgb, TINY_MPP, 2.5)[:, 512:]
    return rgb


def segmented(tmp_path: Path, name: str, *, tile_px: int = 1024, **quality: float) -> CellStore:
    path = tmp_path / "slide.tiff"
    if not path.is_file():
        write_pyramid(path, half_blurred(), TINY_MPP)
    recipe = dataclasses.replace(
        RECIPE, tiling=TilingConfig(tile_px), quality=dataclasses.replace(RECIPE.quality, **quality)
    )
    assert slides.segment([path], Settings(out=tmp_path / name, recipe=recipe, workers=1), Quiet()) == 0
    return CellStore(tmp_path / name / "slide" / "cells.zarr")


def test_counts_are_blocks_area_and_share_of_the_tissue() -> None:
    tissue = np.zeros((48, 64), bool)
    tissue[:40] = True
    tissue[20:22] = False
    counts = masks(blurred=slice(0, 4), pen=slice(20, 22)).counts(tissue, OVERVIEW, GRID)
    area = 64 * 4 * 8.0**2 / 1e6
    assert counts["blurred"] == {"blocks": 16, "mm2": round(area, 4), "share": round(4 / 40, 6)}
    assert counts["pen"] == {"blocks": 16, "mm2": round(area / 2, 4), "share": round(2 / 40, 6)}
    assert counts["folded"] == {"blocks": 0, "mm2": 0.0, "share": 0.0}


def test_ink_beside_the_tissue_hides_none() -> None:
    tissue = np.zeros((48, 64), bool)
    tissue[:8] = True
    counts = masks(pen=slice(40, 48)).counts(tissue, OVERVIEW, GRID)
    assert counts["pen"]["blocks"] == 32
    assert counts["pen"]["share"] == 0.0
    assert unfit_flags(counts, CONFIG) == ()


def test_sentences_and_flags() -> None:
    tissue = np.ones((48, 64), bool)
    counts = masks(blurred=slice(0, 24), folded=slice(24, 25)).counts(tissue, OVERVIEW, GRID)
    kept = dataclasses.replace(CONFIG, leave_out_folds=False)
    assert found_sentences(counts, kept) == (
        "0.10 mm2 (50.0%) out of focus left out",
        "0.00 mm2 (2.1%) folded kept, as the recipe asks",
    )
    assert unfit_flags(counts, CONFIG) == ("blurred",)
    assert unfit_flags(counts, dataclasses.replace(CONFIG, flag_share=0.02)) == ("blurred", "folded")
    assert found_sentences(masks().counts(tissue, OVERVIEW, GRID), CONFIG) == ()


def test_blocks_hold_the_middles_of_the_overviews_pixels() -> None:
    mask = np.zeros((48, 64), bool)
    mask[4, 7] = mask[47, 63] = True  # 64 px a block: middles at y 72, x 120 and y 760, x 1016
    rows, columns = np.nonzero(blocks_with(mask, OVERVIEW, GRID))
    assert list(zip(rows, columns, strict=True)) == [(1, 1), (11, 15)]


@pytest.mark.parametrize("tile_px", [128, 300, 1 << 20])
def test_energies_packed_by_tile_give_one_mask(tile_px: int) -> None:
    rgb, tissue = half_blurred(), np.ones((48, 64), bool)
    whole = Box(0, 0, 1024, 768)
    cores = [
        Box(x, y, min(tile_px, 1024 - x), min(tile_px, 768 - y))
        for y in range(0, 768, tile_px)
        for x in range(0, 1024, tile_px)
    ]
    packed = [(core, pack(block_energies(rgb, whole, core, GRID.mpp))) for core in cores]
    mask = blurred_mask(packed, tissue, OVERVIEW, GRID, CONFIG)
    at_once = blurred_mask([(whole, pack(block_energies(rgb, whole, whole, GRID.mpp)))], tissue, OVERVIEW, GRID, CONFIG)
    np.testing.assert_array_equal(mask, at_once)
    assert blocks_of(whole, GRID.mpp) == Box(0, 0, 16, 12)
    assert mask[8:40, 40:56].mean() > 0.9
    assert not mask[:, :30].any()


def test_a_blurred_half_holds_no_cells_and_counts_for_nothing(tmp_path: Path) -> None:
    left_out, kept = segmented(tmp_path, "a"), segmented(tmp_path, "b", leave_out_blurred=False)
    counts, all_counts = left_out.attributes["counts"], kept.attributes["counts"]
    assert counts["unfit"] == all_counts["unfit"]
    unfit = counts["unfit"]["blurred"]
    assert 0.3 < unfit["share"] < 0.6
    assert unfit["blocks"] > 40
    assert counts["tissue_mm2"] == pytest.approx(all_counts["tissue_mm2"] - unfit["mm2"], abs=2e-4)
    assert counts["cells"] == len(left_out) < len(kept) == all_counts["cells"]
    assert not np.asarray(left_out.array("x_px")[:] > 580).any()
    sharp = np.asarray(kept.array("x_px")[:]) < 480
    assert int((np.asarray(left_out.array("x_px")[:]) < 480).sum()) == int(sharp.sum())
    assert any("out of focus left out" in line for line in left_out.attributes["warnings"])
    facts = json.loads((tmp_path / "a" / "slide" / "run.json").read_text("utf-8"))
    assert facts["counts"]["unfit"] == counts["unfit"]


def test_tiles_change_nothing(tmp_path: Path) -> None:
    one, many = segmented(tmp_path, "a", tile_px=1 << 20), segmented(tmp_path, "b", tile_px=200)
    for name in ("x_px", "y_px", "area_um2", "tissue"):
        np.testing.assert_array_equal(np.asarray(one.array(name)[:]), np.asarray(many.array(name)[:]))
    assert {**one.attributes["counts"], "tiles": 0} == {**many.attributes["counts"], "tiles": 0}


def test_recipes_are_checked() -> None:
    with pytest.raises(RecipeError, match=r"quality\.least_detail must be between"):
        parse_recipe({"quality": {"least_detail": 2.0}})
    with pytest.raises(RecipeError, match=r"quality\.leave_out_pen must be true or false"):
        parse_recipe({"quality": {"leave_out_pen": 1}})
    assert "quality" in RECIPE.segment_dict()

"""Whatever the tile size, the halo and the tissue: the nuclei of the tiles are those of the whole image."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.synth import TINY_MPP, tiny_slide
from tests.views import assert_tiling_changes_nothing, objects
from wsipipe.config import NucleiConfig, load_recipe
from wsipipe.image.nuclei import fit_threshold, halo_px
from wsipipe.image.stain import REFERENCE

SHEETS = NucleiConfig(max_extent_um=12.0, max_area_um2=120.0)
"""A small extent, so that much of a random texture is oversized."""


def texture(seed: int, grain_px: float, side: int) -> np.ndarray:
    """Touching purple blobs in sheets that cross the whole image, on pink."""
    rng = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), g) for g in (grain_px, grain_px / 3)]
    blobs = sum(f / f.std() for f in fields)
    share = np.clip(0.5 + 0.4 * blobs, 0, 1)[..., None]
    pixels = share * (90, 50, 130) + (1 - share) * (225, 180, 210) + rng.normal(0, 4, (side, side, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("recipe", ["default", "he-40x"])
@pytest.mark.parametrize("tile_px", [128, 300])
def test_synthetic_slide(recipe: str, tile_px: int) -> None:
    config, rgb = load_recipe(recipe).nuclei, tiny_slide().rgb[:400, 300:900]
    profile = dataclasses.replace(REFERENCE, threshold=0.3)
    profile = dataclasses.replace(profile, threshold=fit_threshold(rgb[None], TINY_MPP, profile, config))
    halo = halo_px(TINY_MPP, config)
    assert assert_tiling_changes_nothing(rgb, TINY_MPP, profile, config, tile_px, halo) > 50


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1 << 30),
    grain_px=st.floats(2.5, 9.0),
    tile_px=st.integers(64, 200),
    more_halo=st.integers(0, 40),
    threshold=st.floats(0.15, 0.6),
)
def test_sheets_of_touching_nuclei(seed: int, grain_px: float, tile_px: int, more_halo: int, threshold: float) -> None:
    rgb = texture(seed, grain_px, 260)
    profile = dataclasses.replace(REFERENCE, threshold=threshold)
    halo = halo_px(0.5, SHEETS) + more_halo
    assert_tiling_changes_nothing(rgb, 0.5, profile, SHEETS, tile_px, halo)


def test_the_textures_have_nuclei_and_oversized_objects() -> None:
    """Else the test above would compare nothing with nothing."""
    found = [
        objects(texture(seed, grain, 260), 0.5, dataclasses.replace(REFERENCE, threshold=0.3), SHEETS)
        for seed, grain in enumerate((3.0, 6.0, 9.0))
    ]
    assert min(len(table) for table, _ in found) > 20
    assert sum(len(lost) for _, lost in found) > 5

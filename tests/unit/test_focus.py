"""Blocks out of focus: fixed on the grid, found by lost detail, never by lack of contrast."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.degraded import defocus, scanned
from tests.synth import TINY_MPP, tiny_slide
from wsipipe.config import QualityConfig
from wsipipe.image.focus import LAGS, block_energies, block_px, blocks_of, find_blurred, in_focus
from wsipipe.records import Box

CONFIG = QualityConfig()
TISSUE = Box(256, 192, 512, 384)
"""A part of the tiny slide, on the blocks' lattice, that is tissue all over."""


def tissue() -> np.ndarray:
    return np.ascontiguousarray(tiny_slide().rgb[TISSUE.y : TISSUE.bottom, TISSUE.x : TISSUE.right])


def judged(rgb: np.ndarray, mpp: float = TINY_MPP, config: QualityConfig = CONFIG) -> np.ndarray:
    whole = Box(0, 0, rgb.shape[1], rgb.shape[0])
    energies = block_energies(rgb, whole, whole, mpp)
    return find_blurred(energies, np.ones(energies.shape[:2], bool), config)


@pytest.mark.parametrize(("mpp", "side"), [(0.25, 128), (0.5, 64), (0.499, 64), (1.0, 32), (2.0, 32), (0.1, 320)])
def test_blocks_are_about_32_um(mpp: float, side: int) -> None:
    assert block_px(mpp) == side


def test_blocks_of_a_box_are_those_it_touches() -> None:
    assert blocks_of(Box(63, 64, 2, 64), 0.5) == Box(0, 1, 2, 1)


def test_energy_is_the_mean_square_of_second_differences() -> None:
    # alternating columns of two grey levels, 1 um wide: 2 (a - b) over 1 um across, nothing along, nothing over 8 um
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :, 1] = np.where((np.arange(64) // 2) % 2, 110, 100)
    energies = block_energies(pixels, Box(0, 0, 64, 64), Box(0, 0, 64, 64), 0.5)[0, 0] / 16.0
    assert energies.tolist() == pytest.approx([20**2 / 2, 20**2 / 2, 0.0])
    assert len(LAGS) == 3


@settings(max_examples=30)
@given(
    x=st.integers(0, 200), y=st.integers(0, 150), width=st.integers(1, 200), height=st.integers(1, 200),
    left=st.integers(63, 90), top=st.integers(63, 90),
)  # fmt: skip
def test_a_block_has_one_value_whatever_view_it_is_measured_in(
    x: int, y: int, width: int, height: int, left: int, top: int
) -> None:
    rgb = tissue()
    whole = Box(0, 0, TISSUE.width, TISSUE.height)
    core = Box(x, y, width, height)
    view = Box(max(0, x - left), max(0, y - top), 0, 0)
    right, bottom = min(whole.width, core.right + left), min(whole.height, core.bottom + top)
    view = Box(view.x, view.y, right - view.x, bottom - view.y)
    part = blocks_of(core, TINY_MPP)
    all_blocks = block_energies(rgb, whole, whole, TINY_MPP)
    seen = block_energies(rgb[view.y : view.bottom, view.x : view.right], view, core, TINY_MPP)
    np.testing.assert_array_equal(seen, all_blocks[part.y : part.bottom, part.x : part.right])


def test_blocks_cut_by_the_end_of_the_grid_have_no_energy() -> None:
    rgb = tissue()[:100, :150]
    energies = block_energies(rgb, Box(0, 0, 150, 100), Box(0, 0, 150, 100), TINY_MPP)
    assert energies.shape == (2, 3, 3)
    assert energies[0, :2].all()
    assert not energies[1].any()
    assert not energies[:, 2].any()


@pytest.mark.parametrize("noise", [False, True])
def test_sharp_tissue_is_in_focus(noise: bool) -> None:
    rgb = scanned(tissue()) if noise else tissue()
    assert not judged(rgb).any()
    assert in_focus(rgb, Box(0, 0, TISSUE.width, TISSUE.height), TINY_MPP, CONFIG)


@pytest.mark.parametrize("um", [1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("kind", ["gaussian", "disc"])
def test_blurred_tissue_is_out_of_focus(um: float, kind: str) -> None:
    rgb = defocus(tissue(), TINY_MPP, um if kind == "gaussian" else 1.5 * um, kind)
    assert judged(rgb).mean() > 0.95
    assert not in_focus(rgb, Box(0, 0, TISSUE.width, TISSUE.height), TINY_MPP, CONFIG)


@pytest.mark.parametrize("contrast", [0.25, 0.5, 1.5])
def test_contrast_changes_nothing(contrast: float) -> None:
    rgb = tissue()
    changed = np.clip(200 + contrast * (rgb.astype(float) - 200), 0, 255).astype(np.uint8)
    assert not judged(changed).any()


def test_smooth_tissue_is_left_alone() -> None:
    y, x = np.mgrid[:384, :512]
    wave = 6 * np.sin(x / 60) * np.cos(y / 45)  # mucus: hardly anything to see, and that is wide
    mucus = np.clip(np.stack([215 + wave, 195 + wave, 225 + wave], axis=2), 0, 255).astype(np.uint8)
    assert not judged(scanned(mucus)).any()
    assert not judged(np.full((384, 512, 3), 200, np.uint8)).any()


def test_flat_places_go_with_what_is_around_them() -> None:
    rgb = defocus(tissue(), TINY_MPP, 2.0)
    rgb[128:192, 192:256] = 210
    assert judged(rgb)[2, 3]
    sharp = tissue()
    sharp[128:192, 192:256] = 210
    assert not judged(sharp)[2, 3]


def test_only_tissue_is_judged_and_enters() -> None:
    energies = block_energies(defocus(tissue(), TINY_MPP, 2.0), *[Box(0, 0, TISSUE.width, TISSUE.height)] * 2, TINY_MPP)
    where = np.zeros(energies.shape[:2], bool)
    where[1:4, 1:4] = True
    assert np.array_equal(find_blurred(energies, where, CONFIG), where)
    louder = energies.copy()
    louder[~where] = 1 << 20  # glass with a scratch
    assert np.array_equal(find_blurred(louder, where, CONFIG), where)


def test_thresholds_of_the_recipe_decide() -> None:
    rgb = defocus(tissue(), TINY_MPP, 2.0)
    lax = dataclasses.replace(CONFIG, least_detail=0.0, least_coarse_detail=0.0)
    strict = dataclasses.replace(CONFIG, least_detail=1.0)
    assert not judged(rgb, config=lax).any()
    assert judged(tissue(), config=strict).all()


@pytest.mark.parametrize("mpp", [0.25, 0.35, 0.7, 1.0])
def test_other_resolutions_judge_alike(mpp: float) -> None:
    sharp, soft = (
        cv2.resize(rgb, None, fx=TINY_MPP / mpp, fy=TINY_MPP / mpp, interpolation=cv2.INTER_AREA)
        for rgb in (tissue(), cv2.GaussianBlur(tissue(), (0, 0), 2.5 / TINY_MPP))
    )
    assert not judged(sharp, mpp).any()
    assert judged(soft, mpp).mean() > 0.9

"""Contrast and light of patches, against numpy, and of each patch alone."""

import numpy as np
import pytest

from wsipipe.image.lut import od_table
from wsipipe.image.texture import CENTRE, LEAST_SHARE, LIGHT, OD_UNIT, TEXTURES, WHITE, textures


def patches(count: int = 40, side: int = 32) -> np.ndarray:
    rng = np.random.default_rng(0)
    base = rng.integers(20, 240, (count, 1, 1, 3))
    return np.clip(base + rng.integers(-60, 60, (count, side, side, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [32, 24, 7])
def test_against_numpy(side: int) -> None:
    rgb = patches(side=side)
    od = -np.log10(np.maximum(rgb, 1) / 255.0)
    place = np.arange(side) - (side - 1) / 2
    centre = np.hypot(place[:, None], place) < CENTRE * side
    found = textures(rgb)
    assert found.shape == (40, TEXTURES)
    np.testing.assert_allclose(found[:, :3], od[:, centre].std(1), atol=1e-3)
    np.testing.assert_allclose(found[:, 3:6], od[:, ~centre].std(1), atol=1e-3)
    share = (rgb.min(3) > LIGHT).mean((1, 2))
    np.testing.assert_allclose(found[:, 6], np.log(LEAST_SHARE + share))


@pytest.mark.parametrize("side", [1, 2, 5, 32, 301])
def test_exactly_as_whole_numbers_say(side: int) -> None:
    """Bit by bit, darkest patches too, whose sums are the largest."""
    rgb = np.concatenate([patches(3, side), np.zeros((1, side, side, 3), np.uint8), patches(2, side) // 250])
    od = od_table(WHITE, OD_UNIT)[0][rgb]
    place = np.arange(side) - (side - 1) / 2
    centre = np.hypot(place[:, None], place) < CENTRE * side
    found = textures(rgb)
    for first, where in ((0, centre), (3, ~centre)):
        here, pixels = od[:, where], max(int(where.sum()), 1)
        spread = np.sqrt((pixels * (here**2).sum(1) - here.sum(1) ** 2).astype(np.float64)) / pixels * OD_UNIT
        np.testing.assert_array_equal(found[:, first : first + 3], spread)
    light = (rgb.min(3) > LIGHT).sum((1, 2))
    np.testing.assert_array_equal(found[:, 6], np.log(LEAST_SHARE + light / side**2))


def test_each_patch_counts_alone_to_the_bit() -> None:
    rgb = patches()
    whole = textures(rgb)
    order = np.random.default_rng(1).permutation(len(rgb))
    np.testing.assert_array_equal(textures(rgb[order]), whole[order])
    np.testing.assert_array_equal(np.concatenate([textures(rgb[:7]), textures(rgb[7:])]), whole)


def test_black_white_and_no_patches() -> None:
    flat = np.stack([np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)])
    found = textures(flat)
    np.testing.assert_array_equal(found[:, :6], 0.0)
    np.testing.assert_allclose(found[:, 6], np.log([LEAST_SHARE, 1.0 + LEAST_SHARE]))
    assert textures(flat[:0]).shape == (0, TEXTURES)

"""Contrast and light of patches, against numpy, and of each patch alone."""

import numpy as np
import pytest

from wsipipe.image.texture import CENTRE, LEAST_SHARE, LIGHT, TEXTURES, textures


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

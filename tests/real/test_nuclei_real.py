"""Real tissue: tiles change nothing, and the nuclei are where pathologists marked them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.views import assert_tiling_changes_nothing, objects
from wsipipe.config import StainConfig, load_recipe
from wsipipe.image.nuclei import find_nuclei, fit_threshold, halo_px
from wsipipe.image.stain import fit_stain
from wsipipe.records import StainProfile

MPP = 0.25
IMAGES = [
    "monuseg/images/TCGA-50-5931-01Z-00-DX1.png",
    "consep/images/train_18.png",
    "bm_graz/images/BM_GRAZ_HE_0001_01.png",
]


def read(path: Path, side: int) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path))[:side, :side, ::-1])


def profile_of(rgb: np.ndarray, recipe: str) -> StainProfile:
    config = load_recipe(recipe)
    block = rgb[None, : rgb.shape[0] // 2, : rgb.shape[1] // 2]
    profile = fit_stain(block, (255.0, 255.0, 255.0), StainConfig())
    return dataclasses.replace(profile, threshold=fit_threshold(block, MPP, profile, config.nuclei))


@pytest.mark.parametrize("name", IMAGES)
def test_tiles_change_nothing(name: str, real_file: Callable[[str], Path]) -> None:
    config = load_recipe("he-40x").nuclei
    rgb = read(real_file(name), 560)
    profile = profile_of(rgb, "he-40x")
    whole = objects(rgb, MPP, profile, config)
    assert len(whole[0]) > 60
    for tile_px, more in ((128, 0), (200, 17), (400, 3)):
        halo = halo_px(MPP, config) + more
        assert_tiling_changes_nothing(rgb, MPP, profile, config, tile_px, halo, whole)


def test_a_marrow_image_has_its_nuclei(real_file: Callable[[str], Path]) -> None:
    rgb = read(real_file("bm_graz/images/BM_GRAZ_HE_0001_01.png"), 1200)
    points = np.loadtxt(
        real_file("bm_graz/points/BM_GRAZ_HE_0001_01.csv"), delimiter=",", skiprows=1, usecols=(0, 1)
    ).astype(int)
    labels = find_nuclei(rgb, MPP, profile_of(rgb, "he-40x"), load_recipe("he-40x").nuclei).labels
    near = cv2.dilate((labels > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
    assert near[points[:, 1], points[:, 0]].mean() > 0.95
    assert len(points) < labels.max() < 2.5 * len(points)

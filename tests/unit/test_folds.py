"""Folds: both stains denser across a sharp edge, and no light between the cells."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest

from tests.degraded import folded
from wsipipe.config import QualityConfig, TissueConfig
from wsipipe.image.folds import Fold, find_folds, lies_double
from wsipipe.image.stain import REFERENCE
from wsipipe.image.synthetic import GLASS_RGB, make_slide
from wsipipe.image.tissue import find_tissue

CONFIG = QualityConfig()
MPP, OVERVIEW_MPP = 0.5, 8.0
PROFILE = dataclasses.replace(REFERENCE, white=GLASS_RGB)


@functools.cache
def slide() -> np.ndarray:
    return make_slide(1536, 1152, MPP, 3).rgb


def overview(rgb: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb, None, fx=MPP / OVERVIEW_MPP, fy=MPP / OVERVIEW_MPP, interpolation=cv2.INTER_AREA)


def found(rgb: np.ndarray, config: QualityConfig = CONFIG) -> tuple[list[Fold], np.ndarray]:
    small = overview(rgb)
    tissue = find_tissue(small, OVERVIEW_MPP, TissueConfig()).mask
    folds = find_folds(small, tissue, OVERVIEW_MPP, PROFILE, config)
    mask = np.zeros_like(tissue)
    for fold in folds:
        box = fold.box
        assert fold.inside.shape == fold.beside.shape == (box.height, box.width)
        assert not (fold.inside & fold.beside).any()
        assert fold.core.any()
        assert not (fold.core & ~fold.inside).any()
        mask[box.y : box.bottom, box.x : box.right] |= fold.inside
    assert not (mask & ~tissue).any()
    return folds, mask


def looks_double(rgb: np.ndarray, fold: Fold) -> bool:
    """`lies_double` on all pixels of a fold's place, at 1 um."""
    box, scale = fold.box, round(OVERVIEW_MPP)
    small = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    part = small[box.y * scale : box.bottom * scale, box.x * scale : box.right * scale]
    inside, beside = (np.kron(m, np.ones((scale, scale), bool))[: len(part)] for m in (fold.core, fold.beside))
    return lies_double(part[inside], part[beside], GLASS_RGB)


def test_flat_tissue_has_no_folds() -> None:
    folds, _ = found(slide())
    assert not any(looks_double(slide(), fold) for fold in folds)


@pytest.mark.parametrize(("width_um", "seed"), [(40, 3), (60, 4)])
def test_a_strip_of_double_tissue_is_found(width_um: float, seed: int) -> None:
    rgb, where = folded(slide(), MPP, width_um, seed=seed)
    folds, mask = found(rgb)
    tissue = find_tissue(overview(slide()), OVERVIEW_MPP, TissueConfig()).mask
    worse = cv2.resize(where.astype(np.float32), mask.shape[::-1], interpolation=cv2.INTER_AREA)
    assert mask[(worse > 0.9) & tissue].mean() > 0.3
    beside = cv2.dilate(worse, np.ones((5, 5))) == 0
    assert mask[beside & tissue].mean() < 0.02
    assert any(looks_double(rgb, fold) for fold in folds)


def test_thresholds_of_the_recipe_decide() -> None:
    rgb, _ = folded(slide(), MPP, 40, seed=3)
    assert found(rgb)[0]
    for change in ({"fold_density": 9.0}, {"fold_step": 2.8}, {"least_fold_um2": 1e8}):
        assert not found(rgb, dataclasses.replace(CONFIG, **change))[0]


def test_dense_cells_with_light_between_them_do_not_lie_double() -> None:
    rng = np.random.default_rng(0)
    single = np.clip(rng.normal(200, 25, (20_000, 3)), 40, 240)
    double = single * np.clip(rng.normal(200, 25, (20_000, 3)), 40, 240) / 245
    dense = np.where(rng.random((20_000, 1)) < 0.5, 0.6 * single, np.clip(single + 25, 40, 240))
    assert lies_double(double.astype(np.uint8), single.astype(np.uint8), GLASS_RGB)
    assert not lies_double(dense.astype(np.uint8), single.astype(np.uint8), GLASS_RGB)


def test_nothing_to_compare_is_no_fold() -> None:
    pixels = np.full((5, 3), 90, np.uint8)
    assert not lies_double(pixels[:0], pixels, GLASS_RGB)
    assert not lies_double(pixels, pixels[:0], GLASS_RGB)
    assert find_folds(overview(slide()), np.zeros((72, 96), bool), OVERVIEW_MPP, PROFILE, CONFIG) == []

"""Finding nuclei on drawn pixels."""

import dataclasses

import cv2
import numpy as np
import pytest
from skimage.measure import label as components

from tests.synth import TINY_MPP, tiny_slide
from wsipipe.config import NucleiConfig
from wsipipe.image.clean import BOTTOM, HOLES, LEFT, RIGHT, TOP, fill_holes, renumber, survey
from wsipipe.image.nuclei import HIGHEST_THRESHOLD_OD, LOWEST_THRESHOLD_OD, find_nuclei, fit_threshold, halo_px
from wsipipe.image.stain import REFERENCE

PROFILE = dataclasses.replace(REFERENCE, threshold=0.3)
MPP = 0.5


def draw(discs: list[tuple[int, int, int]], side: int = 200, h: float = 0.7, background: float = 0.05) -> np.ndarray:
    """Haematoxylin discs (x, y, radius) on eosin."""
    density = np.full((side, side), background)
    for x, y, radius in discs:
        cv2.circle(density, (x, y), radius, h, -1)
    density = cv2.GaussianBlur(density, (0, 0), 0.7)
    od = density[..., None] * np.array(REFERENCE.vectors[0]) + 0.15 * np.array(REFERENCE.vectors[1])
    return np.rint(240 * 10**-od).astype(np.uint8)


def centres(labels: np.ndarray) -> list[tuple[int, int]]:
    found = [np.argwhere(labels == i + 1).mean(axis=0) for i in range(labels.max())]
    return sorted((round(x), round(y)) for y, x in found)


def test_separate_discs_are_found_with_their_size() -> None:
    discs = [(40, 50, 7), (120, 60, 9), (80, 150, 6)]
    found = find_nuclei(draw(discs), MPP, PROFILE, NucleiConfig())
    assert centres(found.labels) == sorted((x, y) for x, y, _ in discs)
    areas = np.sort(np.bincount(found.labels.ravel())[1:])
    assert areas == pytest.approx(sorted(np.pi * (r + 0.5) ** 2 for _, _, r in discs), rel=0.2)
    assert len(found.oversized) == 0


def test_what_is_returned() -> None:
    found = find_nuclei(draw([(40, 50, 7), (120, 60, 9)]), MPP, PROFILE, NucleiConfig())
    assert found.labels.dtype == np.int32
    assert found.h_od.dtype == found.e_od.dtype == np.uint16
    assert found.labels.shape == found.h_od.shape == found.e_od.shape == (200, 200)
    assert found.oversized.shape == (0, 2)
    for i in (1, 2):
        assert components(found.labels == i, connectivity=1).max() == 1
    first = [np.flatnonzero(found.labels.ravel() == i)[0] for i in (1, 2)]
    assert first == sorted(first)


def test_a_huge_dark_object_is_dropped_and_counted_once() -> None:
    dome = [(100, 100, radius) for radius in range(60, 3, -1)]
    rgb = draw([(20, 20, 7)])
    for i, disc in enumerate(dome):
        rgb = np.minimum(rgb, draw([disc], h=0.5 + 0.002 * i))
    found = find_nuclei(rgb, MPP, PROFILE, NucleiConfig(least_quality=0.3))
    assert found.labels[100, 100] == 0
    assert found.labels[20, 20] > 0
    assert len(found.oversized) == 1
    y, x = found.oversized[0]
    assert (x - 100) ** 2 + (y - 100) ** 2 < 62**2


def test_small_specks_are_dropped() -> None:
    assert find_nuclei(draw([(40, 50, 2)]), MPP, PROFILE, NucleiConfig()).labels.max() == 0


def test_a_pale_nucleus_beside_dark_ones_is_found() -> None:
    rgb = np.minimum(draw([(40, 50, 7)], h=0.9), draw([(120, 60, 9)], h=0.32))
    assert centres(find_nuclei(rgb, MPP, PROFILE, NucleiConfig()).labels) == [(40, 50), (120, 60)]


def test_a_hole_is_filled() -> None:
    rgb = draw([(60, 60, 9)])
    rgb[58:62, 58:62] = draw([])[58:62, 58:62]
    found = find_nuclei(rgb, MPP, PROFILE, NucleiConfig())
    assert found.labels[60, 60] == 1


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_image_has_no_nuclei(value: int) -> None:
    found = find_nuclei(np.full((90, 70, 3), value, np.uint8), MPP, PROFILE, NucleiConfig())
    assert found.labels.max() == 0


def test_tiny_arrays() -> None:
    for shape in ((1, 1, 3), (3, 200, 3)):
        assert find_nuclei(np.full(shape, 90, np.uint8), MPP, PROFILE, NucleiConfig()).labels.shape == shape[:2]


def test_a_profile_without_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="fit_threshold"):
        find_nuclei(draw([]), MPP, REFERENCE, NucleiConfig())


def test_the_threshold_lies_between_background_and_nuclei() -> None:
    blocks = np.stack([draw([(x, y, 9) for x in range(20, 200, 40) for y in range(20, 200, 40)])] * 2)
    threshold = fit_threshold(blocks, MPP, REFERENCE, NucleiConfig())
    assert 0.15 < threshold < 0.6
    scaled = fit_threshold(blocks, MPP, REFERENCE, NucleiConfig(threshold_scale=0.5))
    assert scaled == pytest.approx(threshold / 2)


@pytest.mark.parametrize("value", [0, 255])
def test_the_threshold_of_a_flat_sample_is_clipped(value: int) -> None:
    threshold = fit_threshold(np.full((2, 64, 64, 3), value, np.uint8), MPP, REFERENCE, NucleiConfig())
    assert LOWEST_THRESHOLD_OD <= threshold <= HIGHEST_THRESHOLD_OD


def test_the_halo_grows_with_the_largest_nucleus_and_the_resolution() -> None:
    config = NucleiConfig(max_extent_um=20.0)
    assert halo_px(0.5, config) > 40
    assert halo_px(0.25, config) > 80
    assert halo_px(0.5, NucleiConfig(max_extent_um=30.0)) - halo_px(0.5, config) == 20


def test_most_nuclei_of_the_synthetic_slide_are_found() -> None:
    slide = tiny_slide()
    profile = dataclasses.replace(REFERENCE, white=(244.0, 243.0, 245.0))
    profile = dataclasses.replace(
        profile, threshold=fit_threshold(slide.rgb[None, :512, :512], TINY_MPP, profile, NucleiConfig())
    )
    found = find_nuclei(slide.rgb, TINY_MPP, profile, NucleiConfig())
    hit = found.labels[slide.y_px.astype(int), slide.x_px.astype(int)]
    assert len(np.unique(hit[hit > 0])) > 0.78 * len(slide.x_px)
    assert found.labels.max() < 1.15 * len(slide.x_px)


def test_holes_up_to_the_limit_are_filled_with_what_is_in_them() -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[2:9, 2:9] = 1
    labels[3:8, 3:8] = 0
    labels[5, 5] = 2
    labels[2:9, 12:22] = 3
    labels[3:8, 13:21] = 0
    fill_holes(labels, 3, 25.0)
    assert (labels[2:9, 2:9] == 1).all()
    assert (labels[3:8, 13:21] == 0).all()
    assert renumber(labels, 3) == 2
    assert sorted(np.unique(labels)) == [0, 1, 2]


def test_a_notch_is_no_hole() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[2:7, 2:7] = 1
    labels[3:5, 4] = 0
    labels[2, 4] = 0
    before = labels.copy()
    fill_holes(labels, 1, 100.0)
    assert (labels == before).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_survey_counts_holes_as_labelling_the_outside_does(seed: int) -> None:
    field = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((60, 60)), (0, 0), 1.2)
    labels, n = components(field > -0.1, connectivity=1, return_num=True)
    rows = survey(labels.astype(np.int32), n)
    for i in range(1, n + 1):
        y, x = np.nonzero(labels == i)
        assert rows[i, [LEFT, TOP, RIGHT, BOTTOM]].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        outside = components(np.pad(labels != i, 1, constant_values=True), connectivity=2)
        assert rows[i, HOLES] == outside.max() - 1
    assert rows[1:, HOLES].max() > 2

"""The synthetic slide is what it says it is."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from tests.synth import tiny_slide as cached_slide
from wsipipe.image import synthetic
from wsipipe.image.synthetic import SyntheticSlide, make_slide
from wsipipe.image.synthetic_nuclei import KIND_MODELS


def test_shapes_and_dtypes_say_width_and_height_right(tiny_slide: SyntheticSlide) -> None:
    assert tiny_slide.rgb.shape == (768, 1024, 3)
    assert tiny_slide.rgb.dtype == np.uint8
    assert tiny_slide.labels.shape == (768, 1024)
    assert tiny_slide.labels.dtype == np.int32
    n = len(tiny_slide.kind)
    assert tiny_slide.x_px.shape == tiny_slide.y_px.shape == (n,)
    assert tiny_slide.mpp == 0.5


def test_the_same_seed_gives_the_same_slide_and_another_seed_another() -> None:
    a, b, c = (make_slide(512, 384, 0.5, seed) for seed in (3, 3, 4))
    for name in ("rgb", "labels", "x_px", "y_px", "kind"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert not np.array_equal(a.rgb, c.rgb)


def test_every_kind_is_there_in_uneven_numbers(tiny_slide: SyntheticSlide) -> None:
    counts = np.bincount(tiny_slide.kind, minlength=len(synthetic.KINDS))
    assert counts.min() >= 10
    assert counts.max() > 4 * counts.min()
    assert counts.sum() > 200


def test_rows_are_sorted_and_match_the_labels(tiny_slide: SyntheticSlide) -> None:
    n = len(tiny_slide.kind)
    order = np.lexsort((tiny_slide.x_px, tiny_slide.y_px))
    np.testing.assert_array_equal(order, np.arange(n))
    np.testing.assert_array_equal(np.unique(tiny_slide.labels), np.arange(n + 1))
    row, column = np.array(ndimage.center_of_mass(tiny_slide.labels > 0, tiny_slide.labels, np.arange(1, n + 1))).T
    np.testing.assert_allclose(tiny_slide.x_px, column + 0.5, atol=0.00501)
    np.testing.assert_allclose(tiny_slide.y_px, row + 0.5, atol=0.00501)


def test_every_nucleus_is_in_one_piece_and_of_a_nucleus_size(tiny_slide: SyntheticSlide) -> None:
    area_um2 = np.bincount(tiny_slide.labels.ravel())[1:] * 0.25
    assert area_um2.min() > 8
    assert area_um2.max() < 200
    for i, box in enumerate(ndimage.find_objects(tiny_slide.labels), start=1):
        assert cv2.connectedComponents((tiny_slide.labels[box] == i).astype(np.uint8), connectivity=4)[0] == 2


def test_some_nuclei_touch(tiny_slide: SyntheticSlide) -> None:
    left, right = tiny_slide.labels[:, :-1], tiny_slide.labels[:, 1:]
    touching = (left != right) & (left > 0) & (right > 0)
    share = len(np.unique(left[touching])) / len(tiny_slide.kind)
    assert 0.02 < share < 0.4


def test_a_glass_margin_surrounds_the_tissue(tiny_slide: SyntheticSlide) -> None:
    border = np.ones(tiny_slide.labels.shape, bool)
    border[12:-12, 12:-12] = False
    assert not tiny_slide.labels[border].any()
    glass = np.array(synthetic.GLASS_RGB)
    assert np.abs(tiny_slide.rgb[border].mean(0) - glass).max() < 1
    tissue = (tiny_slide.rgb.astype(int).min(2) < 215).mean()
    assert 0.25 < tissue < 0.8


def test_kinds_differ_but_overlap() -> None:
    """Size separates epithelium from lymphocytes mostly, not wholly; red surroundings mark eosinophils."""
    slide = cached_slide()
    name = dict(zip(synthetic.KINDS, range(len(synthetic.KINDS)), strict=True))
    area = np.bincount(slide.labels.ravel())[1:]
    small, large = (area[slide.kind == name[k]] for k in ("lymphocyte", "epithelial"))
    assert np.median(large) > 1.5 * np.median(small)
    assert large.min() < small.max()
    ring = cv2.dilate(slide.labels.astype(np.float32), np.ones((7, 7))).astype(int)
    ring[slide.labels > 0] = 0
    redness = slide.rgb[..., 0].astype(float) - slide.rgb[..., 1]
    mean = np.bincount(ring.ravel(), redness.ravel(), len(area) + 1)[1:] / np.maximum(
        np.bincount(ring.ravel(), minlength=len(area) + 1)[1:], 1
    )
    others = np.median(mean[slide.kind != name["eosinophil"]])
    assert np.median(mean[slide.kind == name["eosinophil"]]) > others + 20


def test_nuclei_are_darker_than_what_surrounds_them(tiny_slide: SyntheticSlide) -> None:
    red = tiny_slide.rgb[..., 0]
    assert red[tiny_slide.labels > 0].mean() < red[tiny_slide.labels == 0].mean() - 60


def test_sizes_are_physical(tiny_slide: SyntheticSlide) -> None:
    fine = make_slide(1024, 768, 0.25, seed=1)
    coarse_area = np.median(np.bincount(tiny_slide.labels.ravel())[1:])
    fine_area = np.median(np.bincount(fine.labels.ravel())[1:])
    assert fine_area / coarse_area == pytest.approx(4, rel=0.25)


def test_shares_of_the_kinds_add_up() -> None:
    assert sum(kind.share for kind in KIND_MODELS) == pytest.approx(1)

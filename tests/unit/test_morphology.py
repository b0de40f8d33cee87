"""Measurements and outlines of labels, against scikit-image, OpenCV and geometry."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label as components
from skimage.measure import regionprops

from wsipipe.image.deconvolve import OD_UNIT
from wsipipe.image.morphology import Measurements, measure


def blobs(seed: int = 0, shape: tuple[int, int] = (180, 230)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 3)
    return components(field > 0.3 * field.std(), connectivity=1).astype(np.int32)


def measured(labels: np.ndarray, seed: int = 0) -> tuple[Measurements, np.ndarray, np.ndarray]:
    h, e = np.random.default_rng(seed).integers(0, 3000, (2, *labels.shape)).astype(np.uint16)
    return measure(labels, h, e), h, e


def ring_of(m: Measurements, i: int) -> np.ndarray:
    return m.contour_xy[m.contour_offset[i] : m.contour_offset[i + 1]]


def rasterize(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre is inside the ring, by counting the vertical edges to the left of it."""
    crossings = np.zeros((shape[0], shape[1] + 1), int)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        assert (x0 == x1) != (y0 == y1)
        if x0 == x1:
            crossings[min(y0, y1) : max(y0, y1), x0] += 1
    return np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


def test_sums_boxes_and_moments_are_those_of_skimage() -> None:
    labels = blobs()
    m, h, _ = measured(labels)
    regions = regionprops(labels, intensity_image=h)
    assert len(m) == len(regions) > 30
    for i, region in enumerate(regions):
        assert m.area_px[i] == region.area
        assert (m.sum_y[i], m.sum_x[i]) == tuple(region.coords.sum(axis=0))
        assert tuple(m.bbox[i]) == tuple(np.array(region.bbox)[[1, 0, 3, 2]])
        assert m.h_od_mean[i] == pytest.approx(region.intensity_mean * OD_UNIT)
        values = h[labels == i + 1] * OD_UNIT
        assert m.h_od_std[i] == pytest.approx(values.std(), abs=1e-9)
        if region.area > 60:  # skimage leaves out the pixels' own second moment
            assert m.eccentricity[i] == pytest.approx(region.eccentricity, abs=0.03)


def test_outline_gives_the_mask_back_with_its_holes_filled() -> None:
    labels = blobs(3)
    m, _, _ = measured(labels)
    for i in range(len(m)):
        mask = labels == i + 1
        filled = ndimage.binary_fill_holes(mask, structure=np.ones((3, 3)))
        assert (rasterize(ring_of(m, i), mask.shape) == filled).all()


def test_outline_turns_at_every_corner_and_runs_clockwise() -> None:
    labels = blobs(4)
    m, _, _ = measured(labels)
    for i in range(len(m)):
        x, y = ring_of(m, i).astype(np.int64).T
        twice_area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum()
        assert twice_area > 0  # clockwise as seen, y pointing down
        horizontal = y == np.roll(y, -1)
        assert (horizontal != np.roll(horizontal, 1)).all()


def test_solidity_is_area_over_the_hull_of_the_corners() -> None:
    labels = blobs(5)
    m, _, _ = measured(labels)
    for i in range(len(m)):
        hull = cv2.contourArea(cv2.convexHull(ring_of(m, i)))
        assert m.solidity[i] == pytest.approx(m.area_px[i] / hull)


@pytest.mark.parametrize("radius", [3, 5, 8, 20])
def test_a_disc(radius: int) -> None:
    y, x = np.mgrid[:50, :50]
    disc = ((x - 24.7) ** 2 + (y - 25.2) ** 2 <= radius**2).astype(np.int32)
    m, _, _ = measured(disc)
    assert m.perimeter_px[0] == pytest.approx(2 * np.pi * radius, rel=0.06)
    assert m.eccentricity[0] < 0.4
    assert m.solidity[0] > 0.85


def test_an_ellipse_has_its_eccentricity() -> None:
    y, x = np.mgrid[:80, :80]
    m, _, _ = measured(((((x - 40) / 30) ** 2 + ((y - 40) / 10) ** 2) <= 1).astype(np.int32))
    assert m.eccentricity[0] == pytest.approx(np.sqrt(1 - 1 / 9), abs=0.01)


def test_single_pixel_and_diagonal_neighbours() -> None:
    labels = np.zeros((4, 5), np.int32)
    labels[1, 2], labels[2, 3] = 1, 2
    m, _, _ = measured(labels)
    assert ring_of(m, 0).tolist() == [[3, 1], [3, 2], [2, 2], [2, 1]]
    assert m.solidity.tolist() == [1.0, 1.0]
    assert m.h_od_std.tolist() == [0.0, 0.0]


def test_touching_the_rim_and_missing_labels() -> None:
    labels = np.zeros((4, 5), np.int32)
    labels[:, :] = 3
    labels[0, 0] = 1
    m, _, _ = measured(labels)
    assert m.area_px.tolist() == [1, 0, 19]
    assert np.diff(m.contour_offset).tolist() == [4, 0, 6]
    assert m.bbox[1].tolist() == [0, 0, 0, 0]
    assert all(np.isfinite(getattr(m, name)).all() for name in ("solidity", "eccentricity", "h_od_std", "perimeter_px"))


def test_no_labels() -> None:
    m, _, _ = measured(np.zeros((4, 5), np.int32))
    assert len(m) == 0
    assert m.contour_offset.tolist() == [0]
    assert m.contour_xy.shape == (0, 2)


@given(seed=st.integers(0, 1 << 30), dx=st.integers(0, 400), dy=st.integers(0, 400))
def test_a_nucleus_measures_the_same_wherever_it_lies(seed: int, dx: int, dy: int) -> None:
    labels = blobs(seed, (40, 50))
    h, e = np.random.default_rng(seed).integers(0, 3000, (2, 40, 50)).astype(np.uint16)
    here = measure(labels, h, e)
    moved = [np.pad(a, ((dy, 3), (dx, 5))) for a in (labels, h, e)]
    there = measure(*moved)
    for name in (
        "area_px",
        "perimeter_px",
        "eccentricity",
        "solidity",
        "h_od_mean",
        "h_od_std",
        "e_od_mean",
        "e_od_std",
    ):
        assert (getattr(here, name) == getattr(there, name)).all()
    assert (there.contour_xy - here.contour_xy == (dx, dy)).all()
    assert (there.sum_x - here.sum_x == dx * here.area_px).all()

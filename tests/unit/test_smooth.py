"""Exact filters."""

import numpy as np
import pytest

from wsipipe.image.smooth import (
    KERNEL_SUM,
    LARGEST_VALUE,
    box_side,
    box_sum,
    gaussian_blur,
    gaussian_kernel,
    gaussian_radius,
)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.8, 1.6, 4.0])
def test_weights_are_whole_symmetric_and_sum_up(sigma: float) -> None:
    kernel = gaussian_kernel(sigma)
    assert kernel.sum() == KERNEL_SUM
    assert (kernel == np.rint(kernel)).all()
    assert (kernel == kernel[::-1]).all()
    assert kernel.min() >= 0
    assert len(kernel) == 2 * gaussian_radius(sigma) + 1


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_every_view_gives_the_same_whole_numbers(sigma: float) -> None:
    image = np.random.default_rng(0).integers(0, 60_000, (150, 211)).astype(np.uint16)
    whole = gaussian_blur(image, sigma)
    assert (whole == np.rint(whole)).all()
    r = gaussian_radius(sigma)
    for top, left, bottom, right in ((3, 5, 90, 101), (40, 17, 150, 211), (1, 2, 140, 35)):
        part = gaussian_blur(image[top:bottom, left:right], sigma)
        inner = (slice(r, bottom - top - r), slice(r, right - left - r))
        assert (part[inner] == whole[top:bottom, left:right][inner]).all()


def test_it_averages_and_clips() -> None:
    assert (gaussian_blur(np.full((20, 20), 1234, np.uint16), 2.0) == 1234 * KERNEL_SUM**2).all()
    assert (gaussian_blur(np.full((20, 20), 60_000, np.uint16), 2.0) == LARGEST_VALUE * KERNEL_SUM**2).all()


@pytest.mark.parametrize("side", [1, 7, 63])
def test_a_sum_over_a_square_is_exact_in_every_view(side: int) -> None:
    image = np.random.default_rng(0).integers(0, 4096, (150, 211)).astype(np.uint16)
    whole = box_sum(image, side)
    r = side // 2
    y, x = 75, 100
    assert whole[y, x] == image[y - r : y + r + 1, x - r : x + r + 1].astype(np.int64).sum()
    part = box_sum(image[3:149, 5:210], side)
    assert (part[r : 146 - r, r : 205 - r] == whole[3:149, 5:210][r : 146 - r, r : 205 - r]).all()


def test_the_largest_sum_is_exact() -> None:
    assert (box_sum(np.full((80, 80), LARGEST_VALUE, np.uint16), 63) == LARGEST_VALUE * 63 * 63).all()


def test_side_of_the_square() -> None:
    assert box_side(0.0) == 1
    assert box_side(6.0) == 21
    assert box_side(1000.0) == 63

"""Exact filters."""

import numpy as np
import pytest

from wsipipe.image.smooth import KERNEL_SUM, LARGEST_VALUE, gaussian_blur, gaussian_kernel, gaussian_radius


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

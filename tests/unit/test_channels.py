import numpy as np
import pytest

from wsipipe.image.channels import highest, lowest


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_extremes_are_numpys(dtype: type) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(dtype)
    assert np.array_equal(lowest(image), image.min(axis=2))
    assert np.array_equal(highest(image), image.max(axis=2))
    assert lowest(image).dtype == highest(image).dtype == dtype

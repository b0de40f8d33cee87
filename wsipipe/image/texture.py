"""What a patch shows beside its nucleus's measurements: contrast in the nucleus and around it, and light."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled, plain
from wsipipe.image.lut import od_table

TEXTURES = 7
"""Columns of `textures`."""

CENTRE = 6.0 / 32.0
"""Radius of the centre, where the nucleus is, as a share of the patch's side: 3 um of 16 um."""
LIGHT = 200
"""A pixel whose three channels are all above this is glass, lumen or fat, not tissue."""
LEAST_SHARE = 0.02
"""Added to shares before their logarithm is taken."""

OD_UNIT = 0.001
WHITE = (255.0, 255.0, 255.0)


def textures(patches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Contrast and light of patches; each depends on its own patch only, and is exact.

    Parameters
    ----------
    patches : uint8, (n, s, s, 3)
        RGB, stain-normalized.

    Returns
    -------
    float64, (n, TEXTURES)
        Standard deviation of the optical density in red, green and blue, within CENTRE of the patch's centre, then
        outside of it; logarithm of LEAST_SHARE and the share of light pixels.
    """
    side = patches.shape[1]
    place = np.arange(side) - (side - 1) / 2
    outside = (np.hypot(place[:, None], place) >= CENTRE * side).astype(np.uint8)
    sums, light = np.zeros((len(patches), 2, 3, 2), np.int64), np.zeros(len(patches), np.int64)
    _sum_up(plain(patches), outside, od_table(WHITE, OD_UNIT)[0], LIGHT, sums, light)
    pixels = np.maximum(np.bincount(outside.ravel(), minlength=2), 1)[:, None]
    first, second = sums[..., 0], sums[..., 1]
    contrast = np.sqrt((pixels * second - first**2).astype(np.float64)) / pixels * OD_UNIT
    share = light / side**2
    return np.column_stack([contrast.reshape(len(patches), 6), np.log(LEAST_SHARE + share)])


@compiled
def _sum_up(
    patches: NDArray[np.uint8],
    outside: NDArray[np.uint8],
    od: NDArray[np.int64],
    light_above: int,
    sums: NDArray[np.int64],
    light: NDArray[np.int64],
) -> None:
    """Sums of optical densities and of their squares, (n, 2, 3, 2), and counts of light pixels (n,)."""
    for i in range(patches.shape[0]):
        for y in range(patches.shape[1]):
            for x in range(patches.shape[2]):
                where, least = outside[y, x], 255
                for c in range(3):
                    value = patches[i, y, x, c]
                    least = min(least, value)
                    sums[i, where, c, 0] += od[value]
                    sums[i, where, c, 1] += od[value] * od[value]
                light[i] += least > light_above

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

OD_BITS = 24
"""Bits of a sum of optical densities over one row of a patch, which has up to 6900 pixels of at most 2406 units."""


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
    count, side = patches.shape[:2]
    place = np.arange(side) - (side - 1) / 2
    width = (np.hypot(place[:, None], place) < CENTRE * side).sum(1)
    centre = np.column_stack([(side - width) // 2, (side + width) // 2])
    spans = np.stack([centre, np.broadcast_to([0, side], (side, 2))]).astype(np.uint64)
    od = od_table(WHITE, OD_UNIT)[0]
    sums, light = np.zeros((count, 2, 3, 2), np.int64), np.zeros((count, 2), np.int64)
    _sum_up(plain(patches), spans, od + (od**2 << OD_BITS), LIGHT, sums, light)
    sums[:, 1] -= sums[:, 0]  # outside is the whole without the centre
    pixels = np.maximum([width.sum(), side**2 - width.sum()], 1)[:, None]
    first, second = sums[..., 0], sums[..., 1]
    contrast = np.sqrt((pixels * second - first**2).astype(np.float64)) / pixels * OD_UNIT
    share = light[:, 1] / side**2
    return np.column_stack([contrast.reshape(count, 6), np.log(LEAST_SHARE + share)])


@compiled
def _sum_up(
    patches: NDArray[np.uint8],
    spans: NDArray[np.uint64],
    od_and_square: NDArray[np.int64],
    light_above: int,
    sums: NDArray[np.int64],
    light: NDArray[np.int64],
) -> None:
    """Sums of optical densities and of their squares, (n, parts, 3, 2), and counts of light pixels, (n, parts).

    `spans`, (parts, s, 2), are first columns and columns after the last, row by row; unsigned, or else every index
    would be looked at for being negative. Both sums of a row are one whole number, the squares above OD_BITS: one
    addition a value instead of two and a product.
    """
    for i in range(patches.shape[0]):
        for part in range(spans.shape[0]):
            bright = 0
            for y in range(patches.shape[1]):
                red, green, blue = 0, 0, 0
                for x in range(spans[part, y, 0], spans[part, y, 1]):
                    r, g, b = patches[i, y, x, 0], patches[i, y, x, 1], patches[i, y, x, 2]
                    red += od_and_square[r]
                    green += od_and_square[g]
                    blue += od_and_square[b]
                    bright += min(r, g, b) > light_above
                for c, both in enumerate((red, green, blue)):
                    sums[i, part, c, 0] += both & ((1 << OD_BITS) - 1)
                    sums[i, part, c, 1] += both >> OD_BITS
            light[i, part] = bright

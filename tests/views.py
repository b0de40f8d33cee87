"""Objects of a view and of the whole image, compared: used by the tests that tiles change nothing."""

import numpy as np

from wsipipe.config import NucleiConfig
from wsipipe.image.morphology import measure
from wsipipe.image.nuclei import find_nuclei
from wsipipe.records import StainProfile

Objects = dict[tuple[float, float], tuple]


def objects(
    rgb: np.ndarray, mpp: float, profile: StainProfile, config: NucleiConfig, x0: int = 0, y0: int = 0
) -> tuple:
    """Everything measured of every nucleus, by its centre in the whole image, and the oversized pixels."""
    found = find_nuclei(rgb, mpp, profile, config)
    m = measure(found.labels, found.h_od, found.e_od)
    table: Objects = {}
    for i in range(len(m)):
        area = int(m.area_px[i])
        # Whole-number centre first: a float sum would round differently at different offsets.
        x, y = (int(m.sum_x[i]) + x0 * area) / area, (int(m.sum_y[i]) + y0 * area) / area
        left, top, right, bottom = m.bbox[i]
        ring = m.contour_xy[m.contour_offset[i] : m.contour_offset[i + 1]] + (x0, y0)
        table[x, y] = (
            area,
            (left + x0, top + y0, right + x0, bottom + y0),
            (found.labels[top:bottom, left:right] == i + 1).tobytes(),
            *(getattr(m, name)[i] for name in ("perimeter_px", "eccentricity", "solidity")),
            *(getattr(m, name)[i] for name in ("h_od_mean", "h_od_std", "e_od_mean", "e_od_std")),
            ring.tobytes(),
        )
    return table, {(int(x) + x0, int(y) + y0) for y, x in found.oversized}


def assert_tiling_changes_nothing(
    rgb: np.ndarray,
    mpp: float,
    profile: StainProfile,
    config: NucleiConfig,
    tile_px: int,
    halo_px: int,
    whole: tuple | None = None,
) -> int:
    """Cut into cores with a halo; owned objects must be those of the whole, bit by bit. Returns their number."""
    table, oversized = whole or objects(rgb, mpp, profile, config)
    height, width = rgb.shape[:2]
    seen: Objects = {}
    seen_oversized: list[tuple[int, int]] = []
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            x0, y0 = max(0, left - halo_px), max(0, top - halo_px)
            view = rgb[y0 : top + tile_px + halo_px, x0 : left + tile_px + halo_px]
            part, lost = objects(view, mpp, profile, config, x0, y0)
            owned = {k: v for k, v in part.items() if left <= k[0] < left + tile_px and top <= k[1] < top + tile_px}
            assert not owned.keys() & seen.keys()
            seen |= owned
            seen_oversized += [(x, y) for x, y in lost if left <= x < left + tile_px and top <= y < top + tile_px]
    assert seen == table
    assert sorted(seen_oversized) == sorted(oversized)
    return len(table)

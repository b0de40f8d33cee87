"""Cells made up for the tests of tables and exports."""

import numpy as np

from wsipipe.records import Cells

F4 = np.float32


def few_cells() -> Cells:
    """Three nuclei with fixed values: the input of the golden files. The third outline has only two vertices."""
    return Cells(
        x_px=np.array([10.25, 1234.5, 99999.99]),
        y_px=np.array([0.5, 20.0, 20.0]),
        area_um2=np.array([50.125, 61.5, 12.0], F4),
        perimeter_um=np.array([25.5, 30.25, 13.0], F4),
        eccentricity=np.array([0.5, 0.98765, 0.0], F4),
        solidity=np.array([1.0, 0.75, 0.9], F4),
        h_od_mean=np.array([0.61234, 1.5, 0.25], F4),
        h_od_std=np.array([0.1, 0.2, 0.3], F4),
        e_od_mean=np.array([0.31, 0.32, -0.05], F4),
        e_od_std=np.array([0.01, 0.02, 0.03], F4),
        bbox_px=np.array([[5, 0, 16, 6], [1230, 15, 1240, 25], [99998, 19, 100000, 21]], np.int32),
        patches=np.zeros((3, 0, 0, 3), np.uint8),
        contour_offset=np.array([0, 4, 7, 9]),
        contour_xy=np.array(
            [[5, 0], [16, 0], [16, 6], [5, 6], [1230, 15], [1240, 15.5], [1235, 25], [99998, 19], [100000, 21]], F4
        ),
    )


def random_cells(n: int, seed: int = 0, vertices: int = 8) -> Cells:
    """n plausible nuclei in the order of the outputs; outlines are regular polygons around the centres."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(20, 5000, (2, n)).round(2)
    angle = np.arange(vertices) * 2 * np.pi / vertices
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * 6
    centre = np.stack([x, y], 1)
    cells = Cells(
        x_px=x,
        y_px=y,
        area_um2=rng.uniform(12, 300, n).astype(F4),
        perimeter_um=rng.uniform(10, 90, n).astype(F4),
        eccentricity=rng.uniform(0, 1, n).astype(F4),
        solidity=rng.uniform(0.5, 1, n).astype(F4),
        h_od_mean=rng.uniform(0, 2, n).astype(F4),
        h_od_std=rng.uniform(0, 1, n).astype(F4),
        e_od_mean=rng.uniform(-0.1, 2, n).astype(F4),
        e_od_std=rng.uniform(0, 1, n).astype(F4),
        bbox_px=np.concatenate([centre - 6, centre + 7], 1).astype(np.int32),
        patches=np.zeros((n, 0, 0, 3), np.uint8),
        contour_offset=np.arange(n + 1, dtype=np.int64) * vertices,
        contour_xy=(centre[:, None] + ring).reshape(-1, 2).astype(F4),
    )
    return cells.take(cells.order())

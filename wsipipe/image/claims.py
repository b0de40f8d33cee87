"""Which segmented object belongs to which given point, decided in one order for the whole slide."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled, plain
from wsipipe.image.morphology import measure
from wsipipe.image.nuclei import Nuclei
from wsipipe.image.patches import owned_by
from wsipipe.records import Grid, Tile

CLAIM_UM = 3.0
"""A point takes no object whose outline is farther away."""


@dataclass(frozen=True)
class Claims:
    """Objects near points. Row j of every array but the outlines' pairs one point with one object.

    Attributes
    ----------
    outlines : tuple of ndarray
        Outline of each object, float64 (m, 2) level-0 px.
    centres : float64, (n, 2)
        Centre of each object, level-0 x and y.
    point, object : int64, (k,)
        Index of the point among all points of the slide, and of the object in `outlines`.
    distance_um : float64, (k,)
        From the point to the object's outline; 0 for a point inside.
    """

    outlines: tuple[NDArray[np.float64], ...]
    centres: NDArray[np.float64]
    point: NDArray[np.int64]
    object: NDArray[np.int64]
    distance_um: NDArray[np.float64]

    @classmethod
    def concatenate(cls, parts: Iterable["Claims"]) -> "Claims":
        """All pairs of all parts."""
        listed = [_NONE, *parts]
        firsts = np.cumsum([0, *(len(part.outlines) for part in listed[:-1])])
        return cls(
            outlines=tuple(outline for part in listed for outline in part.outlines),
            centres=np.concatenate([part.centres for part in listed]),
            point=np.concatenate([part.point for part in listed]),
            object=np.concatenate([part.object + first for part, first in zip(listed, firsts, strict=True)]),
            distance_um=np.concatenate([part.distance_um for part in listed]),
        )


_NONE = Claims((), np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def find_claims(
    nuclei: Nuclei, tile: Tile, grid: Grid, points: NDArray[np.float64], index: NDArray[np.int64]
) -> Claims:
    """Pair the objects whose centre lies in the tile's core with the points that may take them.

    Parameters
    ----------
    nuclei : Nuclei
        What `find_nuclei` found in `tile.view`.
    points : float64, (n, 2)
        Level-0 points; at least all that can lie in such an object or within CLAIM_UM of one.
    index : int64, (n,)
        Of each of them among all points of the slide.
    """
    found = measure(nuclei.labels, nuclei.h_od, nuclei.e_od)
    owned, x, y = owned_by(found, tile)
    by_x = np.argsort(points[:, 0], kind="stable")
    sorted_x = points[by_x, 0]
    mpp = grid.mpp / grid.downsample
    reach = CLAIM_UM / mpp
    outlines: list[NDArray[np.float64]] = []
    centres: list[tuple[float, float]] = []
    pairs: list[tuple[float, float, float]] = []
    for i in owned:
        ring = found.contour_xy[found.contour_offset[i] : found.contour_offset[i + 1]]
        outline = plain((ring.astype(np.float64) + (tile.view.x, tile.view.y)) * grid.downsample)
        low, high = outline.min(axis=0) - reach, outline.max(axis=0) + reach
        near = by_x[np.searchsorted(sorted_x, low[0]) : np.searchsorted(sorted_x, high[0], "right")]
        near = near[(points[near, 1] >= low[1]) & (points[near, 1] <= high[1])]
        distances = [distance(outline, points[p, 0], points[p, 1]) * mpp for p in near]
        close = [(index[p], len(outlines), d) for p, d in zip(near, distances, strict=True) if d <= CLAIM_UM]
        if close:
            pairs += close
            outlines.append(outline)
            centres.append((x[i] * grid.downsample, y[i] * grid.downsample))
    table = np.array(pairs, np.float64).reshape(-1, 3)
    return Claims(
        tuple(outlines),
        np.array(centres, np.float64).reshape(-1, 2),
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        table[:, 2],
    )


def settle_claims(points: NDArray[np.float64], claims: Claims) -> NDArray[np.int64]:
    """The object that each point takes, -1 for none; no object is taken twice.

    First come points inside an object: the pair of point and centre nearest to each other is settled first, so that
    an object holding several points goes to the one nearest to its centre. Then every point without an object takes
    the nearest one left within CLAIM_UM, the shortest distance first. Whatever is equal is settled by y, then x.

    Parameters
    ----------
    points : float64, (n, 2)
        All points of the slide, level-0 x and y.
    """
    taken = np.full(len(points), -1, np.int64)
    free = np.ones(len(claims.outlines), bool)
    to_centre = np.hypot(*(points[claims.point] - claims.centres[claims.object]).T)
    inside = claims.distance_um == 0
    for chosen, nearness in ((inside, to_centre), (~inside, claims.distance_um)):
        x, y = points[claims.point].T
        centre_x, centre_y = claims.centres[claims.object].T
        order = np.lexsort((claims.point, centre_x, centre_y, x, y, nearness))
        for pair in order[chosen[order]]:
            point, thing = claims.point[pair], claims.object[pair]
            if taken[point] < 0 and free[thing]:
                taken[point] = thing
                free[thing] = False
    return taken


@compiled
def distance(ring: NDArray[np.float64], x: float, y: float) -> float:
    """Distance of a point from a closed polygon, 0 when it lies inside; ring is float64 (n, 2)."""
    nearest = np.inf
    inside = False
    for i in range(len(ring)):
        j = (i + 1) % len(ring)
        ax, ay, by = ring[i, 0], ring[i, 1], ring[j, 1]
        dx, dy = ring[j, 0] - ax, by - ay
        if (ay > y) != (by > y) and x < ax + (y - ay) * dx / dy:
            inside = not inside
        length = dx * dx + dy * dy
        along = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / length)) if length > 0 else 0.0
        nearest = min(nearest, np.hypot(ax + along * dx - x, ay + along * dy - y))
    return 0.0 if inside else nearest

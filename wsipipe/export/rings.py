"""Outlines as closed rings that no program takes for invalid."""

import numpy as np
import shapely
from numpy.typing import NDArray

from wsipipe.records import Cells

DECIMALS = 2
"""Of the coordinates in files."""

MOST_RINGS = 1 << 15
"""That `simple_rings` takes at once."""

_CUT_PX = 0.25
"""How far from a corner a ring is cut off where it touches itself: no centre of a pixel is that near."""


def closed_rings(cells: Cells) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Outlines with their first vertex repeated at the end.

    Returns
    -------
    xy : float32, (m, 2)
        Vertices.
    offset : int64, (n + 1,)
        Ring of row i is `xy[offset[i] : offset[i + 1]]`, at least four vertices.
    """
    start, length = cells.contour_offset[:-1].copy(), np.diff(cells.contour_offset)
    thin = np.flatnonzero(length < 3)
    corners = np.concatenate([_box(one) for one in cells.bbox_px[thin]]) if len(thin) else np.zeros((0, 2), np.float32)
    vertices = np.concatenate([cells.contour_xy, corners])
    start[thin] = len(cells.contour_xy) + 4 * np.arange(len(thin))
    length[thin] = 4
    offset = np.concatenate([[0], np.cumsum(length + 1)]).astype(np.int64)
    place = np.arange(offset[-1]) - np.repeat(offset[:-1], length + 1)
    return vertices[np.repeat(start, length + 1) + place % np.repeat(length, length + 1)], offset


def simple_rings(cells: Cells, *, given: bool = False) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `closed_rings`, but no ring touches or crosses itself.

    QuPath and all else that is built on JTS or GEOS refuse such a ring, some with the whole file. Outlines along the
    edges of pixels touch themselves where two pixels of a nucleus have only a corner in common; there both passes are
    cut off a quarter of a pixel from it. Outlines that the user gave may also cross themselves; of those the largest
    piece is taken.

    Parameters
    ----------
    cells : Cells
        At most MOST_RINGS.
    given : bool
        Whether the user brought the outlines: then all are looked at, which takes ten times as long.
    """
    if len(cells) > MOST_RINGS:
        msg = f"{len(cells)} rings at once, more than {MOST_RINGS}"
        raise ValueError(msg)
    xy, offset = closed_rings(cells)
    bad = _invalid(xy, offset, every=given)
    if not len(bad):
        return xy, offset
    length, parts, done = np.diff(offset), [], 0
    for i in bad.tolist():
        ring = _simple(xy[offset[i] : offset[i + 1]], cells.bbox_px[i])
        parts += [xy[done : offset[i]], ring]
        done, length[i] = offset[i + 1], len(ring)
    return np.concatenate([*parts, xy[done:]]), np.concatenate([[0], np.cumsum(length)])


def _invalid(xy: NDArray[np.float32], offset: NDArray[np.int64], *, every: bool) -> NDArray[np.intp]:
    """Rings that touch or cross themselves.

    Unless `every` ring is to be looked at, those along the edges of pixels are only where a corner comes twice: rings
    that were traced around pixels touch themselves nowhere else.
    """
    if len(offset) < 2:
        return np.zeros(0, np.intp)
    index, last = np.repeat(np.arange(len(offset) - 1), np.diff(offset)), offset[1:] - 1
    suspect = np.full(len(last), every)
    slanted = (xy[1:, 0] != xy[:-1, 0]) & (xy[1:, 1] != xy[:-1, 1])
    slanted[last[:-1]] = False
    suspect[index[:-1][slanted]] = True
    near = ((xy - np.repeat(xy[offset[:-1]], np.diff(offset), axis=0)) * 10**DECIMALS).astype(np.int64) + (1 << 23)
    key = (index << 48) | (near[:, 0] << 24) | near[:, 1]  # of 15 bits, MOST_RINGS, and twice 24
    key[last] = ~index[last]  # the first vertex again
    key.sort()
    suspect[key[1:][key[1:] == key[:-1]] >> 48] = True
    rows, taken = np.flatnonzero(suspect), suspect[index]
    rounded = np.round(xy[taken].astype(np.float64), DECIMALS)
    rings = shapely.linearrings(rounded, indices=(np.cumsum(suspect) - 1)[index[taken]])
    return np.asarray(rows[~shapely.is_valid(shapely.polygons(rings))])


def _simple(ring: NDArray[np.float32], box: NDArray[np.int32]) -> NDArray[np.float32]:
    """A closed ring in place of one that touches or crosses itself."""
    cut = _cut_corners(ring)
    if shapely.Polygon(cut).is_valid:
        return cut
    whole = shapely.set_precision(shapely.make_valid(shapely.Polygon(ring)), 10.0**-DECIMALS)
    parts = shapely.get_parts(shapely.get_parts(whole))  # twice, as there may be a MultiPolygon beside lines
    areas = [part for part in parts if part.geom_type == "Polygon"]
    if not areas:
        return np.concatenate([_box(box), _box(box)[:1]])
    return np.asarray(max(areas, key=shapely.area).exterior.coords, np.float32)


def _cut_corners(ring: NDArray[np.float32]) -> NDArray[np.float32]:
    """The ring without the corners to which it comes more than once."""
    open_ring = ring[:-1].astype(np.float64)
    places = np.round(open_ring, DECIMALS) @ (1.0, 1j)
    _, which, times = np.unique(places, return_inverse=True, return_counts=True)
    before, after = np.roll(open_ring, 1, axis=0) - open_ring, np.roll(open_ring, -1, axis=0) - open_ring
    length = np.hypot(*after.T)[:, None]
    if not length.all():
        return ring
    reach = min(_CUT_PX, length.min() / 4)
    twice = np.repeat((times[which] > 1)[:, None], 2, axis=1)
    first = open_ring + before / np.roll(length, 1, axis=0) * reach
    second = open_ring + after / length * reach
    pairs = np.stack([np.where(twice, first, open_ring), np.where(twice, second, open_ring)], axis=1)
    kept = np.stack([np.ones(len(open_ring), bool), twice[:, 0]], axis=1)
    cut = np.round(pairs[kept], DECIMALS)
    return np.concatenate([cut, cut[:1]]).astype(np.float32)


def _box(box: NDArray[np.int32]) -> NDArray[np.float32]:
    left, top, right, bottom = box.tolist()
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)

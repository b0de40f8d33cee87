"""What GeoJSON files hold, taken apart to single geometries (RFC 7946)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHILDREN = {"FeatureCollection": "features", "GeometryCollection": "geometries", "Feature": "geometry"}


def geometries(node: Any) -> Iterator[tuple[str, Any]]:
    """Type and coordinates of every geometry below an object or a bare list; Multi-geometries are taken apart.

    Raises
    ------
    KeyError, TypeError, AttributeError
        If something in it is no GeoJSON.
    """
    if isinstance(node, list):
        for child in node:
            yield from geometries(child)
        return
    kind = node["type"]
    if kind in _CHILDREN:
        yield from geometries(node[_CHILDREN[kind]] or [])
    elif kind.startswith("Multi"):
        for coordinates in node["coordinates"]:
            yield kind.removeprefix("Multi"), coordinates
    else:
        yield kind, node["coordinates"]


def positions(coordinates: Any) -> NDArray[np.float64]:
    """Positions as float64 (n, 2); a third coordinate is left out.

    Raises
    ------
    TypeError, ValueError
        If they are no list of at least one pair of finite numbers.
    """
    xy = np.asarray(coordinates, np.float64)
    if xy.ndim != 2 or not len(xy) or xy.shape[1] < 2:
        msg = f"no list of positions: {str(coordinates)[:40]}"
        raise ValueError(msg)
    if not np.isfinite(xy).all():
        msg = "a coordinate is not a finite number"
        raise ValueError(msg)
    return xy[:, :2]

"""Polygons that an analysis stays inside of, as QuPath exports them (GeoJSON)."""

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import points_in_poly

from wsipipe.errors import UsageError
from wsipipe.io.geojson import geometries, positions
from wsipipe.records import Box, Grid


@dataclass(frozen=True)
class Regions:
    """Polygons in viewer coordinates: level-0 pixels from the corner of the slide's bounds, as QuPath shows them.

    Attributes
    ----------
    rings : tuple of tuple of ndarray
        Per polygon its outer ring and its holes, float64 (n, 2).
    digest : str
        Names the file's contents.
    """

    rings: tuple[tuple[NDArray[np.float64], ...], ...]
    digest: str

    def mask(self, bounds: Box, grid: Grid) -> NDArray[np.bool_]:
        """Which pixels of a (coarse) grid a polygon covers or touches; bool (height, width)."""
        inside = np.zeros((grid.height_px, grid.width_px), np.uint8)
        for polygon in self.rings:
            one = np.zeros_like(inside)
            # 8 fractional bits; OpenCV's pixel centres are whole numbers, ours are halves
            scaled = [np.round(((r + (bounds.x, bounds.y)) / grid.downsample - 0.5) * 256) for r in polygon]
            cv2.fillPoly(one, [r.astype(np.int32).reshape(-1, 1, 2) for r in scaled], 1, shift=8)
            inside |= one
        return inside.astype(bool)

    def contains(self, bounds: Box, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which level-0 points lie in a polygon and in none of its holes; bool (n,)."""
        points = np.column_stack([x_px - bounds.x, y_px - bounds.y])
        found = np.zeros(len(points), bool)
        for polygon in self.rings:
            odd = np.zeros(len(points), bool)
            for ring in polygon:
                odd ^= points_in_poly(points, ring)
            found |= odd
        return found


def read_regions(path: Path) -> Regions:
    """Read every Polygon and MultiPolygon of a GeoJSON file, which may be compressed (.geojson.gz).

    Raises
    ------
    UsageError
        If the file cannot be read, is not GeoJSON, or holds no polygon.
    """
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
        document = json.loads(data)
        rings = tuple(
            tuple(positions(ring) for ring in polygon) for kind, polygon in geometries(document) if kind == "Polygon"
        )
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"not a readable GeoJSON file ({error})", "export annotations as GeoJSON", f"--regions {path.name}"
        ) from error
    if not rings:
        raise UsageError("holds no polygon", "draw at least one region", f"--regions {path.name}")
    outer = [polygon[0] for polygon in rings if polygon]
    if not any(len(np.unique(ring, axis=0)) > 2 and np.ptp(ring, axis=0).min() >= 1 for ring in outer):
        what = "holds no region as large as a pixel"
        raise UsageError(what, "give its corners in level-0 pixels", f"--regions {path.name}")
    return Regions(rings, hashlib.sha256(data).hexdigest()[:16])

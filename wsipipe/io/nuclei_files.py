"""Nuclei that the user brings: label masks, lists of points, and GeoJSON as QuPath, CellViT and wsipipe write it."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import SlideError, UsageError
from wsipipe.io.geojson import geometries, positions
from wsipipe.io.json_stream import FeatureStream
from wsipipe.io.truth_files import read_mask, read_points
from wsipipe.records import Rings, SlideInfo

MAX_EXTENT_UM = 150.0
"""No nucleus is wider or higher: what is, is a region, a whole mask, or in other units."""

MAX_LABEL = 1 << 24
"""Highest value of a mask."""

_OWN_VALUE = "give every nucleus its own value"

_MASKS, _GEOJSON = (".png", ".tif", ".tiff"), (".geojson", ".json", ".geojson.gz")
_SUFFIXES = (*_GEOJSON, ".csv", *_MASKS)
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True)
class GivenNuclei:
    """Contents of one file.

    Attributes
    ----------
    outlines : tuple of Rings
        Outlined nuclei.
    points : float64, (n, 2)
        Marked nuclei, level-0 x and y.
    mask : integer, (height, width), or None
        Nuclei painted on level 0: 0 is background, every other value one nucleus.
    """

    outlines: tuple[Rings, ...]
    points: NDArray[np.float64]
    mask: NDArray[np.integer] | None = None


def find_nuclei_file(given: Path, slide_id: str) -> Path:
    """The file that `--nuclei` means for a slide.

    A folder holds `<slide_id>.<suffix>`, or `<slide_id>/cells.geojson` as the outputs of CellViT and wsipipe do.

    Raises
    ------
    SlideError
        If a folder holds no file for the slide, or several.
    """
    if not given.is_dir():
        return given
    names = (*(f"{slide_id}{suffix}" for suffix in _SUFFIXES), f"{slide_id}/cells.geojson")
    found = [given / name for name in names if (given / name).is_file()]
    if not found:
        what = f"no file for it in --nuclei {given.name}"
        raise SlideError(what, f"put {slide_id}.geojson, .csv, .png or .tif there, or leave the slide out")
    if len(found) > 1:
        names_found = " and ".join(path.relative_to(given).as_posix() for path in found)
        what = f"several files for it in --nuclei {given.name}: {names_found}"
        raise SlideError(what, "leave only one of them there")
    return found[0]


def nuclei_digest(path: Path) -> str:
    """16 hex digits that name the file's contents.

    Raises
    ------
    UsageError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise _fault(path, f"cannot be read ({error.strerror or error})", "check the path") from error


def read_nuclei(path: Path, info: SlideInfo) -> GivenNuclei:
    """Read a file of nuclei for a slide; all coordinates come out as level-0 pixels.

    GeoJSON that says so in `metadata.offset_px`, as wsipipe's does, is shifted by that; other GeoJSON by the corner
    of the slide's bounds, from which QuPath counts. Masks and CSV are never shifted.

    Raises
    ------
    UsageError
        If the file cannot be read, or something in it cannot be a nucleus; the message names file and feature.
    """
    name = path.name.lower()
    if name.endswith(_GEOJSON):
        return _read_geojson(path, info)
    if name.endswith(_MASKS):
        return GivenNuclei((), np.zeros((0, 2)), _read_mask(path, info))
    if name.endswith(".csv"):
        points = read_points(path).xy
        bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
        if len(bad):
            raise _fault(path, f"point {bad[0] + 1} is not a pair of finite numbers", "correct or remove it")
        return GivenNuclei((), points)
    raise _fault(path, "is of no known kind", f"give one of {', '.join(_SUFFIXES)}")


def _read_mask(path: Path, info: SlideInfo) -> NDArray[np.integer]:
    # slow to load, and only needed where nuclei are given
    from scipy.ndimage import find_objects, generate_binary_structure, label  # noqa: PLC0415

    mask = read_mask(path)
    if mask.shape != (info.height_px, info.width_px):
        have = f"is {mask.shape[1]} x {mask.shape[0]} px, level 0 of the slide {info.width_px} x {info.height_px}"
        raise _fault(path, have, "give a mask of the size of level 0")
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    if low < 0 or high > MAX_LABEL:
        raise _fault(path, f"has values from {low} to {high}", f"number the nuclei from 1 to at most {MAX_LABEL}")
    found = [(value, box) for value, box in enumerate(find_objects(mask), 1) if box is not None]
    for value, box in found:
        extent = max(part.stop - part.start for part in box) * info.mpp
        _check_extent(path, f"label {value}", extent, _OWN_VALUE)
    if len(found) == 1:
        ((value, box),) = found
        _, pieces = label(mask[box], generate_binary_structure(2, 2))
        if pieces > 1:  # nuclei in pieces exist, but a mask of one alone is black and white
            raise _fault(path, f"is black and white: {value} in {pieces} places", _OWN_VALUE)
    return mask


def _read_geojson(path: Path, info: SlideInfo) -> GivenNuclei:
    outlines: list[Rings] = []
    points: list[NDArray[np.float64]] = []
    try:
        with _open_text(path) as file:
            stream = FeatureStream(file)
            for number, feature in enumerate(stream, 1):
                _take_feature(path, f"feature {number}", feature, info.mpp, outlines, points)
        offset = _offset(stream.members, info)
    except UsageError:
        raise
    except (OSError, EOFError, zlib.error, *_MALFORMED) as error:
        raise _fault(path, f"is no readable GeoJSON ({error})", "export the nuclei again as GeoJSON") from error
    shifted = tuple(tuple(ring + offset for ring in rings) for rings in outlines)
    return GivenNuclei(shifted, np.array(points, np.float64).reshape(-1, 2) + offset)


def _take_feature(
    path: Path, name: str, feature: Any, mpp: float, outlines: list[Rings], points: list[NDArray[np.float64]]
) -> None:
    """Add what one feature gives to `outlines` and `points`."""
    try:
        for kind, coordinates in _nucleus_geometries(feature):
            if kind == "Polygon":
                outlines.append(tuple(_ring(ring) for ring in coordinates))
                extent = float(np.ptp(np.concatenate(outlines[-1]), axis=0).max()) * mpp
                _check_extent(path, name, extent, "give only the nuclei")
            elif kind == "Point":
                points.append(positions([coordinates])[0])
            else:
                raise _fault(path, f"{name} is a {kind}", "give nuclei as polygons or points")
    except UsageError:
        raise
    except (*_MALFORMED, IndexError) as error:
        raise _fault(path, f"{name} is no nucleus ({error})", "correct or remove it") from error


def _nucleus_geometries(feature: Any) -> Iterator[tuple[str, Any]]:
    """Geometries of a feature; QuPath's cells have two outlines, the nucleus goes before the cell.

    Every part of a MultiPolygon is a nucleus: CellViT writes one MultiPolygon a class. QuPath may nest objects, and
    write the root of its object tree, which has no geometry.
    """
    if not isinstance(feature, dict) or not isinstance(feature.get("type"), str):
        msg = "it is no GeoJSON object"
        raise TypeError(msg)
    if feature["type"] != "Feature":
        yield from geometries(feature)
        return
    properties = feature.get("properties") or {}
    geometry = feature.get("nucleusGeometry") or feature.get("geometry")
    if geometry is not None:
        yield from geometries(geometry)
    elif properties.get("objectType") != "root":
        msg = "it has no geometry"
        raise ValueError(msg)
    for child in properties.get("childObjects") or ():
        yield from _nucleus_geometries(child)


def _ring(coordinates: Any) -> NDArray[np.float64]:
    """One ring, without its first position repeated at the end."""
    xy = positions(coordinates)
    closed = len(xy) > 1 and bool((xy[0] == xy[-1]).all())
    return xy[: len(xy) - closed]


def _offset(members: dict[str, Any], info: SlideInfo) -> NDArray[np.float64]:
    """What is added to the file's coordinates to get level-0 pixels."""
    metadata = members.get("metadata")
    if isinstance(metadata, dict) and "offset_px" in metadata:
        return np.asarray(positions([metadata["offset_px"]])[0])
    return np.array((info.bounds.x, info.bounds.y) if info.has_bounds else (0, 0), np.float64)


def _open_text(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _check_extent(path: Path, name: str, extent_um: float, remedy: str) -> None:
    if extent_um > MAX_EXTENT_UM:
        raise _fault(path, f"{name} is {extent_um:.0f} um wide, which no nucleus is", remedy)


def _fault(path: Path, what: str, remedy: str) -> UsageError:
    return UsageError(what, remedy, f"--nuclei {path.name}")

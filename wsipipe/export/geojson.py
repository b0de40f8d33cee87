"""cells.geojson: one Feature per cell, as QuPath opens it, streamed."""

import gzip
import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import shapely
from numpy.typing import NDArray

from wsipipe import __version__
from wsipipe.atomic import atomic_write
from wsipipe.export import digits
from wsipipe.export.classes import CellClass
from wsipipe.export.rings import DECIMALS, simple_rings
from wsipipe.export.rows import LabelledCells, RowOrder
from wsipipe.records import SlideInfo

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "wsipipe:cells")
"""Of the ids: uuid5(NAMESPACE, "<slide fingerprint>/<cell_id>")."""

MEASUREMENTS = (
    ("Nucleus: Area µm^2", "area_um2", 2),
    ("Nucleus: Perimeter µm", "perimeter_um", 2),
    ("Nucleus: Eccentricity", "eccentricity", 4),
    ("Nucleus: Solidity", "solidity", 4),
    ("Nucleus: Hematoxylin OD mean", "h_od_mean", 4),
    ("Nucleus: Hematoxylin OD std dev", "h_od_std", 4),
    ("Nucleus: Eosin OD mean", "e_od_mean", 4),
    ("Nucleus: Eosin OD std dev", "e_od_std", 4),
)
"""Name in QuPath's manner, column of the cells, decimals."""

BLOCK_ROWS = 1 << 14
"""Cells formatted at once; a block takes some 60 MB."""

_GZIP_LEVEL = 3
"""Of zlib: level 6 takes three times as long for a tenth less."""

TISSUE_RGB = (0, 128, 0)

_HEX = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), np.uint8).reshape(256, 2)


def cells_geojson(
    path: Path,
    chunks: Iterable[LabelledCells],
    info: SlideInfo,
    classes: Sequence[CellClass] = (),
    *,
    given: bool = False,
) -> int:
    """Write a FeatureCollection of detections, one line each, that QuPath shows in the right place.

    QuPath crops a slide to its `openslide.bounds-*` rectangle and counts pixels from there; so do the coordinates
    here, and `metadata` says so. A ring is closed, and touches or crosses itself nowhere, which QuPath would refuse; an
    outline of fewer than three vertices becomes its bounding box. An id depends on the slide's fingerprint and the
    cell_id alone. Only one block of BLOCK_ROWS cells is held as text.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete. Compressed where its name ends in .gz.
    chunks : iterable of LabelledCells
        All cells of the slide, sorted by y_px, then x_px.
    info : SlideInfo
        The slide.
    classes : sequence of CellClass
        Name and colour of each class index.
    given : bool
        Whether the user brought the outlines, which may cross themselves anywhere.

    Returns
    -------
    int
        Cells written.

    Raises
    ------
    ValueError
        Rows are out of order, a number is not finite, or a class has no name.
    """
    order = RowOrder()
    offset = _offset(info)
    with _opened(path) as file:
        head = json.dumps(_metadata(info, offset), ensure_ascii=False)
        file.write(f'{{"type":"FeatureCollection","metadata":{head},"features":[\n'.encode())
        for chunk in chunks:
            first_id = order.take(chunk)
            for start in range(0, len(chunk), BLOCK_ROWS):
                block = _block(chunk, start)
                separator = b",\n" if first_id + start else b""
                file.write(separator + b",\n".join(_features(block, first_id + start, offset, info, classes, given)))
        file.write(b"\n]}\n")
    return order.n_cells


def tissue_geojson(path: Path, mask: NDArray[np.bool_], downsample: float, info: SlideInfo) -> None:
    """Write the outline of the tissue as one annotation, in the frame of `cells_geojson`.

    A file of its own, because everything in cells.geojson is a cell; QuPath takes both.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete. Compressed where its name ends in .gz.
    mask : bool, (height, width)
        Tissue on the overview. Without any there is no annotation.
    downsample : float
        Level-0 pixels per pixel of the mask.
    info : SlideInfo
        The slide.
    """
    offset = _offset(info)
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, starts), (_, stops) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    corners = [np.minimum(n * downsample, size) for n, size in ((starts, info.width_px), (rows, info.height_px),
               (stops, info.width_px), (rows + 1, info.height_px))]  # fmt: skip
    left, top, right, bottom = corners
    boxes = shapely.box(left - offset[0], top - offset[1], right - offset[0], bottom - offset[1])
    outline = shapely.simplify(shapely.union_all(boxes), 0)  # corners only
    properties = {"objectType": "annotation", "name": "Tissue", "isLocked": True,
                  "classification": {"name": "Tissue", "color": TISSUE_RGB}}  # fmt: skip
    feature = {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, f"{info.fingerprint}/tissue")),
        "geometry": shapely.geometry.mapping(outline),
        "properties": properties,
    }
    features = [feature] if mask.any() else []
    document = {"type": "FeatureCollection", "metadata": _metadata(info, offset), "features": features}
    with _opened(path) as file:
        file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """The file to write to; what is compressed has no name or time in it, so that equal contents are equal bytes."""
    with atomic_write(path, "wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                yield packed
        else:
            yield file


def _offset(info: SlideInfo) -> tuple[int, int]:
    """Level-0 pixel that QuPath counts from."""
    return (info.bounds.x, info.bounds.y) if info.has_bounds else (0, 0)


def cell_uuids(fingerprint: str, first_id: int, n: int) -> digits.Text:
    """The ids of n cells from `first_id` on, as text, uint8 (n, 36)."""
    head = hashlib.sha1(NAMESPACE.bytes + f"{fingerprint}/".encode(), usedforsecurity=False)
    digests = []
    for cell_id in range(first_id, first_id + n):
        one = head.copy()
        one.update(b"%d" % cell_id)
        digests.append(one.digest())
    octets = np.frombuffer(b"".join(digests), np.uint8).reshape(n, 20)[:, :16].copy()
    octets[:, 6] = octets[:, 6] & 0x0F | 0x50  # version 5, RFC 9562
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    text = _HEX[octets].reshape(n, 32)
    dash = digits.constant(b"-", n)
    return np.concatenate(
        [text[:, :8], dash, text[:, 8:12], dash, text[:, 12:16], dash, text[:, 16:20], dash, text[:, 20:]], axis=1
    )


def _metadata(info: SlideInfo, offset: tuple[int, int]) -> dict[str, object]:
    frame = "level-0 pixels, x to the right, y down, from the top-left corner of "
    return {
        "program": f"wsipipe {__version__}",
        "notice": "For research use only.",
        "slide_id": info.slide_id,
        "mpp": info.mpp,
        "coordinates": frame + ("openslide.bounds, as in QuPath" if info.has_bounds else "the slide"),
        "offset_px": list(offset),
        "offset_use": "add offset_px to get the coordinates of cells.csv",
    }


def _block(chunk: LabelledCells, start: int) -> LabelledCells:
    rows = np.arange(start, min(start + BLOCK_ROWS, len(chunk)))
    if chunk.classes is None or chunk.confidence is None:
        return LabelledCells(chunk.cells.take(rows))
    return LabelledCells(chunk.cells.take(rows), chunk.classes[rows], chunk.confidence[rows])


def _features(
    block: LabelledCells,
    first_id: int,
    offset: tuple[int, int],
    info: SlideInfo,
    classes: Sequence[CellClass],
    given: bool,
) -> list[bytes]:
    """The Feature of each cell of a block."""
    n = len(block)
    heads, head_end = digits.join(
        [
            digits.constant(b'{"type":"Feature","id":"', n),
            cell_uuids(info.fingerprint, first_id, n),
            digits.constant(b'","geometry":{"type":"Polygon","coordinates":[[', n),
        ]
    )
    rings, ring_end = _ring_text(*simple_rings(block.cells, given=given), offset)
    tails, tail_end = digits.join(
        [
            digits.constant(b']]},"properties":{"objectType":"detection"', n),
            *_classification(block, classes),
            digits.constant(b',"measurements":{', n),
            *_measurements(block),
            digits.constant(b"}}}", n),
        ]
    )
    ends = np.stack([head_end, ring_end, tail_end], axis=1).tolist()
    starts = [[0, 0, 0], *ends[:-1]]
    return [heads[a:i] + rings[b:j] + tails[c:k] for (a, b, c), (i, j, k) in zip(starts, ends, strict=True)]


def _ring_text(
    xy: NDArray[np.float32], ring: NDArray[np.int64], offset: tuple[int, int]
) -> tuple[bytes, NDArray[np.int64]]:
    """The vertices of each ring, `[x,y],[x,y]`, and where each cell's text ends."""
    n = len(xy)
    last = np.zeros(n, np.uint8)
    last[ring[1:] - 1] = 1
    text, end = digits.join(
        [
            digits.constant(b"[", n),
            digits.fixed(xy[:, 0] - np.float64(offset[0]), DECIMALS),
            digits.constant(b",", n),
            digits.fixed(xy[:, 1] - np.float64(offset[1]), DECIMALS),
            digits.words([b"],", b"]"], last),
        ]
    )
    return text, end[ring[1:] - 1]


def _classification(block: LabelledCells, classes: Sequence[CellClass]) -> list[digits.Text]:
    if block.classes is None:
        return []
    if block.classes.max(initial=0) >= len(classes):
        msg = f"class {block.classes.max()} has no name; there are {len(classes)}"
        raise ValueError(msg)
    texts = [
        f',"classification":{{"name":"{c.name}","color":{json.dumps(c.color, separators=(",", ":"))}}}' for c in classes
    ]
    return [digits.words([text.encode() for text in texts], block.classes)]


def _measurements(block: LabelledCells) -> list[digits.Text]:
    n = len(block)
    values = [(name, getattr(block.cells, column), decimals) for name, column, decimals in MEASUREMENTS]
    if block.confidence is not None:
        values.append(("Class confidence", block.confidence, 4))
    columns = []
    for i, (name, column, decimals) in enumerate(values):
        columns.append(digits.constant(f'{"," if i else ""}"{name}":'.encode(), n))
        columns.append(digits.fixed(column, decimals))
    return columns

"""Label masks of any size as OME-Zarr (NGFF 0.5, Zarr v3): a pyramid of labels over the slide's overview."""

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from wsipipe.export.classes import CellClass
from wsipipe.records import Box, SlideInfo

VERSION = "0.5"

BLOCK_PX = 2048
"""Side of a shard (one file): 16 MB. Twice that is drawn at once, so that whole shards of two levels come of it."""

_CHUNK_PX = 1024
_SMALLEST_PX = 1024
"""The pyramid ends at the first level that is no larger."""

_RGBA_OPAQUE = 255


@dataclass(frozen=True)
class Overview:
    """The slide, small: uint8 (h, w, 3), and level-0 pixels per pixel of it."""

    rgb: NDArray[np.uint8]
    downsample: float


def write_label_zarr(
    path: Path,
    draw: Callable[[Box], NDArray[np.uint32] | None],
    info: SlideInfo,
    overview: Overview,
    classes: Sequence[CellClass] = (),
    class_of: NDArray[np.uint8] | None = None,
) -> None:
    """Write `labels/nuclei` (cell_id + 1) and, where there are classes, `labels/classes` (class index + 1).

    Some 100 MB are held at a time; blocks without cells are not stored. Every level takes each second pixel
    of the finer one, so that no label is ever mixed.

    Parameters
    ----------
    path : Path
        The folder, ending in .ome.zarr; replaced when it exists, and there only when it is complete.
    draw : callable
        Labels of a box of level 0, uint32 (height, width); None where it holds no cell.
    info : SlideInfo
        The slide.
    overview : Overview
        Shown below the labels.
    classes : sequence of CellClass
        Name and colour of each class index; empty without labels.
    class_of : uint8, (n,), optional
        Class index of every cell; given exactly when `classes` are.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    root = zarr.create_group(partial)
    _put_overview(root, info, overview)
    names = ["nuclei", "classes"] if classes else ["nuclei"]
    labels = root.create_group("labels", attributes=_ome(labels=names))
    facts: dict[str, dict[str, Any]] = {"nuclei": {}, "classes": _class_metadata(classes)}
    levels = {name: _levels(labels, name, info, facts[name], _DTYPES[name]) for name in names}
    if class_of is not None:
        class_of = np.concatenate([[0], class_of + 1]).astype(np.uint8)
    for box in _blocks(info.width_px, info.height_px, 2 * BLOCK_PX):
        drawn = draw(box)
        if drawn is None:
            continue
        _put(levels["nuclei"], box, drawn)
        if class_of is not None:
            _put(levels["classes"], box, class_of[drawn])
    for pyramid in levels.values():
        for finer, coarser in pairwise(pyramid[1:]):
            _halve(finer, coarser)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


_DTYPES = {"nuclei": "u4", "classes": "u1"}


def _blocks(width_px: int, height_px: int, side_px: int) -> Iterator[Box]:
    for y in range(0, height_px, side_px):
        for x in range(0, width_px, side_px):
            yield Box(x, y, min(side_px, width_px - x), min(side_px, height_px - y))


def _put(pyramid: list["zarr.Array[Any]"], box: Box, drawn: NDArray[Any]) -> None:
    """Write a box, whose corner is even, into the two finest levels."""
    pyramid[0][box.y : box.bottom, box.x : box.right] = drawn
    if len(pyramid) > 1:
        half = drawn[::2, ::2]
        y, x = box.y // 2, box.x // 2
        pyramid[1][y : y + half.shape[0], x : x + half.shape[1]] = half


def _levels(
    labels: zarr.Group, name: str, info: SlideInfo, facts: dict[str, Any], dtype: str
) -> list["zarr.Array[Any]"]:
    """Empty arrays of all levels, finest first, and the metadata that describe them."""
    count = 1 + max(0, math.ceil(math.log2(max(info.width_px, info.height_px) / _SMALLEST_PX)))
    datasets = [_dataset(str(i), [info.mpp * 2**i] * 2) for i in range(count)]
    image_label = {"version": VERSION, "source": {"image": "../../"}, **facts}
    ome = _ome(**_multiscales(name, "yx", datasets), **{"image-label": image_label})
    group = labels.create_group(name, attributes=ome)
    return [
        group.create_array(
            str(i),
            shape=(-(-info.height_px // 2**i), -(-info.width_px // 2**i)),
            dtype=dtype,
            chunks=(_CHUNK_PX, _CHUNK_PX),
            shards=(BLOCK_PX, BLOCK_PX),
            compressors=ZstdCodec(level=1),  # half the size and a quarter of the time of shuffled bytes at level 3
            dimension_names=("y", "x"),
        )
        for i in range(count)
    ]


def _halve(finer: "zarr.Array[Any]", coarser: "zarr.Array[Any]") -> None:
    """Every second pixel, a shard of the coarser level at a time; empty ones are left out by Zarr."""
    height, width = coarser.shape
    for box in _blocks(width, height, BLOCK_PX):
        taken = np.asarray(finer[2 * box.y : 2 * box.bottom, 2 * box.x : 2 * box.right])[::2, ::2]
        if taken.any():
            coarser[box.y : box.bottom, box.x : box.right] = taken


def _put_overview(root: zarr.Group, info: SlideInfo, overview: Overview) -> None:
    mpp, middle = info.mpp * overview.downsample, info.mpp * (overview.downsample - 1) / 2
    # its pixels are means over many of level 0, and coordinates are those of pixels' middles
    dataset = _dataset("0", [1.0, mpp, mpp], [0.0, middle, middle])
    root.attrs.update(_ome(**_multiscales(info.slide_id, "cyx", [dataset])))
    data = np.ascontiguousarray(overview.rgb.transpose(2, 0, 1))
    root.create_array("0", data=data, chunks=(3, BLOCK_PX, BLOCK_PX), dimension_names=("c", "y", "x"))


def _class_metadata(classes: Sequence[CellClass]) -> dict[str, Any]:
    """Colour and name of every value of `labels/classes`."""
    return {
        "colors": [{"label-value": i, "rgba": [*c.color, _RGBA_OPAQUE]} for i, c in enumerate(classes, 1)],
        "properties": [{"label-value": i, "class": c.name} for i, c in enumerate(classes, 1)],
    }


def _ome(**metadata: Any) -> dict[str, Any]:
    return {"ome": {"version": VERSION, **metadata}}


def _multiscales(name: str, axes: str, datasets: list[dict[str, Any]]) -> dict[str, Any]:
    described = [
        {"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", "unit": "micrometer"} for a in axes
    ]
    return {"multiscales": [{"name": name, "axes": described, "datasets": datasets}]}


def _dataset(path: str, scale: list[float], translation: list[float] | None = None) -> dict[str, Any]:
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if translation is not None:
        transformations.append({"type": "translation", "translation": translation})
    return {"path": path, "coordinateTransformations": transformations}

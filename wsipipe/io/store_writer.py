"""How a cell-patch store is written: whole, by several threads, the same bytes for any number of them."""

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from wsipipe.io.seal import sealed
from wsipipe.io.shards import ShardWriter
from wsipipe.records import Cells

FORMAT_VERSION = 1
"""Of the layout on disk; raised whenever a reader of the old layout would misread the new one."""

ROWS_PER_SHARD = 16_384
"""Rows of a patch shard: 50 MB of pixels."""

_ROWS_PER_CHUNK = 256
_SCALARS_PER_SHARD = 1 << 20

_WRITERS = 4
"""Most shards that are made at a time; each takes some 30 MB."""

_CHUNKS_AT_ONCE = 16
"""Chunks that are read and compressed in turns: 12 MB of patches, which stay in the processor's caches."""

OFFSETS = "contour_offset"
LABELS = "labels"


class Rows(Protocol):
    """All cells of a slide in the order of the store, read in parts; from several threads at once."""

    def __len__(self) -> int:
        """Number of cells."""
        ...

    @property
    def n_vertices(self) -> int:
        """Number of contour vertices."""
        ...

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Entries `start` to `stop` of a field of `Cells`."""
        ...


@dataclasses.dataclass(frozen=True)
class HeldRows:
    """Rows that are in memory already."""

    cells: Cells

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def n_vertices(self) -> int:
        """Number of contour vertices."""
        return len(self.cells.contour_xy)

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Entries `start` to `stop` of a field of `Cells`."""
        return np.asarray(getattr(self.cells, name)[start:stop])


def write_store(
    path: Path,
    rows: Rows,
    patch_px: int,
    images: dict[str, NDArray[Any]],
    attributes: dict[str, Any],
    threads: int = 1,
) -> None:
    """Write a whole store; `path` appears when it is complete, and holds the same bytes for any number of threads.

    Parameters
    ----------
    path : Path
        Replaced when it exists.
    rows : Rows
        All cells.
    patch_px : int
        Side of the patches.
    images : dict of str to ndarray
        Small arrays kept beside the cells, such as the overview and the tissue mask.
    attributes : dict
        Plain values: recipe, slide facts, counts.
    threads : int
        Shards made side by side.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.create_group(partial)
    arrays = {f.name: _make(group, f, rows, patch_px) for f in dataclasses.fields(Cells)}
    writers = {name: ShardWriter(partial / name, array) for name, array in arrays.items()}
    parts = [
        (name, start, min(start + writers[name].rows, array.shape[0]))
        for name, array in sorted(arrays.items(), key=lambda item: -item[1].nbytes)  # the longest work first
        for start in range(0, array.shape[0], writers[name].rows)
    ]

    def write(part: tuple[str, int, int]) -> None:
        name, start, stop = part
        step = _CHUNKS_AT_ONCE * arrays[name].chunks[0]
        pieces = (rows.read(name, at, min(at + step, stop)) for at in range(start, stop, step))
        writers[name].write(start, pieces)

    pool = ThreadPoolExecutor(min(threads, _WRITERS), "store")
    try:
        list(pool.map(write, parts))
    finally:
        pool.shutdown(cancel_futures=True)
    for name, image in images.items():
        group.create_array(name, data=image, compressors=packed(image.itemsize))
    facts = {**attributes, "format_version": FORMAT_VERSION, "n_cells": len(rows)}
    group.attrs.update(sealed(partial, facts, without=LABELS))
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def packed(item_size: int) -> tuple[BloscCodec, Crc32cCodec]:
    """Of numbers of so many bytes."""
    return BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=item_size), Crc32cCodec()


def _shard(name: str) -> int:
    """Entries of a field that lie in one file."""
    return ROWS_PER_SHARD if name == "patches" else _SCALARS_PER_SHARD


def _make(group: zarr.Group, field: "dataclasses.Field[Any]", rows: Rows, patch_px: int) -> "zarr.Array[Any]":
    """An empty array for one field of `Cells`."""
    rest = tuple(patch_px if s == -1 else s for s in field.metadata["shape"])
    length = {OFFSETS: len(rows) + 1, "contour_xy": rows.n_vertices}.get(field.name, len(rows))
    if field.name == "patches":
        chunk = _ROWS_PER_CHUNK
        codec = BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle", typesize=1)
        compressors = (codec, Crc32cCodec())
    else:
        chunk = _SCALARS_PER_SHARD // 16
        compressors = packed(np.dtype(field.metadata["dtype"]).itemsize)
    return group.create_array(
        field.name,
        shape=(length, *rest),
        dtype=field.metadata["dtype"],
        chunks=(chunk, *rest),
        shards=(_shard(field.name), *rest),
        compressors=compressors,
        config={"write_empty_chunks": True},  # looking for empty ones takes longer than writing them
    )

"""The cell-patch store: one Zarr v3 group a slide; rows in the order of cells.csv, labels beside them.

`cells.zarr` holds one array per field of `Cells`, the overview the tissue was searched in and its mask, and
`labels/<model hash>/{classes,confidence}`. Chunks are compressed, carry a CRC-32C checksum and lie in large shards: a
million cells are about a hundred files. Patches hardly compress (they are tissue, not drawings), so they get LZ4, which
costs almost nothing; the rest gets Zstandard on shuffled bits (docs/benchmarks.md). A store is written under another
name and renamed when it is whole, so that whatever is called `cells.zarr` is finished.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from wsipipe.errors import DamagedStoreError, StoreError
from wsipipe.io.seal import check_seal, sealed
from wsipipe.io.shards import ShardWriter
from wsipipe.io.stored_array import StoredArray, check_array, reading
from wsipipe.records import Cells, Labels

FORMAT_VERSION = 1
"""Of the layout on disk; raised whenever a reader of the old layout would misread the new one."""

ROWS_PER_SHARD = 16_384
"""Rows of a patch shard: 50 MB of pixels."""

_ROWS_PER_CHUNK = 256
_SCALARS_PER_SHARD = 1 << 20
_SAMPLED_ROWS = 512
"""Rows that `sample_patches` draws together. Not tied to the chunks: what is drawn must not change with them."""

_WRITERS = 4
"""Most shards that are made at a time; each takes some 30 MB."""

_CHUNKS_AT_ONCE = 16
"""Chunks that are read and compressed in turns: 12 MB of patches, which stay in the processor's caches."""

_OFFSETS = "contour_offset"
_LABELS = "labels"


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
        group.create_array(name, data=image, compressors=_packed(image.itemsize))
    facts = {**attributes, "format_version": FORMAT_VERSION, "n_cells": len(rows)}
    group.attrs.update(sealed(partial, facts, without=_LABELS))
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


class CellStore:
    """A finished store, open for reading and for adding labels.

    Raises
    ------
    StoreError
        If there is no finished store at `path`, or its format version is another one.
    """

    def __init__(self, path: Path) -> None:
        name = path.parent.name
        if not path.is_dir():
            raise StoreError("no finished cell store", "run `wsipipe segment` first", name)
        with reading(name):
            # never Zarr v2, whose filters may run code
            self._group = zarr.open_group(path, mode="r+", zarr_format=3)
            self.attributes: dict[str, Any] = dict(self._group.attrs)
        version = self.attributes.get("format_version")
        if version != FORMAT_VERSION:
            raise StoreError(
                f"cell store of format version {version}; this wsipipe reads {FORMAT_VERSION}",
                "segment the slide again with --overwrite",
                name,
            )
        self._path = path
        check_seal(path, self.attributes, name)

    def __len__(self) -> int:
        return int(self.attributes["n_cells"])

    @property
    def slide_id(self) -> str:
        """Name of the slide."""
        return str(self.attributes["slide"]["slide_id"])

    @property
    def patches(self) -> StoredArray:
        """The patches, uint8 (n, size, size, 3), read lazily."""
        return self.array("patches")

    def array(self, name: str) -> StoredArray:
        """A field of `Cells` or one of the images, read lazily."""
        with reading(self.slide_id):
            found = self._group[name]
        return check_array(name, found, len(self), self.slide_id, (self._path / name).parent)

    def images(self) -> list[str]:
        """Names of the small arrays beside the cells."""
        fields = {field.name for field in dataclasses.fields(Cells)}
        return sorted({name.split("/")[0] for name in self.attributes.get("files", ())} - fields)

    def rows(self, start: int, stop: int, *, patches: bool = True) -> Cells:
        """Cells `start` to `stop`; without `patches` their patch arrays are empty squares of side 0."""
        offset = np.asarray(self.array(_OFFSETS)[start : stop + 1])
        columns: dict[str, Any] = {
            f.name: np.asarray(self.array(f.name)[start:stop])
            for f in dataclasses.fields(Cells)
            if f.name not in ("patches", _OFFSETS, "contour_xy")
        }
        columns["patches"] = (
            np.asarray(self.patches[start:stop]) if patches else np.zeros((stop - start, 0, 0, 3), np.uint8)
        )
        vertices = np.asarray(self.array("contour_xy")[int(offset[0]) : int(offset[-1])])
        return Cells(**columns, contour_offset=offset - offset[0], contour_xy=vertices)

    def chunks(self, rows: int = ROWS_PER_SHARD, *, patches: bool = True) -> Iterator[tuple[int, Cells]]:
        """All cells in slices: (first row, cells)."""
        for start in range(0, len(self), rows):
            yield start, self.rows(start, min(start + rows, len(self)), patches=patches)

    def sample_patches(self, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """At most `count` patches without replacement, uint8 (m, size, size, 3), in row order.

        Whole chunks are decoded, so four times as many as needed are drawn first: far enough apart to cover the
        slide, few enough not to read all of it.
        """
        n_blocks = -(-len(self) // _SAMPLED_ROWS)
        wanted = min(n_blocks, 4 * -(-count // _SAMPLED_ROWS))
        drawn = np.sort(rng.choice(n_blocks, wanted, replace=False)) if n_blocks else np.zeros(0, np.intp)
        candidates = [np.arange(b * _SAMPLED_ROWS, min((b + 1) * _SAMPLED_ROWS, len(self))) for b in drawn]
        rows = np.concatenate([*candidates, np.zeros(0, np.intp)]).astype(np.intp)
        kept = np.sort(rng.choice(rows, min(count, len(rows)), replace=False))
        out = np.empty((len(kept), *self.patches.shape[1:]), np.uint8)
        for block in candidates:
            begin, end = np.searchsorted(kept, [block[0], block[-1] + 1])
            if end > begin:
                out[begin:end] = np.asarray(self.patches[int(block[0]) : int(block[-1]) + 1])[
                    kept[begin:end] - block[0]
                ]
        return out

    def has_labels(self, model_hash: str) -> bool:
        """Whether every cell is labelled under this model, and nothing of that is damaged."""
        folder = self._path / _LABELS / model_hash
        if not (folder / "zarr.json").is_file():
            return False
        with contextlib.suppress(DamagedStoreError):
            with reading(self.slide_id):
                attributes = dict(zarr.open_group(folder, mode="r", zarr_format=3).attrs)
            check_seal(folder, attributes, self.slide_id)
            return "expected" in attributes  # those of an older wsipipe are made again
        return False

    def labels(self, model_hash: str) -> Labels:
        """Classes and confidence under this model.

        Raises
        ------
        StoreError
            If the cells are not labelled under it.
        """
        if not self.has_labels(model_hash):
            raise StoreError(f"no labels of model {model_hash}", "run `wsipipe label` first", self.slide_id)
        classes, confidence = (
            np.asarray(self.array(f"{_LABELS}/{model_hash}/{name}")[:]) for name in ("classes", "confidence")
        )
        facts: dict[str, Any] = dict(self._group[f"{_LABELS}/{model_hash}"].attrs)
        expected = tuple(float(share) for share in facts["expected"])
        return Labels(model_hash, classes, confidence, expected, str(facts["computed"]))

    def write_labels(self, labels: Labels) -> None:
        """Add labels beside the cells, keyed by the model's hash; they appear when they are complete."""
        folder = self._path / _LABELS
        if _LABELS not in self._group:
            self._group.create_group(_LABELS)
        partial = folder / f".{labels.model_hash}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        group = zarr.create_group(partial)
        for name in ("classes", "confidence"):
            values = getattr(labels, name)
            group.create_array(name, data=values, chunks=(1 << 16,), compressors=_packed(values.itemsize))
        facts = {"model": labels.model_hash, "expected": [*labels.expected], "computed": labels.computed}
        group.attrs.update(sealed(partial, facts))
        shutil.rmtree(folder / labels.model_hash, ignore_errors=True)
        partial.rename(folder / labels.model_hash)


def _packed(item_size: int) -> tuple[BloscCodec, Crc32cCodec]:
    """Of numbers of so many bytes."""
    return BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=item_size), Crc32cCodec()


def _shard(name: str) -> int:
    """Entries of a field that lie in one file."""
    return ROWS_PER_SHARD if name == "patches" else _SCALARS_PER_SHARD


def _make(group: zarr.Group, field: "dataclasses.Field[Any]", rows: Rows, patch_px: int) -> "zarr.Array[Any]":
    """An empty array for one field of `Cells`."""
    rest = tuple(patch_px if s == -1 else s for s in field.metadata["shape"])
    length = {_OFFSETS: len(rows) + 1, "contour_xy": rows.n_vertices}.get(field.name, len(rows))
    if field.name == "patches":
        chunk = _ROWS_PER_CHUNK
        codec = BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle", typesize=1)
        compressors = (codec, Crc32cCodec())
    else:
        chunk = _SCALARS_PER_SHARD // 16
        compressors = _packed(np.dtype(field.metadata["dtype"]).itemsize)
    return group.create_array(
        field.name,
        shape=(length, *rest),
        dtype=field.metadata["dtype"],
        chunks=(chunk, *rest),
        shards=(_shard(field.name), *rest),
        compressors=compressors,
        config={"write_empty_chunks": True},  # looking for empty ones takes longer than writing them
    )

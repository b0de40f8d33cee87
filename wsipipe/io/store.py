"""The cell-patch store: one Zarr v3 group a slide; rows in the order of cells.csv, labels beside them.

`cells.zarr` holds one array per field of `Cells`, the overview the tissue was searched in and its mask, and
`labels/<model hash>/{classes,confidence}`. Chunks are compressed, carry a CRC-32C checksum and lie in large shards: a
million cells are about a hundred files. Patches hardly compress (they are tissue, not drawings), so they get LZ4, which
costs almost nothing; the rest gets Zstandard on shuffled bits (docs/benchmarks.md). A store is written under another
name and renamed when it is whole, so that whatever is called `cells.zarr` is finished.
"""

import contextlib
import dataclasses
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from wsipipe.errors import DamagedStoreError, StoreError
from wsipipe.io.lock import take
from wsipipe.io.seal import check_seal, sealed
from wsipipe.io.store_writer import FORMAT_VERSION, LABELS, OFFSETS, ROWS_PER_SHARD, packed
from wsipipe.io.stored_array import StoredArray, check_array, reading
from wsipipe.records import Cells, Labels

_SAMPLED_ROWS = 512
"""Rows that `sample_patches` draws together. Not tied to the chunks: what is drawn must not change with them."""


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
        offset = np.asarray(self.array(OFFSETS)[start : stop + 1])
        columns: dict[str, Any] = {
            f.name: np.asarray(self.array(f.name)[start:stop])
            for f in dataclasses.fields(Cells)
            if f.name not in ("patches", OFFSETS, "contour_xy")
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
        """Whether every cell is labelled under this model as this wsipipe does it, and nothing of that is damaged."""
        return "profile" in self._label_facts(model_hash)

    def has_older_labels(self, model_hash: str) -> bool:
        """Whether an older wsipipe labelled the cells under this model: less is known than now; make them again."""
        facts = self._label_facts(model_hash)
        return bool(facts) and "profile" not in facts

    def labels(self, model_hash: str) -> Labels:
        """Classes and confidence under this model.

        Raises
        ------
        StoreError
            If the cells are not labelled under it, or by an older wsipipe.
        """
        facts = self._label_facts(model_hash)
        if facts and "profile" not in facts:
            remedy = "run `wsipipe proportions` on the folder, which makes them again"
            raise StoreError(f"labels of model {model_hash} by an older wsipipe", remedy, self.slide_id)
        if not facts:
            raise StoreError(f"no labels of model {model_hash}", "run `wsipipe label` first", self.slide_id)
        classes, confidence = (
            np.asarray(self.array(f"{LABELS}/{model_hash}/{name}")[:]) for name in ("classes", "confidence")
        )
        expected = tuple(float(share) for share in facts["expected"])
        profile = tuple(tuple(map(float, row)) for row in facts["profile"])
        return Labels(model_hash, classes, confidence, expected, profile, str(facts["computed"]))

    def write_labels(self, labels: Labels) -> None:
        """Add labels beside the cells, keyed by the model's hash; they appear when they are complete.

        Those that are there stay: another `run` into the folder, which labels all its slides, may be reading them.
        """
        if self.has_labels(labels.model_hash):
            return
        with (self._path / "zarr.json").open("r+b") as file:
            with contextlib.suppress(OSError):  # some file systems have no locks
                take(file, math.inf)
            if not self.has_labels(labels.model_hash):
                self._put_labels(labels)

    def _put_labels(self, labels: Labels) -> None:
        folder = self._path / LABELS
        if not (folder / "zarr.json").is_file():
            self._group.create_group(LABELS)
        partial = folder / f".{labels.model_hash}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        group = zarr.create_group(partial)
        for name in ("classes", "confidence"):
            values = getattr(labels, name)
            group.create_array(name, data=values, chunks=(1 << 16,), compressors=packed(values.itemsize))
        facts = {
            "model": labels.model_hash,
            "expected": [*labels.expected],
            "profile": [[*row] for row in labels.profile],
            "computed": labels.computed,
        }
        group.attrs.update(sealed(partial, facts))
        shutil.rmtree(folder / labels.model_hash, ignore_errors=True)
        partial.rename(folder / labels.model_hash)

    def _label_facts(self, model_hash: str) -> dict[str, Any]:
        """What is noted of the labels under a model; nothing where there are none, or something of them is damaged."""
        folder = self._path / LABELS / model_hash
        if not (folder / "zarr.json").is_file():
            return {}
        with contextlib.suppress(DamagedStoreError):
            with reading(self.slide_id):
                facts = dict(zarr.open_group(folder, mode="r", zarr_format=3).attrs)
            check_seal(folder, facts, self.slide_id)
            return facts
        return {}

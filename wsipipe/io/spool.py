"""Cells on their way into a store: appended tile by tile, journalled, so that a killed run continues where it was.

Three flat files hold fixed rows, patches and contour vertices; a line of `journal.jsonl` is written after a tile's
bytes and says where they end and what their checksum is. Whatever follows the last good line is cut off on opening.
"""

import dataclasses
import fcntl
import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.errors import StoreError
from wsipipe.records import Cells

_RAGGED = ("patches", "contour_offset", "contour_xy")
_ROW = np.dtype(
    [(f.name, f.metadata["dtype"], f.metadata["shape"]) for f in dataclasses.fields(Cells) if f.name not in _RAGGED]
    + [("contour_length", "i8")]
)
_VERTEX = np.dtype(("f4", (2,)))


class Spool:
    """Append-only folder of the finished tiles of one slide. Use as a context manager; holds a lock while open.

    Parameters
    ----------
    folder : Path
        Made when absent.
    plan : dict
        Plain values that the tiles depend on; a folder with another plan is emptied.
    patch_px : int
        Side of the patches.

    Raises
    ------
    StoreError
        If another process works on the same slide.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], patch_px: int) -> None:
        self.tiles: dict[int, dict[str, Any]] = {}
        self._folder = folder
        self._plan = plan
        self._patch = np.dtype(("u1", (patch_px, patch_px, 3)))
        self._rows = 0
        self._files: dict[str, IO[bytes]] = {}
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system drops it when the process dies
        except OSError as error:
            self._lock.close()
            raise StoreError("another process is working on this slide", "wait for it to end") from error
        if read_plan(self._folder) != self._plan:
            for name in ("cells", "patches", "contours", "journal"):
                self._path(name).unlink(missing_ok=True)
            with atomic_write(self._folder / "plan.json") as file:
                json.dump(self._plan, file)
        for name in ("cells", "patches", "contours", "journal"):
            self._files[name] = self._path(name).open("a+b")
        self._recover()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (*self._files.values(), self._lock):
            if file is not None:
                file.close()
        self._files, self._lock = {}, None

    def __len__(self) -> int:
        return self._rows

    def append(self, tile: int, cells: Cells, facts: dict[str, Any]) -> None:
        """Add the cells of a finished tile, and plain facts about it."""
        rows = np.zeros(len(cells), _ROW)
        for name in _ROW.names or ():
            rows[name] = np.diff(cells.contour_offset) if name == "contour_length" else getattr(cells, name)
        parts = {"cells": rows, "patches": cells.patches, "contours": cells.contour_xy}
        checksum = 0
        for name, array in parts.items():
            data = np.ascontiguousarray(array).tobytes()
            checksum = zlib.crc32(data, checksum)
            self._files[name].write(data)
            self._files[name].flush()
        self._rows += len(cells)
        ends = {name: self._files[name].tell() for name in parts}
        line = {"tile": tile, "ends": ends, "crc": checksum, "facts": facts}
        self._files["journal"].write((json.dumps(line) + "\n").encode())
        self._files["journal"].flush()
        self.tiles[tile] = facts

    def centres(self) -> NDArray[np.float64]:
        """x_px and y_px of every cell, in the order they came; float64 (n, 2)."""
        self._files["cells"].seek(0)
        rows = np.fromfile(self._files["cells"], _ROW)
        return np.column_stack([rows["x_px"], rows["y_px"]])

    def sorted_chunks(self, rows_per_chunk: int, kept: NDArray[np.bool_] | None = None) -> Iterator[Cells]:
        """Cells in the order of `Cells.order`, in chunks; memory is bounded by the fixed rows and one chunk.

        Parameters
        ----------
        rows_per_chunk : int
        kept : bool, (n,), optional
            Which to give, in the order they came; all unless given.
        """
        self._files["cells"].seek(0)
        rows = np.fromfile(self._files["cells"], _ROW)
        left, top, right, bottom = rows["bbox_px"].T
        order = np.lexsort((bottom, right, top, left, rows["area_um2"], rows["x_px"], rows["y_px"]))
        order = order if kept is None else order[kept[order]]
        starts = np.cumsum(rows["contour_length"]) - rows["contour_length"]
        for begin in range(0, len(order), rows_per_chunk):
            chosen = order[begin : begin + rows_per_chunk]
            chunk, first = rows[chosen], starts[chosen]
            columns = {name: np.ascontiguousarray(chunk[name]) for name in _ROW.names or () if name != "contour_length"}
            lengths = chunk["contour_length"]
            yield Cells(
                **columns,
                patches=self._gather("patches", self._patch, chosen, np.ones(len(chosen), np.int64)),
                contour_offset=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                contour_xy=self._gather("contours", _VERTEX, first, lengths),
            )

    def remove(self) -> None:
        """Delete the folder, once what it held is in a finished store."""
        self.__exit__(None, None, None)
        shutil.rmtree(self._folder)

    def _gather(
        self, name: str, dtype: np.dtype[Any], first: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Read `lengths[i]` records from record `first[i]` on, for every i, in as few reads as they allow."""
        out = np.empty((int(lengths.sum()), *dtype.shape), dtype.base)
        ends = first + lengths
        breaks = np.flatnonzero(first[1:] != ends[:-1]) + 1
        position = 0
        for run in np.split(np.arange(len(first)), breaks) if len(first) else []:
            count = int(lengths[run].sum())
            self._files[name].seek(int(first[run[0]]) * dtype.itemsize)
            out[position : position + count] = np.fromfile(self._files[name], dtype, count)
            position += count
        return out

    def _recover(self) -> None:
        """Take up the journal's good lines and cut off everything after them."""
        journal = self._files["journal"]
        journal.seek(0)
        good, ends = 0, dict.fromkeys(("cells", "patches", "contours"), 0)
        for line in journal:
            entry = _parse_line(line)
            if entry is None or not self._checks(ends, entry):
                break
            self.tiles[entry["tile"]] = entry["facts"]
            ends = entry["ends"]
            good += len(line)
        journal.truncate(good)
        for name, end in ends.items():
            self._files[name].truncate(end)
            self._files[name].seek(end)
        self._rows = ends["cells"] // _ROW.itemsize

    def _checks(self, begins: dict[str, int], entry: dict[str, Any]) -> bool:
        checksum = 0
        for name, end in entry["ends"].items():
            self._files[name].seek(begins[name])
            data = self._files[name].read(end - begins[name])
            if len(data) != end - begins[name]:
                return False
            checksum = zlib.crc32(data, checksum)
        return bool(checksum == entry["crc"])

    def _path(self, name: str) -> Path:
        return self._folder / (f"{name}.jsonl" if name == "journal" else f"{name}.bin")


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan of an unfinished slide's folder, or None when there is none."""
    try:
        plan = json.loads((folder / "plan.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return plan if isinstance(plan, dict) else None


def _parse_line(line: bytes) -> dict[str, Any] | None:
    """A whole journal line, or None for one that was cut off."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and line.endswith(b"\n") else None

"""Cells on their way into a store: appended tile by tile, journalled, so that a killed run continues where it was.

Three flat files hold fixed rows, patches and contour vertices; a line of `journal.jsonl` is written after a tile's
bytes and says where they end, and the checksum of them and of itself. Whatever follows the last good line is cut off on
opening.
"""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.errors import SlideError, StoreError
from wsipipe.io.lock import take
from wsipipe.records import Cells, row_order

_RAGGED = ("patches", "contour_offset", "contour_xy")
_ROW = np.dtype(
    [(f.name, f.metadata["dtype"], f.metadata["shape"]) for f in dataclasses.fields(Cells) if f.name not in _RAGGED]
    + [("contour_length", "i8")]
)
_LINE, _ENDS = {"tile", "ends", "facts", "crc"}, ["cells", "patches", "contours"]
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
            take(self._lock)
        except OSError as error:
            self._lock.close()
            raise StoreError("another process is working on this slide", "wait for it to end") from error
        if not _is_on_disk(self._lock, self._folder / "lock"):  # whoever held it ended, and took the folder with it
            self._lock.close()
            raise StoreError("another process was working on this slide", "run it again")
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
            whole = np.ascontiguousarray(array)
            checksum = google_crc32c.extend(checksum, whole)
            self._files[name].write(whole.data)
            self._files[name].flush()
        self._rows += len(cells)
        ends = {name: self._files[name].tell() for name in parts}
        line = {"tile": tile, "ends": ends, "facts": facts}
        line["crc"] = google_crc32c.extend(checksum, json.dumps(line).encode())
        self._files["journal"].write((json.dumps(line) + "\n").encode())
        self._files["journal"].flush()
        self.tiles[tile] = facts

    def centres(self) -> NDArray[np.float64]:
        """x_px and y_px of every cell, in the order they came; float64 (n, 2)."""
        self._files["cells"].seek(0)
        rows = np.fromfile(self._files["cells"], _ROW)
        return np.column_stack([rows["x_px"], rows["y_px"]])

    def rows(self, kept: NDArray[np.bool_] | None = None) -> "SpooledRows":
        """All cells in the order of every output; while the spool is open and nothing is appended.

        Parameters
        ----------
        kept : bool, (n,), optional
            Which to give, in the order they came; all unless given.
        """
        self._files["cells"].seek(0)
        table = np.fromfile(self._files["cells"], _ROW)
        files = {"patches": self._files["patches"].fileno(), "contours": self._files["contours"].fileno()}
        return SpooledRows(table, np.ones(len(table), bool) if kept is None else kept, files, self._patch)

    def check_there(self) -> None:
        """Make sure that what is open is what lies on disk.

        Raises
        ------
        SlideError
            If the folder was deleted meanwhile: open files outlive it, but nothing else of the slide does.
        """
        if not _is_on_disk(self._files["journal"], self._path("journal")):
            raise SlideError("its output folder was deleted or moved meanwhile", "run it again")

    def remove(self) -> None:
        """Delete the folder, once what it held is in a finished store."""
        self.__exit__(None, None, None)
        shutil.rmtree(self._folder)

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
        for name, end in {**ends, "journal": good}.items():
            file = self._files[name]
            # ext4 writes a file that was ever truncated to disk when it is closed, even if it is deleted next
            if file.seek(0, os.SEEK_END) > end:
                file.truncate(end)
            file.seek(end)
        self._rows = ends["cells"] // _ROW.itemsize

    def _checks(self, begins: dict[str, int], entry: dict[str, Any]) -> bool:
        checksum = 0
        for name, end in entry["ends"].items():
            if not begins[name] <= end <= self._files[name].seek(0, os.SEEK_END):
                return False
            self._files[name].seek(begins[name])
            checksum = google_crc32c.extend(checksum, self._files[name].read(end - begins[name]))
        line = {name: entry[name] for name in ("tile", "ends", "facts")}
        return bool(google_crc32c.extend(checksum, json.dumps(line).encode()) == entry["crc"])

    def _path(self, name: str) -> Path:
        return self._folder / (f"{name}.jsonl" if name == "journal" else f"{name}.bin")


class SpooledRows:
    """Cells of an open spool in the order of every output, read in parts; memory is bounded by the fixed columns.

    Parameters
    ----------
    table : structured, (n,)
        The fixed columns, in the order they came.
    kept : bool, (n,)
        Which of them there are.
    files : dict of str to int
        Descriptors of the files of patches and contours; read at given places only, so that threads may share them.
    patch : dtype
        Of one patch.
    """

    def __init__(
        self, table: NDArray[Any], kept: NDArray[np.bool_], files: dict[str, int], patch: np.dtype[Any]
    ) -> None:
        order = row_order(table["x_px"], table["y_px"], table["area_um2"], table["bbox_px"])
        self._order = order[kept[order]]
        self._table, self._files, self._patch = table, files, patch
        lengths = table["contour_length"]
        self._first_vertex = (np.cumsum(lengths) - lengths)[self._order]
        self._offset = np.concatenate([[0], np.cumsum(lengths[self._order])]).astype(np.int64)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def n_vertices(self) -> int:
        """Number of contour vertices."""
        return int(self._offset[-1])

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Entries `start` to `stop` of a field of `Cells`.

        Raises
        ------
        StoreError
            If the spool holds less than its journal says.
        """
        if name == "patches":
            return self._gather("patches", self._patch, self._order[start:stop], np.ones(stop - start, np.int64))
        if name == "contour_xy":
            return self._vertices(start, stop)
        if name == "contour_offset":
            return self._offset[start:stop]
        return np.asarray(self._table[name][self._order[start:stop]])

    def _vertices(self, start: int, stop: int) -> NDArray[np.float32]:
        """Those of all cells that have some between `start` and `stop`, cut to these."""
        row, end = np.searchsorted(self._offset, start, "right") - 1, np.searchsorted(self._offset, stop, "left")
        lengths = np.diff(self._offset[row : end + 1])
        found = self._gather("contours", _VERTEX, self._first_vertex[row:end], lengths)
        return found[start - self._offset[row] : stop - self._offset[row]]

    def _gather(
        self, name: str, dtype: np.dtype[Any], first: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[Any]:
        """`lengths[i]` records from record `first[i]` on, for every i.

        A tile's cells lie together, so what is asked for in the order of the slide is read in few pieces in the order
        of the file, and put in its place then.
        """
        read = np.empty((int(lengths.sum()), *dtype.shape), dtype.base)
        if not len(read):
            return read
        order = np.argsort(first, kind="stable")
        begin, length = first[order], lengths[order]
        heads = np.flatnonzero(np.concatenate([[True], begin[1:] != begin[:-1] + length[:-1]]))
        view, size = read.data.cast("B"), dtype.itemsize
        ends = np.cumsum(np.add.reduceat(length, heads)) * size
        spans = zip((begin[heads] * size).tolist(), [0, *ends[:-1].tolist()], ends.tolist(), strict=True)
        got = sum(os.preadv(self._files[name], [view[start:end]], place) for place, start, end in spans)
        if got != read.nbytes:
            raise StoreError("finished tiles are cut short on disk", "run it again")
        wanted = (np.cumsum(lengths) - lengths)[order]  # where each one's records belong
        at = np.empty(len(read), np.intp)
        at[np.repeat(wanted - (np.cumsum(length) - length), length) + np.arange(len(read))] = np.arange(len(read))
        return np.take(read, at, axis=0)  # faster than assigning to places


def _is_on_disk(file: IO[Any], path: Path) -> bool:
    """Whether an open file is what lies there, not one that was deleted meanwhile, or made anew."""
    return path.is_file() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan of an unfinished slide's folder, or None when there is none."""
    try:
        plan = json.loads((folder / "plan.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return plan if isinstance(plan, dict) else None


def _parse_line(line: bytes) -> dict[str, Any] | None:
    """A whole journal line, or None for one that was cut off or says something else."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.keys() != _LINE or not line.endswith(b"\n"):
        return None
    ends = entry["ends"]
    sound = isinstance(ends, dict) and list(ends) == _ENDS and all(isinstance(end, int) for end in ends.values())
    return entry if sound else None

"""A list of a folder's files, kept in its attributes, by which it is known to be whole.

The pixels and numbers of a store carry checksums of their own, chunk by chunk; but a file that is gone reads as empty,
and what describes the arrays carries none. So the list holds the size of every file and a digest of each description,
and the attributes that hold the list carry a digest of themselves.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wsipipe.errors import DamagedStoreError

_DESCRIPTION = "zarr.json"
_FILES, _SEAL = "files", "seal"
_NOTE = ".damaged"


def sealed(folder: Path, attributes: Mapping[str, Any], *, without: str = "") -> dict[str, Any]:
    """The attributes with a list of all files below `folder`, and a digest of both.

    Parameters
    ----------
    folder : Path
        A Zarr v3 group; its own description, which will hold the attributes, is not in the list.
    attributes : mapping
        Plain values.
    without : str
        A subfolder that may change.
    """
    files = {path.relative_to(folder).as_posix(): _facts(path) for path in _below(folder, without)}
    held = {**attributes, _FILES: files}
    return {**held, _SEAL: _digest(held)}


def check_seal(folder: Path, attributes: Mapping[str, Any], subject: str) -> None:
    """Compare a folder and its attributes with the list in them; folders that were never sealed pass.

    Raises
    ------
    DamagedStoreError
        Naming the first file that is missing, of another size or changed.
    """
    note = folder / _NOTE
    if note.is_file():
        raise _damaged(note.read_text("utf-8").strip(), subject)
    if _SEAL not in attributes:
        return
    held = {name: value for name, value in attributes.items() if name != _SEAL}
    if attributes[_SEAL] != _digest(held):
        raise _damaged(f"{folder.name}/{_DESCRIPTION} was changed", subject)
    for name, (size, digest) in sorted(held[_FILES].items()):
        path = folder / name
        if not path.is_file():
            raise _damaged(f"{folder.name}/{name} is missing", subject)
        found = _facts(path)
        if found[0] != size:
            raise _damaged(f"{folder.name}/{name} has {found[0]} bytes instead of {size}", subject)
        if found[1] != digest:
            raise _damaged(f"{folder.name}/{name} was changed", subject)


def unreadable(folder: Path, name: str, subject: str) -> DamagedStoreError:
    """The error for an array whose bytes are not those that were written, noted in the folder: it is not used again.

    Whoever reads it might else not come upon those bytes: the list tells only what can be told without reading all.
    """
    what = f"{name} is not as it was written (noted in {folder.name}/{_NOTE})"
    try:
        (folder / _NOTE).write_text(what, "utf-8")
    except OSError:  # may not be written to
        what = f"{name} is not as it was written"
        return DamagedStoreError(f"damaged: {what}", "run the slide again with --overwrite", subject)
    return _damaged(what, subject)


def _damaged(what: str, subject: str) -> DamagedStoreError:
    return DamagedStoreError(f"damaged: {what}", "run the slide again: what is damaged is made anew", subject)


def _below(folder: Path, without: str) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        outside = bool(without) and path.relative_to(folder).parts[0] == without
        if path.is_file() and not outside and path != folder / _DESCRIPTION:
            yield path


def _facts(path: Path) -> tuple[int, str]:
    """Size, and a digest of what describes an array."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32] if path.name == _DESCRIPTION else ""
    return path.stat().st_size, digest


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

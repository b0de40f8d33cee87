"""Files appear whole or not at all: written beside their place, flushed to disk, then renamed."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload


@overload
def atomic_write(path: Path | str, mode: Literal["w"] = "w") -> contextlib.AbstractContextManager[TextIO]: ...
@overload
def atomic_write(path: Path | str, mode: Literal["wb"]) -> contextlib.AbstractContextManager[BinaryIO]: ...
def atomic_write(path: Path | str, mode: Literal["w", "wb"] = "w") -> contextlib.AbstractContextManager[Any]:
    """Open `path` for writing so that it ever holds all of what was written, or what it held before.

    The bytes go to a temporary file in the same folder, which is flushed to disk and renamed over `path`
    when the block ends well. When it raises, the temporary file is removed and `path` is left alone.

    Parameters
    ----------
    path : Path or str
        The file; its folder must exist.
    mode : {"w", "wb"}
        Text (UTF-8, line ends written as given) or bytes; readable too, as TIFF writers need.

    Returns
    -------
    context manager of file
        Seekable; its `name` is the temporary file's.

    Raises
    ------
    OSError
        The folder is missing or not writable, or the disk is full.
    """
    return _replacing(Path(path), mode)


def sweep(folder: Path, name: str = "") -> None:
    """Remove what killed processes left of files in `folder` that they were writing, or of the one called `name`."""
    for left in folder.glob(f".{name}*.part"):
        left.unlink(missing_ok=True)


@contextlib.contextmanager
def _replacing(path: Path, mode: Literal["w", "wb"]) -> Iterator[IO[Any]]:
    # The name starts with a dot and ends in .part: no reader, and no glob for the real ending, takes it up.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("x+b") if mode == "wb" else temporary.open("x+", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename) == str(temporary):
            error.filename = str(path)  # the name that is known outside
        raise

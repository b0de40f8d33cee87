"""Names of files that are no text: bytes of another encoding, as old network shares have them."""

from pathlib import Path

from wsipipe.errors import UnreadableSlideError


def name_fault(path: Path) -> UnreadableSlideError | None:
    """The error of a file whose name cannot be written into a table; None where it can."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return UnreadableSlideError("its name is not UTF-8 text", "rename the file")
    return None


def shown(path: Path) -> Path:
    """The path with a mark in place of every byte that is no text."""
    return Path(str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))

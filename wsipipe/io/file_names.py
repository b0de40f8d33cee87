"""What files and slides may be called: a slide_id is a folder beside wsipipe's own files, and a name is text."""

from pathlib import Path

from wsipipe.errors import SlideError, UnreadableSlideError

_OWN = frozenset({
    "proportions.csv",
    "expected.csv",
    "profiles.csv",
    "failures.csv",
    "cohort.csv",
    "model.safetensors",
    "classes.toml",
    "report.html",
    "training.html",
})  # fmt: skip
LONGEST_ID = 200
_SHOWN = 40


def name_fault(path: Path) -> UnreadableSlideError | None:
    """The error of a file whose name is no text, as old network shares have them; None where it is."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return UnreadableSlideError("its name is not UTF-8 text", "rename the file")
    return None


def shown(path: Path) -> Path:
    """The path with a mark in place of every byte that is no text."""
    return Path(str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def id_fault(slide_id: str) -> str:
    """Why no slide can have this slide_id, in words; "" where one can."""
    if not slide_id:
        return "it is empty"
    if slide_id in _OWN:
        return "a file of wsipipe's own is called so"
    if slide_id.startswith("."):
        return "it begins with a dot"
    if any(c in "/\\" or ord(c) < 32 for c in slide_id):
        return "it holds a slash, a line break or the like"
    return "" if len(slide_id.encode()) <= LONGEST_ID else f"it is longer than {LONGEST_ID} bytes"


def no_name(slide_id: str, remedy: str = "rename the file") -> SlideError:
    """The error of a slide that has such a name."""
    short = f"{slide_id[:_SHOWN]}..." if len(slide_id) > _SHOWN else slide_id
    return SlideError(f"a slide cannot be called {short!r}: {id_fault(slide_id)}", remedy)

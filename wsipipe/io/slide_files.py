"""The files that finished stores were made from: outputs keep no path, so they are found again."""

from collections.abc import Iterable
from pathlib import Path

from wsipipe.errors import SlideError
from wsipipe.io.slide import SUFFIXES, fingerprint, open_slide
from wsipipe.records import SlideInfo


def find_slide(info: SlideInfo, files: Iterable[Path]) -> tuple[Path | None, bool]:
    """The file that a store was made from, if it is among `files`, and whether it is the very same.

    A file of the same bytes and time of change is the one. Otherwise one whose name the slide_id begins with, and whose
    pixels are as many: a copy has another time of change.
    """
    named = [path for path in files if info.slide_id == path.stem or info.slide_id.startswith(f"{path.stem}-")]
    for path in named:
        if fingerprint(path) == info.fingerprint:
            return path, True
    return next((path for path in named if _same_size(path, info)), None), False


def slide_files(places: Iterable[Path]) -> list[Path]:
    """Files that may be slides: those given, and those right in the given folders."""
    found: dict[Path, None] = {}
    for place in places:
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        found.update((path, None) for path in inside if path.suffix.lower() in SUFFIXES and path.is_file())
    return list(found)


def _same_size(path: Path, info: SlideInfo) -> bool:
    try:
        with open_slide(path, mpp=info.mpp) as slide:
            return (slide.info.width_px, slide.info.height_px) == (info.width_px, info.height_px)
    except SlideError:
        return False

"""A cohort as the user gives it, a folder or a CSV: which files, their names, and what is said of them."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from wsipipe.csvtext import csv_lines, decimal
from wsipipe.errors import SlideError, UnreadableSlideError, UsageError
from wsipipe.io.file_names import id_fault, name_fault, no_name, shown
from wsipipe.io.output import SlideFolder
from wsipipe.io.readers import SUFFIXES
from wsipipe.units import MPP_MAX, MPP_MIN, likely_mpp, plausible_mpp

SLIDE_COLUMNS = ("path", "wsi", "filename", "slide", "slide_id")
"""The first of these that is present says where a slide lies."""

_ALIASES = {"wsi_mpp": "mpp", "wsi_magnification": "magnification", "case_id": "patient"}
_KEPT = ("mpp", "magnification", "label", "patient", "slide_id")


@dataclass(frozen=True)
class Entry:
    """One slide of a cohort.

    Attributes
    ----------
    path : Path
        Its file, whether or not it is there.
    given : str
        How the user wrote it.
    slide_id : str
        The name that the table gives it; "" for the file's stem.
    mpp : float or None
        Microns per pixel that the table states, if need be through the magnification.
    label, patient : str
        As the table states them.
    fault : SlideError or None
        Why it cannot be done.
    """

    path: Path
    given: str
    slide_id: str = ""
    mpp: float | None = None
    label: str = ""
    patient: str = ""
    fault: SlideError | None = None


@dataclass(frozen=True)
class Cohort:
    """All slides, each file once, and a sentence on every repetition that was left out."""

    entries: tuple[Entry, ...]
    repeated: tuple[str, ...]


def read_cohort(source: Path, out: Path) -> Cohort:
    """The slides of a folder (recursive, by known suffixes) or of a CSV.

    Parameters
    ----------
    source : Path
        Folder or CSV.
    out : Path
        The output folder, whose pictures are no slides.

    Raises
    ------
    UsageError
        If there is no such folder or file, if it is a slide itself, or holds nothing that could be one.
    """
    if source.is_dir():
        entries = [_file(path) for path in _slides_in(source, out)]
        if not entries:
            known = " ".join(sorted(SUFFIXES))
            raise UsageError("holds no slide", f"known suffixes are {known}", str(source))
        return _each_once(entries)
    if not source.is_file():
        raise UsageError("no such folder or file", "name a folder of slides or a CSV", str(source))
    if source.suffix.lower() in SUFFIXES:
        raise UsageError("is an image, no cohort", "do it with `wsipipe run`, or name a folder or a CSV", str(source))
    return _each_once(list(_rows(source)))


def _file(path: Path) -> Entry:
    fault = name_fault(path)
    return Entry(path, str(shown(path))) if fault is None else Entry(shown(path), str(shown(path)), fault=fault)


def _slides_in(folder: Path, out: Path) -> list[Path]:
    """Files with known suffixes, by path; hidden ones, parts of other slides and outputs are left out."""
    found = []
    for path in sorted(_files_below(folder, out)):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in SUFFIXES:
            found.append(path)
    hamamatsu = {path.parent for path in found if path.suffix.lower() in {".vms", ".vmu"}}
    return [path for path in found if not (path.parent in hamamatsu and path.suffix.lower() in {".jpg", ".jpeg"})]


def _files_below(folder: Path, out: Path) -> Iterator[Path]:
    """Every file that is not of the output, or of a slide's folder in another one.

    Links to folders are followed, each folder once, so that they may lead in circles.
    """
    seen = {os.path.realpath(out)} - {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen or SlideFolder(Path(place)).store.is_dir():
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place) / name for name in files)


def _rows(table: Path) -> Iterator[Entry]:
    """One entry a row of the CSV.

    Raises
    ------
    UsageError
        If it is no table, or has none of the columns that locate a slide.
    """
    header, lines = _parse(table)
    where = next((name for name in SLIDE_COLUMNS if name in header), None)
    if where is None:
        raise UsageError(
            f"has none of the columns {', '.join(SLIDE_COLUMNS)}",
            "name in its first line the one that says where each slide lies",
            str(table),
        )
    for number, row in lines:
        values = {name: row[i].strip() for name, i in header.items() if i < len(row)}
        yield _entry(table, number, values, where)


def _parse(table: Path) -> tuple[dict[str, int], list[tuple[int, list[str]]]]:
    """Column of each known name, and (line number, fields) of every row that is not blank."""
    try:
        text = table.read_text("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8 text ({error.reason})", "save it as CSV in UTF-8", str(table)) from error
    try:
        lines = list(csv_lines(text))
    except csv.Error as error:
        raise UsageError(f"is no CSV ({error})", "correct the file", str(table)) from error
    if len(lines) < 2:
        raise UsageError("has no rows", "give a header line and one line a slide", str(table))
    header: dict[str, int] = {}
    for i, name in enumerate(lines[0][1]):
        plain = name.strip().lower()
        header.setdefault(_ALIASES.get(plain, plain), i)
    return header, lines[1:]


def _entry(table: Path, number: int, values: Mapping[str, str], where: str) -> Entry:
    given = values.get(where, "")
    said = {name: values.get(name, "") for name in _KEPT}
    slide_id = said["slide_id"] if where != "slide_id" else ""
    entry = Entry(table.parent / given, given, slide_id, None, said["label"], said["patient"])
    try:
        if slide_id and id_fault(slide_id):
            raise no_name(slide_id, "correct its slide_id in the table")
        mpp = _mpp(said["mpp"], said["magnification"], f"line {number} of {table.name}")
        return replace(entry, path=_locate(table, number, given), mpp=mpp)
    except SlideError as error:
        return replace(entry, slide_id="" if id_fault(slide_id) else slide_id, fault=error)


def _locate(table: Path, line: int, given: str) -> Path:
    """The file, with or without its extension, relative to the folder of the table."""
    if not given:
        raise SlideError(f"line {line} of {table.name} names no slide", "fill in where it lies")
    path = table.parent / given
    if not path.is_file() and "\\" in given:  # a table from Windows, used in a container
        path = table.parent / PureWindowsPath(given).as_posix()
    if path.is_file():
        return path
    near = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    same = [other for other in near if other.name == f"{path.name}{other.suffix}" and other.suffix.lower() in SUFFIXES]
    if not same:
        raise UnreadableSlideError("no such file", "correct the table, or put the file there")
    if len(same) > 1:
        names = ", ".join(other.name for other in same)
        raise UnreadableSlideError(f"{len(same)} files could be meant ({names})", "write its extension in the table")
    return same[0]


def _mpp(mpp: str, magnification: str, line: str) -> float | None:
    """Microns per pixel of a row: stated, else what scanners have at the stated magnification."""
    stated = _number(mpp, "mpp", line)
    if stated is None:
        stated = likely_mpp(_number(magnification.lower().rstrip("x "), "magnification", line))
        if stated is None and magnification.strip():
            raise SlideError(f"{line} states a magnification of {magnification}", "correct it, or leave it empty")
    if stated is not None and not plausible_mpp(stated):
        raise SlideError(
            f"{line} states {stated:g} um/px", f"it must be between {MPP_MIN:g} and {MPP_MAX:g}, or left empty"
        )
    return stated


def _number(text: str, column: str, line: str) -> float | None:
    if not text:
        return None
    try:
        return decimal(text)
    except ValueError:
        raise SlideError(f"{column} in {line} is not a number: {text}", "correct it, or leave it empty") from None


def _each_once(entries: Iterable[Entry]) -> Cohort:
    """Leave out rows that say the same again; of rows that say different things of one file none can be done."""
    by_file: dict[object, list[Entry]] = {}
    for entry in entries:
        key = entry if entry.fault else entry.path.resolve()
        by_file.setdefault(key, []).append(entry)
    kept, repeated = [], []
    for same in by_file.values():
        first = same[0]
        if len(same) > 1:
            if any(replace(other, given=first.given, path=first.path) != first for other in same):
                fault = SlideError(f"is listed {len(same)} times, differently", "keep one line of the table for it")
                first = replace(first, fault=fault)
            else:
                repeated.append(f"{first.given}: listed {len(same)} times; it is done once")
        kept.append(first)
    return Cohort(tuple(kept), tuple(repeated))

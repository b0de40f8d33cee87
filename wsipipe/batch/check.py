"""What is wrong with a cohort, found before anything runs: missing files, repetitions, unreadable headers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsipipe.batch.names import named
from wsipipe.batch.tally import tallied
from wsipipe.config import Settings
from wsipipe.errors import ResolutionError, SlideError, UnreadableSlideError, UsageError, WsipipeError, told
from wsipipe.io.cohort_table import Entry
from wsipipe.io.output import OutputFolder, path_hash, record_failures
from wsipipe.io.slide import fingerprint, open_slide, probe
from wsipipe.parallel import Fleet
from wsipipe.progress import Reporter
from wsipipe.slides import unreadable
from wsipipe.versions import versions

Failures = dict[str, tuple[Path, WsipipeError]]
"""By slide_id: the path as given, and the error."""

_SERIES = "openslide.quickhash-1"
_MUST_AGREE = ("wsipipe", "numpy", "opencv-python-headless", "scikit-image", "openslide-bin")
"""Packages whose other version on a worker could change an answer."""


_OWN_MPP = "; that is for all slides: for this one alone write it in column mpp of a CSV"


@dataclass(frozen=True)
class CohortSlide:
    """A slide that can be done: its name, its file, and what the table says of it."""

    slide_id: str
    path: Path
    given: str
    mpp: float | None
    label: str
    patient: str

    def settings(self, settings: Settings) -> Settings:
        """The settings for this slide: the table's resolution goes before the option's."""
        return settings if self.mpp is None else replace(settings, mpp=self.mpp, mpp_source="cohort table")


@dataclass(frozen=True)
class Header:
    """What opening a file told: what names its contents and, for DICOM, its series; or why it cannot be done."""

    fingerprint: str
    series: str
    fault: SlideError | None


class FailureRecord:
    """The failures of this batch; failures.csv shows them, and no others, as they happen."""

    def __init__(self, out: OutputFolder) -> None:
        self._out = out
        self.all: Failures = {}

    def add(self, failures: Failures) -> None:
        """Take up failures and bring failures.csv up to date."""
        self.all.update(failures)
        record_failures(self._out, self.all, (), keep=False)


def check_cohort(
    entries: Sequence[Entry], out: OutputFolder, settings: Settings, fleet: Fleet, report: Reporter
) -> tuple[list[CohortSlide], Failures]:
    """Open every file once, name every slide, and say all that is wrong at once.

    Returns
    -------
    slides : list of CohortSlide
        Those that can be done, by slide_id.
    failures : dict
        The others.
    """
    headers = dict.fromkeys(entries, Header("", "", None))
    with tallied("check", len(entries), report) as tally:
        for entry, header in fleet.each(read_header, settings, entries, tally.tick):
            headers[entry] = Header("", "", header) if isinstance(header, SlideError) else header
            tally.ended(failed=headers[entry].fault is not None)
    kept = _one_a_series(headers, report)
    slides, failures = [], {}
    for slide_id, entry, fault in named(kept, {e: headers[e].fingerprint or path_hash(e.path) for e in kept}, out):
        error = headers[entry].fault or fault
        if error is not None:
            failures[slide_id] = (Path(entry.given), error)
        else:
            path = entry.path.absolute()
            slides.append(CohortSlide(slide_id, path, entry.given, entry.mpp, entry.label, entry.patient))
    for slide_id, (_, error) in sorted(failures.items()):
        report.fail(str(error.of(slide_id)))
    report.say(f"cohort: {len(slides)} of {len(kept)} slides can be done")
    return sorted(slides, key=lambda slide: slide.slide_id), dict(failures)


def read_header(settings: Settings, entry: Entry, share: int) -> Header:  # noqa: ARG001 - headers have no tiles
    """Open a file as the work will, in a worker process: readers crash on some files."""
    if entry.fault is not None:
        return Header("", "", entry.fault)
    mpp, source = (settings.mpp, "--mpp") if entry.mpp is None else (entry.mpp, "cohort table")
    identity = series = ""
    fault: SlideError | None = None
    try:
        identity = fingerprint(entry.path)
        with open_slide(entry.path, mpp=mpp, mpp_source=source) as slide:
            slide.grid(settings.recipe.working.mpp)
        if entry.path.suffix.lower() == ".dcm":
            series = probe(entry.path, mpp)["properties"].get(_SERIES, "")
    except ResolutionError as error:
        fault = ResolutionError(error.what, error.remedy + _OWN_MPP) if "--mpp" in error.remedy else error
    except SlideError as error:
        fault = error
    except OSError as error:
        fault = unreadable(error)
    except Exception as error:
        if settings.debug:
            raise
        fault = UnreadableSlideError(f"unexpected {told(error)}", "convert it to a pyramidal TIFF")
    return Header(identity, series, fault)


def check_workers(fleet: Fleet, out: OutputFolder, token: str, entries: Sequence[Entry]) -> None:
    """Refuse a cluster whose hosts see other folders or have other versions than this process.

    Raises
    ------
    UsageError
        Naming the host's address and what it lacks.
    """
    here = sorted({str(entry.path.absolute()) for entry in entries if entry.path.is_file()})
    for address, found in fleet.everywhere(look_around, out, token, here).items():
        if not found["out"]:
            raise UsageError("does not see the output folder", "name one that all hosts share", f"worker {address}")
        if found["missing"]:
            raise UsageError(
                f"does not see {found['missing']} of {len(here)} slides, the first is {found['first']}",
                "put them where all hosts see them under one path",
                f"worker {address}",
            )
        other = {n: v for n, v in found["versions"].items() if n in _MUST_AGREE and v != versions()[n]}
        if other:
            told = ", ".join(f"{name} {number}, here {versions()[name]}" for name, number in other.items())
            raise UsageError(f"has {told}", "install the same versions everywhere", f"worker {address}")


def look_around(out: OutputFolder, token: str, paths: Sequence[str]) -> dict[str, Any]:
    """What a host of the cluster sees."""
    missing = [path for path in paths if not Path(path).is_file()]
    return {
        "out": out.token() == token,
        "missing": len(missing),
        "first": missing[0] if missing else "",
        "versions": versions(),
    }


def _one_a_series(headers: Mapping[Entry, Header], report: Reporter) -> list[Entry]:
    """Every entry, but of the files of one DICOM series only the first: it opens them all."""
    kept: list[Entry] = []
    first: dict[tuple[Path, str], Entry] = {}
    for entry, header in headers.items():
        key = (entry.path.parent, header.series)
        if not header.series or first.setdefault(key, entry) is entry:
            kept.append(entry)
        else:
            report.say(f"{entry.given}: of one series with {first[key].given}; they are one slide")
    return kept

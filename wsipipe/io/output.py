"""The output folder of the contract: where every file lies, what a slide is called, and who failed."""

import contextlib
import csv
import hashlib
import json
import math
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsipipe.atomic import atomic_write
from wsipipe.csvtext import csv_field, csv_text
from wsipipe.errors import StoreError, UsageError, WsipipeError
from wsipipe.io.file_names import shown
from wsipipe.io.lock import take

_FAILURE_COLUMNS = ("slide_id", "path", "reason", "remedy")


@dataclass(frozen=True)
class SlideFolder:
    """`OUT/<slide_id>`: everything about one slide."""

    path: Path

    @property
    def slide_id(self) -> str:
        """Name of the slide."""
        return self.path.name

    @property
    def store(self) -> Path:
        """The cell-patch store."""
        return self.path / "cells.zarr"

    @property
    def spool(self) -> Path:
        """Finished tiles of a slide that is not finished."""
        return self.path / ".segment"

    @property
    def log(self) -> Path:
        """What a batch said while it worked on the slide."""
        return self.path / "log.txt"

    @property
    def tables(self) -> tuple[Path, Path, Path]:
        """What is rebuilt from the store and its labels: CSV, GeoJSON, report."""
        return self.path / "cells.csv", self.path / "cells.geojson", self.path / "report.html"

    def facts(self) -> dict[str, Any]:
        """Contents of run.json; empty when there is none or it cannot be read."""
        try:
            facts = json.loads((self.path / "run.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def note(self, **facts: Any) -> dict[str, Any]:
        """Add to run.json, and give back all of it."""
        self.path.mkdir(parents=True, exist_ok=True)
        merged = {**self.facts(), **facts}
        with atomic_write(self.path / "run.json") as file:
            json.dump(merged, file, indent=2, allow_nan=False)
            file.write("\n")
        return merged

    def clear(self) -> None:
        """Forget the slide: a changed slide, or --overwrite."""
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True)
class OutputFolder:
    """`OUT`: the slides, their tables, and the one model behind every label."""

    path: Path

    @property
    def proportions(self) -> Path:
        """One row per slide."""
        return self.path / "proportions.csv"

    @property
    def expected(self) -> Path:
        """Expected proportions, one row per slide: means of probabilities instead of counts."""
        return self.path / "expected.csv"

    @property
    def profiles(self) -> Path:
        """How the cells of each class look on each slide; not there where cells are not described."""
        return self.path / "profiles.csv"

    @property
    def failures(self) -> Path:
        """Slides that failed; absent when none did."""
        return self.path / "failures.csv"

    @property
    def model(self) -> Path:
        """Copy of the model."""
        return self.path / "model.safetensors"

    @property
    def given_model(self) -> Path:
        """Model that a batch was given, for its workers; OUT's own once a slide is done."""
        return self.path / ".given.safetensors"

    @property
    def training(self) -> Path:
        """State of a training that was stopped; absent when none was."""
        return self.path / ".training.safetensors"

    @property
    def training_page(self) -> Path:
        """How the model was trained; absent when it was trained elsewhere."""
        return self.path / "training.html"

    @property
    def classes(self) -> Path:
        """Names and colours of the classes."""
        return self.path / "classes.toml"

    @property
    def cohort(self) -> Path:
        """What the cohort's table says of each slide: label and patient, for `wsipipe classify`."""
        return self.path / "cohort.csv"

    @property
    def report(self) -> Path:
        """The cohort page."""
        return self.path / "report.html"

    @contextlib.contextmanager
    def locked(self) -> Iterator[str]:
        """Be the only batch on this folder; gives a token that can be read back with `token`.

        Raises
        ------
        StoreError
            If another process is; the system drops the lock of a process that died.
        """
        with (self.path / ".lock").open("a+", encoding="ascii") as file:
            try:
                take(file)
            except BlockingIOError as error:
                raise StoreError(
                    "another batch is working on this folder", "wait for it to end, or name another", self.path.name
                ) from error
            file.truncate(0)
            file.write(secrets.token_hex(8))
            file.flush()
            yield self.token()

    @contextlib.contextmanager
    def writing(self, say: Callable[[str], None]) -> Iterator[None]:
        """Be the only process that labels slides and writes tables here; waits while another does, and says so."""
        with (self.path / ".tables.lock").open("w", encoding="ascii") as file:
            with contextlib.suppress(OSError):  # some file systems have no locks
                try:
                    take(file)
                except BlockingIOError:
                    say(f"{self.path.name}: waiting for another run, which labels and writes tables here")
                    take(file, math.inf)
            yield

    def token(self) -> str:
        """What the batch at work here wrote into its lock; "" when the folder is not the one or cannot be seen."""
        try:
            return (self.path / ".lock").read_text("ascii")
        except OSError:
            return ""

    def make(self) -> None:
        """Make the folder.

        Raises
        ------
        UsageError
            If it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot be made ({error.strerror})", "name a folder that you may write to", f"-o {self.path.name}"
            ) from error

    def slide(self, slide_id: str) -> SlideFolder:
        """Folder of a slide, there or not."""
        return SlideFolder(self.path / slide_id)

    def slides(self) -> list[SlideFolder]:
        """Slides that were begun, by slide_id; a store tells of a slide whose run.json was lost."""
        if not self.path.is_dir():
            return []
        folders = map(SlideFolder, sorted(self.path.iterdir()))
        return [folder for folder in folders if (folder.path / "run.json").is_file() or folder.store.is_dir()]

    def finished(self) -> list[SlideFolder]:
        """Slides that have a store, by slide_id."""
        return [folder for folder in self.slides() if folder.store.is_dir()]


def name_slides(paths: Iterable[Path], fingerprints: Iterable[str], out: OutputFolder) -> list[str]:
    """Give every file its slide_id: its stem, or the stem with 8 hex digits when another file has the stem.

    A folder of OUT belongs to a file when it was made from the same path (the file may have changed since) or from
    the same bytes (the file may have moved since). One that does not say what it was made from, because its run.json
    was lost, belongs to the first file with its stem.
    """
    taken: dict[str, tuple[str, str]] = {}
    for folder in out.slides():
        facts = folder.facts()
        if "fingerprint" in facts:
            taken[folder.slide_id] = (str(facts.get("path_hash")), str(facts["fingerprint"]))
    names = []
    for path, fingerprint in zip(paths, fingerprints, strict=True):
        owner = (path_hash(path), fingerprint)
        name = path.stem
        if name in taken and not (taken[name][0] == owner[0] or taken[name][1] == owner[1]):
            name = f"{path.stem}-{fingerprint[:8]}"
        taken[name] = owner
        names.append(name)
    return names


def path_hash(path: Path) -> str:
    """Hash that tells files apart by place without telling their place."""
    return hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def told_apart(name: str, path: Path) -> str:
    """A slide_id for a file that cannot have this one: the same, and where the file lies."""
    return f"{name}-{path_hash(path)[:8]}"


def slide_digest(slide_id: str) -> str:
    """Hash by which a model remembers the slides it was trained on, so that it does not carry their names."""
    return hashlib.sha256(f"slide {slide_id}".encode()).hexdigest()[:16]


def record_failures(
    out: OutputFolder, failed: Mapping[str, tuple[Path, WsipipeError]], done: Iterable[str], *, keep: bool = True
) -> None:
    """Bring failures.csv up to date: rows of slides that are done now go, new failures come; no rows, no file.

    Without `keep` no row stays that is not of `failed`.
    """
    rows: dict[str, tuple[str, ...]] = {}
    if keep and out.failures.is_file():
        with out.failures.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                values = tuple(csv_text(row.get(column) or "") for column in _FAILURE_COLUMNS)
                rows[values[0]] = values
    for slide_id in done:
        rows.pop(slide_id, None)
    for slide_id, (path, error) in failed.items():
        rows[slide_id] = (slide_id, str(shown(path)), error.what, error.remedy)
    if not rows:
        out.failures.unlink(missing_ok=True)
        return
    with atomic_write(out.failures) as table:
        for values in (_FAILURE_COLUMNS, *(rows[slide_id] for slide_id in sorted(rows))):
            table.write(",".join(map(csv_field, values)) + "\n")

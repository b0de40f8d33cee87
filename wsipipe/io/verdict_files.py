"""Tables around verdicts: proportions.csv as it was written, the labels that a lab keeps, and predictions."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.csvtext import csv_field, csv_lines, csv_text
from wsipipe.errors import UsageError

SLIDE_COLUMNS = ("slide_id", "slide", "wsi", "filename", "path", "image")
LABEL_COLUMNS = ("label", "diagnosis", "class")
PATIENT_COLUMNS = ("patient", "patient_id", "case_id")
"""Of each kind, the first that a table of labels has is taken."""

COUNTED, EXPECTED, PROFILES = ("counted", "expected", "profiles")
"""What slides are judged by: each cell counted for its class, the means of the cells' probabilities, or these per mm2
of tissue and how the cells of each class look."""

COUNT_INSTEAD = "run `wsipipe proportions` on the folder, or judge by counts (classify cv and fit: --by counted)"

_ROUNDED = 1e-6
"""How far written shares may sum from 1: they have eight decimals."""


@dataclass(frozen=True)
class ProportionTable:
    """What proportions.csv says, or expected.csv and profiles.csv beside it.

    Attributes
    ----------
    slide_ids : tuple of str
        Of each row.
    class_names : tuple of str
        Of each class index.
    counts : float64, (n, k)
        Cells of each class: counted, or as many as are expected.
    model : str
        Hash of the model behind all rows; "" when no row has cells.
    flags : tuple of tuple of str
        Of each row: what is to be known before it is used.
    tissue_mm2 : float64, (n,)
    judged_by : {"counted", "expected", "profiles"}
    looks : float64, (n, k, len(DESCRIPTION)) or (n, k, 0)
        Mean description of the cells of each class; without columns unless slides are judged by it.
    """

    slide_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    counts: NDArray[np.float64]
    model: str
    flags: tuple[tuple[str, ...], ...]
    tissue_mm2: NDArray[np.float64]
    looks: NDArray[np.float64]
    judged_by: str = COUNTED

    @property
    def without_tissue(self) -> tuple[str, ...]:
        """Slides that have cells, but no tissue that they could lie in."""
        bare = self.counts.any(axis=1) & (self.tissue_mm2 <= 0)
        return tuple(slide_id for slide_id, own in zip(self.slide_ids, bare, strict=True) if own)


@dataclass(frozen=True)
class SlideLabel:
    """One line of a table of labels: how it names the slide, its label, its patient ("" when not said)."""

    slide: str
    label: str
    patient: str


@dataclass(frozen=True)
class LabelTable:
    """All lines, and whether there is a column of patients."""

    rows: tuple[SlideLabel, ...]
    has_patients: bool


@dataclass(frozen=True)
class PredictionTable:
    """Slides with a verdict, the names of the labels, their probabilities, float64 (n, labels), and the notes."""

    slide_ids: tuple[str, ...]
    verdicts: tuple[str, ...]
    labels: tuple[str, ...]
    probability: NDArray[np.float64]
    notes: tuple[str, ...]


def read_proportions(path: Path) -> ProportionTable:
    """Read proportions.csv by the order of its columns, so that class names may be anything.

    Raises
    ------
    UsageError
        It is not that table, has no rows, or holds rows of several models.
    """
    header, rows = read_table(path)
    stop = header.index("tissue_mm2") if "tissue_mm2" in header else 0
    k = (stop - 2) // 2
    if header[:2] != ["slide_id", "n_cells"] or k < 1 or stop != 2 + 2 * k or "model" not in header[stop:]:
        raise _not_proportions(path, "its columns are others")
    names = tuple(name.removeprefix("n_") for name in header[2 : 2 + k])
    hash_at, flags_at = header.index("model", stop), stop + 1
    try:
        counts = np.array([[float(int(field)) for field in row[2 : 2 + k]] for row in rows], np.float64).reshape(-1, k)
        models = {csv_text(row[hash_at]) for row, own in zip(rows, counts, strict=True) if own.sum() > 0}
        flags = tuple(tuple(filter(None, csv_text(row[flags_at]).split(";"))) for row in rows)
        tissue_mm2 = np.array([float(row[stop]) for row in rows])
    except (ValueError, IndexError) as error:
        raise _not_proportions(path, str(error)) from error
    if len(models) > 1:
        raise UsageError(
            f"holds proportions of {len(models)} models ({', '.join(sorted(models))})",
            "label all slides with one model",
            path.name,
        )
    slide_ids = tuple(csv_text(row[0]) for row in rows)
    return ProportionTable(
        slide_ids, names, counts, models.pop() if models else "", flags, tissue_mm2, np.zeros((*counts.shape, 0))
    )


def with_expected(table: ProportionTable, path: Path) -> ProportionTable:
    """The same slides with the cells that expected.csv expects of each class.

    Raises
    ------
    UsageError
        It is not that table, or does not go with the proportions.
    """
    header, rows = read_table(path)
    places = _expected_columns(header, table.class_names, path)
    written = {csv_text(row[0]): row for row in rows}
    counts = np.zeros_like(table.counts)
    for own, cells, slide_id in zip(counts, table.counts.sum(axis=1), table.slide_ids, strict=True):
        row = written.get(slide_id, [])
        try:
            said, model = float(row[1]), csv_text(row[len(header) - 1])
            own[:] = [cells * float(row[place]) for place in places] if cells else 0.0
        except (ValueError, IndexError) as error:
            raise UsageError(f"says nothing of {slide_id}", COUNT_INSTEAD, path.name) from error
        if said != cells or (cells and model != table.model):
            raise UsageError(f"says other cells than proportions.csv of {slide_id}", COUNT_INSTEAD, path.name)
        if cells and not (own.min() >= 0 and abs(own.sum() / cells - 1) <= _ROUNDED):
            raise UsageError(f"has shares of {slide_id} that do not sum to 1", COUNT_INSTEAD, path.name)
    return replace(table, counts=counts, judged_by=EXPECTED)


def read_labels(path: Path) -> LabelTable:
    """Read a table of labels: a slide column, a label column, perhaps patients; comma, semicolon or tab.

    Raises
    ------
    UsageError
        A column is missing, or there are no rows.
    """
    header, rows = read_table(path)
    at = {name.strip().lower(): i for i, name in reversed(list(enumerate(header)))}
    slide, label, patient = (_first(at, names) for names in (SLIDE_COLUMNS, LABEL_COLUMNS, PATIENT_COLUMNS))
    for found, names in ((slide, SLIDE_COLUMNS), (label, LABEL_COLUMNS)):
        if found is None:
            raise UsageError(f"has none of the columns {', '.join(names)}", "add one", path.name)

    def field(row: list[str], index: int | None) -> str:
        return csv_text(row[index].strip()) if index is not None and index < len(row) else ""

    return LabelTable(
        tuple(SlideLabel(*(field(row, place) for place in (slide, label, patient))) for row in rows),
        patient is not None,
    )


def names_of(written: str) -> tuple[str, ...]:
    """The slide_ids that a slide so written may have: as it is, without folders, without its extension."""
    plain = PurePosixPath(written.replace("\\", "/"))
    return tuple(dict.fromkeys((written, plain.name, plain.stem)))


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a CSV, whole or not at all; no field can become a formula."""
    with atomic_write(path) as file:
        for line in (header, *rows):
            file.write(",".join(map(csv_field, line)) + "\n")


def read_predictions(path: Path) -> PredictionTable:
    """Read what `wsipipe classify predict` wrote; slides without a verdict are left out.

    Raises
    ------
    UsageError
        It is not that table, or holds no verdict.
    """
    header, rows = read_table(path)
    header = [csv_text(name) for name in header]
    labels = tuple(name.removeprefix("p_") for name in header if name.startswith("p_"))
    if header[:2] != ["slide_id", "verdict"] or len(labels) < 2:
        raise UsageError(
            "has no columns slide_id,verdict,p_<label>...", "give the file of `classify predict`", path.name
        )
    rows = [row for row in rows if len(row) > 1 and row[1]]
    if not rows:
        raise UsageError("holds no verdict", "give the file of `classify predict`", path.name)
    places = [i for i, name in enumerate(header) if name.startswith("p_")]
    try:
        probability = np.array([[float(row[i]) for i in places] for row in rows])
    except (ValueError, IndexError) as error:
        raise UsageError(f"holds something else than probabilities ({error})", "predict again", path.name) from error
    note = header.index("note") if "note" in header else len(header)
    return PredictionTable(
        tuple(csv_text(row[0]) for row in rows),
        tuple(csv_text(row[1]) for row in rows),
        labels,
        probability,
        tuple(csv_text(row[note]) if note < len(row) else "" for row in rows),
    )


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows that are not blank.

    Raises
    ------
    UsageError
        It is no CSV, or has no rows.
    """
    try:
        text = path.read_text("utf-8-sig")  # spreadsheets write a byte order mark
        lines = [row for _, row in csv_lines(text)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot be read as CSV ({reason})", "give a CSV in UTF-8", path.name) from error
    if len(lines) < 2:
        raise UsageError("has no rows", "give a header line and one line a slide", path.name)
    return lines[0], lines[1:]


def _expected_columns(header: list[str], class_names: Sequence[str], path: Path) -> list[int]:
    """Where the share of each class stands: found by name, so that no class can take the shares of another.

    Raises
    ------
    UsageError
        It is another table, or one of other classes.
    """
    if header[:2] != ["slide_id", "n_cells"] or header[-1] != "model":
        raise UsageError("is no expected.csv", COUNT_INSTEAD, path.name)
    columns, wanted = header[2:-1], [f"e_{name}" for name in class_names]
    for name in wanted:
        if name not in columns:
            raise UsageError(f"has no column {name}, a class of proportions.csv", COUNT_INSTEAD, path.name)
    for name in columns:
        if columns.count(name) > 1 or name not in wanted:
            raise UsageError(
                f"has a column {name} too many for the classes of proportions.csv", COUNT_INSTEAD, path.name
            )
    return [header.index(name) for name in wanted]


def _first(at: dict[str, int], names: Sequence[str]) -> int | None:
    return next((at[name] for name in names if name in at), None)


def _not_proportions(path: Path, why: str) -> UsageError:
    return UsageError(f"is no proportions.csv ({why})", "give the one of an output folder", path.name)

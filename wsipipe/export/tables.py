"""Cells, proportions, expected shares and profiles as CSV: UTF-8, comma, LF, the same bytes for the same rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from wsipipe.atomic import atomic_write
from wsipipe.csvtext import csv_field
from wsipipe.export import digits
from wsipipe.export.rows import LabelledCells, RowOrder
from wsipipe.records import DESCRIPTION

MEASUREMENTS = (
    ("perimeter_um", 2),
    ("eccentricity", 4),
    ("solidity", 4),
    ("h_od_mean", 4),
    ("h_od_std", 4),
    ("e_od_mean", 4),
    ("e_od_std", 4),
)
"""Columns after the six that every cells.csv has, and their decimals."""

MORPHOLOGY = ("area_um2", *(name for name, _ in MEASUREMENTS))
"""All that is measured of a nucleus."""

CELL_COLUMNS = ("cell_id", "x_px", "y_px", "area_um2", "class", "confidence", *(n for n, _ in MEASUREMENTS))

BLOCK_ROWS = 1 << 16
"""Rows formatted at once; a block takes some 40 MB."""


class SlideProportions(Protocol):
    """One row of proportions.csv, as `wsipipe.cohort.proportions.ProportionsRow` has it."""

    @property
    def slide_id(self) -> str:
        """The slide."""
        ...

    @property
    def counts(self) -> tuple[int, ...]:
        """Cells of each class index."""
        ...

    @property
    def n_cells(self) -> int:
        """All cells."""
        ...

    @property
    def p(self) -> tuple[float, ...]:
        """Share of each class; empty when there are no cells."""
        ...

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue."""
        ...

    @property
    def flags(self) -> tuple[str, ...]:
        """What the user should know."""
        ...

    @property
    def model(self) -> str:
        """Hash of the model."""
        ...

    @property
    def expected(self) -> tuple[float, ...]:
        """Mean probability of each class over the cells; empty when there are none."""
        ...

    @property
    def profile(self) -> tuple[tuple[float, ...], ...]:
        """Mean description of the cells of each class; empty when there are none, or they are not described."""
        ...

    @property
    def low(self) -> tuple[float, ...]:
        """Lower ends of the 95 % intervals of the shares; may be empty."""
        ...

    @property
    def high(self) -> tuple[float, ...]:
        """Upper ends; empty with `low`."""
        ...


def cells_csv(path: Path, chunks: Iterable[LabelledCells], class_names: Sequence[str] = ()) -> int:
    """Write one row per cell.

    cell_id, x_px, y_px, area_um2 (2 decimals), class, confidence (4 decimals), then MEASUREMENTS. Without labels,
    class and confidence are empty. Only one block of BLOCK_ROWS rows is held as text.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete.
    chunks : iterable of LabelledCells
        All cells of the slide, sorted by y_px, then x_px.
    class_names : sequence of str
        Name of each class index.

    Returns
    -------
    int
        Cells written.

    Raises
    ------
    ValueError
        Rows are out of order, a number is not finite, or a class has no name.
    """
    order = RowOrder()
    names = [name.encode() for name in class_names]
    with atomic_write(path, "wb") as file:
        file.write((",".join(CELL_COLUMNS) + "\n").encode())
        for chunk in chunks:
            first_id = order.take(chunk)
            for start in range(0, len(chunk), BLOCK_ROWS):
                file.write(_cell_lines(chunk, slice(start, start + BLOCK_ROWS), first_id + start, names))
    return order.n_cells


def _cell_lines(chunk: LabelledCells, rows: slice, first_id: int, names: list[bytes]) -> bytes:
    cells = chunk.cells
    n = len(cells.x_px[rows])
    columns = [
        digits.whole(np.arange(first_id, first_id + n, dtype=np.int64)),
        digits.fixed(cells.x_px[rows], 2),
        digits.fixed(cells.y_px[rows], 2),
        digits.fixed(cells.area_um2[rows], 2),
    ]
    if chunk.classes is None or chunk.confidence is None:
        columns += [digits.constant(b"", n), digits.constant(b"", n)]
    else:
        columns += [_class_words(chunk.classes[rows], names), digits.fixed(chunk.confidence[rows], 4)]
    columns += [digits.fixed(getattr(cells, name)[rows], decimals) for name, decimals in MEASUREMENTS]
    separated = [part for column in columns for part in (column, digits.constant(b",", n))]
    return digits.join([*separated[:-1], digits.constant(b"\n", n)])[0]


def _class_words(classes: digits.Text, names: list[bytes]) -> digits.Text:
    if classes.max(initial=0) >= len(names):
        msg = f"class {classes.max()} has no name; there are {len(names)}"
        raise ValueError(msg)
    return digits.words(names, classes)


def proportions_csv(
    path: Path, rows: Iterable[SlideProportions], class_names: Sequence[str], intervals: bool = False
) -> None:
    """Write one row per slide, in the order given.

    slide_id, n_cells, n_<class>..., p_<class>..., tissue_mm2 (4 decimals), flags (joined by `;`), model, and then,
    when asked for, lo_<class>... and hi_<class>... (6 decimals, empty where nothing is known). The p columns have
    all digits that a float64 needs to come back as it was, so that they sum to 1; they are empty when there are no
    cells.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete.
    rows : iterable of SlideProportions
        One a slide, each with as many counts as there are names.
    class_names : sequence of str
        Name of each class index.
    intervals : bool
        Whether to write the columns of the intervals.

    Raises
    ------
    ValueError
        A row has another number of classes.
    """
    columns = ["slide_id", "n_cells", *(f"n_{c}" for c in class_names), *(f"p_{c}" for c in class_names)]
    with atomic_write(path) as file:
        ends = [f"{end}_{c}" for end in ("lo", "hi") for c in class_names] if intervals else []
        file.write(",".join([*columns, "tissue_mm2", "flags", "model", *ends]) + "\n")
        for row in rows:
            if len(row.counts) != len(class_names):
                msg = f"{row.slide_id} has {len(row.counts)} classes, not {len(class_names)}"
                raise ValueError(msg)
            shares = [repr(float(p)) for p in row.p] or [""] * len(class_names)
            fields = [row.slide_id, str(row.n_cells), *map(str, row.counts), *shares, f"{row.tissue_mm2:.4f}"]
            known = [f"{end:.6f}" for end in (*row.low, *row.high)] or [""] * len(ends)
            fields += [";".join(row.flags), row.model, *(known if intervals else ())]
            file.write(",".join(map(csv_field, fields)) + "\n")


def expected_csv(path: Path, rows: Iterable[SlideProportions], class_names: Sequence[str]) -> None:
    """Write the expected proportions, one row per slide, in the order given.

    slide_id, n_cells, e_<class>... (8 decimals, empty when there are no cells), model. A slide's e is the mean of its
    cells' probabilities of the class: what "probabilistic classify and count" (Bella et al., ICDM 2010) takes for
    its share.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete.
    rows : iterable of SlideProportions
        One a slide.
    class_names : sequence of str
        Name of each class index.
    """
    with atomic_write(path) as file:
        file.write(",".join(map(csv_field, ["slide_id", "n_cells", *(f"e_{c}" for c in class_names), "model"])) + "\n")
        for row in rows:
            shares = share_fields(row.expected) or [""] * len(class_names)
            file.write(",".join(map(csv_field, [row.slide_id, str(row.n_cells), *shares, row.model])) + "\n")


def share_fields(expected: Sequence[float]) -> list[str]:
    """Expected shares as expected.csv has them."""
    return [f"{share:.8f}" for share in expected]


def profiles_csv(path: Path, rows: Iterable[SlideProportions], class_names: Sequence[str]) -> None:
    """Write how the cells of each class look on each slide, one row per slide and class, in the order given.

    slide_id, class, the columns of `records.DESCRIPTION` (7 significant digits), model. They are means over the slide's
    cells, each weighed by its probability of being of the class. A slide without cells has no rows.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete.
    rows : iterable of SlideProportions
        One a slide.
    class_names : sequence of str
        Name of each class index.
    """
    with atomic_write(path) as file:
        file.write(",".join(["slide_id", "class", *DESCRIPTION, "model"]) + "\n")
        for row in rows:
            for name, looks in zip(class_names, row.profile, strict=False):  # no looks without cells
                fields = [csv_field(row.slide_id), csv_field(name), *look_fields(looks), csv_field(row.model)]
                file.write(",".join(fields) + "\n")


def look_fields(looks: Sequence[float]) -> list[str]:
    """The means of one class as profiles.csv has them."""
    return [f"{value:.7g}" for value in looks]

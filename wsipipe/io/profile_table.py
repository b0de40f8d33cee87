"""profiles.csv beside proportions.csv: how the cells of each class look on each slide."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from wsipipe.csvtext import csv_text
from wsipipe.errors import UsageError
from wsipipe.io.verdict_files import PROFILES, ProportionTable, read_table
from wsipipe.records import DESCRIPTION

WRITE_AGAIN = "run `wsipipe proportions` on the folder, or judge by shares (classify cv and fit: --by expected)"


def with_profiles(table: ProportionTable, path: Path) -> ProportionTable:
    """The same slides, their counts expected ones, with the looks of their cells as profiles.csv has them.

    Raises
    ------
    UsageError
        It is not that table, does not go with the proportions, or a slide with cells has no tissue.
    """
    header, rows = read_table(path)
    if header != ["slide_id", "class", *DESCRIPTION, "model"]:
        raise UsageError("is no profiles.csv of this version", WRITE_AGAIN, path.name)
    written = {(csv_text(row[0]), csv_text(row[1])): row for row in rows if len(row) == len(header)}
    looks = np.zeros((*table.counts.shape, len(DESCRIPTION)))
    if table.without_tissue:
        raise UsageError(
            f"gives {table.without_tissue[0]} cells but no tissue",
            "leave the slide out, or judge by shares (classify cv and fit: --by expected)",
            "proportions.csv",
        )
    for own, cells, slide_id in zip(looks, table.counts.sum(axis=1), table.slide_ids, strict=True):
        if cells:
            own[:] = [
                _looks(written.get((slide_id, name), []), table.model, slide_id, path) for name in table.class_names
            ]
    return replace(table, looks=looks, judged_by=PROFILES)


def _looks(row: Sequence[str], model: str, slide_id: str, path: Path) -> list[float]:
    if not row:
        raise UsageError(f"says nothing of {slide_id}, or not of all its classes", WRITE_AGAIN, path.name)
    if csv_text(row[-1]) != model:
        raise UsageError(f"is of another model than proportions.csv for {slide_id}", WRITE_AGAIN, path.name)
    try:
        found = [float(field) for field in row[2:-1]]
    except ValueError as error:
        raise UsageError(f"has looks of {slide_id} that are no numbers", WRITE_AGAIN, path.name) from error
    if not np.isfinite(found).all():
        raise UsageError(f"has looks of {slide_id} that are no numbers", WRITE_AGAIN, path.name)
    return found

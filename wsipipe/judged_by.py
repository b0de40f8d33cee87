"""What slides are judged by, of all that their tables say."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.profile_vectors import PROFILE, profile_rows
from wsipipe.cohort.vectors import VECTORS
from wsipipe.errors import UsageError
from wsipipe.io.output import OutputFolder
from wsipipe.io.profile_table import with_profiles
from wsipipe.io.verdict_files import (
    COUNT_INSTEAD,
    COUNTED,
    EXPECTED,
    PROFILES,
    ProportionTable,
    read_proportions,
    with_expected,
)

MANY_CLASSES = 10
"""Of shares alone: from so many classes on the cells of a slide are too few for counting each in one; docs/design/0013
says how that was found. With few classes counts tell more: there expected shares are all alike."""

JUDGED_BY = {
    EXPECTED: "expected shares, the means of the cells' probabilities (expected.csv)",
    COUNTED: "counted cells of each class",
    PROFILES: "profiles: cells of each class per mm2 of tissue, and how they look (expected.csv, profiles.csv)",
}
"""What slides are judged by, in words."""


def load_proportions(proportions: Path, judged_by: str = "") -> ProportionTable:
    """The slides of proportions.csv with what they are judged by, as `with_judged_by` adds it.

    Raises
    ------
    UsageError
        A table is wrong, or not there.
    """
    return with_judged_by(read_proportions(proportions), proportions, judged_by)


def with_judged_by(table: ProportionTable, proportions: Path, judged_by: str = "") -> ProportionTable:
    """The slides that were read from `proportions`, with what they are judged by, of the tables beside it.

    That is what `judged_by` demands, else the first that is known of: profiles; with many classes expected shares;
    counted cells.

    Raises
    ------
    UsageError
        A table is wrong, or not there.
    """
    out = OutputFolder(proportions.parent)
    there = out.expected.is_file()
    if not judged_by:
        shares = EXPECTED if there and len(table.class_names) >= MANY_CLASSES else COUNTED
        judged_by = shares if why_not_profiles(table, proportions) else PROFILES
    if judged_by == COUNTED:
        return table
    table = with_expected(table, _beside(proportions, out.expected))
    return table if judged_by == EXPECTED else with_profiles(table, _beside(proportions, out.profiles))


def why_not_profiles(table: ProportionTable, proportions: Path) -> str:
    """What it lacks to judge these slides by profiles, in words; "" when nothing."""
    out = OutputFolder(proportions.parent)
    missing = [path.name for path in (out.expected, out.profiles) if not path.is_file()]
    if missing:
        return f"no {missing[0]} beside {proportions.name}"
    return f"{table.without_tissue[0]} has cells but no tissue" if table.without_tissue else ""


def _beside(proportions: Path, path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"does not lie beside {proportions.name}", COUNT_INSTEAD, path.name)
    return path


def rows_of(table: ProportionTable, at: NDArray[np.intp]) -> NDArray[np.float64]:
    """What a classifier takes of these slides, all of which have cells, as `cohort.slide_rows` has it."""
    if table.judged_by != PROFILES:
        return table.counts[at]
    return profile_rows(table.tissue_mm2[at], table.counts[at], table.looks[at])


def vectors_for(judged_by: str) -> tuple[str, ...]:
    """The vectors to choose from."""
    return (PROFILE,) if judged_by == PROFILES else VECTORS

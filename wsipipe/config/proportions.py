"""Stage parameters of the table of proportions."""

from dataclasses import dataclass

from wsipipe.config.fields import number


@dataclass(frozen=True)
class ProportionsConfig:
    """From labels to one row per slide."""

    min_cells: int = number(100, 0, 1_000_000)
    """Slides with fewer cells are flagged `few_cells`."""
    intervals: bool = False
    """Give the 95 % interval of each proportion too (bootstrap over blocks): the `lo_` and `hi_` columns."""

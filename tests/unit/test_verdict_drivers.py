"""What the verdict pages say of the cell classes: a direction where there is one, drivers that drive."""

import re

import numpy as np
import pytest

from wsipipe.export.classes import CellClass
from wsipipe.export.verdicts.drivers import Driver, drivers_section

LABELS = ("benign", "tumour", "unclear")


def driver(index: int, effect: float, low: float | None, weights: tuple[float, ...] = ()) -> Driver:
    return Driver(
        index,
        CellClass(f"c{index}", (1, 2, 3)),
        np.full(len(LABELS), 0.2),
        np.array(weights),
        effect,
        None if low is None else (low, 2 * abs(effect)),
        np.zeros((0, 0, 0, 3), np.uint8),
        drawn=False,
    )


def parts(html: str) -> tuple[list[str], list[str], str]:
    """Classes named as drivers, those folded away, and whether these are shown at once."""
    driving, _, rest = html.partition("<details")
    folded = rest.partition("<summary>All classes")[0]
    return re.findall(r"</span> (c\d)<", driving), re.findall(r"</span> (c\d)<", folded), rest[:5]


def test_only_classes_with_an_effect_are_drivers() -> None:
    html = drivers_section([driver(0, 0.2, 0.1), driver(1, 0.01, -0.02), driver(2, -0.003, -0.01)], LABELS, "fall")
    assert parts(html)[:2] == (["c0"], ["c1"])
    assert "effect 0.200 (0.100 to 0.400)" in html
    table = html.partition("<summary>All classes")[2]
    assert re.findall(r"</span> (c\d)<", table) == ["c0", "c1", "c2"]


def test_where_no_class_drives_that_is_said_and_the_likeliest_are_open() -> None:
    html = drivers_section([driver(1, 0.01, -0.02), driver(2, -0.003, -0.01)], LABELS, "fall")
    assert parts(html) == ([], ["c1"], " open")
    assert "No class by itself" in html


def test_a_fitted_classifier_has_no_repeats() -> None:
    html = drivers_section([driver(1, 0.01, None), driver(2, 0.0, None)], LABELS, "fall")
    assert parts(html)[0] == ["c1"]
    assert "may be none" not in html


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ((0.9, -0.2, -0.7), "speaks for benign"),
        ((0.4, -0.8, 0.4), "speaks against tumour"),
        ((0.05, -0.06, 0.01), "its weight is near zero"),
        ((0.55, 0.55, 0.55), "its weight is near zero"),
        ((), ""),
    ],
)
def test_a_direction_is_told_where_there_is_one(weights: tuple[float, ...], words: str) -> None:
    html = drivers_section([driver(0, 0.2, 0.1, (1.0, -0.5, -0.5)), driver(1, 0.1, 0.05, weights)], LABELS, "fall")
    first, second = html.split("<article")[1:3]
    assert "more of it speaks for benign" in first
    assert re.findall(r"\); (?:more of it )?(.*?)</p>", second) == ([words] if words else [])

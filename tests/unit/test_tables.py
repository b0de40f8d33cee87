"""cells.csv and proportions.csv, to the byte."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.cells import few_cells, random_cells
from wsipipe.cohort.proportions import ProportionsRow
from wsipipe.export import digits, tables
from wsipipe.export.rows import LabelledCells
from wsipipe.export.tables import cells_csv, proportions_csv

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSES = np.array([1, 0, 1], np.uint8)
CONFIDENCE = np.array([1.0, 0.33335, 0.5], np.float32)
ROWS = [
    ProportionsRow("slide_1", (1, 2), 1.25, (), "0123456789abcdef"),
    ProportionsRow("=cmd|' /C calc'!A0", (0, 3), 0.00005, ("few_cells",), "0123456789abcdef"),
    ProportionsRow("a, b", (0, 0), 12345.678, ("stain_fallback", "no_nuclei"), "0123456789abcdef"),
]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_cells_csv_is_the_golden_file(tmp_path: Path) -> None:
    n = cells_csv(tmp_path / "a.csv", [LabelledCells(few_cells(), CLASSES, CONFIDENCE)], ["c0", "tumour"])
    assert n == 3
    assert (tmp_path / "a.csv").read_bytes() == (GOLDEN / "cells.csv").read_bytes()


def test_cells_without_labels_have_empty_class_and_confidence(tmp_path: Path) -> None:
    cells_csv(tmp_path / "a.csv", [LabelledCells(few_cells())])
    rows = read(tmp_path / "a.csv")
    assert [(r["class"], r["confidence"]) for r in rows] == [("", "")] * 3
    assert [r["x_px"] for r in rows] == ["10.25", "1234.50", "99999.99"]


def test_no_cells_are_a_header(tmp_path: Path) -> None:
    assert cells_csv(tmp_path / "a.csv", [], ["c0"]) == 0
    assert (tmp_path / "a.csv").read_text() == ",".join(tables.CELL_COLUMNS) + "\n"
    assert tables.CELL_COLUMNS[:6] == ("cell_id", "x_px", "y_px", "area_um2", "class", "confidence")


def test_chunks_and_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = random_cells(1000)
    rng = np.random.default_rng(1)
    classes, confidence = rng.integers(0, 3, 1000).astype(np.uint8), rng.random(1000, np.float32)
    names = ["a", "bb", "ccc"]
    cells_csv(tmp_path / "one.csv", [LabelledCells(cells, classes, confidence)], names)
    parts = [
        LabelledCells(cells.take(r), classes[r], confidence[r])
        for r in np.array_split(np.arange(1000), [1, 1, 7, 500, 999])
    ]
    monkeypatch.setattr(tables, "BLOCK_ROWS", 64)
    cells_csv(tmp_path / "parts.csv", iter(parts), names)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "parts.csv").read_bytes()


def test_every_number_comes_back_within_its_decimals(tmp_path: Path) -> None:
    cells = random_cells(300)
    classes, confidence = np.zeros(300, np.uint8), np.linspace(0, 1, 300, dtype=np.float32)
    cells_csv(tmp_path / "a.csv", [LabelledCells(cells, classes, confidence)], ["only"])
    rows = read(tmp_path / "a.csv")
    assert [int(r["cell_id"]) for r in rows] == list(range(300))
    assert {r["class"] for r in rows} == {"only"}
    np.testing.assert_array_equal([float(r["x_px"]) for r in rows], cells.x_px)
    np.testing.assert_array_equal([float(r["y_px"]) for r in rows], cells.y_px)
    np.testing.assert_allclose([float(r["confidence"]) for r in rows], confidence, atol=5.1e-5)
    for name, decimals in (("area_um2", 2), *tables.MEASUREMENTS):
        np.testing.assert_allclose([float(r[name]) for r in rows], getattr(cells, name), atol=0.51 * 10.0**-decimals)


def unsorted() -> LabelledCells:
    return LabelledCells(few_cells().take(np.array([1, 0, 2])))


def not_finite() -> LabelledCells:
    cells = few_cells()
    cells.h_od_std[1] = np.nan
    return LabelledCells(cells)


def nameless() -> LabelledCells:
    return LabelledCells(few_cells(), np.array([0, 1, 2], np.uint8), CONFIDENCE)


@pytest.mark.parametrize(
    ("make", "fault"), [(unsorted, "not sorted"), (not_finite, "not finite"), (nameless, "class 2 has no name")]
)
def test_rows_that_cannot_be_right_are_refused(tmp_path: Path, make: Callable[[], LabelledCells], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        cells_csv(tmp_path / "a.csv", [make()], ["c0", "c1"])
    assert not list(tmp_path.iterdir())


def test_order_is_checked_across_chunks(tmp_path: Path) -> None:
    cells = few_cells()
    last, first = (LabelledCells(cells.take(np.array(rows))) for rows in ([1, 2], [0]))
    with pytest.raises(ValueError, match="not sorted"):
        cells_csv(tmp_path / "a.csv", [last, first])


@pytest.mark.parametrize(
    ("classes", "confidence"), [(CLASSES, None), (None, CONFIDENCE), (CLASSES[:2], CONFIDENCE[:2])]
)
def test_labels_are_whole(classes: np.ndarray | None, confidence: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match="go together"):
        LabelledCells(few_cells(), classes, confidence)


def test_proportions_csv_is_the_golden_file(tmp_path: Path) -> None:
    proportions_csv(tmp_path / "p.csv", ROWS, ["c0", "tumour"])
    assert (tmp_path / "p.csv").read_bytes() == (GOLDEN / "proportions.csv").read_bytes()


def test_proportions_need_a_name_per_class(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="slide_1 has 2 classes, not 3"):
        proportions_csv(tmp_path / "p.csv", ROWS, ["a", "b", "c"])


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=5, max_size=5), max_size=4))
def test_shares_in_the_table_sum_to_one(tmp_path_factory: pytest.TempPathFactory, counts: list[list[int]]) -> None:
    path = tmp_path_factory.mktemp("p") / "p.csv"
    names = [f"c{i}" for i in range(5)]
    proportions_csv(path, [ProportionsRow("s", tuple(c), 1.0, (), "m") for c in counts], names)
    for row, wanted in zip(read(path), counts, strict=True):
        shares = [row[f"p_{name}"] for name in names]
        assert [int(row[f"n_{name}"]) for name in names] == wanted
        if sum(wanted):
            assert abs(sum(map(float, shares)) - 1) < 1e-12
        else:
            assert shares == [""] * 5


@given(arrays(np.float64, st.integers(0, 20), elements=st.floats(-1e9, 1e9)), st.integers(1, 4))
def test_fixed_decimals_are_the_nearest(values: np.ndarray, decimals: int) -> None:
    text, ends = digits.join([digits.fixed(values, decimals), digits.constant(b"\n", len(values))])
    lines = text.decode().split("\n")[:-1]
    assert len(lines) == len(values) == len(ends)
    assert text.decode() == "".join(f"{line}\n" for line in lines)
    for line, value in zip(lines, values, strict=True):
        assert float(line) == pytest.approx(value, abs=0.5000001 * 10.0**-decimals, rel=1e-15)
        assert len(line.partition(".")[2]) == decimals
        assert line == f"{float(line):.{decimals}f}" or line.lstrip("-0.") == ""
        assert not line.startswith(("-0." + "0" * decimals, "00"))


def test_whole_numbers_and_words() -> None:
    text, ends = digits.join(
        [digits.whole(np.array([0, 7, 1203])), digits.words([b"a", b"long"], np.array([1, 0, 1], np.uint8))]
    )
    assert text == b"0long7a1203long"
    assert ends.tolist() == [5, 7, 15]

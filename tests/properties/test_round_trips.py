"""What goes out comes back: lengths, tables of cohorts as spreadsheets write them, stores of any cells."""

import csv
import io
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.test_store import PATCH, SLIDE, assert_same, make_cells, ordered, read_all
from wsipipe.image.tiling import plan_tiles, touches
from wsipipe.io.cohort_table import is_name, read_cohort
from wsipipe.io.store import CellStore, HeldRows, write_store
from wsipipe.units import MPP_MAX, MPP_MIN, um_to_px

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12).map(str.strip)


@given(st.floats(1e-3, 1e6), st.floats(MPP_MIN, MPP_MAX))
def test_lengths_come_back(um: float, mpp: float) -> None:
    assert math.isclose(um_to_px(um, mpp) * mpp, um, rel_tol=1e-12)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_tables_of_cohorts(rows: list[tuple[str, str]], delimiter: str, encoding: str, ends: str, quoting: int) -> None:
    """Byte-order marks, quotes, semicolons, tabs and Windows line ends change nothing of what a table says."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ends, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["path", "label", "patient"])
    for i, (label, patient) in enumerate(rows):
        writer.writerow([f"slide-{i}.svs", label, patient])
    with tempfile.TemporaryDirectory() as folder:
        for i in range(len(rows)):
            (Path(folder) / f"slide-{i}.svs").write_bytes(b"x")
        table = Path(folder) / "cohort.csv"
        table.write_bytes(text.getvalue().encode(encoding))
        found = read_cohort(table, Path(folder) / "out").entries
    assert [(entry.label, entry.patient, entry.fault) for entry in found] == [(*row, None) for row in rows]


@given(st.text(max_size=30))
def test_no_name_leaves_the_output_folder(name: str) -> None:
    assume(is_name(name))
    out = Path("/somewhere/out")
    folder = out / name
    assert folder.parent == out
    assert ".." not in folder.parts


@pytest.mark.parametrize("name", ["..", ".", "", "/etc", "a/b", "a\\b", "../x", ".hidden", "a\0", "proportions.csv"])
def test_such_names_are_refused(name: str) -> None:
    assert not is_name(name)


@settings(max_examples=20)
@given(st.integers(0, 60), st.integers(0, 1 << 16), st.integers(1, 70))
def test_stores(n: int, seed: int, step: int) -> None:
    cells = ordered(make_cells(n, seed))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s" / "cells.zarr"
        path.parent.mkdir()
        write_store(path, HeldRows(cells), PATCH, {"tissue": np.eye(5, dtype=bool)}, SLIDE)
        store = CellStore(path)
        if n:
            assert_same(read_all(store, step), cells)
        assert len(store) == n


@given(st.integers(1, 40), st.integers(1, 40), st.floats(1.0, 20.0), st.integers(16, 200), st.data())
def test_every_pixel_of_tissue_is_in_one_tile(
    columns: int, rows: int, mask_px: float, side: int, data: st.DataObject
) -> None:
    mask = np.zeros((rows, columns), bool)
    mask[data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))] = True
    width, height = max(1, round(columns * mask_px)), max(1, round(rows * mask_px))
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    holding = [
        tile.core
        for tile in plan_tiles(width, height, side, 8)
        if tile.core.x <= x < tile.core.right and tile.core.y <= y < tile.core.bottom
    ]
    assert len(holding) == 1
    if mask[min(rows - 1, int((y + 0.5) / mask_px)), min(columns - 1, int((x + 0.5) / mask_px))]:
        assert touches(mask, holding[0], mask_px)

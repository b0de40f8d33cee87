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

from tests.cells import random_cells
from tests.unit.test_store import PATCH, SLIDE, assert_same, make_cells, ordered, read_all
from wsipipe.csvtext import csv_field, csv_text
from wsipipe.export.geojson import cells_geojson
from wsipipe.export.rows import LabelledCells
from wsipipe.image.tiling import plan_tiles, touches
from wsipipe.io.cohort_table import read_cohort
from wsipipe.io.file_names import id_fault
from wsipipe.io.nuclei_files import read_nuclei
from wsipipe.io.pyramid import make_grid
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import HeldRows, write_store
from wsipipe.io.truth_files import read_points
from wsipipe.io.verdict_files import read_labels
from wsipipe.records import Box, Level, SlideInfo
from wsipipe.units import MPP_MAX, MPP_MIN, counted, px2_to_um2, um2_to_px2, um_to_px

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12).map(str.strip)


@given(st.floats(1e-3, 1e6), st.floats(MPP_MIN, MPP_MAX))
def test_lengths_come_back(um: float, mpp: float) -> None:
    assert math.isclose(um_to_px(um, mpp) * mpp, um, rel_tol=1e-12)


@given(st.floats(1e-3, 1e6), st.floats(MPP_MIN, MPP_MAX))
def test_areas_come_back(um2: float, mpp: float) -> None:
    assert math.isclose(px2_to_um2(um2_to_px2(um2, mpp), mpp), um2, rel_tol=1e-12)
    assert math.isclose(um_to_px(math.sqrt(um2), mpp) ** 2, um2_to_px2(um2, mpp), rel_tol=1e-12)


@given(
    st.integers(40, 6000).map(lambda n: 16 * n), st.integers(40, 6000).map(lambda n: 16 * n), st.floats(0.1, 1.0),
    st.lists(st.sampled_from([2, 4, 16]), max_size=3, unique=True).map(sorted), st.floats(1.0, 6.0),
)  # fmt: skip
def test_every_pixel_of_a_grid_lies_on_the_slide_and_comes_back(
    width: int, height: int, mpp: float, factors: list[int], coarser: float
) -> None:
    """Pixel to level-0 place to pixel, in the corners too; a grid pixel is as long as the grid says."""
    levels = tuple(Level(width // f, height // f, float(f)) for f in (1, *factors))
    grid = make_grid(levels, mpp, mpp * coarser)
    assert math.isclose(grid.mpp, mpp * grid.downsample, rel_tol=1e-9)
    for x, y in ((0, 0), (grid.width_px - 1, grid.height_px - 1), (grid.width_px // 3, grid.height_px // 2)):
        place_x, place_y = (x + 0.5) * grid.downsample, (y + 0.5) * grid.downsample
        slack = 0.5 * grid.downsample + grid.level_downsample  # the last pixel may be cut by the edge
        assert 0 <= place_x <= width + slack
        assert 0 <= place_y <= height + slack
        assert (int(place_x / grid.downsample), int(place_y / grid.downsample)) == (x, y)


@settings(max_examples=20)
@given(st.integers(0, 1 << 16), st.integers(0, 30_000), st.integers(0, 30_000), st.booleans(), st.booleans())
def test_outlines_come_back_at_their_places(seed: int, left: int, top: int, bounded: bool, packed: bool) -> None:
    """GeoJSON counts from the corner of the slide's bounds; read back it is in level-0 pixels again."""
    cells = random_cells(7, seed)
    info = SlideInfo("s", "test", "none", 0.5, "metadata", 20.0, (Level(40_000, 40_000, 1.0),),
                     Box(left, top, 9000, 9000), bounded, "f" * 32, ())  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("s.geojson.gz" if packed else "s.geojson")
        cells_geojson(path, [LabelledCells(cells)], info, ())
        given_back = read_nuclei(path, info)
    outlines = [np.concatenate(rings) for rings in given_back.outlines]
    assert len(outlines) == 7
    written = np.split(cells.contour_xy, cells.contour_offset[1:-1])
    for ring, outline in zip(written, outlines, strict=True):
        np.testing.assert_allclose(outline[: len(ring)], ring, atol=0.006)


DIALECT = st.tuples(
    st.sampled_from([",", ";", "\t"]), st.sampled_from(["utf-8", "utf-8-sig"]), st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)  # fmt: skip


def table(folder: str, rows: list[list[str]], dialect: tuple[str, str, str, int]) -> Path:
    """A table as some spreadsheet writes it."""
    delimiter, encoding, ends, quoting = dialect
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=ends, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    path = Path(folder) / "table.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), max_size=4), DIALECT)
def test_tables_of_points(points: list[tuple[float, float]], dialect: tuple[str, str, str, int]) -> None:
    """Where semicolons separate, commas begin the decimals."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [[str(x).replace(".", "," if dialect[0] == ";" else "."), str(y)] for x, y in points]
        found = read_points(table(folder, [["x", "y"], *rows], dialect)).xy
    np.testing.assert_array_equal(found, np.array(points, np.float64).reshape(-1, 2))


@settings(max_examples=60)
@given(st.lists(TEXT.filter(bool), min_size=1, max_size=4), DIALECT)
def test_tables_of_labels(labels: list[str], dialect: tuple[str, str, str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [[f"slide-{i}", label] for i, label in enumerate(labels)]
        found = read_labels(table(folder, [["slide_id", "label"], *rows], dialect))
    assert [row.label for row in found.rows] == [csv_text(label) for label in labels]


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20))
def test_no_label_becomes_a_formula(label: str) -> None:
    """Whatever a cohort's table says is written so that no spreadsheet runs it."""
    [[field]] = csv.reader(io.StringIO(csv_field(label), newline="")) if csv_field(label) else [[""]]
    assert not field.startswith(("=", "+", "-", "@", "\t", "\r"))


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
    assume(not id_fault(name))
    out = Path("/somewhere/out")
    folder = out / name
    assert folder.parent == out
    assert ".." not in folder.parts


@pytest.mark.parametrize("name", ["..", ".", "", "/etc", "a/b", "a\\b", "../x", ".hidden", "a\0", "proportions.csv"])
def test_such_names_are_refused(name: str) -> None:
    assert id_fault(name)


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


def test_one_is_counted_as_one() -> None:
    assert [counted(n, "cell") for n in (0, 1, 2, 1200)] == ["0 cells", "1 cell", "2 cells", "1,200 cells"]

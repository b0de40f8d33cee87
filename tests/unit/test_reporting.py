"""What a report is gathered from: the store's own numbers, cells and masks."""

from pathlib import Path

import numpy as np
import pytest

from tests.browser.outputs import made_up_output
from wsipipe.export.classes import default_classes
from wsipipe.export.report.page import SlideReport, slide_page
from wsipipe.io.store import CellStore
from wsipipe.records import Labels
from wsipipe.reporting import MEASUREMENTS, slide_report

N, K = 900, 3


@pytest.fixture
def store(tmp_path: Path) -> CellStore:
    return CellStore(made_up_output(tmp_path, N, side_px=3000) / "made-up" / "cells.zarr")


@pytest.fixture
def labels() -> Labels:
    """Class 2 has no cell; confidence grows with the row."""
    return Labels("0" * 16, (np.arange(N) % 2).astype(np.uint8), np.linspace(0, 1, N, dtype=np.float32))


def report(store: CellStore, labels: Labels | None) -> SlideReport:
    return slide_report(store, {"versions": {"wsipipe": "1"}}, labels, None, default_classes(K))


def test_counts_marks_and_densities_are_those_of_the_classes(store: CellStore, labels: Labels) -> None:
    made = report(store, labels)
    assert [one.count for one in made.classes] == [450, 450, 0]
    assert [one.marks.any() for one in made.classes] == [True, True, False]
    mm2 = (3000 * 0.5 / 1000) ** 2
    assert np.nanmean(made.classes[0].density) == pytest.approx(450 / mm2, rel=0.1)
    assert np.nanmax(made.classes[2].density) == 0


def test_the_surest_cells_come_first(store: CellStore, labels: Labels) -> None:
    made = report(store, labels)
    last_of_class_1 = N - 1 - 2 * np.arange(16)
    expected = np.stack([np.asarray(store.patches[int(row)]) for row in last_of_class_1])
    np.testing.assert_array_equal(made.classes[1].real, expected)
    assert len(made.classes[2].real) == 0


def test_boxes_are_quantiles_of_the_classes(store: CellStore, labels: Labels) -> None:
    made = report(store, labels)
    for (column, name, _), measurement in zip(MEASUREMENTS, made.measurements, strict=True):
        values = np.asarray(store.array(column)[:], np.float64)
        assert measurement.name == name
        np.testing.assert_allclose(measurement.boxes[1], np.quantile(values[1::2], (0.05, 0.25, 0.5, 0.75, 0.95)))
        assert np.isnan(measurement.boxes[2]).all()


def test_without_labels_all_nuclei_are_one(store: CellStore) -> None:
    made = report(store, None)
    assert not made.labelled
    assert [(one.cell_class.name, one.count) for one in made.classes] == [("nuclei", N)]
    assert "no classes yet" in slide_page(made)


def test_what_quality_control_found_is_outlined(tmp_path: Path, labels: Labels) -> None:
    mask = np.zeros((600, 600), bool)
    mask[100:200, 300:400] = True
    none = {"blocks": 0, "mm2": 0.0, "share": 0.0}
    unfit = {"blurred": none, "pen": {"blocks": 4, "mm2": 0.0625, "share": 0.03}, "folded": none}
    counts = {"cells": N, "oversized": 0, "tissue_mm2": 1.0, "unfit": unfit}
    out = made_up_output(tmp_path, N, 3000, {"unfit_pen": mask}, {"counts": counts})
    made = report(CellStore(out / "made-up" / "cells.zarr"), labels)
    assert [area.name for area in made.areas] == ["tissue", "pen, 0.06 mm²"]
    rows, columns = np.nonzero(made.areas[1].mask)
    scale = made.areas[1].mask.shape[0] / 600
    np.testing.assert_allclose((rows.min(), rows.max()), (100 * scale, 200 * scale), atol=4)
    np.testing.assert_allclose((columns.min(), columns.max()), (300 * scale, 400 * scale), atol=4)


def test_details_hold_the_outlines_that_reach_into_them(tmp_path: Path, store: CellStore, labels: Labels) -> None:
    cells = store.rows(0, N, patches=False)
    corner = (float(cells.x_px[10]) - 30, float(cells.y_px[10]) - 30)
    images = {"details": np.full((1, 64, 64, 3), 200, np.uint8)}
    out = made_up_output(tmp_path / "detailed", N, 3000, images, {"details_xy": [list(corner)]})
    (detail,) = report(CellStore(out / "made-up" / "cells.zarr"), labels).details
    left, top, right, bottom = cells.bbox_px.T
    inside = (right > corner[0]) & (left < corner[0] + 64) & (bottom > corner[1]) & (top < corner[1] + 64)
    assert len(detail.rings) == inside.sum() >= 1
    assert detail.rgb.shape == (128, 128, 3)
    assert detail.um_per_px == 0.25
    centres = [ring.mean(axis=0) for _, ring in detail.rings]
    assert min(np.abs(centre - (60, 60)).max() for centre in centres) < 1


@pytest.mark.parametrize(("n_blocks", "sharp"), [(1, True), (2, False)])
def test_a_picture_no_larger_than_a_block_is_shown_as_sharp_as_it_is(
    tmp_path: Path, n_blocks: int, sharp: bool
) -> None:
    blocks = np.random.default_rng(0).integers(0, 255, (n_blocks, 200, 200, 3), np.uint8)
    out = made_up_output(tmp_path, N, 200, {"details": blocks}, {"details_xy": [[0.0, 0.0]] * n_blocks})
    store = CellStore(out / "made-up" / "cells.zarr")
    shown = report(store, None).thumbnail
    np.testing.assert_array_equal(shown, blocks[0] if sharp else store.array("overview")[:])

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.errors import UsageError
from wsipipe.export.masks import PNG_MAX_CELLS, write_mask_png
from wsipipe.image.label_image import label_image, paint_labels
from wsipipe.image.morphology import measure
from wsipipe.io.truth_files import find_truth, read_mask, read_points


class Columns:
    """What `label_image` reads, from a label image measured on its own grid."""

    def __init__(self, labels, scale=1.0):
        od = np.zeros(labels.shape, np.uint16)
        found = measure(labels.astype(np.int32), od, od)
        self.contour_offset = found.contour_offset
        self.contour_xy = (found.contour_xy * scale).astype(np.float32)


def blobs(seed: int, n: int = 6) -> np.ndarray:
    """Non-overlapping filled discs, numbered in raster order of their first pixel."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 60), np.int32)
    y, x = np.mgrid[0:40, 0:60]
    for _ in range(n):
        cy, cx, r = rng.uniform(0, 40), rng.uniform(0, 60), rng.uniform(1, 6)
        disc = (y - cy) ** 2 + (x - cx) ** 2 <= r * r
        if not labels[disc].any():
            labels[disc] = labels.max() + 1
    return labels


@given(st.integers(0, 10_000))
def test_outlines_give_back_the_masks_they_were_made_from(seed):
    labels = blobs(seed)
    np.testing.assert_array_equal(label_image([Columns(labels)], 60, 40), labels)


@given(st.integers(0, 10_000))
def test_a_coarser_grid_is_drawn_in_level0_pixels(seed):
    labels = blobs(seed)
    drawn = label_image([Columns(labels, 2.0)], 120, 80)
    np.testing.assert_array_equal(drawn, np.kron(labels, np.ones((2, 2), np.int32)))
    np.testing.assert_array_equal(label_image([Columns(labels, 2.0)], 60, 40, downsample=2.0), labels)


@given(st.integers(0, 10_000))
def test_any_part_of_the_image_is_what_the_whole_shows(seed):
    labels = blobs(seed)
    cells = Columns(labels)
    ids = np.arange(len(cells.contour_offset) - 1)
    for left, top, width, height in ((0, 0, 7, 9), (13, 11, 20, 20), (45, 30, 15, 10)):
        part = np.zeros((height, width), np.uint32)
        paint_labels(part, cells, ids, (left, top))
        np.testing.assert_array_equal(part, labels[top : top + height, left : left + width])


@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 25)), min_size=3, max_size=9))
def test_a_pixel_is_inside_when_an_odd_number_of_edges_lies_left_of_its_centre(ring):
    class One:
        contour_offset = np.array([0, len(ring)])
        contour_xy = np.array(ring, np.float32)

    labels = np.zeros((20, 20), np.uint32)
    paint_labels(labels, One, np.array([6]))
    corners = One.contour_xy.astype(float)
    x, y = np.meshgrid(np.arange(20) + 0.5, np.arange(20) + 0.5)
    a, b = corners, np.roll(corners, -1, axis=0)
    crossings = 0
    for (ax, ay), (bx, by) in zip(a, b, strict=True):
        spans = (ay <= y) != (by <= y)
        at = ax + (y - ay) * (bx - ax) / (by - ay) if by != ay else np.inf
        crossings = crossings + (spans & (at < x))
    borders = shapely.distance(shapely.LinearRing(corners), shapely.points(x, y)) < 1e-6
    np.testing.assert_array_equal((labels == 7)[~borders], (crossings % 2 == 1)[~borders])


def test_chunks_number_on():
    labels = blobs(3)
    both = label_image([Columns(labels), Columns(labels)], 60, 40)
    assert both.max() == 2 * labels.max()


def test_mask_png_round_trip_with_all_16_bits(tmp_path):
    labels = np.arange(65_536, dtype=np.uint32).reshape(256, 256)
    write_mask_png(tmp_path / "m.png", labels)
    assert labels.max() == PNG_MAX_CELLS
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), labels)
    assert find_truth(tmp_path, "m") == tmp_path / "m.png"
    assert find_truth(tmp_path, "n") is None


def test_points_with_and_without_classes(tmp_path):
    (tmp_path / "a.csv").write_text("﻿x,y,class\r\n1.5,2,lymphocyte\r\n", encoding="utf-8")
    points = read_points(tmp_path / "a.csv")
    assert points.xy.tolist() == [[1.5, 2.0]]
    assert points.classes.tolist() == ["lymphocyte"]
    (tmp_path / "b.csv").write_text("x_px,y_px\n")
    assert read_points(tmp_path / "b.csv").xy.shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('x,y,class\n1,2,"a\n3,4,b\n', r"\(line 2: a quote is opened and never closed"),
        ("a,b\n1,2\n", "no columns x and y"),
        ("", "no columns x and y"),
        ("x,y\n1\n", "KeyError"),
        ("x,y\n1,two\n", "could not convert"),
    ],
)
def test_what_is_no_list_of_points_is_refused(tmp_path, text, why):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UsageError, match=f"is no list of points .*{why}"):
        read_points(tmp_path / "a.csv")

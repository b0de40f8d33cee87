import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsipipe.image.outlines import disc, draw, trace, trace_labels, view_of
from wsipipe.records import Box, Grid

GRID = Grid(mpp=0.5, level=0, level_downsample=1.0, scale=1.0, width_px=40, height_px=30)
HALF = Grid(mpp=1.0, level=0, level_downsample=1.0, scale=2.0, width_px=20, height_px=15)


def ring(*corners: tuple[float, float]) -> np.ndarray:
    return np.array(corners, np.float64)


def pixels(rings: tuple[np.ndarray, ...], grid: Grid = GRID) -> np.ndarray:
    """The drawn nucleus as an image of the whole grid."""
    drawn = draw(rings, grid)
    image = np.zeros((grid.height_px, grid.width_px), bool)
    box = drawn.box
    image[box.y : box.bottom, box.x : box.right] = drawn.mask
    return image


def test_a_rectangle_holds_the_pixels_whose_centres_it_holds() -> None:
    image = pixels((ring((3, 2), (7, 2), (7, 5), (3, 5)),))
    assert image.sum() == 12
    assert image[2:5, 3:7].all()
    assert pixels((ring((6, 4), (14, 4), (14, 10), (6, 10)),), HALF).sum() == 12
    nudged = pixels((ring((3.4, 2.4), (7.4, 2.4), (7.4, 5.4), (3.4, 5.4)),))
    np.testing.assert_array_equal(nudged, image)


@pytest.mark.parametrize("grid", [GRID, HALF])
def test_neighbours_share_no_pixel_and_leave_no_gap(grid: Grid) -> None:
    corner, other = (3.0, 3.0), (33.0, 23.0)
    above = pixels((ring(corner, (33.0, 3.0), other),), grid)
    below = pixels((ring(other, (3.0, 23.0), corner),), grid)
    whole = pixels((ring(corner, (33.0, 3.0), other, (3.0, 23.0)),), grid)
    assert not (above & below).any()
    np.testing.assert_array_equal(above | below, whole)


def test_a_hole_is_cut_out() -> None:
    image = pixels((ring((2, 2), (9, 2), (9, 9), (2, 9)), ring((4, 4), (6, 4), (6, 6), (4, 6))))
    assert image.sum() == 49 - 4
    assert not image[4:6, 4:6].any()


@pytest.mark.parametrize(
    ("rings", "pixel"),
    [
        ((ring((5.6, 6.6), (5.9, 6.6), (5.9, 6.9)),), (6, 5)),
        ((ring((5.2, 6.2)),), (6, 5)),
        ((ring((5, 6), (9, 6)),), (6, 7)),
        ((ring((-90, -9), (-80, -9), (-80, -5)),), (0, 0)),
        ((ring((100, 70), (120, 70), (120, 90), (100, 90)),), (29, 39)),
        ((ring((10, -9), (12, -9), (12, -5), (10, -5)),), (0, 11)),
    ],
)
def test_nothing_is_too_small_or_too_far_away_to_be_drawn(rings: tuple, pixel: tuple[int, int]) -> None:
    image = pixels(rings)
    assert image.sum() == 1
    assert image[pixel]


def test_what_lies_beyond_the_grid_is_cut_off() -> None:
    assert pixels((ring((-5, -5), (3, -5), (3, 4), (-5, 4)),)).sum() == 12
    assert pixels((ring((38, 28), (50, 28), (50, 50), (38, 50)),)).sum() == 4


def test_a_disc_has_its_area() -> None:
    image = pixels(disc(20.3, 14.8, 8.0))
    assert image.sum() == pytest.approx(np.pi * 64, rel=0.02)
    y, x = np.nonzero(image)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((20.3, 14.8), abs=0.2)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_tracing_any_mask_and_drawing_it_gives_it_back(mask: np.ndarray) -> None:
    """Whatever its holes and pieces."""
    if mask.any():
        image = pixels(tuple(trace(mask)))
        np.testing.assert_array_equal(image[: mask.shape[0], : mask.shape[1]], mask)
        assert image.sum() == mask.sum()


def test_the_first_ring_is_the_outline_of_the_largest_piece() -> None:
    mask = np.zeros((8, 12), bool)
    mask[0, 0] = True
    mask[2:7, 3:9] = True
    mask[4, 5] = False
    rings = trace(mask)
    assert {tuple(corner) for corner in rings[0]} == {(3, 2), (9, 2), (9, 7), (3, 7)}
    assert len(rings) == 3


def test_labels_are_traced_in_their_order_and_place() -> None:
    labels = np.zeros((30, 40), np.uint16)
    labels[20:24, 30:33] = 2
    labels[1:3, 1:4] = 700
    first, second = trace_labels(labels)
    np.testing.assert_array_equal(pixels(first), labels == 2)
    np.testing.assert_array_equal(pixels(second), labels == 700)


def test_a_view_holds_the_core_and_all_that_was_drawn() -> None:
    core = Box(10, 10, 10, 10)
    assert view_of(core, [], 3, GRID) == core
    drawn = [draw((ring((15, 15), (26, 15), (26, 18), (15, 18)),), GRID), draw((ring((1, 12), (2, 13)),), GRID)]
    assert view_of(core, drawn, 3, GRID) == Box(0, 9, 29, 12)
    assert view_of(core, drawn, 100, GRID) == Box(0, 0, 40, 30)

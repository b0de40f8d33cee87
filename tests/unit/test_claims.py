"""Each rule by which a given point takes a segmented object, on objects made by hand."""

import numpy as np
import pytest

from wsipipe.image.claims import CLAIM_UM, Claims, distance, find_claims, settle_claims
from wsipipe.image.nuclei import Nuclei
from wsipipe.records import Box, Grid, Tile

GRID = Grid(mpp=0.5, level=0, level_downsample=1.0, scale=1.0, width_px=200, height_px=100)
REACH_PX = CLAIM_UM / GRID.mpp


def claims_of(boxes: list[tuple[int, int, int, int]], points: np.ndarray, tile_px: int = 1000) -> Claims:
    """Claims on rectangular objects (left, top, right, bottom), gathered from all tiles, each seeing everything."""
    labels = np.zeros((GRID.height_px, GRID.width_px), np.int32)
    for i, (left, top, right, bottom) in enumerate(boxes):
        labels[top:bottom, left:right] = i + 1
    nothing = np.zeros(labels.shape, np.uint16)
    nuclei = Nuclei(labels, nothing, nothing, np.zeros((0, 2), np.int32))
    view = Box(0, 0, GRID.width_px, GRID.height_px)
    parts = [
        find_claims(nuclei, Tile(0, Box(x, y, tile_px, tile_px), view), GRID, points, np.arange(len(points)))
        for y in range(0, GRID.height_px, tile_px)
        for x in range(0, GRID.width_px, tile_px)
    ]
    return Claims.concatenate(parts)


def takes(boxes: list[tuple[int, int, int, int]], points: list[tuple[float, float]]) -> list[float | None]:
    """Left edge of the object that each point takes; the same for any tiling and any order of the points."""
    xy = np.array(points, np.float64)
    answers = []
    for tile_px in (1000, 30):
        for order in (np.arange(len(xy)), np.arange(len(xy))[::-1]):
            claims = claims_of(boxes, xy[order], tile_px)
            taken = settle_claims(xy[order], claims)
            left = [None if t < 0 else float(claims.outlines[t][:, 0].min()) for t in taken]
            answers.append([left[i] for i in np.argsort(order)])
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


def test_a_point_takes_the_object_that_contains_it() -> None:
    assert takes([(10, 10, 30, 30), (40, 10, 60, 30)], [(59, 29), (11, 11)]) == [40, 10]


def test_an_object_with_several_points_goes_to_the_one_nearest_to_its_centre() -> None:
    assert takes([(10, 10, 30, 30)], [(12, 12), (21, 20), (28, 28)]) == [None, 10, None]


def test_a_point_that_lost_takes_the_nearest_free_object_within_reach() -> None:
    boxes = [(10, 10, 30, 30), (33, 10, 53, 30), (10, 34, 30, 54)]
    assert takes(boxes, [(20, 20), (28, 29)]) == [10, 33]
    assert takes([boxes[0], boxes[2]], [(20, 20), (24, 29)]) == [10, 10], "the one below, whose left edge is 10 too"
    assert takes([boxes[0], (37, 10, 53, 30)], [(20, 20), (29, 20)]) == [10, None]


def test_no_object_is_taken_from_farther_away_than_3_um() -> None:
    box = [(10, 10, 30, 30)]
    assert takes(box, [(30 + REACH_PX, 20)]) == [10]
    assert takes(box, [(30 + REACH_PX + 0.01, 20)]) == [None]
    diagonal = REACH_PX / np.sqrt(2)
    assert takes(box, [(30 + diagonal + 0.05, 30 + diagonal + 0.05)]) == [None]
    assert takes(box, [(30 + diagonal - 0.05, 30 + diagonal - 0.05)]) == [10]


def test_containing_points_come_before_near_ones() -> None:
    assert takes([(10, 10, 30, 30)], [(31, 20), (11, 11)]) == [None, 10]


def test_the_shortest_distance_is_settled_first() -> None:
    boxes = [(10, 10, 30, 30), (40, 10, 60, 30)]
    assert takes(boxes, [(35, 20), (34, 20)]) == [40, 10]
    assert takes(boxes, [(34, 20), (33, 20)]) == [40, 10]
    assert takes(boxes, [(33.5, 20), (33, 20)]) == [None, 10]


def test_what_is_equal_is_settled_by_y_then_x() -> None:
    assert takes([(10, 10, 30, 30)], [(20, 32), (20, 8)]) == [None, 10]
    assert takes([(10, 10, 30, 30)], [(32, 20), (8, 20)]) == [None, 10]
    assert takes([(10, 40, 30, 60), (10, 10, 30, 36)], [(20, 38)]) == [10]
    above = claims_of([(10, 40, 30, 60), (10, 10, 30, 36)], np.array([[20.0, 38.0]]))
    (thing,) = settle_claims(np.array([[20.0, 38.0]]), above)
    assert above.centres[thing].tolist() == [20, 23]


def test_of_two_points_in_one_place_one_takes_the_object() -> None:
    points = np.array([[20.0, 20.0], [20.0, 20.0]])
    claims = claims_of([(10, 10, 30, 30)], points)
    assert settle_claims(points, claims).tolist() == [0, -1]


def test_nobody_and_nothing() -> None:
    none = np.zeros((0, 2))
    assert settle_claims(none, claims_of([(10, 10, 30, 30)], none)).shape == (0,)
    assert settle_claims(np.array([[5.0, 5.0]]), Claims.concatenate([])).tolist() == [-1]


@pytest.mark.parametrize(
    ("x", "y", "wanted"), [(5, 5, 0), (12, 5, 2), (13, 14, 5), (-1, 3, 1), (5, -4, 4), (0.001, 9.99, 0)]
)
def test_distance_from_a_square(x: float, y: float, wanted: float) -> None:
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    assert distance(square, x, y) == pytest.approx(wanted)

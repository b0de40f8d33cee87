from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.image.tiling import in_strips, inside, plan_tiles, spread_blocks, touches
from wsipipe.records import Box

sizes = st.integers(1, 300)


@given(sizes, sizes, st.integers(1, 400), st.integers(0, 50))
def test_cores_partition_the_grid_and_views_hold_the_halo(width, height, tile, halo):
    owners = np.zeros((height, width), int)
    for i, t in enumerate(plan_tiles(width, height, tile, halo)):
        assert t.index == i
        owners[t.core.y : t.core.bottom, t.core.x : t.core.right] += 1
        assert t.view.x == max(0, t.core.x - halo)
        assert t.view.bottom == min(height, t.core.bottom + halo)
        assert t.view.right <= width
    assert (owners == 1).all()


def test_non_square_tiles_keep_x_and_y_apart():
    tiles = plan_tiles(width_px=5, height_px=3, tile_px=2, halo_px=1)
    assert len(tiles) == 6
    assert tiles[2].core == Box(4, 0, 1, 2)
    assert tiles[2].view == Box(3, 0, 2, 3)
    assert tiles[3].core == Box(0, 2, 2, 1)


@given(sizes, sizes, st.integers(20, 60), st.integers(1, 200))
def test_strips_hold_every_tile_once_and_go_down_before_they_go_right(width, height, tile, strip):
    tiles = plan_tiles(width, height, tile, 5)
    done = in_strips(tiles, strip)
    assert sorted(t.index for t in done) == list(range(len(tiles)))
    for before, after in pairwise(done):
        assert before.core.x // strip <= after.core.x // strip
        if before.core.x // strip == after.core.x // strip:
            assert (before.core.y, before.core.x) < (after.core.y, after.core.x)


@given(st.integers(0, 9), st.integers(0, 14), st.floats(1.5, 20.0))
def test_a_tile_is_done_when_any_of_its_points_can_be_inside(row, column, mask_px):
    mask = np.zeros((10, 15), bool)
    mask[row, column] = True
    width, height = int(15 * mask_px), int(10 * mask_px)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    hit = inside(mask, x.ravel(), y.ravel(), mask_px).reshape(height, width)
    for t in plan_tiles(width, height, 37, 0):
        core = hit[t.core.y : t.core.bottom, t.core.x : t.core.right]
        if core.any():
            assert touches(mask, t.core, mask_px)


def test_blocks_are_spread_over_the_tissue_only():
    mask = np.zeros((40, 60), bool)
    mask[:, 30:] = True
    boxes = spread_blocks(mask, 10.0, 600, 400, 50, 12)
    assert len(boxes) == len(set(boxes)) == 12
    assert all(b.x >= 300 and b.width == b.height == 50 for b in boxes)
    assert {b.y for b in boxes} > {0, 350} or len({b.y for b in boxes}) >= 4


def test_small_tissue_and_small_grids_still_give_blocks():
    mask = np.zeros((10, 10), bool)
    mask[4, 4] = True
    assert spread_blocks(mask, 32.0, 320, 320, 256, 64) == [Box(0, 0, 256, 256)]
    assert spread_blocks(np.ones((2, 2), bool), 8.0, 16, 16, 256, 64) == [Box(0, 0, 16, 16)]


@pytest.mark.parametrize("count", [1, 5, 24])
def test_block_count_is_a_limit(count):
    assert len(spread_blocks(np.ones((40, 60), bool), 10.0, 600, 400, 100, count)) == count


@pytest.mark.parametrize(("width", "height", "count"), [(300, 300, 1), (700, 300, 3), (1000, 100, 4), (90, 80, 1)])
def test_tissue_only_at_the_far_edges_still_gives_blocks_of_one_size(width, height, count):
    mask = np.zeros((height, width), bool)
    mask[-min(10, height) :, -min(10, width) :] = True
    boxes = spread_blocks(mask, 1.0, width, height, 256, 8)
    assert boxes
    assert {(box.width, box.height) for box in boxes} == {(min(256, width), min(256, height))}
    assert all(mask[box.y : box.bottom, box.x : box.right].any() for box in boxes)
    assert len(boxes) <= count

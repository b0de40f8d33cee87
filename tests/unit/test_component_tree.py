"""The trees against a search that looks at every component of every threshold."""

import cv2
import numpy as np
import pytest
from skimage.measure import label as components

from wsipipe.image import tree_nodes as t
from wsipipe.image.component_tree import count_starts, select_nodes, sort_pixels
from wsipipe.image.tree_paint import paint

BASE, TOP = 5, 14


def rules(max_extent: float) -> np.ndarray:
    values = np.zeros(t.RULES)
    values[[t.MIN_AREA, t.MAX_AREA, t.MAX_EXTENT, t.TYPICAL_AREA]] = 4, 60, max_extent, 16
    values[[t.FIT_WEIGHT, t.SIZE_WEIGHT, t.BIAS, t.AREA_POWER, t.LOST_LEVEL]] = 1, 0.15, -0.2, 0.5, BASE
    return values


def random_case(seed: int, side: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """Two images, the second nowhere greater, and an outflow."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), 2.0)
    first = np.clip(np.round(8 + 3 * field / field.std()), 0, TOP).astype(np.uint8)
    images = np.stack([first, cv2.morphologyEx(first, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))])
    images[:, [0, -1], :] = images[:, :, [0, -1]] = 0
    return images, rng.integers(-300, 500, (side, side)).astype(np.int16)


class Search:
    """What can be made of each component, by recursion."""

    def __init__(self, images: np.ndarray, outflow: np.ndarray, values: np.ndarray) -> None:
        self.images, self.outflow, self.values = images, outflow, values

    def parts(self, mask: np.ndarray, k: int, level: int) -> list[np.ndarray]:
        pieces = components(mask & (self.images[k] >= level), connectivity=1)
        return [pieces == i + 1 for i in range(pieces.max())]

    def own(self, mask: np.ndarray) -> int:
        y, x = np.nonzero(mask)
        node = np.zeros(t.COLUMNS, np.int64)
        node[t.AREA], node[t.SUM_X], node[t.SUM_Y] = len(x), x.sum(), y.sum()
        node[t.SUM_XX], node[t.SUM_YY], node[t.SUM_XY] = (x * x).sum(), (y * y).sum(), (x * y).sum()
        node[t.SIDES] = sum((mask & ~np.roll(mask, s, axis)).sum() for s in (1, -1) for axis in (0, 1))
        node[t.DROP] = self.outflow[mask].sum()
        return t.score(node, self.values)

    def best(self, mask: np.ndarray, k: int, level: int) -> tuple[int, list[np.ndarray]]:
        y, x = np.nonzero(mask)
        higher = self.sum(self.parts(mask, k, level + 1), k, level + 1) if level < TOP else (0, [])
        if max(np.ptp(x), np.ptp(y)) + 1 > self.values[t.MAX_EXTENT]:
            return higher
        opened = self.sum(self.parts(mask, k + 1, level), k + 1, level) if k + 1 < len(self.images) else (0, [])
        own = self.own(mask)
        if own > 0 and own >= max(higher[0], opened[0]):
            return own, [mask]
        return opened if opened[0] > higher[0] else higher

    def sum(self, masks: list[np.ndarray], k: int, level: int) -> tuple[int, list[np.ndarray]]:
        found = [self.best(mask, k, level) for mask in masks]
        return sum(value for value, _ in found), [mask for _, kept in found for mask in kept]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("max_extent", [9, 20])
def test_the_kept_nodes_are_those_of_the_full_search(seed: int, max_extent: float) -> None:
    images, outflow = random_case(seed)
    values = rules(max_extent)
    events, counts, _ = select_nodes(images, outflow, BASE, values)
    labels, n = paint(images, events, counts)
    search = Search(images, outflow, values)
    _, kept = search.sum(search.parts(np.ones(images.shape[1:], bool), 0, BASE), 0, BASE)
    assert n == len(kept) > 3
    assert {(labels == i + 1).tobytes() for i in range(n)} == {mask.tobytes() for mask in kept}


def test_pixels_come_brightest_first_and_in_raster_order() -> None:
    levels = random_case(0)[0][0]
    order, start = sort_pixels(levels, BASE)
    flat = levels.ravel().astype(int)
    expected = [i for i in np.argsort(-flat, kind="stable") if flat[i] >= BASE]
    assert order.tolist() == expected
    assert (flat[order[start[9] : start[8]]] == 9).all()


def test_starts_are_pixels_without_earlier_neighbours() -> None:
    levels = random_case(1)[0][0]
    order, _ = sort_pixels(levels, BASE)
    rank = np.full(levels.size, levels.size)
    rank[order] = np.arange(len(order))
    width = levels.shape[1]
    first = [p for p in order if rank[p] < min(rank[p + s] for s in (-1, 1, -width, width))]
    assert count_starts(levels, BASE) == len(first)


def test_nothing_at_or_above_the_base() -> None:
    images = np.zeros((2, 9, 9), np.uint8)
    events, counts, lost = select_nodes(images, np.zeros((9, 9), np.int16), BASE, rules(20))
    assert counts.tolist() == [0, 0]
    assert len(lost) == 0
    assert paint(images, events, counts)[1] == 0

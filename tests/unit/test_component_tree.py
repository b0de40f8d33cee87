"""The trees against a search that looks at every component of every threshold."""

import cv2
import numpy as np
import pytest
from skimage.measure import label as components

from wsipipe.image import tree_nodes as t
from wsipipe.image.compiled import compiled
from wsipipe.image.component_tree import select_nodes
from wsipipe.image.tree_judge import AT, AT_LEVEL, EVENT
from wsipipe.image.tree_paint import paint

BASE, TOP = 5, 14


def rules(max_extent: float) -> np.ndarray:
    values = np.zeros(t.RULES)
    values[[t.MIN_AREA, t.MAX_AREA, t.MAX_EXTENT, t.TYPICAL_AREA]] = 4, 60, max_extent, 16
    values[[t.FIT_WEIGHT, t.SIZE_WEIGHT, t.BIAS, t.AREA_POWER, t.LOST_LEVEL]] = 1, 0.15, -0.2, 0.5, BASE
    return values


def extent(mask: np.ndarray) -> int:
    y, x = np.nonzero(mask)
    return int(max(np.ptp(x), np.ptp(y))) + 1


def random_case(seed: int, side: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """Two images, the second nowhere greater, and an outflow."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), 2.0)
    first = np.clip(np.round(8 + 3 * field / field.std()), 0, TOP).astype(np.uint8)
    images = np.stack([first, cv2.morphologyEx(first, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))])
    images[:, [0, -1], :] = images[:, :, [0, -1]] = 0
    return images, rng.integers(-300, 500, (side, side)).astype(np.int16)


@compiled
def score(nodes: np.ndarray, values: np.ndarray, by_area: np.ndarray) -> int:
    return t.score(nodes, 0, 0, values, by_area)


class Search:
    """What can be made of each component, by recursion."""

    def __init__(self, images: np.ndarray, outflow: np.ndarray, values: np.ndarray) -> None:
        self.images, self.outflow, self.values = images, outflow, values
        self.by_area = t.tabulate_areas(values)

    def parts(self, mask: np.ndarray, k: int, level: int) -> list[np.ndarray]:
        pieces = components(mask & (self.images[k] >= level), connectivity=1)
        return [pieces == i + 1 for i in range(pieces.max())]

    def own(self, mask: np.ndarray) -> int:
        y, x = np.nonzero(mask)
        nodes = np.zeros((1, t.COLUMNS), np.int64)
        nodes[0, [t.AREA, t.SUM_X, t.SUM_Y]] = len(x), x.sum(), y.sum()
        nodes[0, [t.SUM_XX, t.SUM_YY, t.SUM_XY]] = (x * x).sum(), (y * y).sum(), (x * y).sum()
        nodes[0, t.SIDES] = sum((mask & ~np.roll(mask, s, axis)).sum() for s in (1, -1) for axis in (0, 1))
        nodes[0, t.DROP] = self.outflow[mask].sum()
        return score(nodes, self.values, self.by_area)

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
    events, _ = select_nodes(images, outflow, BASE, values)
    labels, n = paint(images, events)
    search = Search(images, outflow, values)
    _, kept = search.sum(search.parts(np.ones(images.shape[1:], bool), 0, BASE), 0, BASE)
    assert n == len(kept) > 3
    assert {(labels == i + 1).tobytes() for i in range(n)} == {mask.tobytes() for mask in kept}


def every_lost_seed(images: np.ndarray, search: Search) -> list[int]:
    """Brightest pixels of the components that the definition calls lost."""
    seeds = []
    for level in range(int(search.values[t.LOST_LEVEL]), TOP):
        for around in search.parts(np.ones(images.shape[1:], bool), 0, level):
            if extent(around) <= search.values[t.MAX_EXTENT]:
                continue
            for node in search.parts(around, 0, level + 1):
                candidate = extent(node) <= search.values[t.MAX_EXTENT] and node.sum() >= search.values[t.MIN_AREA]
                if candidate and search.best(node, 0, level + 1)[0] == 0:
                    seeds.append(int(np.where(node, images[0], 0).argmax()))
    return sorted(seeds)


def test_lost_nodes_hold_no_nucleus_and_grow_too_long() -> None:
    values = rules(9)
    values[[t.LOST_LEVEL, t.BIAS]] = 8, -0.1
    kept = n_lost = 0
    for seed in range(4):
        images, outflow = random_case(seed)
        events, lost = select_nodes(images, outflow, BASE, values)
        assert lost.tolist() == every_lost_seed(images, Search(images, outflow, values))
        kept, n_lost = kept + len(events[0]), n_lost + len(lost)
    assert min(kept, n_lost) > 3


def test_events_are_at_seeds_of_their_level_or_above() -> None:
    images, outflow = random_case(1)
    events, _ = select_nodes(images, outflow, BASE, rules(20))
    for image, found in zip(images, events, strict=True):
        assert found.shape[1] == EVENT
        assert (image.ravel()[found[:, AT]] >= found[:, AT_LEVEL]).all()
        assert found[:, AT_LEVEL].min() >= BASE


def test_nothing_at_or_above_the_base() -> None:
    images = np.zeros((2, 9, 9), np.uint8)
    events, lost = select_nodes(images, np.zeros((9, 9), np.int16), BASE, rules(20))
    assert [len(found) for found in events] == [0, 0]
    assert len(lost) == 0
    assert paint(images, events)[1] == 0

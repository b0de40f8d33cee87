"""Threads share decoded tiles; what was not used for longest goes first."""

import gc
from pathlib import Path

import numpy as np

from wsipipe.io import tile_cache
from wsipipe.io.tile_cache import TileCache, shared_cache


def tile(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def test_the_tile_unused_for_longest_goes_first():
    cache = TileCache(2)
    cache.put(1, tile(1))
    cache.put(2, tile(2))
    assert cache.get(1) is not None
    cache.put(3, tile(3))
    assert cache.get(2) is None
    assert cache.get(1)[0, 0, 0] == 1
    assert cache.get(3)[0, 0, 0] == 3


def test_all_who_have_a_level_open_share_one_cache_and_it_goes_with_the_last(tmp_path: Path):
    path = tmp_path / "slide"
    path.write_bytes(b"pixels")
    with path.open("rb") as one, path.open("rb") as other:
        first, second = shared_cache(one, 8, 12), shared_cache(other, 8, 12)
        assert first is second
        assert shared_cache(one, 16, 12) is not first
        before = len(tile_cache._caches)
        del first
        gc.collect()
        assert len(tile_cache._caches) == before
        del second
        gc.collect()
        assert len(tile_cache._caches) == before - 1


def test_a_file_that_was_replaced_shares_nothing(tmp_path: Path):
    path = tmp_path / "slide"
    path.write_bytes(b"pixels")
    with path.open("rb") as old:
        before = shared_cache(old, 8, 12)
        path.unlink()
        path.write_bytes(b"other pixels")
        with path.open("rb") as new:
            assert shared_cache(new, 8, 12) is not before

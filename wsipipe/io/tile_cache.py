"""Decoded tiles that all threads share, for the next view's halo lies over this one's tiles."""

import os
from collections import OrderedDict
from threading import Lock
from typing import IO, Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

CACHE_BYTES = 5 << 24
"""Of the tiles kept of one level: more than a row of four views of 2048 px, with what they see beyond their cores."""


class TileCache:
    """The tiles of one level that were used last; safe to share, as nobody writes to a tile.

    Parameters
    ----------
    room : int
        Tiles kept.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def get(self, index: int) -> NDArray[np.uint8] | None:
        """A tile, or None where it is not here."""
        with self._lock:
            tile = self._kept.get(index)
            if tile is not None:
                self._kept.move_to_end(index)
            return tile

    def put(self, index: int, tile: NDArray[np.uint8]) -> None:
        """Keep a tile."""
        with self._lock:
            self._kept[index] = tile
            self._kept.move_to_end(index)
            while len(self._kept) > self._room:
                self._kept.popitem(last=False)


_caches: "WeakValueDictionary[tuple[Any, ...], TileCache]" = WeakValueDictionary()
_caches_lock = Lock()


def shared_cache(file: IO[bytes], level: int, tile_bytes: int) -> TileCache:
    """The cache of a level for all that have it open; it goes with the last of them.

    Parameters
    ----------
    file : file
        The open slide.
    level : int
        Where in the file the level is described.
    tile_bytes : int
        Size of a decoded tile.
    """
    state = os.fstat(file.fileno())
    key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, level)
    with _caches_lock:
        cache = _caches.get(key)
        if cache is None:
            cache = _caches[key] = TileCache(max(1, CACHE_BYTES // tile_bytes))
        return cache

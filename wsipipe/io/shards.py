"""Whole shards of a Zarr array, made and written by any thread.

Zarr encodes on one event loop, however many threads ask it to, so that a second worker would gain nothing. These are
the very bytes that Zarr writes (Zarr v3, sharding codec 1.0: chunks in order, then where each lies, each followed by
its CRC-32C).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs.blosc import Blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BloscShuffle

_SHUFFLES = {BloscShuffle.noshuffle: Blosc.NOSHUFFLE, BloscShuffle.bitshuffle: Blosc.BITSHUFFLE}
_NOTHING = (1 << 64) - 1
"""Stands for place and length of a chunk beyond the end of the array."""


class ShardWriter:
    """Writes the shards of one array, whose chunks and shards are cut along the rows only.

    Parameters
    ----------
    folder : Path
        Of the array.
    array : zarr.Array
        With Blosc and CRC-32C as its compressors, filled with zeros where nothing is written.
    """

    def __init__(self, folder: Path, array: "zarr.Array[Any]") -> None:
        codec = next(codec for codec in array.compressors if isinstance(codec, BloscCodec))
        self._codec = Blosc(codec.cname.value, codec.clevel, _SHUFFLES[codec.shuffle], codec.blocksize, codec.typesize)
        self._folder, self._array = folder, array
        self.rows: int = (array.shards or array.chunks)[0]
        """Rows of a shard."""

    def write(self, start: int, pieces: Iterable[NDArray[Any]]) -> None:
        """Write the shard that begins at row `start`; it may be the last, and not full.

        Parameters
        ----------
        start : int
        pieces : iterable of ndarray
            Its rows, in whole chunks; only the last piece may end within one.

        Raises
        ------
        ValueError
            If they are no rows of one shard.
        """
        chunk = self._array.chunks[0]
        place = (start // self.rows, *(0 for _ in self._array.shape[1:]))
        path = self._folder / self._array.metadata.encode_chunk_key(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        index = np.full((self.rows // chunk, 2), _NOTHING, "<u8")
        row, end = start, 0
        with path.open("wb") as file:
            for values in pieces:
                self._check(start, row, values)
                for at in range(0, len(values), chunk):
                    data = self._chunk(values[at : at + chunk])
                    index[(row - start + at) // chunk] = end, len(data) + 4
                    end += file.write(data) + file.write(_checksum(data))
                row += len(values)
            file.write(index.tobytes() + _checksum(index.tobytes()))

    def _check(self, start: int, row: int, values: NDArray[Any]) -> None:
        """Refuse what is not rows from `row` on of the shard that begins at `start`, beginning with a chunk."""
        begins = start % self.rows == 0 and row % self._array.chunks[0] == 0
        if not begins or row + len(values) > start + self.rows or values.dtype != self._array.dtype:
            msg = f"{len(values)} rows of {values.dtype} at {row} are no part of a shard of {self.rows} at {start}"
            raise ValueError(msg)

    def _chunk(self, values: NDArray[Any]) -> bytes:
        """Bytes of a chunk, without its checksum; one that the array ends in is filled up with zeros."""
        if len(values) < self._array.chunks[0]:
            whole = np.zeros(self._array.chunks, self._array.dtype)
            whole[: len(values)] = values
            values = whole
        return bytes(self._codec.encode(np.ascontiguousarray(values)))


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")

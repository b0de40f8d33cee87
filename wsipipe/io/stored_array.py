"""An array of a store as others see it: nothing but sound numbers, or an error that names the slide."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

from wsipipe.errors import DamagedStoreError
from wsipipe.io.seal import unreadable
from wsipipe.records import Cells

MAX_IMAGE_BYTES = 1 << 30
"""Of the small arrays beside the cells."""

MAX_CHUNK_BYTES = 1 << 28
"""Decoded; whoever asks for more at once does not write what wsipipe writes."""

_CODECS = (BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec)
_FIELDS = {field.name: field for field in dataclasses.fields(Cells)}


class StoredArray:
    """An array on disk, read in parts; whatever is handed out has passed its checksums.

    Parameters
    ----------
    array : zarr.Array
    subject : str
        The slide, for errors.
    folder : Path
        What is made anew when the array is damaged: the store, or labels in it.
    """

    def __init__(self, array: "zarr.Array[Any]", subject: str, folder: Path) -> None:
        self._array = array
        self._subject = subject
        self._folder = folder
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.nbytes: int = array.nbytes
        self.shards: tuple[int, ...] | None = array.shards

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """What lies there.

        Raises
        ------
        DamagedStoreError
            If a checksum does not fit.
        """
        with self._decoding():
            return np.asarray(self._array[key])

    @functools.cached_property
    def oindex(self) -> "_Rows":
        """Rows picked by a list of numbers."""
        return _Rows(self._array, self._decoding)

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            with reading(self._subject):
                yield
        except DamagedStoreError as error:
            if isinstance(error.__cause__, LookupError):  # no such rows
                raise
            raise unreadable(self._folder, self._array.name.strip("/"), self._subject) from error


class _Rows:
    def __init__(self, array: "zarr.Array[Any]", decoding: Callable[[], AbstractContextManager[None]]) -> None:
        self._array = array
        self._decoding = decoding

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        with self._decoding():
            return np.asarray(self._array.oindex[rows])


@contextmanager
def reading(subject: str) -> Iterator[None]:
    """Whatever zarr and its codecs raise on bad bytes is damage."""
    try:
        yield
    except (ValueError, RuntimeError, TypeError, LookupError, FileNotFoundError, ArithmeticError) as error:
        raise DamagedStoreError(
            "damaged: part of its cell store cannot be read", "run the slide again with --overwrite", subject
        ) from error


def check_array(name: str, array: Any, n_cells: int, subject: str, folder: Path) -> StoredArray:
    """An array that is as this package writes it, for nothing may be decoded at the word of a file alone.

    Raises
    ------
    DamagedStoreError
        Another type, shape, codec or size than a store of so many cells has.
    """
    fault = "is no array" if not isinstance(array, zarr.Array) else _fault(name, array, n_cells)
    if fault:
        raise DamagedStoreError(f"damaged: {name} {fault}", "run the slide again with --overwrite", subject)
    return StoredArray(array, subject, folder)


def _fault(name: str, array: "zarr.Array[Any]", n_cells: int) -> str:
    if array.dtype.kind not in "biuf":
        return f"holds {array.dtype}"
    if not all(isinstance(codec, _CODECS) for codec in _codecs(array)):
        return "is coded in a way that wsipipe does not use"
    if int(np.prod(array.chunks, dtype=object)) * array.dtype.itemsize > MAX_CHUNK_BYTES:
        return f"has chunks of {_by(array.chunks)}"
    shape, dtype = _wanted(name, array, n_cells)
    if array.dtype != dtype:
        return f"holds {array.dtype}"
    fits = len(array.shape) == len(shape) and all(w in (s, -1) for s, w in zip(array.shape, shape, strict=True))
    if not fits or (name not in _FIELDS and array.nbytes > MAX_IMAGE_BYTES):
        return f"is of {_by(array.shape)} for {n_cells} cells"
    return ""


def _wanted(name: str, array: "zarr.Array[Any]", n_cells: int) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Shape, with -1 for any length, and type of an array of this name."""
    if name.startswith("labels/"):
        return (n_cells,), array.dtype
    if name not in _FIELDS:
        return (-1,) * len(array.shape), array.dtype
    rows = {"contour_offset": n_cells + 1, "contour_xy": -1}.get(name, n_cells)
    return (rows, *_FIELDS[name].metadata["shape"]), np.dtype(_FIELDS[name].metadata["dtype"])


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _codecs(array: "zarr.Array[Any]") -> Iterator[Any]:
    """All codecs of an array, those inside its shards too."""
    waiting = list(getattr(array.metadata, "codecs", ()))
    while waiting:
        codec = waiting.pop()
        yield codec
        if isinstance(codec, ShardingCodec):
            waiting += [*codec.codecs, *codec.index_codecs]

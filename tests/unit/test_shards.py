"""Shards written without Zarr are the very bytes that Zarr writes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, Crc32cCodec

from wsipipe.io.shards import ShardWriter

CHUNK, SHARD = 8, 32
CODECS = {
    "uint8": BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle", typesize=1),
    "float32": BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=4),
    "int64": BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=8),
}


def made(folder: Path, values: np.ndarray) -> "zarr.Array[Any]":
    rest = values.shape[1:]
    return zarr.create_array(
        folder,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(CHUNK, *rest),
        shards=(SHARD, *rest),
        compressors=(CODECS[str(values.dtype)], Crc32cCodec()),
        config={"write_empty_chunks": True},
        overwrite=True,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(max_examples=40)
@given(
    st.integers(0, 100),
    st.sampled_from(sorted(CODECS)),
    st.sampled_from([(), (4,), (3, 3, 3)]),
    st.booleans(),
    st.sampled_from([CHUNK, 3 * CHUNK, SHARD]),
)
def test_the_bytes_are_zarrs(
    tmp_path_factory: pytest.TempPathFactory, n: int, dtype: str, rest: tuple, zeros: bool, piece: int
):
    folder = tmp_path_factory.mktemp("shards")
    values = np.random.default_rng(n).integers(0, 1 if zeros else 90, (n, *rest)).astype(dtype)
    theirs, ours = made(folder / "theirs", values), made(folder / "ours", values)
    writer = ShardWriter(folder / "ours", ours)
    for start in range(0, n, SHARD):
        theirs[start : start + SHARD] = values[start : start + SHARD]
        end = min(start + SHARD, n)
        writer.write(start, (values[at : min(at + piece, end)] for at in range(start, end, piece)))
    assert files(folder / "ours") == files(folder / "theirs")
    assert np.array_equal(zarr.open_array(folder / "ours", mode="r")[:], values)


@pytest.mark.parametrize(
    ("start", "pieces"),
    [
        (8, [np.zeros(4, "int64")]),
        (0, [np.zeros(SHARD + 1, "int64")]),
        (0, [np.zeros(SHARD, "int64"), np.zeros(1, "int64")]),
        (0, [np.zeros(4, "int64"), np.zeros(4, "int64")]),
        (0, [np.zeros(4, "float32")]),
    ],
)
def test_what_is_no_part_of_a_shard_is_refused(tmp_path: Path, start: int, pieces: list[np.ndarray]):
    writer = ShardWriter(tmp_path, made(tmp_path, np.zeros(64, "int64")))
    with pytest.raises(ValueError, match="no part of a shard"):
        writer.write(start, pieces)

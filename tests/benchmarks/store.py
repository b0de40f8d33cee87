"""The cell store: bytes per cell, time to write and to read back a million cells, and what was chosen between.

    python -m tests.benchmarks.store [--cells 1000000] [--compare]

The cells are those of real images (WSIPIPE_TEST_DATA, as in tests/real), repeated so far apart that no chunk holds a
cell twice. `--compare` measures codecs, chunks and shards for patches and outlines on a part of them instead. Times are
of the CPU, all threads together, unless said otherwise.
"""

import argparse
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from tests.benchmarks.cells import RepeatedRows, repeated_cells
from wsipipe.io.spool import Spool
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import write_store

_TILE_CELLS = 1100
_COMPARED = 65_536
_PICKED = 200


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    rows, _ = repeated_cells(_COMPARED if arguments.compare else arguments.cells)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.compare:
            _compare_patches(rows, Path(folder) / "a.zarr")
            _compare_outlines(rows, Path(folder) / "a.zarr")
        else:
            _whole(rows, Path(folder))


def _whole(rows: RepeatedRows, folder: Path) -> None:
    """Spool, store and read back everything."""
    per_million = 1e6 / len(rows)
    with Spool(folder / "spool", {}, rows.patches.shape[1]) as spool:
        seconds, wall = _timed(lambda: _append(rows, spool))
        print(f"appended to the spool tile by tile: {seconds * per_million:.2f} s a million (wall {wall:.1f} s)")
        for threads in (1, 2):
            seconds, wall = _timed(partial(_store, spool, folder / f"{threads}.zarr", rows.patches.shape[1], threads))
            print(f"written from it, {threads} threads: {seconds * per_million:.2f} s a million (wall {wall:.1f} s)")
    sizes = {p.name: sum(f.stat().st_size for f in p.rglob("*")) for p in (folder / "1.zarr").iterdir() if p.is_dir()}
    files = sum(p.is_file() for p in (folder / "1.zarr").rglob("*"))
    rest = sum(sizes.values()) - sizes["patches"] - sizes["contour_xy"]
    parts = {"in all": sum(sizes.values()), "patches": sizes["patches"], "outlines": sizes["contour_xy"], "rest": rest}
    print(f"bytes a cell: {', '.join(f'{name} {size / len(rows):.0f}' for name, size in parts.items())}; {files} files")
    store = CellStore(folder / "1.zarr")
    for name, patches in (("everything", True), ("all but the patches", False)):
        seconds, wall = _timed(partial(_read_all, store, patches))
        print(f"{name} read back: {seconds * per_million:.2f} s a million (wall {wall:.1f} s)")
    picked = np.random.default_rng(0).integers(0, len(rows), _PICKED)
    seconds, _ = _timed(lambda: [store.patches[int(i)] for i in picked])
    print(f"one patch anywhere: {1e3 * seconds / _PICKED:.2f} ms")


def _store(spool: Spool, path: Path, patch_px: int, threads: int) -> None:
    write_store(path, spool.rows(), patch_px, {}, _SLIDE, threads)


def _read_all(store: CellStore, patches: bool) -> int:
    return sum(len(cells) for _, cells in store.chunks(patches=patches))


_SLIDE = {"slide": {"slide_id": "big"}}


def _append(rows: RepeatedRows, spool: Spool) -> None:
    """As tiles come: squares of the slide, each in the order of its cells."""
    columns = max(1, rows.side_px // 1024)
    tile = (rows.cells.y_px // 1024).astype(int) * columns + (rows.cells.x_px // 1024).astype(int)
    order = np.argsort(tile, kind="stable")
    for index, part in enumerate(np.array_split(order, -(-len(order) // _TILE_CELLS))):
        cells = dataclasses.replace(rows.cells.take(part), patches=rows.patches[rows.source[part]])
        spool.append(index, cells, {})


def _compare_patches(rows: RepeatedRows, path: Path) -> None:
    patches = rows.read("patches", 0, len(rows))
    masked = _on_white(patches)
    print("| patches: codec | chunk | shard | bytes a cell | on white | write, s a million | read | one, ms |")
    print("|---|---|---|---|---|---|---|---|")
    codecs: dict[str, Any] = {
        "none": None,
        "LZ4": _blosc("lz4", 1, "noshuffle", 1),
        "Zstandard -1": ZstdCodec(level=-1),
        "Zstandard 1": ZstdCodec(level=1),
        "Zstandard 3": ZstdCodec(level=3),
        "Zstandard 1, channels shuffled": _blosc("zstd", 1, "shuffle", 3),
    }
    for name, codec in codecs.items():
        _row(name, patches, masked, path, codec, 256, 16_384)
    for chunk, shard in ((64, 16_384), (128, 16_384), (512, 16_384), (256, 8192), (256, 32_768)):
        _row("LZ4", patches, masked, path, codecs["LZ4"], chunk, shard)


def _row(
    name: str, patches: NDArray[np.uint8], masked: NDArray[np.uint8], path: Path, codec: Any, chunk: int, shard: int
) -> None:
    per_million = 1e6 / len(patches)
    white_bytes, _, _, _ = _measure(masked, path, codec, chunk, shard)
    size, write, read, one = _measure(patches, path, codec, chunk, shard)
    print(
        f"| {name} | {chunk} | {shard} | {size / len(patches):.0f} | {white_bytes / len(patches):.0f} | "
        f"{write * per_million:.1f} | {read * per_million:.1f} | {one * 1e3:.2f} |"
    )


def _compare_outlines(rows: RepeatedRows, path: Path) -> None:
    vertices, per_million = rows.cells.contour_xy, 1e6 / len(rows)
    print("\n| outlines: codec | bytes a cell | write, s a million | read |\n|---|---|---|---|")
    codecs: dict[str, Any] = {
        "Zstandard 1": ZstdCodec(level=1),
        "LZ4, bits shuffled": _blosc("lz4", 5, "bitshuffle", 4),
        "Zstandard 1, bytes shuffled": _blosc("zstd", 1, "shuffle", 4),
        "Zstandard 1, bits shuffled": _blosc("zstd", 1, "bitshuffle", 4),
        "Zstandard 3, bits shuffled": _blosc("zstd", 3, "bitshuffle", 4),
    }
    for name, codec in codecs.items():
        size, write, read, _ = _measure(vertices, path, codec, 65_536, 1 << 20)
        print(f"| {name} | {size / len(rows):.0f} | {write * per_million:.2f} | {read * per_million:.2f} |")


def _measure(values: NDArray[Any], path: Path, codec: Any, chunk: int, shard: int) -> tuple[int, float, float, float]:
    """Bytes on disk; CPU seconds to write all, to read all, and to read one row."""
    shutil.rmtree(path, ignore_errors=True)
    rest = values.shape[1:]
    array = zarr.create_array(
        path,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(chunk, *rest),
        shards=(shard, *rest),
        compressors=(Crc32cCodec(),) if codec is None else (codec, Crc32cCodec()),
        config={"write_empty_chunks": True},
    )

    def write() -> None:
        for start in range(0, len(values), shard):
            array[start : start + shard] = values[start : start + shard]

    written, _ = _timed(write)
    size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    read, _ = _timed(lambda: [array[i : i + shard] for i in range(0, len(values), shard)])
    picked = np.random.default_rng(0).integers(0, len(values), _PICKED)
    one, _ = _timed(lambda: [array[int(i)] for i in picked])
    return size, written, read, one / _PICKED


def _on_white(patches: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Discs of nuclear size on white, as recipe `paper` makes them."""
    size = patches.shape[1]
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    radius = np.random.default_rng(0).uniform(5, 11, len(patches))
    masked = patches.copy()
    masked[(y**2 + x**2)[None] > (radius**2)[:, None, None]] = 255
    return masked


def _blosc(name: str, level: int, shuffle: Any, item_size: int) -> BloscCodec:
    return BloscCodec(cname=name, clevel=level, shuffle=shuffle, typesize=item_size)  # type: ignore[arg-type]


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of all threads, and wall seconds."""
    os.sync()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


if __name__ == "__main__":
    main()

"""Labelling while cells are stored, beside labelling from the finished store: time of a slide, and peak memory.

    python -m tests.benchmarks.label_stored [--gigapixels 0.1] [--workers 2] [--rounds 3] [--model default]

The slides are CMU-1-Small-Region and a mosaic of it (WSIPIPE_TEST_DATA, as in tests/real). Both ways run in one
process, in turns; the fastest round of each counts. "after the tiles" is what is left when the cells are found: the
store, and the labels in it. Memory is the proportional set size (PSS) of a process of its own that does it once.
"""

import argparse
import contextlib
import functools
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.mosaic import write_mosaic
from wsipipe.config import Settings
from wsipipe.io.store import CellStore
from wsipipe.labelling import label_store, load_model
from wsipipe.progress import Quiet
from wsipipe.seeing import WhileStored
from wsipipe.slides import segment_all

SOURCE = "slides/CMU-1-Small-Region.svs"
WAYS = ("from the store", "while stored")


def main() -> None:
    """Run both ways in turns on each slide, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigapixels", type=float, default=0.1, help="of the mosaic; 0 leaves it out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="default")
    parser.add_argument("--once", nargs=3, metavar=("WAY", "SLIDE", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        way, slide, out = arguments.once
        done(way, Path(slide), Path(out), arguments)
        return
    data = Path(os.environ.get("WSIPIPE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    slides = [data / SOURCE]
    with tempfile.TemporaryDirectory() as folder:
        side = max(1, round((arguments.gigapixels * 1e9 / (1024 * 1536)) ** 0.5))
        if arguments.gigapixels:
            slides.append(Path(folder) / "mosaic.tiff")
            write_mosaic(
                data / SOURCE, slides[1], side, max(1, round(arguments.gigapixels * 1e9 / (1024 * 1536) / side))
            )
        print(
            "| slide | cells | labels | whole, s | CPU s | after the tiles, s | CPU s | peak PSS, MB |\n"
            + 8 * "|---"
            + "|"
        )
        for slide in slides:
            compare(slide, Path(folder), arguments)


def compare(slide: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """Print the rows of a slide."""
    best: dict[str, list[float]] = {way: [float("inf")] * 4 for way in WAYS}
    found = {}
    for _ in range(arguments.rounds):
        for way in WAYS:
            out = folder / "out"
            times, found[way], cells = done(way, slide, out, arguments)
            best[way] = [min(pair) for pair in zip(best[way], times, strict=True)]
            shutil.rmtree(out)
    if found[WAYS[0]] != found[WAYS[1]]:
        sys.exit("the labels differ")
    for way in WAYS:
        numbers = " | ".join(f"{seconds:.2f}" for seconds in best[way])
        print(f"| {slide.stem} | {cells} | {way} | {numbers} | {peak(way, slide, folder, arguments) / 1e6:.0f} |")


def done(way: str, slide: Path, out: Path, arguments: argparse.Namespace) -> tuple[list[float], bytes, int]:
    """Seconds and CPU seconds in all, then those after the tiles; the labels; the number of cells."""
    model, settings = load_model(arguments.model), Settings(out, workers=arguments.workers)
    marks: list[tuple[float, float]] = []
    labelling = functools.partial(WhileStored, model) if way == "while stored" else None

    class Marks(Quiet):
        @contextlib.contextmanager
        def stage(self, name: str, total: int, unit: str):
            with super().stage(name, total, unit) as stage:
                yield stage
            if name == "cells":
                marks.append((time.perf_counter(), time.process_time()))

    marks.append((time.perf_counter(), time.process_time()))
    (folder,), code = segment_all([slide], settings, Marks(), labelling=labelling)
    store = CellStore(folder.store)
    label_store(store, model, settings, Quiet())
    marks.append((time.perf_counter(), time.process_time()))
    if code:
        sys.exit("the slide failed")
    begun, tiled, ended = marks
    labels = store.labels(model.hash)
    times = [ended[0] - begun[0], ended[1] - begun[1], ended[0] - tiled[0], ended[1] - tiled[1]]
    return times, labels.classes.tobytes() + labels.confidence.tobytes(), len(store)


def peak(way: str, slide: Path, folder: Path, arguments: argparse.Namespace) -> int:
    """Peak PSS of a process that does it once, in bytes."""
    out = folder / "again"
    options = ["--workers", str(arguments.workers), "--model", arguments.model]
    command = [sys.executable, "-m", "tests.benchmarks.label_stored", *options, "--once", way, str(slide), str(out)]
    process = psutil.Popen(command)
    most = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            most = max(most, process.memory_full_info().pss)
        time.sleep(0.05)
    shutil.rmtree(out)
    return most


if __name__ == "__main__":
    main()

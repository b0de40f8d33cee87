"""Time and peak memory of `wsipipe segment` on a large slide of real tissue, per stage.

    python -m tests.benchmarks.segment [--gigapixels 0.1] [--workers 1 2] [--pairs 5]

The slide is a mosaic of a small real one (WSIPIPE_TEST_DATA, as in tests/real). Memory is the proportional set size
(PSS) of all processes together, sampled twenty times a second in a run of its own, for sampling holds workers up.
Reading is timed apart: the same tiles, through OpenSlide's own `read_region`, one core, in this run. Numbers of workers
are timed in turns, so that a machine that wanders does so for all of them; each row is of its median run.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openslide
import psutil

from tests.benchmarks.mosaic import write_mosaic

SOURCE = "slides/CMU-1-Small-Region.svs"


class Run(NamedTuple):
    """Wall and CPU seconds of a command, and its run.json."""

    seconds: float
    cpu_s: float
    facts: dict[str, Any]


def main() -> None:
    """Write the mosaic, run, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigapixels", type=float, default=0.1)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pairs", type=int, default=5, help="how often each number of workers is timed")
    parser.add_argument("--recipe", default="default")
    arguments = parser.parse_args()
    data = Path(os.environ.get("WSIPIPE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    side = max(1, round((arguments.gigapixels * 1e9 / (1024 * 1536)) ** 0.5))
    with tempfile.TemporaryDirectory() as folder:
        slide = Path(folder) / "mosaic.tiff"
        width, height = write_mosaic(
            data / SOURCE, slide, side, max(1, round(arguments.gigapixels * 1e9 / (1024 * 1536) / side))
        )
        mpx = width * height / 1e6
        print(f"{width} x {height} px, {mpx:.0f} Mpx, {slide.stat().st_size / 1e6:.0f} MB")
        read_s = _read_all(slide)
        print(f"OpenSlide reads every tile of 1024 px once in {read_s:.1f} s, one core: {mpx / read_s:.1f} Mpx/s")
        out = Path(folder) / "out"
        turns = []
        for _ in range(arguments.pairs):
            turns.append([_timed(slide, out, workers, arguments.recipe) for workers in arguments.workers])
            print("  in turns: " + ", ".join(f"{run.seconds:.2f} s" for run in turns[-1]))
        for workers, runs in zip(arguments.workers, zip(*turns, strict=True), strict=True):
            peak = _peak(slide, out, workers, arguments.recipe)
            middle = sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]
            print(f"workers {workers}: {_row(middle, mpx, read_s, peak)}")
        if len(arguments.workers) > 1:
            few, many = arguments.workers[0], arguments.workers[-1]
            print(f"{many} workers are {_ratios([turn[0].seconds / turn[-1].seconds for turn in turns])} {few}")


def _row(run: Run, mpx: float, read_s: float, peak: int) -> str:
    return (
        f"{run.seconds:.1f} s in all, {mpx / run.seconds:.2f} Mpx/s, {mpx / run.cpu_s:.2f} Mpx/s of CPU time, "
        f"{run.seconds / read_s:.2f} times the reading, peak PSS {peak / 1e6:.0f} MB, "
        f"{run.facts['counts']['cells']} cells, stages {json.dumps(run.facts['timings'])}"
    )


def _ratios(ratios: list[float]) -> str:
    each = " ".join(f"{ratio:.2f}" for ratio in ratios)
    middle = f"{statistics.median(ratios):.2f} times (median; {min(ratios):.2f} to {max(ratios):.2f}"
    return f"{middle}; the pairs one by one: {each}) as fast as"


def _read_all(path: Path) -> float:
    slide = openslide.OpenSlide(path)
    begun = time.perf_counter()
    for y in range(0, slide.dimensions[1], 1024):
        for x in range(0, slide.dimensions[0], 1024):
            size = (min(1024, slide.dimensions[0] - x), min(1024, slide.dimensions[1] - y))
            np.asarray(slide.read_region((x, y), 0, size))
    return time.perf_counter() - begun


def _command(slide: Path, out: Path, workers: int, recipe: str) -> list[str]:
    command = [sys.executable, "-m", "wsipipe.cli.main", "segment", str(slide), "-o", str(out)]
    return [*command, "--workers", str(workers), "--recipe", recipe]


def _timed(slide: Path, out: Path, workers: int, recipe: str) -> Run:
    """One run; its output is deleted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(_command(slide, out, workers, recipe), stderr=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    facts = json.loads((out / "mosaic" / "run.json").read_text())
    shutil.rmtree(out)
    return Run(seconds, cpu_s, facts)


def _peak(slide: Path, out: Path, workers: int, recipe: str) -> int:
    """Peak PSS of the process tree, in bytes; the output is deleted."""
    process = psutil.Popen(_command(slide, out, workers, recipe), stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            tree = [process, *process.children(recursive=True)]
            peak = max(peak, sum(p.memory_full_info().pss for p in tree))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"wsipipe segment ended with {process.returncode}")
    shutil.rmtree(out)
    return peak


if __name__ == "__main__":
    main()

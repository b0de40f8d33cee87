"""Time and peak memory of `wsipipe segment` on a large slide of real tissue, per stage.

    python -m tests.benchmarks.segment [--gigapixels 0.1] [--workers 1 2]

The slide is a mosaic of a small real one (WSIPIPE_TEST_DATA, as in tests/real). Memory is the proportional set size
(PSS) of all processes together, sampled twenty times a second in a run of its own, for sampling holds workers up.
Reading is timed apart: the same tiles, through OpenSlide's own `read_region`, one core, in this run.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import openslide
import psutil

from tests.benchmarks.mosaic import write_mosaic

SOURCE = "slides/CMU-1-Small-Region.svs"


def main() -> None:
    """Write the mosaic, run, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigapixels", type=float, default=0.1)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
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
        times = {}
        for workers in arguments.workers:
            out = Path(folder) / f"out{workers}"
            seconds, cpu_s, facts = _timed(slide, out, workers, arguments.recipe)
            peak = _peak(slide, Path(folder) / f"again{workers}", workers, arguments.recipe)
            times[workers] = seconds
            print(
                f"workers {workers}: {seconds:.1f} s in all, {mpx / seconds:.2f} Mpx/s, {mpx / cpu_s:.2f} Mpx/s of CPU "
                f"time, {seconds / read_s:.2f} times the reading, peak PSS {peak / 1e6:.0f} MB, "
                f"{facts['counts']['cells']} cells, stages {json.dumps(facts['timings'])}"
            )
        if len(times) > 1:
            few, many = min(times), max(times)
            print(f"{many} workers are {times[few] / times[many]:.2f} times as fast as {few}")


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


def _timed(slide: Path, out: Path, workers: int, recipe: str) -> tuple[float, float, dict]:
    """Wall seconds, CPU seconds, and run.json."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(_command(slide, out, workers, recipe), stderr=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu_s, json.loads((out / "mosaic" / "run.json").read_text())


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

"""A cohort of small drawn slides: memory and open files from first to last, one and two workers, cost of a task.

    python -m tests.benchmarks.cohort [--slides 200] [--tasks 10000]

Prints a Markdown table. Memory and files are those that each worker process states in the slides' logs.
"""

import argparse
import re
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from wsipipe.config import Settings, load_recipe
from wsipipe.image.synthetic import make_slide
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.parallel import Fleet
from wsipipe.progress import Quiet

SIDE_PX = 448
KINDS = 8
EDGE = 20
_END = re.compile(r"([\d.]+) s; the process holds (\d+) MB, (\d+) open files")


def draw(folder: Path, count: int) -> None:
    """`count` slides of a quarter of a square millimetre at 0.5 um/px, of few kinds."""
    folder.mkdir()
    for kind in range(min(KINDS, count)):
        write_pyramid(folder / f"s{kind:04d}.tiff", make_slide(SIDE_PX, SIDE_PX, 0.5, seed=kind).rgb, 0.5)
    for i in range(KINDS, count):
        (folder / f"s{i:04d}.tiff").write_bytes((folder / f"s{i % KINDS:04d}.tiff").read_bytes())


def batch(folder: Path, out: Path, workers: int, model: Path | None = None) -> float:
    """Seconds of a whole batch."""
    from wsipipe import pipeline  # noqa: PLC0415 - worker processes import this file, and need no networks

    gan = replace(load_recipe("toy").gan, steps=4)
    settings = Settings(
        out=out, recipe=replace(load_recipe("toy"), gan=gan), workers=workers, model=str(model) if model else None
    )
    begun = time.perf_counter()
    code = pipeline.batch(folder, settings, Quiet())
    if code:
        raise SystemExit(f"batch ended with {code}, see {out}")
    return time.perf_counter() - begun


def held(out: Path) -> list[list[tuple[float, int, int]]]:
    """Seconds, MB and files of every slide in the order of its ending: while segmented, then while labelled."""
    logs = [_END.findall(log.read_text()) for log in sorted(out.glob("*/log.txt"))]
    return [[(float(s), int(mb), int(files)) for s, mb, files in (log[stage] for log in logs)] for stage in (0, 1)]


def flat(rows: list[tuple[float, int, int]]) -> str:
    """Medians of the first and last twenty, after the one slide that each process warms up with."""
    parts = []
    for name, column in (("MB", 1), ("open files", 2)):
        first, last = ([row[column] for row in part] for part in (rows[2 : 2 + EDGE], rows[-EDGE:]))
        parts.append(f"{statistics.median(first):.0f} -> {statistics.median(last):.0f} {name}")
    return ", ".join(parts) + f", {1000 * statistics.median(row[0] for row in rows):.0f} ms a slide"


def nothing(shared: None, item: int, share: int) -> int:
    return item


def tiny_tasks(count: int) -> float:
    """Milliseconds of one task that does nothing, in a fleet of two."""
    with Fleet(2) as fleet:
        list(fleet.each(nothing, None, range(10), lambda _: None))
        begun = time.perf_counter()
        done = sum(1 for _ in fleet.each(nothing, None, range(count), lambda _: None))
        return 1000 * (time.perf_counter() - begun) / done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=10_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw(root / "slides", chosen.slides)
        draw(root / "few", KINDS)
        batch(root / "few", root / "warm", 1)  # compiles what is compiled, and trains the model of all others
        model = root / "warm" / "model.safetensors"
        seconds = {n: batch(root / "slides", root / f"out{n}", n, model) for n in (1, 2)}
        again = batch(root / "slides", root / "out2", 2, model)
        print("| what | measured |\n|---|---|")
        for n, took in seconds.items():
            print(f"| {chosen.slides} slides, {n} worker(s) | {took:.1f} s, {chosen.slides / took:.2f} slides/s |")
            for name, rows in zip(("segment", "label and tables"), held(root / f"out{n}"), strict=True):
                print(f"| {name}, {n} worker(s), first {EDGE} -> last {EDGE} | {flat(rows)} |")
        print(f"| all {chosen.slides} again, nothing to do | {again:.1f} s |")
    print(f"| one of {chosen.tasks} empty tasks | {tiny_tasks(chosen.tasks):.2f} ms |")


if __name__ == "__main__":
    main()

"""What a cohort costs: CPU seconds per megapixel and per cell, bytes per cell; then 10 000 slides from that.

    python -m tests.benchmarks.cohort_plan [--side 6144] [--tissue-mm2 150]

Processor time of one thread, so that other programs on the machine change little. Prints two Markdown tables.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wsipipe.batch.plan import CELLS_PER_MM2, MB_PER_WORKER
from wsipipe.config import Settings, load_recipe
from wsipipe.image.synthetic import make_slide
from wsipipe.io.output import OutputFolder
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.store import CellStore
from wsipipe.labelling import GIVEN, keep_model, label_store, load_model
from wsipipe.parallel import pool_in_task
from wsipipe.progress import Quiet
from wsipipe.segmenting import segment_slide
from wsipipe.tables import write_tables

SLIDES = 10_000
WORKING_MPP = 0.5
Result = TypeVar("Result")


def cpu(action: Callable[[], Result]) -> tuple[float, Result]:
    """Processor seconds of an action, and its result."""
    begun = time.process_time()
    result = action()
    return time.process_time() - begun, result


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(side: int, root: Path) -> dict[str, float]:
    """Cost of a drawn slide of `side` working pixels a side, less that of a small one."""
    out = OutputFolder(root / "out")
    settings = Settings(out=out.path, recipe=load_recipe("default"), workers=1)
    costs: dict[str, dict[str, float]] = {}
    for name, width in (("warm", 512), ("small", 512), ("large", side)):
        slide = make_slide(width, width, WORKING_MPP, seed=width)
        path = root / f"{name}.tiff"
        write_pyramid(path, slide.rgb, WORKING_MPP)
        folder = out.slide(name)
        with pool_in_task(1) as pool:
            segment_s, store = cpu(lambda: segment_slide(path, folder, settings, pool, Quiet()))  # noqa: B023
        if name == "warm":
            model = keep_model(out, load_model("default"), GIVEN)
        label_s, _ = cpu(lambda: label_store(store, model, settings, Quiet()))  # noqa: B023
        tables_s, _ = cpu(lambda: write_tables(out, folder, CellStore(folder.store), model))  # noqa: B023
        costs[name] = {
            "segment": segment_s,
            "label": label_s,
            "tables": tables_s,
            "bytes": size_of(folder.path),
            "cells": len(store),
            "mpx": width * width / 1e6,
        }
    more = {key: costs["large"][key] - costs["small"][key] for key in costs["large"]}
    small = costs["small"]
    return {
        "s_per_mpx": more["segment"] / more["mpx"],
        "label_us": 1e6 * more["label"] / more["cells"],
        "tables_us": 1e6 * more["tables"] / more["cells"],
        "bytes_per_cell": more["bytes"] / more["cells"],
        "cells": costs["large"]["cells"],
        "slide_s": small["segment"] + small["label"] + small["tables"] - small["mpx"] * more["segment"] / more["mpx"],
        "slide_mb": (small["bytes"] - small["cells"] * more["bytes"] / more["cells"]) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=6144)
    parser.add_argument("--tissue-mm2", type=float, default=150.0)
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        found = measure(chosen.side, Path(folder))
    print("| part | cost |\n|---|---|")
    print(f"| segment | {found['s_per_mpx']:.3f} CPU s per working Mpx ({1 / found['s_per_mpx']:.1f} Mpx/s) |")
    print(f"| label | {found['label_us']:.0f} CPU us per cell |")
    print(f"| cells.csv, cells.geojson, report.html | {found['tables_us']:.0f} CPU us per cell |")
    print(f"| one slide, however small | {found['slide_s']:.2f} CPU s, {found['slide_mb']:.2f} MB |")
    print(f"| disk | {found['bytes_per_cell']:.0f} bytes per cell |")
    mpx = chosen.tissue_mm2 / WORKING_MPP**2
    cells = chosen.tissue_mm2 * CELLS_PER_MM2
    per_slide = mpx * found["s_per_mpx"] + cells * (found["label_us"] + found["tables_us"]) / 1e6 + found["slide_s"]
    disk = SLIDES * (cells * found["bytes_per_cell"] / 1e12 + found["slide_mb"] / 1e6)
    print(f"\n{SLIDES} slides of {chosen.tissue_mm2:g} mm2 of tissue ({mpx:.0f} Mpx, {cells:,.0f} cells each):\n")
    print("| cores | time | memory | disk | written |\n|---|---|---|---|---|")
    for cores in (1, 16, 256):
        hours = SLIDES * per_slide / cores / 3600
        print(
            f"| {cores} | {hours:,.0f} h ({hours / 24:,.1f} days) | {cores * MB_PER_WORKER / 1024:.1f} GB | "
            f"{disk:.1f} TB | {disk * 1e6 / hours / 3600:.1f} MB/s |"
        )


if __name__ == "__main__":
    main()

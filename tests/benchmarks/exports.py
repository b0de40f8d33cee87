"""Time and memory of `wsipipe export` for a million cells, in each form.

    python -m tests.benchmarks.exports [--cells 1000000] [--kinds csv parquet ...]

The cells are those of real images (WSIPIPE_TEST_DATA, as in tests/real), shifted over a large slide, with classes of a
model that was never trained. Each form is written by a process of its own; memory is its peak resident set, less that
of a process that only loads the program. The embedding is left out: it takes as long as labelling.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.cells import repeated_cells
from wsipipe.config import GanConfig, Recipe
from wsipipe.gan.checkpoint import Model, merge_states, save
from wsipipe.gan.nets import Critic, Generator
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import write_store
from wsipipe.records import Labels

KINDS = ("csv", "parquet", "geojson", "geojson.gz", "anndata", "masks")


def main() -> None:
    """Write the store, export it in every form, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = OutputFolder(Path(folder) / "out")
        side_px = _write_output(out, arguments.cells)
        print(f"{arguments.cells} cells on {side_px} x {side_px} px")
        loading, idle_mb, _ = _child([sys.executable, "-c", "import wsipipe.pipeline"], out.path)
        print(f"loading the program: {loading:.1f} s of CPU time, {idle_mb:.0f} MB")
        print("| form | CPU time, s | memory over the program's own, MB | size, MB |\n|---|---|---|---|")
        for kind in arguments.kinds:
            options = {"geojson.gz": ["geojson", "--gz"], "anndata": ["anndata", "--no-embedding"]}.get(kind, [kind])
            target = Path(folder) / kind
            command = [sys.executable, "-m", "wsipipe.cli.main", "export", str(out.path), "-o", str(target), "--to"]
            seconds, peak_mb, size_mb = _child([*command, *options], target)
            print(f"| {kind} | {seconds - loading:.1f} | {peak_mb - idle_mb:.0f} | {size_mb:.0f} |", flush=True)


def _write_output(out: OutputFolder, count: int) -> int:
    """A finished, labelled output; the side of its slide."""
    rows, recipe = repeated_cells(count)
    size, side_px = rows.patches.shape[1], rows.side_px
    config = GanConfig(channels=8, noise_dim=2)
    torch.manual_seed(0)
    states = merge_states(Generator(config, size), Critic(config))
    model = Model(config, size, recipe.patches.mpp, states, {})
    folder = out.slide("big")
    folder.note(slide_id="big")
    small = np.full((side_px // 64, side_px // 64, 3), 230, np.uint8)
    images = {"overview": small, "tissue": np.ones(small.shape[:2], bool)}
    write_store(folder.store, rows, size, images, _attributes(side_px, recipe, count), 2)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, config.classes, count).astype(np.uint8)
    CellStore(folder.store).write_labels(Labels(model.hash, classes, rng.random(count, np.float32)))
    save(model, out.model)
    return side_px


def _attributes(side_px: int, recipe: Recipe, count: int) -> dict:
    slide = {
        "slide_id": "big", "reader": "openslide", "vendor": "unknown", "mpp": 0.5, "mpp_source": "metadata",
        "objective_power": None, "levels": [{"width_px": side_px, "height_px": side_px, "downsample": 1.0}],
        "bounds": [0, 0, side_px, side_px], "has_bounds": False, "fingerprint": "0" * 16, "warnings": [],
    }  # fmt: skip
    counts = {"cells": count, "tissue_mm2": 1.0, "unreadable_share": 0.0}
    return {"slide": slide, "recipe": recipe.to_dict(), "counts": counts, "overview_downsample": 64.0, "warnings": []}


def _child(command: list[str], target: Path) -> tuple[float, float, float]:
    """CPU seconds and peak memory (MB) of a process, and the size (MB) of what it wrote."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watched = [sys.executable, "-c", _WATCH, *command]
    peak_kb = int(subprocess.run(watched, check=True, capture_output=True, text=True).stdout.split()[-1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
    time.sleep(0.1)
    return seconds, peak_kb / 1e3, written / 1e6


_WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


if __name__ == "__main__":
    main()

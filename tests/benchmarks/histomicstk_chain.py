"""HistomicsTK's chain (Reinhard, Macenko, threshold, LoG, max_clustering) against this project's, on the same pixels.

    python -m tests.benchmarks.histomicstk_chain --python ENV/bin/python [--set monuseg consep] [--images 3]

ENV is an environment of its own:

    python -m venv ENV
    ENV/bin/pip install --no-deps histomicstk==1.4.0
    ENV/bin/pip install "numpy<2.3" scipy scikit-image scikit-learn pandas opencv-python-headless imageio nimfa

Both chains take every image in turn, one core and one thread each, after a warm-up; files are read and written outside
the measurement. Ours is timed from open slide to labels: what is done once a slide (tissue, stain profile, threshold),
then normalization of all pixels (which HistomicsTK needs and we do for patches only) and nuclei. A second row leaves
out what is done once, which on a whole slide is nothing. Images are the odd ones of the sorted names, 0.25 um/px;
`default` works on them at 0.5 um/px. Pixels are counted at 0.25 for every row.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
os.environ.update(ONE_THREAD)  # before numpy is imported

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from tests.benchmarks.accuracy import DATA, half_of  # noqa: E402
from wsipipe.cohort.evaluate import mask_scores  # noqa: E402
from wsipipe.config import Settings, load_recipe  # noqa: E402
from wsipipe.image.nuclei import find_nuclei  # noqa: E402
from wsipipe.image.stain import normalize  # noqa: E402
from wsipipe.io.slide import open_slide  # noqa: E402
from wsipipe.io.truth_files import find_truth, read_mask  # noqa: E402
from wsipipe.planning import plan_slide  # noqa: E402
from wsipipe.records import Box  # noqa: E402

MPP = 0.25
# Threshold on HistomicsTK's haematoxylin image, its filter, and the least and greatest sigma in pixels.
VARIANTS = {
    # its nuclei_segmentation example: radii of 10 to 15 px times the root of 2
    "HistomicsTK: 60, clog 14.1-21.2": ("60", "clog", (14.142, 21.213)),
    # the same radii divided by the root of 2, as its documentation of clog says
    "HistomicsTK: Otsu, clog 7.1-10.6": ("otsu", "clog", (7.071, 10.607)),
    # its NucleiDetection tool: radii of 6 to 20 px, differences of Gaussians
    "HistomicsTK: 60, cdog 4.2-14.1": ("60", "cdog", (4.243, 14.142)),
    "HistomicsTK: Otsu, cdog 4.2-14.1": ("otsu", "cdog", (4.243, 14.142)),
}
RECIPES = ("he-40x", "default")


class HistomicsTK:
    """Its interpreter, kept running so that imports are not counted."""

    def __init__(self, python: Path) -> None:
        self.process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("histomicstk_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            text=True,
        )
        self.versions = self._answer()

    def labels(self, image: Path, out: Path, variant: str) -> tuple[dict[str, float], np.ndarray]:
        """Wall and CPU seconds, and the labels found."""
        threshold, name, sigmas = VARIANTS[variant]
        task = {"image": str(image), "out": str(out), "threshold": threshold, "filter": name, "sigmas": sigmas}
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return self._answer(), np.load(out, allow_pickle=False)

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"HistomicsTK ended with {self.process.wait()}")
        return json.loads(line)


def main() -> None:
    """Print a markdown table per set of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="interpreter of the environment with HistomicsTK")
    parser.add_argument("--set", nargs="+", default=["monuseg", "consep"], choices=["monuseg", "consep", "gbm40"])
    parser.add_argument("--images", type=int, default=1000, help="no more than this many of each set")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    theirs = HistomicsTK(arguments.python)
    print(f"HistomicsTK: {theirs.versions}; wsipipe: python {platform.python_version()}, numpy {np.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "labels.npy"
        warm = half_of(arguments.set[0], r".*", "even")[0]
        theirs.labels(warm, out, next(iter(VARIANTS)))
        for recipe in RECIPES:
            ours(warm, recipe)
        for name in arguments.set:
            images = half_of(name, r".*", "odd")[: arguments.images]
            print_table(name, compare(images, DATA / name / "masks", theirs, out), len(images))


def compare(images: list[Path], truth: Path, theirs: HistomicsTK, out: Path) -> dict[str, list[dict[str, float]]]:
    """For each chain a row per image: pixels in Mpx, seconds, AJI and PQ."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for image in images:
        true = read_mask(find_truth(truth, image.stem))
        for variant in VARIANTS:
            seconds, found = theirs.labels(image, out, variant)
            rows[variant].append(row(seconds, true, found))
            for recipe in RECIPES:
                once, then, found = ours(image, recipe)
                whole = {key: once[key] + then[key] for key in once}
                rows[f"wsipipe {recipe}"].append(row(whole, true, found))
                rows[f"wsipipe {recipe}, slide fitted"].append(row(then, true, found))
    return rows


def row(seconds: dict[str, float], true: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """One image's numbers."""
    scores = mask_scores(true, found)
    return {"mpx": true.size / 1e6, **seconds, "aji": scores.aji, "pq": scores.pq}


def ours(image: Path, recipe: str) -> tuple[dict[str, float], dict[str, float], np.ndarray]:
    """Wall and CPU seconds of what is done once and of the rest, and the labels found on the image's own pixels."""
    settings = Settings(out=Path(), recipe=load_recipe(recipe), mpp=MPP)
    with open_slide(image, mpp=settings.mpp) as slide:
        begun = clock()
        task = plan_slide(slide, image, settings).task
        planned = clock()
        rgb = slide.read(task.grid, Box(0, 0, task.grid.width_px, task.grid.height_px)).rgb
        normalize(rgb, task.profile)
        labels = find_nuclei(rgb, task.grid.mpp, task.profile, settings.recipe.nuclei).labels
        done = clock()
        size = (slide.info.width_px, slide.info.height_px)
    labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return between(begun, planned), between(planned, done), labels


def clock() -> tuple[float, float]:
    """Wall and CPU seconds."""
    return time.perf_counter(), time.process_time()


def between(a: tuple[float, float], b: tuple[float, float]) -> dict[str, float]:
    """Seconds from one reading of the clock to another."""
    return {"wall_s": b[0] - a[0], "cpu_s": b[1] - a[1]}


def print_table(name: str, rows: dict[str, list[dict[str, float]]], n: int) -> None:
    """Markdown; ratios are of CPU seconds per pixel, against each of HistomicsTK's variants."""
    total = {chain: {key: sum(r[key] for r in some) / len(some) for key in some[0]} for chain, some in rows.items()}
    print(f"\n{name}, {n} images\n")
    against = " / ".join(variant.removeprefix("HistomicsTK: ") for variant in VARIANTS)
    print(f"| chain | Mpx/s wall | Mpx/s CPU | AJI | PQ | times as fast as {against} |\n|---|---|---|---|---|---|")
    for chain, t in total.items():
        ratios = " / ".join(f"{total[other]['cpu_s'] / t['cpu_s']:.1f}" for other in VARIANTS)
        speeds = f"{t['mpx'] / t['wall_s']:.2f} | {t['mpx'] / t['cpu_s']:.2f}"
        print(f"| {chain} | {speeds} | {t['aji']:.3f} | {t['pq']:.3f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()

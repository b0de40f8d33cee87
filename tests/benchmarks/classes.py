"""Classes of given nuclei, by the protocol: train on half of the images, score the other half, no labels in training.

    python -m tests.benchmarks.classes run --results results.jsonl [--data consep] [--what default ...] [--splits 5]
    python -m tests.benchmarks.classes show --results results.jsonl

`run` appends one JSON line for every training and goes on where it stopped; `show` prints the tables of
docs/benchmarks.md. Nuclei are the given ones (`--nuclei` of the project's own pipeline), every one labelled.
`--device cuda` trains and labels on a GPU, and the lines say so.
"""

import argparse
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from tests.benchmarks.class_tables import PUBLISHED, show
from wsipipe.cohort.baselines import MEASURED, CellData, baseline_classes
from wsipipe.cohort.evaluate import cluster_scores, match_points
from wsipipe.config import GanConfig, Settings, load_recipe
from wsipipe.describing import describe_store, nearest_in
from wsipipe.drawing import Drawn, draw_cells
from wsipipe.errors import UsageError
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.criteria import criteria
from wsipipe.gan.device import pick_device
from wsipipe.gan.label import label
from wsipipe.gan.train import train
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.io.truth_files import read_points
from wsipipe.labelling import load_model
from wsipipe.progress import Quiet
from wsipipe.slides import segment_all

K = 5
MATCH_PX = 6.0
UNKNOWN = ("", "unclassified")
LABELS = "gradient boosting with labels"
"""Not a rival: how far labels of the training half get with the same descriptions on other slides."""


@dataclass(frozen=True)
class DataSet:
    """A folder of labelled nuclei, and how they are given."""

    mpp: float
    recipe: str
    nuclei: str


DATA = {"consep": DataSet(0.25, "he-40x", "masks"), "crchisto": DataSet(0.5, "default", "points")}


@dataclass(frozen=True)
class Labelled:
    """Cells of one image, with their marked class."""

    store: CellStore
    cells: CellData
    described: NDArray[np.float64]
    truth: NDArray[np.str_]


ONCE = {"baselines", "shipped", LABELS}
"""Done once a split, from one seed."""


def variants() -> dict[str, GanConfig]:
    """What is compared; widths, patches, rates and time are the same."""
    default = load_recipe("default").gan
    alone = dataclasses.replace(default, start="random")
    published = GanConfig()
    objective = {name: getattr(published, name) for name in PAPERS}
    # without real cells in Q's steps a step costs half as much: twice as many are the same time
    paper = dataclasses.replace(alone, steps=2 * alone.steps, **objective)
    whole = dataclasses.replace(load_recipe("paper").gan, steps=FULL_WIDTH_STEPS)
    return {"default": default, "from scratch": alone, PUBLISHED: paper, FULL_WIDTH: whole}


FULL_WIDTH_STEPS = 100
FULL_WIDTH = f"recipe paper, {FULL_WIDTH_STEPS} steps"
"""At 128 channels this is what fits without a GPU; the recipe asks for 10 000."""
PAPERS = (
    "lambda_real", "lambda_teach", "lambda_measure", "coherence", "describe", "learned_prior", "standardize", "augment",
    "pooling", "average", "anneal", "spread",
)  # fmt: skip
"""Settings that the paper's objective has as published."""


PATCHES = {
    "": {},
    "8 um": {"mpp": 0.25},
    "24 um": {"mpp": 0.75},
    "masked": {"surroundings": False},
    "paper": {"mpp": 0.25, "surroundings": False},
}
"""Patches that show less, more, or the nucleus alone on white; unless named, 16 um with surroundings."""


def prepared(name: str, root: Path, work: Path, patches: str = "") -> list[Labelled]:
    """Images of a folder with their given nuclei, segmented into `work` unless they are there."""
    kind, folder = DATA[name], root / name
    recipe = load_recipe(kind.recipe)
    recipe = dataclasses.replace(recipe, patches=dataclasses.replace(recipe.patches, **PATCHES[patches]))
    out = work / f"{name} {patches}".strip().replace(" ", "-")
    settings = Settings(out, recipe, mpp=kind.mpp, nuclei=folder / kind.nuclei)
    images = sorted((folder / "images").glob("*.png"))
    segment_all(images, settings, Quiet())
    found = []
    for slide in OutputFolder(out).finished():
        store = CellStore(slide.store)
        rows = store.rows(0, len(store))
        points = read_points(folder / "points" / f"{slide.slide_id}.csv")
        truth = np.full(len(store), "", dtype="U32")
        mine, theirs = match_points(np.column_stack([rows.x_px, rows.y_px]), points.xy, MATCH_PX)
        truth[mine] = points.classes[theirs]
        measured = np.column_stack([getattr(rows, column) for column in MEASURED]).astype(np.float64)
        described = describe_store(store, nearest_in(store), np.arange(len(store)))
        found.append(Labelled(store, CellData(measured, rows.patches), described, truth))
    return found


def halves(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Images to train on, and images to score."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    return order[: count // 2], order[count // 2 :]


def joined(images: list[Labelled], which: list[int]) -> tuple[CellData, NDArray[np.str_]]:
    """Cells of some images, and what they are."""
    cells = [images[i].cells for i in which]
    data = CellData(np.concatenate([c.measured for c in cells]), np.concatenate([c.patches for c in cells]))
    return data, np.concatenate([images[i].truth for i in which])


def labelled(model: Model, images: list[Labelled], which: list[int], device: str = "cpu") -> NDArray[np.uint8]:
    """Classes of the cells of some images under a model."""
    cells, _ = joined(images, which)
    described = np.concatenate([images[i].described for i in which])
    return label(model, cells.patches, device=device, threads=1, described=described)[0]


def scored(truth: NDArray[np.str_], classes: NDArray[Any]) -> dict[str, float]:
    """AMI, ARI and purity on the cells whose class is known."""
    known = ~np.isin(truth, UNKNOWN)
    scores = cluster_scores(truth[known], classes[known])
    return {"ami": scores.ami, "ari": scores.ari, "purity": scores.purity}


def by_labels(images: list[Labelled], tuned: list[int], held: list[int], seed: int) -> NDArray[np.str_]:
    """What labels would give: gradient boosting on the same descriptions, with the labels of the training half."""
    described, truth = (np.concatenate([getattr(images[i], part) for i in tuned]) for part in ("described", "truth"))
    known = ~np.isin(truth, UNKNOWN)
    fitted = HistGradientBoostingClassifier(random_state=seed).fit(described[known], truth[known])
    said: NDArray[np.str_] = fitted.predict(np.concatenate([images[i].described for i in held]))
    return said


def one_run(what: str, images: list[Labelled], split: int, seed: int, k: int, device: str) -> dict[str, Any]:
    """Train on one half, score the other."""
    tuned, held = halves(len(images), split)
    cells, truth = joined(images, held)
    begun, cpu = time.perf_counter(), time.process_time()
    if what == "baselines":
        fitted, _ = joined(images, tuned)
        found = baseline_classes(fitted, cells, k, seed)
        return {name: scored(truth, classes) for name, classes in found.items()}
    if what == LABELS:
        return {LABELS: scored(truth, by_labels(images, tuned, held, seed))}
    if what == "shipped":
        classes = labelled(load_model("default"), images, held, device)
        return {"shipped": scored(truth, classes)}
    config = dataclasses.replace(variants()[what], classes=k)
    drawn: Drawn = draw_cells([images[i].store for i in sorted(tuned)], config, seed, Path())
    start = load_model(config.start) if config.start != "random" else None
    model = train(
        drawn.patches,
        config,
        seed=seed,
        device=device,
        patch_mpp=drawn.patch_mpp,
        described=drawn.described,
        start=start,
    )
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    classes = labelled(model, images, held, device)
    shares = np.bincount(classes, minlength=k) / len(classes)
    unseen = draw_cells([images[i].store for i in sorted(held)], config, seed, Path())
    return {
        what: scored(truth, classes),
        "criteria": criteria(model, unseen.patches, unseen.described),
        "shares": shares.round(4).tolist(),
        "wall_s": round(seconds, 1),
        "cpu_s": round(cpu, 1),
    }


def todo(args: argparse.Namespace) -> Iterator[tuple[str, int, int, int]]:
    """What, split, seed and k of every run, splits and seeds outermost so that all grow together."""
    for seed, split in itertools.product(range(args.seeds), range(args.splits)):
        for what, k in itertools.product(args.what, args.k):
            if seed == 0 or what not in ONCE:
                yield what, split, seed, k


def run(args: argparse.Namespace) -> None:
    """All runs that are not in the results yet."""
    done = {(r["data"], r["what"], r["split"], r["seed"], r["k"]) for r in read(args.results)}
    for name, patches in itertools.product(args.data, args.patches):
        images, named = prepared(name, args.root, args.work, patches), f"{name} {patches}".strip()
        if args.even:
            images = images[::2]
        for what, split, seed, k in todo(args):
            if (named, what, split, seed, k) in done:
                continue
            row = {"data": named, "what": what, "split": split, "seed": seed, "k": k, "device": args.device}
            row |= one_run(what, images, split, seed, k, args.device)
            with args.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of finished runs."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["run", "show"])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("classes-work"))
    parser.add_argument("--data", nargs="+", default=["consep", "crchisto"], choices=list(DATA))
    parser.add_argument("--what", nargs="+", default=["baselines", LABELS, "shipped", "default", PUBLISHED])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--k", type=int, nargs="+", default=[K])
    parser.add_argument("--patches", nargs="+", default=[""], choices=list(PATCHES))
    parser.add_argument("--even", action="store_true", help="only images at even places of the sorted names (tuning)")
    parser.add_argument(
        "--device", default="cpu", choices=["cpu", "cuda"], help="of training and labelling; cpu unless told"
    )
    args = parser.parse_args()
    try:
        pick_device(args.device)
    except UsageError as error:
        parser.exit(2, f"{error}\n")
    if args.do == "run":
        run(args)
    else:
        show(read(args.results))


if __name__ == "__main__":
    main()

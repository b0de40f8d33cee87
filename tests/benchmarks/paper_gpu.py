"""The paper's recipe at full width on CoNSeP's given nuclei: trained where a GPU is, scored where the images are.

    python -m tests.benchmarks.paper_gpu cells --file cells.npz            # needs the images (WSIPIPE_TEST_DATA)
    python -m tests.benchmarks.paper_gpu train --file cells.npz --labels labels.jsonl --device cuda
    python -m tests.benchmarks.paper_gpu score --file cells.npz --labels labels.jsonl --results results.jsonl
    python -m tests.benchmarks.classes show --results results.jsonl        # beside what else is in there

`train` needs torch, numpy and safetensors only, and no label enters it: of the file it reads patches and which images
are trained on. It goes on where it stopped. Splits, patches and scores are those of `tests.benchmarks.classes`.
"""

import argparse
import dataclasses
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from wsipipe.config import load_recipe
from wsipipe.errors import UsageError
from wsipipe.gan.device import pick_device
from wsipipe.gan.label import label
from wsipipe.gan.train import train

DATA, PATCHES, SPLITS, K = "consep", "paper", 5, 5


def prepare(args: argparse.Namespace) -> None:
    """Write every cell's patch, image and marked class, and the images that each split trains on."""
    from tests.benchmarks.classes import halves, prepared  # noqa: PLC0415 - reads slides: not where only torch is

    images = prepared(DATA, args.root, args.work, PATCHES)
    tuned = np.zeros((SPLITS, len(images)), bool)
    for split in range(SPLITS):
        tuned[split, halves(len(images), split)[0]] = True
    np.savez_compressed(
        args.file,
        patches=np.concatenate([image.cells.patches for image in images]),
        image=np.repeat(np.arange(len(images)), [len(image.truth) for image in images]),
        truth=np.concatenate([image.truth for image in images]),
        tuned=tuned,
    )


def fit(args: argparse.Namespace) -> None:
    """Train on one half of the images, label the other; a line for each split and seed."""
    file, done = np.load(args.file), {(row["split"], row["seed"], row["what"]) for row in read(args.labels)}
    config = dataclasses.replace(load_recipe(args.recipe).gan, classes=K, steps=args.steps)
    what = f"recipe {args.recipe}, {args.steps} steps"
    for seed, split in itertools.product(range(args.seeds), range(args.splits)):
        if (split, seed, what) in done:
            continue
        mine = file["tuned"][split][file["image"]]
        begun, cpu = time.perf_counter(), time.process_time()
        model = train(file["patches"][mine], config, seed=seed, device=args.device, patch_mpp=0.25)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        classes, _ = label(model, file["patches"][~mine], device=args.device, threads=1)
        facts = {name: model.facts[name] for name in ("device", "arithmetic", "graph", "warnings")}
        row = {"what": what, "split": split, "seed": seed, "wall_s": round(seconds, 1), "cpu_s": round(cpu, 1), **facts}
        with args.labels.open("a") as lines:
            lines.write(json.dumps({**row, "classes": classes.tolist()}) + "\n")
        print(json.dumps(row), flush=True)


def score(args: argparse.Namespace) -> None:
    """Append the scores of every line of labels that is not among the results."""
    from tests.benchmarks.classes import scored  # noqa: PLC0415

    file, named = np.load(args.file), f"{DATA} {PATCHES}"
    done = {(row["data"], row["what"], row["split"], row["seed"], row["k"]) for row in read(args.results)}
    for row in read(args.labels):
        what = row["what"]
        if (named, what, row["split"], row["seed"], K) in done:
            continue
        held = ~file["tuned"][row["split"]][file["image"]]
        found = {"data": named, "k": K, what: scored(file["truth"][held], np.array(row.pop("classes"))), **row}
        with args.results.open("a") as lines:
            lines.write(json.dumps(found) + "\n")
        print(json.dumps(found))


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a file of JSON lines; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["cells", "train", "score"])
    parser.add_argument("--file", type=Path, required=True, help="cells, a .npz")
    parser.add_argument("--labels", type=Path, default=Path("paper-labels.jsonl"))
    parser.add_argument("--results", type=Path, default=Path("paper-results.jsonl"))
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("classes-work"))
    parser.add_argument("--recipe", default="paper")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    args = parser.parse_args()
    if args.do == "train":
        try:
            pick_device(args.device)
        except UsageError as error:
            parser.exit(2, f"{error}\n")
    {"cells": prepare, "train": fit, "score": score}[args.do](args)


if __name__ == "__main__":
    main()

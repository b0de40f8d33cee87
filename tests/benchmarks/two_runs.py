"""Whether two independent trainings on one slide come to the same proportions, once their classes are matched.

    python -m tests.benchmarks.two_runs [--seeds 3]

CMU-1-Small-Region.svs (WSIPIPE_TEST_DATA, as in tests/real), recipe `default`, `wsipipe train` from several seeds.
Classes are matched so that the most cells agree (Hungarian method).
"""

import argparse
import dataclasses
import itertools
import os
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from wsipipe.config import Settings, load_recipe
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.labelling import label_store, train_model
from wsipipe.progress import Quiet
from wsipipe.slides import segment_all


def main() -> None:
    """Print a line for every pair of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), load_recipe("default"), device="cpu")
        segment_all([args.root / "slides" / "CMU-1-Small-Region.svs"], settings, Quiet())
        store = CellStore(OutputFolder(Path(folder)).finished()[0].store)
        classes = []
        for seed in range(args.seeds):
            model = train_model([store], dataclasses.replace(settings, seed=seed), Quiet(), Path(folder) / "training")
            (Path(folder) / "training").unlink(missing_ok=True)
            label_store(store, model, settings, Quiet())
            classes.append(store.labels(model.hash).classes)
    k = settings.recipe.gan.classes
    print(f"{len(classes[0])} cells, {k} classes\n")
    print("| seeds | mean absolute difference of proportions | cells that agree |\n|---|---|---|")
    for a, b in itertools.combinations(range(args.seeds), 2):
        table = np.zeros((k, k))
        np.add.at(table, (classes[a], classes[b]), 1.0)
        row, column = linear_sum_assignment(-table)
        difference = abs(table.sum(1)[row] - table.sum(0)[column]).mean() / table.sum()
        print(f"| {a} and {b} | {difference:.3f} | {table[row, column].sum() / table.sum():.1%} |", flush=True)


if __name__ == "__main__":
    main()

"""Whether the number of classes that cells support is one that labels would choose: strength and AMI for every k.

    python -m tests.benchmarks.class_number [--places even|odd]

Given nuclei of CoNSeP and CRCHistoPhenotypes, as in tests.benchmarks.classes; STRONG was chosen on images at even
places. Strengths see no label. AMI is that of the mixture that Q begins with, fitted on half of the images, on the
other half: the median of as many splits.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from tests.benchmarks.classes import DATA, Labelled, halves, prepared, scored
from wsipipe.config import load_recipe
from wsipipe.drawing import draw_cells
from wsipipe.gan.class_number import MOST_CLASSES, SPLITS, strengths, suggested
from wsipipe.gan.mixture import coherent_classes

CONFIG = load_recipe("default").gan


def ami(images: list[Labelled], split: int, k: int) -> float:
    """AMI on the unseen half of the images."""
    tuned, held = halves(len(images), split)
    drawn = draw_cells([images[i].store for i in sorted(tuned)], CONFIG, 0, Path())
    taught = coherent_classes(drawn.described, k, CONFIG.coherence, np.random.default_rng(0))
    values, truth = (np.concatenate([getattr(images[i], name) for i in held]) for name in ("described", "truth"))
    return scored(truth, (values @ taught.weight.T + taught.bias).argmax(1))["ami"]


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", choices=["even", "odd"], default="odd")
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("classes-work"))
    args = parser.parse_args()
    for name in DATA:
        images = prepared(name, args.root, args.work)[0 if args.places == "even" else 1 :: 2]
        found = strengths(draw_cells([i.store for i in images], CONFIG, 0, Path()).described, CONFIG.coherence, 0)
        scores = {k: float(np.median([ami(images, s, k) for s in range(SPLITS)])) for k in range(2, MOST_CLASSES + 1)}
        print(f"\n{name}, images at {args.places} places\n\n| k | {' | '.join(map(str, found))} |")
        print("|---" * (len(found) + 1) + "|")
        print(f"| strength | {' | '.join(f'{value:.2f}' for value in found.values())} |")
        print(f"| AMI | {' | '.join(f'{value:.3f}' for value in scores.values())} |")
        k, rank = suggested(found), spearmanr(list(found.values()), list(scores.values())).statistic
        print(f"\nsuggested {k}: AMI {scores[k]:.3f}, best {max(scores.values()):.3f}, ", end="")
        print(f"mean {np.mean(list(scores.values())):.3f}; rank correlation {rank:.2f}", flush=True)


if __name__ == "__main__":
    main()

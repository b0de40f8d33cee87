"""What docs/model-card.md says of the model that ships: its classes drawn, their profiles, its scores on unseen data.

    python -m tests.benchmarks.model_card --work ship-work --scored classes-work

`--work` is the folder of `tests.benchmarks.ship` (the training cells), `--scored` that of `tests.benchmarks.classes`
(given nuclei). Prints the tables and writes docs/images/model-classes.png, drawn by G alone.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.classes import DATA, labelled, prepared, scored
from wsipipe.describing import describe_store, nearest_in
from wsipipe.gan.draw import sample
from wsipipe.gan.label import label
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.labelling import load_model

DRAWN = 12
ENLARGED = 2
COLUMNS = ("area_um2", "eccentricity", "solidity", "h_od_mean", "h_od_std", "e_od_mean")
CONFIDENT = 0.5


def picture(path: Path) -> None:
    """One row of drawn cells a class, c0 first."""
    model = load_model("default")
    rows = [np.hstack(list(sample(model, cls, DRAWN, seed=0))) for cls in range(model.config.classes)]
    image = Image.fromarray(np.vstack(rows))
    image.resize((image.width * ENLARGED, image.height * ENLARGED), Image.Resampling.BICUBIC).save(path)


def profiles(work: Path) -> None:
    """Median measurements of the training cells of each class that Q is sure of."""
    model = load_model("default")
    stores = [CellStore(f.store) for out in sorted(work.iterdir()) for f in OutputFolder(out).finished()]
    answers = []
    for store in stores:
        described = describe_store(store, nearest_in(store), np.arange(len(store)))
        answers.append(label(model, store.patches, device="cpu", threads=1, described=described))
    classes, confidence = (np.concatenate([a[i] for a in answers]) for i in (0, 1))
    values = {name: np.concatenate([np.asarray(store.array(name)[:]) for store in stores]) for name in COLUMNS}
    print(f"{len(classes)} cells of {len(stores)} images\n\n| class | share | sure | {' | '.join(COLUMNS)} |")
    print("|---" * (3 + len(COLUMNS)) + "|")
    for cls in range(model.config.classes):
        mine = classes == cls
        sure = mine & (confidence >= CONFIDENT)
        medians = " | ".join(f"{np.median(values[name][sure]):.2f}" if sure.any() else "" for name in COLUMNS)
        print(f"| c{cls} | {mine.mean():.3f} | {sure.sum()} | {medians} |")


def scores(scored_in: Path, root: Path) -> None:
    """AMI, ARI and purity on all labelled cells of data that the model has not seen."""
    model = load_model("default")
    for name in DATA:
        images = prepared(name, root, scored_in)
        truth = np.concatenate([image.truth for image in images])
        classes = labelled(model, images, list(range(len(images))))
        found = scored(truth, classes)
        print(f"{name}: AMI {found['ami']:.3f}, ARI {found['ari']:.3f}, purity {found['purity']:.3f}")
        for kind in np.unique(truth):
            counts = np.bincount(classes[truth == kind], minlength=model.config.classes)
            print(f"| {kind or 'unmatched'} | {' | '.join(map(str, counts))} |")


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("ship-work"))
    parser.add_argument("--scored", type=Path, default=Path("classes-work"))
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    args = parser.parse_args()
    print(f"model {load_model('default').hash}")
    picture(Path("docs/images/model-classes.png"))
    profiles(args.work)
    scores(args.scored, args.root)


if __name__ == "__main__":
    main()

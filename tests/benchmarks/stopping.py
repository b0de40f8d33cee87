"""Whether the moment that a training ends with is one that labels would choose: signals without labels, and AMI.

    python -m tests.benchmarks.stopping run --results stopping.jsonl [--places even|odd] [--trainings 6]
    python -m tests.benchmarks.stopping show --results stopping.jsonl

Given nuclei of CoNSeP and CRCHistoPhenotypes, as in tests.benchmarks.classes: trained on half of the images, scored
on the others. At eight moments of a training `run` appends a JSON line: signals on the cells that it keeps aside, and
AMI on unseen images of Q's answer and of patches alone. It goes on where it stopped.
"""

import argparse
import copy
import itertools
import json
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_mutual_info_score

from tests.benchmarks.classes import DATA, Labelled, halves, joined, prepared, read, scored
from wsipipe.config import load_recipe
from wsipipe.drawing import draw_cells
from wsipipe.gan.augment import augment, to_unit
from wsipipe.gan.averages import Averages
from wsipipe.gan.inputs import lessons_of
from wsipipe.gan.nets import Critic
from wsipipe.gan.parts import workers
from wsipipe.gan.standardize import EPSILON
from wsipipe.gan.trainer import Trainer
from wsipipe.labelling import load_model

CONFIG = load_recipe("default").gan
AT_ONCE = 128
MOMENTS = (2, 5, 10, 20, 30, 50, 70, CONFIG.steps)
"""Steps after which a training is judged here."""
USED = "agreement"
"""The signal by which a training chooses (gan.best)."""
SCORES = ("Q", "patches alone")

Floats = NDArray[np.float64]


@torch.no_grad()
def averaged(critic: Critic, averages: Averages | None) -> Critic:
    """A copy with the averages of the weights, which a training keeps."""
    copied = copy.deepcopy(critic)
    state = copied.state_dict()
    if averages is not None:
        for name, mean in zip(state, averages.means[-len(state) :], strict=True):
            state[name].copy_(mean)
    return copied


@torch.no_grad()
def features(critic: Critic, patches: torch.Tensor) -> torch.Tensor:
    """Of patches uint8 (n, s, s, 3), the trunk's features (n, f)."""
    return torch.cat([critic.features(to_unit(part)) for part in torch.split(patches, AT_ONCE)])


@torch.no_grad()
def moments(images: list[Labelled], split: int) -> Iterator[dict[str, Any]]:
    """Train on half of the images, `split` being the seed; what is seen at every moment, and scores on the others."""
    tuned, held = halves(len(images), split)
    drawn = draw_cells([images[i].store for i in sorted(tuned)], CONFIG, split, Path())
    lessons = lessons_of(drawn.described, CONFIG, len(drawn.patches), split)
    assert lessons is not None
    cells = torch.from_numpy(drawn.patches)
    with workers("cpu") as threads, torch.enable_grad():
        trainer = Trainer(cells, CONFIG, split, threads, lessons, load_model(CONFIG.start).tensors)
        trainer.best, kept = None, []
        for step in range(1, MOMENTS[-1] + 1):
            trainer.step()
            if step in MOMENTS:
                kept.append((step, averaged(trainer.critic, trainer.averages)))
    unseen, truth = joined(images, held)
    values = np.concatenate([images[i].described for i in held])
    by_values = torch.from_numpy(values) @ trainer.critic.described.weight.double().T + trainer.critic.described.bias
    aside, random = trainer.aside, torch.Generator().manual_seed(1)
    views = [augment(cells[aside], CONFIG.augment, random) for _ in range(2)]
    for step, critic in kept:
        variance, mean = torch.var_mean(features(critic, cells), 0)

        def answers(found: torch.Tensor, critic: Critic = critic) -> torch.Tensor:
            return critic.log_classes_of((found - mean) * (variance + EPSILON).rsqrt()).double()  # noqa: B023

        with torch.no_grad():
            by_patch = answers(features(critic, torch.from_numpy(unseen.patches)))
            own = answers(features(critic, cells[aside]))
            seen = [answers(torch.cat([critic.features(v) for v in torch.split(view, AT_ONCE)])) for view in views]
        fused = (by_patch + by_values.log_softmax(1)).argmax(1).numpy()
        yield {
            "step": step,
            "signals": signals(own, seen, lessons.classes[aside].double(), lessons.values[aside].double().numpy())
            | {"later": float(step)},
            "scores": dict(zip(SCORES, (scored(truth, c) for c in (fused, by_patch.argmax(1).numpy())), strict=True)),
        }


def signals(own: torch.Tensor, views: list[torch.Tensor], known: torch.Tensor, values: Floats) -> dict[str, float]:
    """Of the cells aside, from Q's log-probabilities by patches (n, k), by two views of each, and by descriptions.

    Returns
    -------
    dict
        More is better: "agreement" is the share of cells with one class by patch and by description; "opinions" their
        mutual information, adjusted for chance; "likelihood" the mean log-probability by the patch of what the
        description says; "views" the share of cells with one class in both views; "information" that of Q's answers
        to them (Ji et al., ICCV 2019); "separation" the share of the descriptions' variance between the classes.
    """
    classes, theirs = own.argmax(1).numpy(), known.argmax(1).numpy()
    joint = views[0].exp().T @ views[1].exp() / len(own)
    joint = ((joint + joint.T) / 2.0).clamp_min(1e-12)
    parts = [values[classes == c] for c in np.unique(classes)]
    within = sum(((part - part.mean(0)) ** 2).sum() for part in parts)
    return {
        USED: float((classes == theirs).mean()),
        "opinions": float(adjusted_mutual_info_score(classes, theirs)),
        "likelihood": float((known * own).sum(1).mean()),
        "views": float((views[0].argmax(1) == views[1].argmax(1)).double().mean()),
        "information": float((joint * (joint / (joint.sum(0) * joint.sum(1)[:, None])).log()).sum()),
        "separation": float(1.0 - within / ((values - values.mean(0)) ** 2).sum()),
    }


def distinct(count: int) -> Iterator[int]:
    """Splits of `count` images, each in other halves than those before."""
    known = set()
    for split in itertools.count():
        tuned = tuple(sorted(halves(count, split)[0]))
        if tuned not in known:
            known.add(tuned)
            yield split


def run(args: argparse.Namespace) -> None:
    """All trainings that are not in the results yet."""
    done = {(r["data"], r["places"], r["split"]) for r in read(args.results)}
    for name in DATA:
        images = prepared(name, args.root, args.work)[0 if args.places == "even" else 1 :: 2]
        for split in itertools.islice(distinct(len(images)), args.trainings):
            if (name, args.places, split) in done:
                continue
            where = {"data": name, "places": args.places, "split": split}
            lines = [json.dumps(where | found) for found in moments(images, split)]
            with args.results.open("a") as file:
                file.write("\n".join(lines) + "\n")
            print(lines[-1], flush=True)


def show(args: argparse.Namespace) -> None:
    """For every signal: rank correlation with AMI over the moments of a training, and AMI of the moment it chooses."""
    trainings = defaultdict(list)
    for row in read(args.results):
        trainings[row["data"], row["places"], row["split"]].append(row)
    for data, places in sorted({key[:2] for key in trainings}):
        mine = [rows for key, rows in trainings.items() if key[:2] == (data, places)]
        print(f"\n**{data}, images at {places} places, {len(mine)} trainings**\n")
        print("| signal | " + " | ".join(f"rank, {s} | mean | AMI of its moment" for s in SCORES) + " |")
        print("|---" * (1 + 3 * len(SCORES)) + "|")
        for signal in mine[0][0]["signals"]:
            columns = [column for score in SCORES for column in judged(mine, signal, score)]
            print(f"| {signal}{' (used)' if signal == USED else ''} | {' | '.join(columns)} |")
        for score in SCORES:
            amis = [[row["scores"][score]["ami"] for row in rows] for rows in mine]
            best, last, gap = (statistics.mean(map(f, amis)) for f in (max, lambda a: a[-1], lambda a: max(a) - min(a)))
            print(f"\n{score}, AMI: best moment {best:.3f}, last {last:.3f}; best less worst {gap:.3f}")


def judged(trainings: list[list[dict[str, Any]]], signal: str, score: str) -> tuple[str, str, str]:
    """Rank correlations in every training, their mean, and the mean AMI of the moments that the signal chooses."""
    ranks, chosen = [], []
    for rows in trainings:
        values, amis = [r["signals"][signal] for r in rows], [r["scores"][score]["ami"] for r in rows]
        ranks.append(float(spearmanr(values, amis).statistic))
        chosen.append(amis[int(np.argmax(values))])
    return ", ".join(f"{r:.2f}" for r in ranks), f"{statistics.mean(ranks):.2f}", f"{statistics.mean(chosen):.3f}"


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["run", "show"])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--places", choices=["even", "odd"], default="odd")
    parser.add_argument("--trainings", type=int, default=6, help="each from another half of the images and seed")
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("classes-work"))
    args = parser.parse_args()
    (run if args.do == "run" else show)(args)


if __name__ == "__main__":
    main()

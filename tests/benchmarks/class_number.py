"""Whether the number of classes that cells support is one that labels would choose, in many labelled situations.

    python -m tests.benchmarks.class_number run --results numbers.jsonl [--places even|odd]
    python -m tests.benchmarks.class_number show --results numbers.jsonl

Given nuclei of CoNSeP and CRCHistoPhenotypes, as in tests.benchmarks.classes. A situation is all images, some of
them, or the cells of some of the marked kinds alone, described as if there were no others. `run` appends a line for
each: for 2 to 12 classes the criteria, which see no label, and AMI and ARI of the mixture that Q begins with, fitted on
half of the images, on the other half: the mean of as many splits as halves. Only for all images are mixtures fitted as
in a training; elsewhere from QUICK starts and rounds, a seventh of the time.
"""

import argparse
import contextlib
import functools
import itertools
import json
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from tests.benchmarks.classes import DATA, UNKNOWN, Labelled, halves, prepared, read, scored
from wsipipe.config import load_recipe
from wsipipe.describing import describe, measured_in, nearest, nearest_in
from wsipipe.gan import mixture
from wsipipe.gan.class_number import (
    MOST_CLASSES,
    SPLITS,
    STRETCHES,
    suggestion,
)
from wsipipe.gan.mixture import Described, coherent_classes
from wsipipe.records import VIEWS

COHERENCE = load_recipe("default").gan.coherence
NUMBERS = range(2, MOST_CLASSES + 1)
MOST_CELLS = 1500
QUICK = {"STARTS": 3, "ROUNDS": 30}
LEAST_OF_IMAGE = 8
SUBSETS, SHARE = 4, 0.5
"""How many subsets of the images, and how much of them."""
RARE = "miscellaneous"
"""Of these there are too few for situations of their own."""

STRONG = 0.4
SCORES = ("ami", "ari")

Floats = NDArray[np.float64]
Rule = Callable[[dict[str, Any]], Floats]


@dataclass(frozen=True)
class Part:
    """Cells of an image."""

    described: Described
    truth: NDArray[np.str_]


@dataclass(frozen=True)
class Situation:
    """Cells with their marked classes; `number` is how many kinds there are."""

    name: str
    parts: list[Part]

    @property
    def number(self) -> int:
        return len(set(np.concatenate([part.truth for part in self.parts])) - set(UNKNOWN))


def situations(images: list[Labelled], seed: int = 5) -> Iterator[Situation]:
    """All images, subsets of them, and every subset of the kinds."""
    whole = [Part(Described(i.described, nearest_in(i.store)), i.truth) for i in images]
    yield Situation("all", whole)
    for number, chosen in enumerate(subsets(len(whole), seed)):
        yield Situation(f"images {number}", [whole[i] for i in chosen])
    kinds = sorted(set(np.concatenate([i.truth for i in images])) - {*UNKNOWN, RARE})
    for size in range(1, len(kinds) + 1):
        for some in itertools.combinations(kinds, size):
            parts = [of_kinds(image, some) for image in images]
            yield Situation(" + ".join(some), [part for part in parts if len(part.truth) >= LEAST_OF_IMAGE])


def subsets(count: int, seed: int) -> list[tuple[int, ...]]:
    """Different subsets of `count` images."""
    rng, found = np.random.default_rng(seed), dict[tuple[int, ...], None]()
    while len(found) < SUBSETS:
        found[tuple(sorted(rng.permutation(count)[: max(3, int(count * SHARE))].tolist()))] = None
    return list(found)


def of_kinds(image: Labelled, kinds: tuple[str, ...]) -> Part:
    """The cells of some kinds, as if the others were not there."""
    rows = np.isin(image.truth, kinds)
    centres = np.column_stack([np.asarray(image.store.array(name)[:]) for name in ("x_px", "y_px")])[rows]
    near = nearest(centres * image.store.attributes["slide"]["mpp"])
    described = describe(measured_in(image.store)[rows], image.described[rows, VIEWS[1]], near)
    return Part(Described(described, near), image.truth[rows])


def together(parts: list[Part]) -> tuple[Described, NDArray[np.str_]]:
    """Cells of several images as one."""
    starts = np.cumsum([0, *(len(part.truth) for part in parts)])
    beside = [
        np.where(p.described.neighbours >= 0, p.described.neighbours + s, -1)
        for p, s in zip(parts, starts, strict=False)
    ]
    values = np.concatenate([part.described.values for part in parts])
    return Described(values, np.concatenate(beside)), np.concatenate([part.truth for part in parts])


def shortened(parts: list[Part]) -> list[Part]:
    """At most MOST_CELLS: the upper part of every image."""
    share = min(1.0, MOST_CELLS / sum(len(part.truth) for part in parts))
    found = []
    for part in parts:
        count = int(np.ceil(share * len(part.truth)))
        beside = part.described.neighbours[:count]
        described = Described(part.described.values[:count], np.where(beside < count, beside, -1))
        found.append(Part(described, part.truth[:count]))
    return found


def told(learnt: Described, values: Floats, k: int) -> NDArray[np.intp]:
    """Classes of other cells."""
    taught = coherent_classes(learnt, k, COHERENCE, np.random.default_rng(0))
    return np.asarray((values @ taught.weight.T + taught.bias).argmax(1))


def on_unseen(parts: list[Part], k: int) -> dict[str, float]:
    """Mean scores of as many splits by image."""
    found = []
    for split in range(SPLITS):
        tuned, held = (together([parts[i] for i in half]) for half in halves(len(parts), split))
        found.append(scored(held[1], told(tuned[0], held[0].values, k)))
    return {score: statistics.mean(f[score] for f in found) for score in SCORES}


def rivals(cells: Described, k: int) -> dict[str, float]:
    """What is usual instead; more is better."""
    values, classes = cells.standardized(), told(cells, cells.values, k)
    if len(set(classes)) < 2:
        return {"prediction strength": 0.0, "silhouette": -1.0, "Calinski-Harabasz": 0.0, "Davies-Bouldin": -9.0}
    return {
        "prediction strength": prediction_strength(cells, k),
        "silhouette": float(silhouette_score(values, classes)),
        "Calinski-Harabasz": float(calinski_harabasz_score(values, classes)),
        "Davies-Bouldin": -float(davies_bouldin_score(values, classes)),
    }


def prediction_strength(cells: Described, k: int) -> float:
    """Of Tibshirani and Walther (J. Comput. Graph. Stat. 14(3), 2005, equation 3), every other stretch held out."""
    first = (np.arange(len(cells)) * STRETCHES // len(cells)) % 2 == 0
    place = np.full(len(cells) + 1, -1)
    parts = []
    for rows in (first, ~first):
        place[:-1] = -1
        place[:-1][rows] = np.arange(rows.sum())
        parts.append(Described(cells.values[rows], place[cells.neighbours[rows]]))
    own, theirs = (told(part, parts[1].values, k) for part in parts[::-1])
    table = np.zeros((k, k))
    np.add.at(table, (own, theirs), 1.0)
    size = table.sum(1)
    return float(((table * (table - 1.0)).sum(1) / np.maximum(size * (size - 1.0), 1.0)).min())


@contextlib.contextmanager
def fitted_quickly() -> Iterator[None]:
    """Mixtures from fewer starts and rounds, while the context lasts."""
    before = {name: getattr(mixture, name) for name in QUICK}
    for name, fewer in QUICK.items():
        setattr(mixture, name, fewer)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(mixture, name, value)


def judged(situation: Situation) -> dict[str, Any]:
    """What a line of the results holds."""
    parts = shortened(situation.parts)
    cells, _ = together(parts)
    found = suggestion(cells, COHERENCE, 0)
    numbers = {}
    for number, support in found.supports.items():
        criteria = {"strength": support.strength, "halves": support.halves, "views": support.views}
        numbers[str(number)] = criteria | rivals(cells, number) | on_unseen(parts, number)
    row = {"kinds": situation.number, "cells": len(cells), "suggested": found.number}
    return row | {"kinds_show": found.kinds_show, "numbers": numbers}


def run(args: argparse.Namespace) -> None:
    """All situations that are not in the results yet."""
    done = {(r["data"], r["places"], r["situation"]) for r in read(args.results)}
    for name in DATA:
        images = prepared(name, args.root, args.work)[0 if args.places == "even" else 1 :: 2]
        for situation in situations(images):
            if (name, args.places, situation.name) in done:
                continue
            row = {"data": name, "places": args.places, "situation": situation.name}
            with contextlib.nullcontext() if situation.name == "all" else fitted_quickly():
                row |= judged(situation)
            with args.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(name, situation.name, row["kinds"], row["suggested"], row["kinds_show"], flush=True)


def show(args: argparse.Namespace) -> None:
    """The two whole sets, and all situations together."""
    rows = read(args.results)
    for row in (r for r in rows if r["situation"] == "all"):
        print(f"\n| {row['data']}, {row['places']} places, k | {' | '.join(map(str, NUMBERS))} |")
        print("|---" * (len(NUMBERS) + 1) + "|")
        for name in ("halves", "views", "strength", "ami", "ari"):
            print(f"| {name} | {' | '.join(f'{value:.2f}' for value in curve(row, name))} |")
    several = [r for r in rows if r["kinds"] > 1]
    criteria = [name for name in several[0]["numbers"]["2"] if name not in SCORES]
    rules: dict[str, Rule] = {name: functools.partial(curve, name=name) for name in criteria}
    for constant in (2, 3, 4, 5):
        rules[f"always near {constant}"] = lambda _, constant=constant: -abs(np.array(NUMBERS) - constant - 0.1)
    print(f"\n{len(several)} situations of several kinds; rank correlation, mean (share above 0)\n")
    ranked = " | ".join(f"{score}, {data}" for score in SCORES for data in DATA)
    print(f"| criterion | {ranked} | its number loses ami | ari | is off by |")
    print("|---" * 8 + "|")
    for name, rule in rules.items():
        print(f"| {name} | {' | '.join(summary(several, rule))} |")
    print(f"\nlargest with a prediction strength of {STRONG}: {' | '.join(summary(several, until_now)[-3:])}")
    for label, some in (("several kinds", several), ("one kind", [r for r in rows if r["kinds"] == 1])):
        print(f"\n{label}: {sum(r['kinds_show'] for r in some)} of {len(some)} show kinds")


def curve(row: dict[str, Any], name: str) -> Floats:
    """A criterion or score of every number."""
    return np.array([row["numbers"][str(k)][name] for k in NUMBERS])


def until_now(row: dict[str, Any]) -> Floats:
    """What was suggested before: the most classes of enough prediction strength, else the strongest."""
    strength = curve(row, "prediction strength")
    return np.where(strength >= STRONG, np.array(NUMBERS), strength - 1.0)


def summary(rows: list[dict[str, Any]], rule: Rule) -> list[str]:
    """Rank correlations by score and data, mean losses of the number chosen, and how far it is from the kinds."""
    columns, losses = [], []
    picks = [NUMBERS[int(rule(row).argmax())] for row in rows]
    for score in SCORES:
        for data in DATA:
            ranks = [spearmanr(rule(r), curve(r, score)).statistic for r in rows if r["data"] == data]
            columns.append(f"{statistics.mean(ranks):.2f} ({np.mean(np.array(ranks) > 0):.0%})")
        lost = [max(curve(r, score)) - r["numbers"][str(k)][score] for r, k in zip(rows, picks, strict=True)]
        losses.append(f"{statistics.mean(lost):.3f}")
    off = statistics.mean(abs(k - r["kinds"]) for r, k in zip(rows, picks, strict=True))
    return [*columns, *losses, f"{off:.1f}"]


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["run", "show"])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--places", choices=["even", "odd"], default="odd")
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("classes-work"))
    args = parser.parse_args()
    (run if args.do == "run" else show)(args)


if __name__ == "__main__":
    main()

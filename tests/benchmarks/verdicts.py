"""Verdicts on slides from proportions, on lc25000_colon and lc25000_lung at 0.55 um/px.

    python -m tests.benchmarks.verdicts -o FOLDER [--data colon lung] [--only NAME...] [--repeats 20] [--model FILE]

Segments the pictures, trains a model with 20 classes on each cohort, then runs the nested cross-validation of
`wsipipe classify cv` on: the cohort's model, the model that ships, k-means classes on the measurements of the same
cells, and on stages made worse or better one at a time. FOLDER keeps what is finished: run it again to continue.
Data: WSIPIPE_TEST_DATA, as in tests/real.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from wsipipe import pipeline, slides
from wsipipe.cohort.baselines import MEASURED, CellData, baseline_classes, shape_and_stain
from wsipipe.cohort.crossval import cross_validate
from wsipipe.cohort.folds import inner_folds, make_folds
from wsipipe.cohort.joining import join_labels
from wsipipe.cohort.profile_vectors import PROFILE, profile_rows
from wsipipe.cohort.vectors import VECTORS
from wsipipe.cohort.verdict_scores import confusion, table_scores
from wsipipe.config import Settings, load_recipe, parse_recipe
from wsipipe.describing import describe_store, nearest_in
from wsipipe.gan.checkpoint import Model, load
from wsipipe.gan.label import looking
from wsipipe.gan.opinions import fused
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.io.verdict_files import names_of, read_labels
from wsipipe.labelling import load_model
from wsipipe.progress import Quiet

DATA = Path(os.environ.get("WSIPIPE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
MPP, K, FOLDS, THREADS = 0.55, 20, 4, 2
SEEDS = 5
"""Of k-means: repeat r uses classes of seed r modulo this, so that no lucky start counts."""

COHORT, SHIPPED, K_MEANS = "model of the cohort", "model that ships", "k-means on shape and stain"
COUNTED, EXPECTED, PROFILES = ", counted", ", expected", ", profiles"
"""Without these words slides are judged as `classify` does, by profiles; k-means without them is counted."""
Rows = NDArray[np.float64]


def main() -> None:
    """Print a row per data set and condition, then the paired gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--data", nargs="+", default=["colon", "lung"], choices=["colon", "lung"])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", nargs="+", help="conditions, by the beginning of their name")
    parser.add_argument("--recipe", default="default", help="what the cohort's model is trained with")
    arguments = parser.parse_args()
    for name in arguments.data:
        cohort = Cohort(name, arguments.out, arguments.recipe)
        found = {}
        for condition, make in cohort.conditions().items():
            if arguments.only and not any(condition.startswith(word) for word in arguments.only):
                continue
            found[condition] = cohort.scored(condition, make, arguments.repeats)
            print(f"{name:6} {condition:46} " + shown(found[condition]), flush=True)
        if COHORT in found and K_MEANS in found:
            best, rival = (found[c][winner(found[c])] for c in (COHORT, K_MEANS))
            gain = np.array(best) - np.array(rival)
            low, high = np.quantile(gain, [0.025, 0.975])
            print(f"{name:6} gain over k-means, paired: {np.median(gain):+.3f} ({low:+.3f} to {high:+.3f})", flush=True)


def winner(row: dict[str, list[float]]) -> str:
    """The classifier with the higher median."""
    return max(row, key=lambda classifier: float(np.median(row[classifier])))


def shown(row: dict[str, list[float]]) -> str:
    """Median and range over the repeats, of each classifier."""
    return "  ".join(f"{c} {np.median(f1):.3f} ({min(f1):.3f} to {max(f1):.3f})" for c, f1 in row.items())


class Cohort:
    """One data set: its stores, labels, and the conditions it is judged under."""

    def __init__(self, name: str, folder: Path, recipe: str) -> None:
        self.name, self.folder = name, folder
        self.source = DATA / f"lc25000_{name}"
        chosen = load_recipe(recipe).to_dict()
        self.recipe = parse_recipe({**chosen, "gan": {**chosen["gan"], "classes": K}}, recipe)
        self.settings = Settings(out=folder / name, mpp=MPP, workers=1, recipe=self.recipe)
        images = sorted((self.source / "images").glob("*.jpg"))
        begun = time.process_time()
        if slides.segment(images, self.settings, Quiet()):
            raise SystemExit("some pictures failed")
        seconds = time.process_time() - begun
        self.stores = [CellStore(slide.store) for slide in OutputFolder(folder / name).finished()]
        self.of = np.repeat(np.arange(len(self.stores)), [len(store) for store in self.stores])
        truth = read_labels(self.source / "labels.csv")
        said = [(names_of(row.slide), row.label, "") for row in truth.rows]
        ids = [store.slide_id for store in self.stores]
        self.slides = join_labels(ids, np.bincount(self.of, minlength=len(ids)).astype(float), said, False)
        print(f"{name:6} {len(images)} pictures, {len(self.of)} cells, {seconds:.0f} s of CPU", flush=True)

    def conditions(self) -> dict[str, Callable[[int], Rows]]:
        """Name, and what gives the rows that slides are judged by, for a seed."""
        own = self.cohort_model
        return {
            COHORT: lambda _: self.profiles(self.probabilities(own())),
            SHIPPED: lambda _: self.profiles(self.probabilities(load_model("default"))),
            COHORT + EXPECTED: lambda _: self.summed(self.probabilities(own())),
            COHORT + COUNTED: lambda _: self.summed(_certain(self.probabilities(own()))),
            SHIPPED + EXPECTED: lambda _: self.summed(self.probabilities(load_model("default"))),
            SHIPPED + COUNTED: lambda _: self.summed(_certain(self.probabilities(load_model("default")))),
            K_MEANS: lambda seed: self.summed(_one_hot(self.k_means(seed))),
            K_MEANS + PROFILES: lambda seed: self.profiles(_one_hot(self.k_means(seed))),
            "nuclei: half of the cells, at random": self.half,
            "nuclei: a quarter of the cells, at random": lambda seed: self.half(seed, 0.25),
            "classes: a third dealt at random": self.noisy,
            "classes: k-means on shape, stain, surroundings": lambda seed: self.profiles(_one_hot(self.context(seed))),
            "classes: none, all cells alike": lambda _: self.profiles(np.ones((len(self.of), 1))),
            "vector: means and deviations, no classes": lambda _: self.moments(),
            "vector: the same with cells per mm2": lambda _: np.hstack([self.moments(), self.density()]),
        }

    def scored(self, condition: str, make: Callable[[int], Rows], repeats: int) -> dict[str, list[float]]:
        """Weighted F1 of each repeat, by classifier; kept in a file."""
        slug = "".join(c if c.isalnum() else "-" for c in condition)
        path = self.folder / f"{self.name}-{slug}-{repeats}.json"
        if path.is_file():
            return dict(json.loads(path.read_text()))
        y = self.slides.y
        found: dict[str, list[float]] = {}
        seeds = 1 if condition.startswith((COHORT, SHIPPED, "vector", "classes: none")) else SEEDS
        vectors = [make(seed)[self.slides.at] for seed in range(min(seeds, repeats))]
        for repeat in range(repeats):
            own = vectors[repeat % len(vectors)]
            for name in ("rbf-svm",) if condition.startswith("vector") else ("linear-svm", "rbf-svm"):
                found.setdefault(name, []).append(self.f1(own, y, name, repeat, condition))
        path.write_text(json.dumps(found))
        return found

    def f1(self, rows: Rows, y: NDArray[np.intp], name: str, seed: int, condition: str) -> float:
        """One repeat; vectors without classes go to an SVM as they are."""
        groups, labels = np.arange(len(y)), int(y.max()) + 1
        if not condition.startswith("vector"):
            shares = condition == K_MEANS or condition.endswith((COUNTED, EXPECTED))
            said = cross_validate(
                rows,
                y,
                groups,
                name,
                folds=FOLDS,
                repeats=1,
                seed=seed,
                advance=lambda: None,
                vectors=VECTORS if shares else (PROFILE,),
            ).verdicts[0]
            return float(table_scores(confusion(y, said, labels))["f1"])
        said = np.zeros(len(y), np.intp)
        for train, test in make_folds(y, groups, FOLDS, seed):
            inner = inner_folds(y[train], groups[train], FOLDS, seed)
            search = GridSearchCV(
                make_pipeline(StandardScaler(), SVC()), {"svc__C": [1.0, 3.0, 10.0]}, scoring="f1_weighted", cv=inner
            )
            said[test] = search.fit(rows[train], y[train]).predict(rows[test])
        return float(table_scores(confusion(y, said, labels))["f1"])

    def cohort_model(self) -> Model:
        """Trained on this cohort's cells, once."""
        path = self.folder / f"{self.name}.safetensors"
        if not path.is_file():
            pipeline.train([self.folder / self.name], path, self.settings, Quiet())
        return load(path)

    def probabilities(self, model: Model) -> Rows:
        """Q's answer to every cell, (cells, k): what labels, expected shares and profiles are made of."""
        with looking(model, "cpu", THREADS, alone=False) as look:
            seen = [look(np.asarray(store.patches[:])) for store in self.stores]
        return np.exp(fused(model, np.concatenate(seen), self.described()))

    def described(self) -> Rows:
        """Descriptions of all cells."""
        every = [describe_store(store, nearest_in(store), np.arange(len(store))) for store in self.stores]
        return np.concatenate(every)

    def summed(self, weights: Rows, kept: NDArray[np.intp] | slice = slice(None)) -> Rows:
        """Cells of each class on each slide, every cell by its weights (cells, k)."""
        table = np.zeros((len(self.stores), weights.shape[1]))
        np.add.at(table, self.of[kept], weights[kept])
        return table

    def profiles(self, weights: Rows, kept: NDArray[np.intp] | slice = slice(None)) -> Rows:
        """Profiles of the slides when their cells have these weights."""
        cells, described = self.summed(weights, kept), self.described()
        sums = [self.summed(own[:, None] * described, kept) for own in weights.T]
        looks = np.stack(sums, axis=1) / np.maximum(cells, 1e-12)[:, :, None]
        area = np.array([round(store.attributes["counts"]["tissue_mm2"], 4) for store in self.stores])
        return profile_rows(np.where(area > 0, area, 1.0), cells, looks)

    def measured(self) -> NDArray[np.float64]:
        """Measurements of every cell."""
        return np.concatenate(
            [np.column_stack([np.asarray(store.array(name)[:], float) for name in MEASURED]) for store in self.stores]
        )

    def k_means(self, seed: int) -> NDArray[np.intp]:
        """The baseline of `evaluate classes`, on all cells."""
        cells = CellData(self.measured(), np.zeros((len(self.of), 1, 1, 3), np.uint8))
        return baseline_classes(cells, cells, K, seed)[K_MEANS]

    def context(self, seed: int) -> NDArray[np.intp]:
        """k-means on the measurements, and means and deviations of the colours of the patch and of its middle."""
        colours = []
        for store in self.stores:
            patches = np.asarray(store.patches[:], np.float32)
            middle = patches[:, 8:24, 8:24]
            colours.append(np.hstack([f(part, axis=(1, 2)) for part in (patches, middle) for f in (np.mean, np.std)]))
        features = StandardScaler().fit_transform(
            np.hstack([shape_and_stain(self.measured()), np.concatenate(colours)])
        )
        return np.asarray(MiniBatchKMeans(K, n_init=5, random_state=seed).fit_predict(features), np.intp)

    def half(self, seed: int, share: float = 0.5) -> Rows:
        """The cohort's classes when cells are missed at random; their neighbours are still seen."""
        kept = np.random.default_rng(seed).uniform(size=len(self.of)) < share
        kept[np.unique(self.of, return_index=True)[1]] = True  # no slide without cells
        return self.profiles(self.probabilities(self.cohort_model()), np.flatnonzero(kept))

    def noisy(self, seed: int) -> Rows:
        """The cohort's classes when a third of the cells get another cell's answer."""
        rng = np.random.default_rng(seed)
        answers = self.probabilities(self.cohort_model())
        wrong = rng.uniform(size=len(answers)) < 1 / 3
        answers[wrong] = answers[rng.integers(len(answers), size=int(wrong.sum()))]
        return self.profiles(answers)

    def moments(self) -> Rows:
        """Mean and standard deviation of each measurement on each slide."""
        features = shape_and_stain(self.measured())
        own = [features[self.of == i] if (self.of == i).any() else np.zeros((1, 8)) for i in range(len(self.stores))]
        return np.array([np.concatenate([part.mean(axis=0), part.std(axis=0)]) for part in own])

    def density(self) -> Rows:
        """Cells per square millimetre of tissue, logarithm."""
        area = np.array([store.attributes["counts"]["tissue_mm2"] for store in self.stores])
        return np.log1p(np.bincount(self.of, minlength=len(area)) / np.maximum(area, 1e-6))[:, None]


def _certain(weights: Rows) -> Rows:
    """Each cell for its likeliest class alone."""
    return _one_hot(weights.argmax(axis=1))


def _one_hot(classes: NDArray[np.intp]) -> Rows:
    return np.eye(int(classes.max()) + 1)[classes]


if __name__ == "__main__":
    main()

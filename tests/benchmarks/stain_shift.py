"""Does stain normalization help? Accuracy with the colours shifted on purpose, with it, with part of it, without.

    python -m tests.benchmarks.stain_shift [--set monuseg consep bm_graz] [--images 2] [--shifts yellow] [--glass]

Images at the odd places of the sorted names (bm_graz: odd patients), recipe `he-40x` at 0.25 um/px. A shift is made in
optical density with the image's own stain vectors: the vectors are turned, the concentrations scaled, what is no stain
is kept, the light is tinted; or the grey levels go through the curve of another scanner. Three ways to find nuclei:

- fitted: stain vectors, glass and threshold of the slide itself, as the pipeline does;
- threshold only: the reference's vectors, with the slide's own threshold (`[stain] method = "given"`);
- nothing: the reference's vectors and glass, and one threshold for all, the median of the even files as they are.

The last columns say how far the colours of the picture move from those of the same picture as it was: as scanned, and
after `normalize`, in grey levels (mean over stained pixels and channels). It is what the networks see.
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tests.benchmarks.accuracy import DATA, half_of
from tests.degraded import Rgb
from wsipipe.cohort.evaluate import detection_scores, mask_scores, match_points
from wsipipe.config import Recipe, load_recipe
from wsipipe.image.nuclei import find_nuclei, fit_threshold
from wsipipe.image.stain import REFERENCE, fit_stain, normalize, unmixing
from wsipipe.image.tissue import find_tissue
from wsipipe.io.truth_files import find_truth, read_mask, read_points
from wsipipe.records import StainProfile

MPP = 0.25
RECIPE = load_recipe("he-40x")
TRUTH = {"monuseg": "masks", "consep": "masks", "bm_graz": "points_mbm"}
BLOCK_PX = 256
RADIUS_PX = 10.0


class Shift(NamedTuple):
    """Degrees that the stains are turned, factors on their amounts, RGB of other light, exponent of grey levels."""

    name: str
    turn: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    light: tuple[float, float, float] | None = None
    gamma: float = 1.0


SHIFTS = (
    Shift("as it is"),
    Shift("haematoxylin bluer, eosin more orange", turn=(-10.0, 8.0)),
    Shift("haematoxylin redder, eosin more purple", turn=(7.0, -6.0)),
    Shift("pale: both x 0.5", scale=(0.5, 0.5)),
    Shift("dark: both x 1.6", scale=(1.6, 1.6)),
    Shift("little haematoxylin, much eosin", scale=(0.6, 1.5)),
    Shift("much haematoxylin, little eosin", scale=(1.5, 0.6)),
    Shift("yellow light", light=(250.0, 235.0, 195.0)),
    Shift("blue dim light", light=(190.0, 205.0, 225.0)),
    Shift("scanner with gamma 0.7", gamma=0.7),
    Shift("scanner with gamma 1.4", gamma=1.4),
    Shift("another laboratory", (-8.0, 6.0), (0.7, 1.4), (235.0, 230.0, 205.0), 1.15),
)


def main() -> None:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs="+", default=list(TRUTH), choices=list(TRUTH))
    parser.add_argument("--images", type=int, default=1000, help="no more than this many of each set")
    parser.add_argument("--half", default="odd", choices=["odd", "even"])
    parser.add_argument("--shifts", nargs="+", default=[""], help="those whose name begins so")
    parser.add_argument("--glass", action="store_true", help="the fit sees the light, as on a slide with clear glass")
    arguments = parser.parse_args()
    shifts = [shift for shift in SHIFTS if any(shift.name.startswith(name) for name in arguments.shifts)]
    cv2.setNumThreads(1)
    for name in arguments.set:
        fixed = dataclasses.replace(REFERENCE, threshold=usual_threshold(name))
        paths = half_of(name, r".*", arguments.half)[: arguments.images]
        measure = "AJI / PQ" if TRUTH[name] == "masks" else "F1"
        print(f"\n**{name}, {len(paths)} images, {measure}**\n")
        print(
            "| shift | fitted | threshold only | nothing | moved, as scanned | moved, normalized |\n" + "|---" * 6 + "|"
        )
        for shift in shifts:
            rows = [measured(path, name, shift, fixed, arguments.glass) for path in paths]
            scores, moves = zip(*rows, strict=True)
            print(f"| {shift.name} | {cells(np.mean(scores, axis=0))} | {moved(np.mean(moves, axis=0))} |", flush=True)


def measured(
    path: Path, name: str, shift: Shift, fixed: StainProfile, glass: bool
) -> tuple[list[tuple[float, ...]], tuple[float, float]]:
    """Scores of the three ways, and how far the colours moved."""
    plain = cv2.imread(str(path))[..., ::-1].copy()
    before = fitted(plain, RECIPE)
    rgb = shifted(plain, before, shift)
    light = shifted(np.round(before.white).astype(np.uint8).reshape(1, 1, 3), before, shift).ravel()
    after = fitted(rgb, RECIPE, (float(light[0]), float(light[1]), float(light[2])) if glass else None)
    scores = [score(rgb, profile, path.stem, name) for profile in (after, threshold_only(rgb), fixed)]
    stained = plain.mean(axis=2) < 225
    moves = (difference(rgb, plain, stained), difference(normalize(rgb, after), normalize(plain, before), stained))
    return scores, moves


def shifted(rgb: Rgb, profile: StainProfile, shift: Shift) -> Rgb:
    """The picture with its stains turned and scaled, in another light, by another scanner."""
    density = -np.log10(np.maximum(rgb, 1) / np.array(profile.white))
    amounts = density @ unmixing(profile.vectors).T
    vectors = np.array(profile.vectors)
    target = np.stack([turned(*vectors, shift.turn[0]), turned(*vectors[::-1], -shift.turn[1])])
    density += amounts * shift.scale @ target - amounts @ vectors
    light = np.array(shift.light or profile.white) * 10**-density
    return np.clip(255 * (np.clip(light, 0, 255) / 255) ** shift.gamma + 0.5, 0, 255).astype(np.uint8)


def turned(vector: np.ndarray, other: np.ndarray, degrees: float) -> np.ndarray:
    """A unit vector turned towards another one by so many degrees, or away from it; not negative."""
    across = other - vector * (vector @ other)
    across /= np.linalg.norm(across)
    angle = np.radians(degrees)
    out = np.maximum(np.cos(angle) * vector + np.sin(angle) * across, 0.01)
    return np.asarray(out / np.linalg.norm(out))


def fitted(rgb: Rgb, recipe: Recipe, glass: tuple[float, float, float] | None = None) -> StainProfile:
    """Stain profile and threshold of the slide itself: what `plan_slide` fits, on every block of an image so small."""
    small = cv2.resize(rgb, None, fx=MPP / recipe.tissue.mpp, fy=MPP / recipe.tissue.mpp, interpolation=cv2.INTER_AREA)
    white = glass or find_tissue(small, recipe.tissue.mpp, recipe.tissue).white
    blocks = np.stack(list(squares(rgb)))
    profile = fit_stain(blocks, white, recipe.stain)
    return dataclasses.replace(profile, threshold=fit_threshold(blocks, MPP, profile, recipe.nuclei))


def threshold_only(rgb: Rgb) -> StainProfile:
    """The reference's vectors, and a threshold of the slide itself."""
    blocks = np.stack(list(squares(rgb)))
    return dataclasses.replace(REFERENCE, threshold=fit_threshold(blocks, MPP, REFERENCE, RECIPE.nuclei))


def usual_threshold(name: str) -> float:
    """Median threshold of the even files as they are, with the reference's vectors."""
    paths = half_of(name, r".*", "even")
    return float(np.median([threshold_only(cv2.imread(str(p))[..., ::-1].copy()).threshold for p in paths]))


def squares(rgb: Rgb) -> Iterator[Rgb]:
    """Blocks of BLOCK_PX."""
    for y in range(0, rgb.shape[0] - BLOCK_PX + 1, BLOCK_PX):
        for x in range(0, rgb.shape[1] - BLOCK_PX + 1, BLOCK_PX):
            yield rgb[y : y + BLOCK_PX, x : x + BLOCK_PX]


def score(rgb: Rgb, profile: StainProfile, stem: str, name: str) -> tuple[float, ...]:
    """AJI and PQ, or F1 of the centres."""
    labels = find_nuclei(rgb, MPP, profile, RECIPE.nuclei).labels
    truth = find_truth(DATA / name / TRUTH[name], stem)
    if TRUTH[name] == "masks":
        scores = mask_scores(read_mask(truth), labels)
        return scores.aji, scores.pq
    row, column = np.nonzero(labels)
    size = np.maximum(np.bincount(labels[row, column])[1:], 1)
    x, y = (np.bincount(labels[row, column], axis)[1:] / size + 0.5 for axis in (column, row))
    true = read_points(truth).xy
    pairs = match_points(np.stack([x, y], axis=1), true, RADIUS_PX)[0]
    return (detection_scores(len(pairs), len(x), len(true)).f1,)


def difference(a: Rgb, b: Rgb, where: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(a[where].astype(np.int16) - b[where]).mean())


def cells(ways: np.ndarray) -> str:
    """The scores of three ways as cells of a table."""
    return " | ".join(" / ".join(f"{value:.3f}" for value in way) for way in ways)


def moved(moves: np.ndarray) -> str:
    """Two differences as cells of a table."""
    return " | ".join(f"{value:.1f}" for value in moves)


if __name__ == "__main__":
    main()

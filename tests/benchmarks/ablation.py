"""What each part of the nuclei adds: the whole method, and the method without one part at a time.

    python -m tests.benchmarks.ablation [--set monuseg consep gbm40] [--half odd] [--images 3]

Recipe `he-40x` at 0.25 um/px on the odd files of the sorted names, AJI and PQ averaged over the images of a set. A
part is left out by the recipe value beside its name. What is left may want another limit of quality, which the part's
loss of score was weighed against: the last column is the change when `least_quality` is chosen again from QUALITIES,
on the first even files of each set. The first rows are what the method is built on: components of the smoothed
haematoxylin above the slide's threshold, as they are, and split by the watershed of their distance transform. Labels
are scored as found, without the way through outlines and store that `accuracy` takes, so that numbers differ from
there in the third decimal.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage
from skimage.morphology import remove_small_objects
from skimage.segmentation import watershed

from tests.benchmarks.accuracy import DATA, half_of
from wsipipe.cohort.evaluate import mask_scores
from wsipipe.config import Recipe, Settings, load_recipe
from wsipipe.image.deconvolve import OD_UNIT, mixed
from wsipipe.image.nuclei import find_nuclei
from wsipipe.image.smooth import KERNEL_SUM, gaussian_blur
from wsipipe.io.slide import open_slide
from wsipipe.io.truth_files import find_truth, read_mask
from wsipipe.planning import plan_slide
from wsipipe.records import Box, StainProfile
from wsipipe.units import um2_to_px2, um_to_px

MPP = 0.25
RECIPE = load_recipe("he-40x")
QUALITIES = (-0.13, -0.06, 0.06, 0.2, 0.35)
TUNING_IMAGES = 3

# part, stage of the recipe, values that leave it out
PARTS = (
    ("opened images as a second tree", "nuclei", {"open_um": 0.0}),
    ("sharpening against the surroundings", "nuclei", {"sharpen": 0.0}),
    ("smoothing before thresholds", "nuclei", {"smooth_um": 0.0}),
    ("thresholds below the slide's", "nuclei", {"lowest_threshold": 1.0}),
    ("smoothing before contrast", "nuclei", {"edge_um": 0.0}),
    ("contrast from well inside to well outside", "nuclei", {"reach_um": 0.0}),
    ("score for shape", "nuclei", {"shape_weight": 0.0}),
    ("score for size", "nuclei", {"size_weight": 0.0}),
    ("scores for shape and size", "nuclei", {"shape_weight": 0.0, "size_weight": 0.0}),
    ("weight of area against parts", "nuclei", {"area_power": 0.0}),
    ("filling of holes", "nuclei", {"max_hole_um2": 0.0}),
    ("least area", "nuclei", {"min_area_um2": 0.0}),
    ("the reference's share in the unmixing", "nuclei", {"reference_share": 0.0}),
    ("the slide's own share in the unmixing", "nuclei", {"reference_share": 1.0}),
    ("Macenko's vectors (Vahadane's instead)", "stain", {"method": "vahadane"}),
)

Finder = Callable[[np.ndarray, StainProfile, Recipe], np.ndarray]


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs="+", default=["monuseg", "consep", "gbm40"])
    parser.add_argument("--images", type=int, default=1000, help="no more than this many of each set")
    parser.add_argument("--half", default="odd", choices=["odd", "even"], help="files the table is of")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    shown = {name: half_of(name, r".*", arguments.half)[: arguments.images] for name in arguments.set}
    even = {name: half_of(name, r".*", "even")[:TUNING_IMAGES] for name in arguments.set}
    print(
        "| without | recipe value | " + " | ".join(f"{name} AJI / PQ" for name in shown) + " | mean AJI | tuned again |"
    )
    print("|---|---|" + "---|" * (len(shown) + 2))
    print_row("all: threshold only", "", evaluate(shown, RECIPE, thresholded), "", "")
    print_row("all: threshold and watershed", "", evaluate(shown, RECIPE, watershed_split), "", "")
    whole = evaluate(shown, RECIPE)
    print_row("nothing: the whole method", "", whole, "", change(evaluate(shown, tuned(RECIPE, even)), whole))
    for part, stage, values in PARTS:
        recipe = replaced(RECIPE, stage, values)
        scores = evaluate(shown, recipe)
        again = change(evaluate(shown, tuned(recipe, even)), whole)
        text = ", ".join(f"`{key} = {value}`" for key, value in values.items())
        print_row(part, text, scores, change(scores, whole), again)


def replaced(recipe: Recipe, stage: str, values: dict[str, float | str]) -> Recipe:
    """The recipe with other values in one stage."""
    return dataclasses.replace(recipe, **{stage: dataclasses.replace(getattr(recipe, stage), **values)})


def tuned(recipe: Recipe, images: dict[str, list[Path]]) -> Recipe:
    """The recipe with the `least_quality` of highest mean AJI on these images."""
    every = [replaced(recipe, "nuclei", {"least_quality": quality}) for quality in QUALITIES]
    return max(every, key=lambda one: mean_aji(evaluate(images, one)))


def evaluate(sets: dict[str, list[Path]], recipe: Recipe, finder: Finder | None = None) -> dict[str, np.ndarray]:
    """AJI and PQ of each set, averaged over its images."""
    return {
        name: np.mean([score(image, name, recipe, finder or nuclei) for image in images], axis=0)
        for name, images in sets.items()
    }


def score(image: Path, name: str, recipe: Recipe, finder: Finder) -> tuple[float, float]:
    """AJI and PQ of one image."""
    with open_slide(image, mpp=MPP) as slide:
        task = plan_slide(slide, image, Settings(out=Path(), recipe=recipe, mpp=MPP)).task
        rgb = slide.read(task.grid, Box(0, 0, task.grid.width_px, task.grid.height_px)).rgb
    scores = mask_scores(read_mask(find_truth(DATA / name / "masks", image.stem)), finder(rgb, task.profile, recipe))
    return scores.aji, scores.pq


def nuclei(rgb: np.ndarray, profile: StainProfile, recipe: Recipe) -> np.ndarray:
    """Labels by the method."""
    return find_nuclei(rgb, MPP, profile, recipe.nuclei).labels


def thresholded(rgb: np.ndarray, profile: StainProfile, recipe: Recipe) -> np.ndarray:
    """Labels of components above the slide's threshold, holes filled, small ones dropped."""
    nuclear = gaussian_blur(mixed(rgb, profile, recipe.nuclei.reference_share), um_to_px(recipe.nuclei.smooth_um, MPP))
    mask = ndimage.binary_fill_holes(nuclear > profile.threshold / OD_UNIT * KERNEL_SUM**2)
    smallest = round(um2_to_px2(recipe.nuclei.min_area_um2, MPP))
    return ndimage.label(remove_small_objects(mask, max_size=smallest - 1))[0]


def watershed_split(rgb: np.ndarray, profile: StainProfile, recipe: Recipe) -> np.ndarray:
    """These components, split by the watershed of the smoothed distance to their rim, a seed within 2 um each."""
    mask = thresholded(rgb, profile, recipe) > 0
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), um_to_px(0.5, MPP))
    peaks = (distance == ndimage.maximum_filter(distance, 2 * round(um_to_px(2.0, MPP)) + 1)) & mask
    return watershed(-distance, ndimage.label(peaks, np.ones((3, 3)))[0], mask=mask)


def mean_aji(scores: dict[str, np.ndarray]) -> float:
    """Over the sets."""
    return float(np.mean([aji for aji, _ in scores.values()]))


def change(scores: dict[str, np.ndarray], whole: dict[str, np.ndarray]) -> str:
    """Difference in mean AJI."""
    return f"{mean_aji(scores) - mean_aji(whole):+.3f}"


def print_row(part: str, values: str, scores: dict[str, np.ndarray], lost: str, again: str) -> None:
    """One row of the table."""
    sets = " | ".join(f"{aji:.3f} / {pq:.3f}" for aji, pq in scores.values())
    print(f"| {part} | {values} | {sets} | {mean_aji(scores):.3f} {lost and f'({lost})'} | {again} |", flush=True)


if __name__ == "__main__":
    main()

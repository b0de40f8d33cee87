"""Accuracy of the nuclei on labelled images, by `wsipipe segment` and `wsipipe evaluate nuclei`.

    python -m tests.benchmarks.accuracy [--recipe he-40x default] [--half odd even]

Constants were tuned on the files at even places of the sorted names; the odd ones are the report. BM_GRAZ is split by
patient number. Data: WSIPIPE_TEST_DATA, as in tests/real.
"""

import argparse
import os
import re
import tempfile
from pathlib import Path

from wsipipe import slides
from wsipipe.config import Settings, load_recipe
from wsipipe.evaluation import evaluate_nuclei
from wsipipe.progress import Quiet

DATA = Path(os.environ.get("WSIPIPE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))

# name, folder, truth folder, pattern of the file names, um/px; miccai2015_seg 01 to 07 are 20x
SETS = (
    ("monuseg", "monuseg", "masks", r".*", 0.25),
    ("consep", "consep", "masks", r".*", 0.25),
    ("miccai 40x", "miccai2015_seg", "masks", r"image(08|09|1\d)", 0.25),
    ("miccai 20x", "miccai2015_seg", "masks", r"image0[1-7]", 0.5),
    ("gbm40", "gbm40", "masks", r".*", 0.25),
    ("bm_graz mbm", "bm_graz", "points_mbm", r".*", 0.25),
    ("bm_graz", "bm_graz", "points", r".*", 0.25),
)


def main() -> None:
    """Print a row per recipe, set and half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="+", default=["he-40x", "default"])
    parser.add_argument("--half", nargs="+", default=["odd"], choices=["odd", "even"])
    arguments = parser.parse_args()
    for recipe in arguments.recipe:
        for name, folder, truth, pattern, mpp in SETS:
            for half in arguments.half:
                images = half_of(folder, pattern, half)
                row = score(images, DATA / folder / truth, mpp, recipe)
                numbers = "  ".join(f"{key} {value:.3f}" for key, value in row.items() if isinstance(value, float))
                print(f"{recipe:8} {name:12} {half:5} {len(images):2} images  {numbers}", flush=True)


def half_of(folder: str, pattern: str, half: str) -> list[Path]:
    """Images at odd or even places of the sorted names (bm_graz: of odd or even patients)."""
    every = sorted((DATA / folder / "images").glob("*.png"))
    places = {
        path: int(re.findall(r"HE_(\d+)", path.stem)[0]) if folder == "bm_graz" else i for i, path in enumerate(every)
    }
    return [path for path in every if re.fullmatch(pattern, path.stem) and places[path] % 2 == (half == "odd")]


def score(images: list[Path], truth: Path, mpp: float, recipe: str) -> dict[str, float | str]:
    """Segment the images and compare them with the truth of the same names; the row over all of them."""
    chosen = load_recipe("default") if mpp == 0.5 else load_recipe(recipe)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(out=Path(folder), recipe=chosen, mpp=mpp)
        if slides.segment(images, settings, Quiet()):
            raise SystemExit(f"some images of {truth.parent.name} failed")
        return evaluate_nuclei(Path(folder), truth)[-1]


if __name__ == "__main__":
    main()

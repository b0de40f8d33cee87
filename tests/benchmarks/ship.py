"""Train the model that ships with the package, on the cells that our own segmentation finds; no label is read.

    python -m tests.benchmarks.ship --out wsipipe/models/default.safetensors

Only `slides`, `monuseg`, `gbm40` and `miccai2015_seg` are read: everything else stays unseen.
"""

import argparse
import os
from pathlib import Path

from wsipipe.cli.console import Console
from wsipipe.config import Settings, load_recipe
from wsipipe.pipeline import train
from wsipipe.slides import segment_all

AT_20X = ("image01.png", "image03.png", "image04.png", "image06.png")
"""Images of miccai2015_seg at 0.5 um/px; all others are at 0.25."""


def groups(root: Path) -> dict[str, tuple[list[Path], str, float | None]]:
    """By name of the output: images, recipe, and um/px where the file does not say."""
    miccai = sorted((root / "miccai2015_seg" / "images").glob("*.png"))
    return {
        "slides": ([root / "slides" / "CMU-1-Small-Region.svs"], "default", None),
        "monuseg": (sorted((root / "monuseg" / "images").glob("*.png")), "he-40x", 0.25),
        "gbm40": (sorted((root / "gbm40" / "images").glob("*.png")), "he-40x", 0.25),
        "miccai-40x": ([path for path in miccai if path.name not in AT_20X], "he-40x", 0.25),
        "miccai-20x": ([path for path in miccai if path.name in AT_20X], "default", 0.5),
    }


def main() -> None:
    """Segment what is not segmented yet, then train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("WSIPIPE_TEST_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("ship-work"))
    parser.add_argument("--recipe", default="ship")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    outs = []
    for name, (images, recipe, mpp) in groups(args.root).items():
        outs.append(args.work / name)
        segment_all(images, Settings(outs[-1], load_recipe(recipe), mpp=mpp), Console())
    settings = Settings(outs[0], load_recipe(args.recipe), device="cpu", seed=args.seed, overwrite=True)
    train(outs, args.out, settings, Console())


if __name__ == "__main__":
    main()

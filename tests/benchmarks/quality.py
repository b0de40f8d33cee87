"""Quality control on degraded pictures: how much of what was made worse is found, and how much else is.

    python -m tests.benchmarks.quality [--half odd] [--images 2] [--only ink fold] [--pictures DIR]

Real images at the odd places of the sorted names are laid out by mirroring into slides of about 0.8 mm of tissue, a
margin of glass around it, and then made worse (`tests/degraded.py`): the right half out of focus, a stroke of a pen
across, a strip folded over. Recipe `default`. "Found" is the share of the tissue made worse that is found, "else" the
share of the other tissue that is found with it; a row is the mean over the slides, the worst of them in brackets.

    python -m tests.benchmarks.quality --accuracy

shows what defocus costs where it is not left out.
"""

import argparse
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tests.benchmarks import stain_shift
from tests.benchmarks.accuracy import half_of
from tests.benchmarks.stain_shift import fitted, score
from tests.degraded import INKS, Mask, Rgb, defocus, folded, half_defocused, penned, scanned
from wsipipe.config import Settings, load_recipe
from wsipipe.errors import SlideError
from wsipipe.image.focus import block_energies
from wsipipe.image.quality import KINDS, Unfit, blurred_mask, pack
from wsipipe.io.slide import open_slide
from wsipipe.planning import SlidePlan, plan_slide
from wsipipe.records import Box

RECIPE = load_recipe("default")
SETS = (
    ("monuseg", 0.25),
    ("consep", 0.25),
    ("gbm40", 0.25),
    ("miccai2015_seg", 0.5),
    ("bm_graz", 0.25),
    ("crchisto", 0.55),
)
SIDE_UM, MARGIN_UM = 768.0, 256.0
GLASS = (243, 242, 244)

Degrade = Callable[[Rgb, float], tuple[Rgb, Mask]]


def main() -> None:
    """Print a table for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", default="odd", choices=["odd", "even"])
    parser.add_argument("--images", type=int, default=2, help="of each set")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every slide with what was found")
    parser.add_argument("--only", nargs="+", default=[""], help="rows that begin so")
    parser.add_argument("--accuracy", action="store_true", help="what defocus costs in AJI and PQ, instead")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.accuracy:
        accuracy(arguments.half, arguments.images)
        return
    slides = [(p.stem[-12:], *laid_out(p, mpp)) for name, mpp in SETS for p in images(name, mpp, arguments)]
    print(f"{len(slides)} slides")
    for name, kind, degrade in ways():
        if any(name.startswith(wanted) for wanted in arguments.only):
            row(name, slides, degrade, kind, arguments.pictures)


def accuracy(half: str, count: int) -> None:
    """AJI and PQ of images out of focus that are not left out, `he-40x`."""
    sets = ("monuseg", "consep")
    print("| Gaussian | " + " | ".join(f"{name} AJI / PQ" for name in sets) + " |")
    for um in (0.0, 0.5, 0.75, 1.0, 1.5, 2.0):
        cells = []
        for name in sets:
            pictures = [(p.stem, cv2.imread(str(p))[..., ::-1].copy()) for p in half_of(name, r".*", half)[:count]]
            worse = [(stem, defocus(rgb, 0.25, um) if um else scanned(rgb)) for stem, rgb in pictures]
            scores = [score(rgb, fitted(rgb, stain_shift.RECIPE), stem, name) for stem, rgb in worse]
            cells.append(" / ".join(f"{value:.3f}" for value in np.mean(scores, axis=0)))
        print(f"| {um} um | {' | '.join(cells)} |", flush=True)


def ways() -> Iterator[tuple[str, str | None, Degrade]]:
    """Name, kind that should be found, and function of every way to make a slide worse."""
    yield "untouched", None, lambda rgb, _: (rgb, np.zeros(rgb.shape[:2], bool))
    for kind, sizes in (("gaussian", (0.5, 0.75, 1.0, 1.5, 2.0, 4.0)), ("disc", (1.0, 1.5, 2.0, 4.0))):
        for um in sizes:
            yield f"{kind} {um} um", "blurred", functools.partial(half_defocused, um=um, kind=kind)
    for ink, colour in INKS.items():
        for thinned in (1.0, 0.5):
            yield f"ink {ink} {thinned}", "pen", functools.partial(penned, ink=colour, seed=1, thinned=thinned)
    for um in (20, 40, 80):
        yield f"fold {um} um", "folded", functools.partial(folded, width_um=um, seed=um)


def images(name: str, mpp: float, arguments: argparse.Namespace) -> list[Path]:
    """The first images of one half of a set."""
    pattern = r"image0[1-7]" if name == "miccai2015_seg" else r".*"
    return half_of(name, pattern, arguments.half)[: arguments.images]


def laid_out(path: Path, mpp: float) -> tuple[Rgb, float]:
    """An image mirrored again and again, at 0.5 um/px or its own if coarser, with glass around."""
    rgb = cv2.imread(str(path))[..., ::-1]
    if mpp < 0.5:
        rgb = cv2.resize(rgb, None, fx=mpp / 0.5, fy=mpp / 0.5, interpolation=cv2.INTER_AREA)
        mpp = 0.5
    side, margin = round(SIDE_UM / mpp), round(MARGIN_UM / mpp)
    twice = np.concatenate([rgb, rgb[:, ::-1]], axis=1)
    twice = np.concatenate([twice, twice[::-1]], axis=0)
    times = [-(-side // n) for n in twice.shape[:2]]
    tissue = np.tile(twice, (*times, 1))[:side, :side]
    padded = cv2.copyMakeBorder(tissue, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=GLASS)
    return np.ascontiguousarray(padded), mpp


def row(
    name: str, slides: list[tuple[str, Rgb, float]], degrade: Degrade, kind: str | None, folder: Path | None
) -> None:
    """Judge every slide, made worse, and print what was found."""
    found, other, failed = [], [], []
    for stem, rgb, mpp in slides:
        worse, where = degrade(rgb, mpp)
        try:
            plan, unfit = judge(worse, mpp)
        except SlideError as error:
            failed.append(f"{stem}: {error.what}")
            continue
        shares = compared(plan, unfit, where, rgb, kind)
        found.append(shares[0])
        other.append(shares[1])
        if folder:
            draw(folder / f"{name}_{stem}.jpg".replace(" ", "_"), plan, unfit)
    hit = f"{np.mean(found):.1%} ({np.min(found):.0%})" if kind else ""
    print(f"| {name} | {hit} | {np.mean(other):.2%} ({np.max(other):.1%}) | {'; '.join(failed)} |", flush=True)


def judge(rgb: Rgb, mpp: float) -> tuple[SlidePlan, Unfit]:
    """What is found on a slide with these pixels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.png"
        cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 0])
        with open_slide(path, mpp=mpp) as slide:
            plan = plan_slide(slide, path, Settings(out=Path(), recipe=RECIPE, mpp=mpp))
            grid = plan.task.grid
            whole = Box(0, 0, grid.width_px, grid.height_px)
            energies = block_energies(slide.read(grid, whole).rgb, whole, whole, grid.mpp)
    blurred = blurred_mask([(whole, pack(energies))], plan.tissue, plan.overview_grid, grid, RECIPE.quality)
    return plan, dataclasses.replace(plan.unfit, blurred=blurred)


def compared(plan: SlidePlan, unfit: Unfit, where: Mask, rgb: Rgb, kind: str | None) -> tuple[float, float]:
    """Share of the worse tissue that is found as `kind`, and share of the other tissue that is found as anything."""
    size = (plan.tissue.shape[1], plan.tissue.shape[0])
    worse = cv2.resize(where.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    glass = cv2.resize((rgb == GLASS).all(axis=2).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    tissue = glass < 0.5
    anything = np.any([getattr(unfit, name) for name in KINDS], axis=0)
    untouched = tissue & (cv2.dilate(worse, np.ones((9, 9))) == 0)  # 32 um: the width of a block
    hit = getattr(unfit, kind)[tissue & (worse > 0.9)].mean() if kind else 0.0
    return float(hit), float(anything[untouched].mean())


def draw(path: Path, plan: SlidePlan, unfit: Unfit) -> None:
    """The overview with what was found outlined: yellow out of focus, cyan pen, lime folded."""
    picture = plan.overview.copy()
    for name, colour in zip(KINDS, ((255, 230, 0), (0, 230, 255), (120, 255, 0)), strict=True):
        outlines, _ = cv2.findContours(getattr(unfit, name).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)[..., ::-1])


if __name__ == "__main__":
    main()

"""Quality control on real pictures: nothing of what is fit is left out, and what was made worse is found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.quality import judge, laid_out
from tests.degraded import INKS, folded, half_defocused, penned, scanned
from wsipipe.config import Settings, load_recipe
from wsipipe.image.quality import KINDS
from wsipipe.io.output import OutputFolder
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.slide import open_slide
from wsipipe.parallel import Pool
from wsipipe.progress import Quiet
from wsipipe.records import Box
from wsipipe.segmenting import segment_slide

RealFile = Callable[[str], Path]


def slide(path: Path) -> np.ndarray:
    with open_slide(path) as opened:
        grid = opened.grid(0.5)
        return opened.read(grid, Box(0, 0, grid.width_px, grid.height_px)).rgb


def shares(rgb: np.ndarray, mpp: float) -> dict[str, float]:
    plan, unfit = judge(rgb, mpp)
    counts = unfit.counts(plan.tissue, plan.overview_grid, plan.task.grid)
    return {kind: counts[kind]["share"] for kind in KINDS}


def nuclei(path: Path, rgb: np.ndarray) -> np.ndarray:
    """Centres (n, 2) of the nuclei of a picture, x and y."""
    write_pyramid(path, rgb, 0.499, quality=95)
    settings = Settings(out=path.with_suffix(""), recipe=load_recipe("default"), workers=1)
    with Pool(1) as pool:
        store = segment_slide(path, OutputFolder(settings.out).slide(path.stem), settings, pool, Quiet())
    cells = store.rows(0, len(store))
    return np.column_stack([cells.x_px, cells.y_px])


@pytest.mark.parametrize(
    ("folder", "mpp"), [("bm_graz", 0.25), ("monuseg", 0.25), ("consep", 0.25), ("gbm40", 0.25), ("crchisto", 0.55)]
)
def test_labelled_images_are_fit(real_file: RealFile, folder: str, mpp: float) -> None:
    for image in sorted(real_file(f"{folder}/images").glob("*.png"))[:3]:
        with open_slide(image, mpp=mpp) as opened:
            grid = opened.grid(max(0.5, mpp))
            rgb = opened.read(grid, Box(0, 0, grid.width_px, grid.height_px)).rgb
        assert shares(rgb, grid.mpp) == dict.fromkeys(KINDS, 0.0), image.stem


def test_an_aperio_slide_is_fit_also_with_noise(real_file: RealFile) -> None:
    rgb = slide(real_file("slides/CMU-1-Small-Region.svs"))
    assert shares(rgb, 0.499) == dict.fromkeys(KINDS, 0.0)
    assert shares(scanned(rgb), 0.499) == dict.fromkeys(KINDS, 0.0)


def test_what_was_made_worse_is_found(real_file: RealFile) -> None:
    rgb, mpp = laid_out(real_file("monuseg/images/TCGA-50-5931-01Z-00-DX1.png"), 0.25)
    soft, _ = half_defocused(rgb, mpp, 1.5)
    assert 0.4 < shares(soft, mpp)["blurred"] < 0.5
    for ink in ("blue", "green", "red"):
        marked, where = penned(rgb, mpp, INKS[ink], 1)
        assert shares(marked, mpp)["pen"] > 0.5 * where.mean()
    double, where = folded(rgb, mpp, 40, seed=40)
    assert 0.5 * where.mean() < shares(double, mpp)["folded"] < 3 * where.mean()


@pytest.mark.parametrize("beside", ["frame", "blue", "green", "black"])
def test_nuclei_beside_a_pen_or_a_black_frame_are_found(real_file: RealFile, tmp_path: Path, beside: str) -> None:
    """In one fit with the stain these took 21 % (blue) to 43 % (frame) of the nuclei away."""
    rgb = slide(real_file("slides/CMU-1-Small-Region.svs"))
    shown, where = np.pad(rgb, ((500, 400), (400, 500), (0, 0))), np.zeros(rgb.shape[:2], bool)
    if beside != "frame":
        shown, where = penned(rgb, 0.499, INKS[beside])
    clean, changed = nuclei(tmp_path / "clean.tiff", rgb), nuclei(tmp_path / "changed.tiff", shown)
    if beside == "frame":
        changed -= (400, 500)
    x, y = clean.astype(int).T
    wanted = (~where[y, x]).sum()
    x, y = changed.astype(int).T
    assert (~where[y, x]).sum() > 0.95 * wanted

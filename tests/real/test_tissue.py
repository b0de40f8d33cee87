"""Tissue masks of real slides and of the labelled images: no annotated nucleus may fall outside."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsipipe.config import TissueConfig
from wsipipe.errors import NotBrightfieldError, NoTissueError
from wsipipe.image.tissue import Tissue, find_tissue
from wsipipe.io.slide import open_slide
from wsipipe.records import Grid

RealFile = Callable[[str], Path]
CONFIG = TissueConfig()


def look(path: Path, mpp: float | None = None) -> tuple[Tissue, Grid]:
    with open_slide(path, mpp=mpp) as slide:
        rgb, grid = slide.overview(CONFIG.mpp)
    return find_tissue(rgb, grid.mpp, CONFIG), grid


@pytest.mark.parametrize(
    ("name", "mpp", "low", "high"),
    [
        ("slides/CMU-1-Small-Region.svs", None, 0.40, 0.52),
        ("slides/gcp_multi_frame_jpeg_camelyon_challenge_image.dcm", 18.0, 0.15, 0.35),
        ("slides/kidney-48-5.tif", 4.0, 0.002, 0.03),
        ("slides/slaid_patch.tif", 0.5, 0.9, 1.0),
        ("slides_broken/derived_CMU-1_two_zeroed_tiles.svs", None, 0.38, 0.50),
        ("slides_derived/BM_GRAZ_HE_0001_01_pyramid_nompp.tif", 0.25, 0.9, 1.0),
        ("slides_derived/MoNuSeg_TCGA-21-5784_pyramid_0.2527mpp.tif", None, 0.95, 1.0),
        ("slides_derived/MoNuSeg_TCGA-AR-A1AK_pyramid_0.2468mpp.ome.tif", None, 0.95, 1.0),
    ],
)
def test_share_of_tissue(real_file: RealFile, name: str, mpp: float | None, low: float, high: float) -> None:
    tissue, _ = look(real_file(name), mpp)
    assert low <= tissue.mask.mean() <= high
    assert tissue.warnings == ()


@pytest.mark.parametrize("name", ["train_1", "train_23"])
def test_pale_tissue_is_not_taken_for_glass(real_file: RealFile, name: str) -> None:
    # Stroma of the colour that glass has on other slides, but uneven.
    tissue, _ = look(real_file(f"consep/images/{name}.png"), 0.25)
    assert tissue.white == (255, 255, 255)
    assert tissue.mask.mean() > 0.99


def test_fluorescence_is_refused(real_file: RealFile) -> None:
    with pytest.raises(NotBrightfieldError):
        look(real_file("slides/slideio_test3-DAPI-2-387.ndpi"))


@pytest.mark.parametrize("name", ["slides/highdicom_sm_image.dcm", "slides/osp_small.svs"])
def test_empty_glass_is_refused(real_file: RealFile, name: str) -> None:
    with pytest.raises(NoTissueError):
        look(real_file(name))


@pytest.mark.parametrize(
    ("folder", "mpp", "outside"),
    [
        ("bm_graz", 0.25, 0),
        ("monuseg", 0.25, 0),
        ("consep", 0.25, 0),
        ("gbm40", 0.25, 0),
        ("miccai2015_seg", 0.25, 0),
        ("crchisto", 0.5, 10),  # loose cells in fat
    ],
)
def test_annotated_nuclei_lie_in_tissue(real_file: RealFile, folder: str, mpp: float, outside: int) -> None:
    missed = seen = 0
    for image in sorted(real_file(f"{folder}/images").iterdir()):
        tissue, grid = look(image, mpp)
        assert tissue.warnings == ()
        x, y = centres(image)
        column = np.minimum((x / grid.downsample).astype(int), grid.width_px - 1)
        row = np.minimum((y / grid.downsample).astype(int), grid.height_px - 1)
        missed += int((~tissue.mask[row, column]).sum())
        seen += len(x)
    assert seen > 1000
    assert missed <= outside


def centres(image: Path) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the annotated nuclei of an image, from its mask or its points."""
    masks, points = (image.parents[1] / kind for kind in ("masks", "points"))
    if masks.is_dir():
        labels = cv2.imread(str(masks / f"{image.stem}.png"), cv2.IMREAD_UNCHANGED)
        rows, columns = np.nonzero(labels)
        _, index, counts = np.unique(labels[rows, columns], return_inverse=True, return_counts=True)
        return np.bincount(index, columns) / counts, np.bincount(index, rows) / counts
    with (points / f"{image.stem}.csv").open(encoding="utf-8") as file:
        table = np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)])
    return table[:, 0], table[:, 1]

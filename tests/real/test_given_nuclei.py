"""Given nuclei on real images: labelled masks with their exact areas, marked points each with a cell of its own."""

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsipipe.config import Settings, TilingConfig, load_recipe
from wsipipe.io.output import OutputFolder
from wsipipe.io.truth_files import read_mask
from wsipipe.parallel import Pool
from wsipipe.progress import Quiet
from wsipipe.records import Cells
from wsipipe.segmenting import segment_slide


def cells_of(image: Path, out: Path, nuclei: Path, recipe: str, tile_px: int = 512) -> Cells:
    chosen = dataclasses.replace(load_recipe(recipe), tiling=TilingConfig(tile_px=tile_px))
    settings = Settings(out=out, recipe=chosen, mpp=0.25, nuclei=nuclei)
    with Pool(1) as pool:
        store = segment_slide(image, OutputFolder(out).slide(image.stem), settings, pool, Quiet())
    return store.rows(0, len(store))


@pytest.mark.parametrize("name", ["monuseg/{}/TCGA-21-5786-01Z-00-DX1.png", "consep/{}/train_10.png"])
def test_masks_keep_every_nucleus(real_file: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    """Annotators leave labels in pieces, with holes, and of a single pixel: all count."""
    image, path = real_file(name.format("images")), real_file(name.format("masks"))
    areas = np.bincount(read_mask(path).ravel())[1:]
    cells = cells_of(image, tmp_path / "40x", path, "he-40x")
    np.testing.assert_array_equal(np.sort(np.round(cells.area_um2 / 0.25**2)), np.sort(areas[areas > 0]))
    at_20x = cells_of(image, tmp_path / "20x", path, "default")
    assert len(at_20x) == len(cells)
    assert at_20x.area_um2.sum() == pytest.approx(cells.area_um2.sum(), rel=0.01)


def test_points_keep_every_nucleus_for_any_tiling(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    image, path = (real_file(f"bm_graz/{part}_0003_01{end}") for part, end in (("images/BM_GRAZ_HE", ".png"),
                                                                            ("points/BM_GRAZ_HE", ".csv")))  # fmt: skip
    with path.open(newline="") as file:
        points = np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)])
    cells = cells_of(image, tmp_path / "a", path, "he-40x", 256)
    assert len(cells) == len(points)
    other = cells_of(image, tmp_path / "b", path, "he-40x", 1 << 20)
    for field in dataclasses.fields(Cells):
        np.testing.assert_array_equal(getattr(cells, field.name), getattr(other, field.name), err_msg=field.name)
    discs = np.array(
        [len(r) == 64 and bool((r % 1).any()) for r in np.split(cells.contour_xy, cells.contour_offset[1:-1])]
    )
    assert discs.mean() < 0.3, "most marked nuclei are segmented"

"""Sound slides to damage: small real files, and real pixels written in more formats."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tests.slides import halves, write_image, write_svs, write_tiff
from wsipipe.io.slide import open_slide
from wsipipe.records import Box

ROOT = Path(__file__).parents[2]

_FILES = (
    ("slides/osp_boxes.tiff", 0.5),
    ("slides/osp_small.svs", None),
    ("slides/highdicom_sm_image.dcm", 0.5),
    ("slides/gcp_multi_frame_jpeg_camelyon_challenge_image.dcm", 0.5),
    ("slides_derived/MoNuSeg_TCGA-21-5784_pyramid_0.2527mpp.tif", None),
    ("slides_derived/MoNuSeg_TCGA-AR-A1AK_pyramid_0.2468mpp.ome.tif", None),
    ("slides_derived/BM_GRAZ_HE_0001_01_pyramid_nompp.tif", 0.5),
    ("slides/slaid_patch.tif", 0.5),
    ("slides/slideio_test3-DAPI-2-387.ndpi", None),
)
_LARGE = "slides/CMU-1-Small-Region.svs"
_CORNER, _SIDE = (600, 1100), 384


@dataclass(frozen=True)
class Seed:
    """A sound file."""

    name: str
    data: bytes
    mpp: float | None

    @property
    def suffix(self) -> str:
        """With the dot."""
        return Path(self.name).suffix


def data_root() -> Path:
    """Folder of the real files."""
    return Path(os.environ.get("WSIPIPE_TEST_DATA", ROOT.parent / "shared" / "data"))


def find_seeds() -> list[Seed]:
    """All that are there.

    Raises
    ------
    FileNotFoundError
        Without any.
    """
    found = [Seed(Path(name).name, (data_root() / name).read_bytes(), mpp) for name, mpp in _FILES
             if (data_root() / name).is_file()]  # fmt: skip
    if (data_root() / _LARGE).is_file():
        found += written(_pixels(data_root() / _LARGE))
    if not found:
        raise FileNotFoundError("no real slide: set WSIPIPE_TEST_DATA to their folder")
    return found


def written(pixels: NDArray[np.uint8]) -> list[Seed]:
    """Pixels of tissue in the formats that the small real files do not cover."""
    levels = halves(pixels, 2)
    grey = pixels.mean(axis=2).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_svs(root / "jpeg.svs", levels, 0.5, compression="jpeg")
        write_svs(root / "jpeg2000.svs", levels[:1], 0.5, compression="aperio_jp2000_rgb")
        write_tiff(root / "jpeg.tif", levels, 0.5, compression="jpeg")
        _write_other(root / "bigtiff.tiff", levels, bigtiff=True, compression="lzw")
        _write_other(root / "big-endian.tif", levels, byteorder=">", compression="zlib")
        write_tiff(root / "strips.tif", levels[:1], 0.5, tile=None, rowsperstrip=32)
        write_tiff(root / "planar.tif", [np.moveaxis(pixels, 2, 0)], 0.5, planarconfig="separate")
        write_image(root / "plain.png", pixels)
        write_image(root / "plain.jpg", pixels, quality=90)
        write_image(root / "grey.png", grey)
        return [Seed(path.name, path.read_bytes(), 0.5) for path in sorted(root.iterdir())]


def _write_other(path: Path, levels: list[NDArray[np.uint8]], *, compression: str, **form: Any) -> None:
    with tifffile.TiffWriter(path, **form) as tiff:
        for index, level in enumerate(levels):
            settings = {"tile": (128, 128), "photometric": "rgb", "compression": compression, "metadata": None}
            tiff.write(level, subfiletype=1 if index else 0, **settings)


def _pixels(path: Path) -> NDArray[np.uint8]:
    with open_slide(path) as slide:
        return slide.read(slide.grid(slide.info.mpp), Box(*_CORNER, _SIDE, _SIDE)).rgb

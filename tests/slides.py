"""Tiny slide files with chosen pixels, levels, metadata and damage, written with tifffile and Pillow."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

TILE_PX = 128


def noise(width_px: int, height_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random RGB, uint8 (height, width, 3): any shift by a fraction of a pixel changes it."""
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def smooth(width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Slow colour gradients, uint8 (height, width, 3), which JPEG keeps nearly unchanged."""
    x, y = np.meshgrid(np.linspace(0, 1, width_px), np.linspace(0, 1, height_px))
    return np.stack([120 + 100 * x, 120 + 100 * y, 220 - 60 * x - 40 * y], axis=2).astype(np.uint8)


def write_tiff(
    path: Path,
    levels: Sequence[NDArray[Any]],
    mpp: float | None = None,
    *,
    description: str | None = None,
    compression: str | None = "zlib",
    **options: Any,
) -> Path:
    """Tiled pyramid that OpenSlide opens as generic-tiff; `levels[0]` is the finest."""
    resolution: dict[str, Any] = {}
    if mpp is not None:
        resolution = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    settings = {"photometric": "rgb", "tile": (TILE_PX, TILE_PX), "compression": compression, **resolution, **options}
    with tifffile.TiffWriter(path) as tiff:
        for index, pixels in enumerate(levels):
            tiff.write(
                pixels,
                subfiletype=1 if index else 0,
                description=description if index == 0 else None,
                metadata=None,
                **settings,
            )
    return path


def write_svs(
    path: Path,
    levels: Sequence[NDArray[np.uint8]],
    mpp: float | None = 0.25,
    objective: float | None = 40,
    extra: str = "",
    **options: Any,
) -> Path:
    """Pyramid with an Aperio description, as the scanner writes it; label and macro images are left out."""
    height, width = levels[0].shape[:2]
    facts = [f"AppMag = {objective:g}"] if objective is not None else []
    facts += [f"MPP = {mpp:g}"] if mpp is not None else []
    facts += [extra] if extra else []
    description = "|".join(
        [f"Aperio Image Library v1.0.0\r\n{width}x{height} [0,0 {width}x{height}] (128x128)", *facts]
    )
    settings = {"photometric": "rgb", "compression": "zlib", **options}
    with tifffile.TiffWriter(path) as tiff:
        for index, pixels in enumerate(levels):
            tiff.write(
                pixels, tile=(TILE_PX, TILE_PX), description=description, metadata=None, subfiletype=0, **settings
            )
            if index == 0:  # the thumbnail is always the second directory, in strips
                tiff.write(np.ascontiguousarray(pixels[::4, ::4]), description=description, metadata=None, **settings)
    return path


def write_image(path: Path, pixels: NDArray[Any], mode: str | None = None, **options: Any) -> Path:
    """PNG or JPEG by suffix; `mode` converts first."""
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def wipe_tiles(path: Path, indices: Sequence[int], page: int = 0) -> None:
    """Overwrite the bytes of some tiles with zeros, as a bad disk does."""
    with tifffile.TiffFile(path) as tiff:
        offsets, counts = tiff.pages[page].dataoffsets, tiff.pages[page].databytecounts
    with path.open("r+b") as file:
        for index in indices:
            file.seek(offsets[index])
            file.write(bytes(counts[index]))


def halves(pixels: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """`count` levels, each the one before thinned by two."""
    return list(itertools.accumulate([pixels] * count, lambda level, _: np.ascontiguousarray(level[::2, ::2])))


def write_scn(
    path: Path, pixels: NDArray[np.uint8], canvas_px: tuple[int, int], corner_px: tuple[int, int], mpp: float = 0.5
) -> Path:
    """A scan that covers part of its canvas, as Leica's scanners write it: OpenSlide states `openslide.bounds-*`."""
    nm = round(mpp * 1000)
    height, width = pixels.shape[:2]
    whole, scanned = (canvas_px[0] * nm, canvas_px[1] * nm), (width * nm, height * nm)
    corner = (corner_px[0] * nm, corner_px[1] * nm)
    macro = np.full((TILE_PX, TILE_PX, 3), 250, np.uint8)
    images = _scn_image(0, (TILE_PX, TILE_PX), whole, (0, 0), 0.6) + _scn_image(1, (width, height), scanned, corner, 20)
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" sizeX="{whole[0]}" sizeY="{whole[1]}">{images}</collection></scn>'
    )
    settings: dict[str, Any] = {"tile": (TILE_PX, TILE_PX), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(macro, description=xml, compression="jpeg", **settings)
        quality = {"compression": "jpeg", "compressionargs": {"level": 95}}
        tiff.write(pixels, resolution=(1e4 / mpp, 1e4 / mpp), resolutionunit="CENTIMETER", **quality, **settings)
    return path


def _scn_image(
    ifd: int, size_px: tuple[int, int], size_nm: tuple[int, int], corner_nm: tuple[int, int], objective: float
) -> str:
    return (
        f'<image name="{ifd}" uuid="{ifd}"><creationDate>2020-01-01T00:00:00Z</creationDate>'
        '<device model="Leica SCN400" version="1"/>'
        f'<pixels sizeX="{size_px[0]}" sizeY="{size_px[1]}">'
        f'<dimension sizeX="{size_px[0]}" sizeY="{size_px[1]}" r="0" ifd="{ifd}"/></pixels>'
        f'<view sizeX="{size_nm[0]}" sizeY="{size_nm[1]}" offsetX="{corner_nm[0]}" offsetY="{corner_nm[1]}"'
        f' spacingZ="0"/><scanSettings><objectiveSettings><objective>{objective}</objective></objectiveSettings>'
        "<illuminationSettings><numericalAperture>0.4</numericalAperture>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"
    )

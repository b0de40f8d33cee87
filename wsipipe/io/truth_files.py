"""Ground truth as labs keep it: instance masks and point lists, matched to slides by name."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import zarr
from numpy.typing import NDArray

from wsipipe.csvtext import csv_delimiter, csv_lines
from wsipipe.errors import UsageError, told

OME_ZARR = ".ome.zarr"

_POINTS = "give columns x,y[,class]"

_SAFE_CODERS = frozenset({"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"})


@dataclass(frozen=True)
class Points:
    """Marked centres: float64 (n, 2) level-0 x and y, and the class written beside each ("" when none)."""

    xy: NDArray[np.float64]
    classes: NDArray[np.str_]


POINTS = (".csv",)
TRUTHS = (".png", ".tif", ".tiff", OME_ZARR, *POINTS)


def find_truth(folder: Path, slide_id: str, suffixes: Sequence[str] = TRUTHS) -> Path | None:
    """What of `folder` is about a slide: `<slide_id>` with the first of these suffixes that is there."""
    for suffix in suffixes:
        if (folder / f"{slide_id}{suffix}").exists():
            return folder / f"{slide_id}{suffix}"
    return None


def read_mask(path: Path) -> NDArray[np.integer]:
    """Instance mask, (height, width): 0 is background, every other value one nucleus.

    Parameters
    ----------
    path : Path
        PNG, TIFF, or OME-Zarr (the finest level of its first label image, else of the image itself).

    Raises
    ------
    UsageError
        If the file cannot be decoded or is not one channel of whole numbers.
    """
    try:
        mask = _decoded(path)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, imagecodecs.DelayedImportError) as error:
        remedy = "give 16-bit grey PNG or TIFF masks, or OME-Zarr labels"
        raise UsageError(f"cannot be decoded ({error})", remedy, path.name) from error
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise UsageError(f"has shape {mask.shape}, {mask.dtype}", "give one channel of whole numbers", path.name)
    return mask


def _decoded(path: Path) -> NDArray[Any]:
    if path.name.endswith(OME_ZARR):
        return _finest_labels(path)
    if path.suffix == ".png":
        return np.asarray(imagecodecs.png_decode(path.read_bytes()))
    return np.asarray(imagecodecs.imread(str(path)))


def _finest_labels(path: Path) -> NDArray[Any]:
    """Pixels of OME-Zarr (NGFF 0.4 or 0.5), without axes of length 1."""
    group = zarr.open_group(path, mode="r")
    if "labels" in group:
        names = _ome(group["labels"])["labels"]
        group = zarr.open_group(path / "labels" / names[0], mode="r")
    pixels: Any = group[_ome(group)["multiscales"][0]["datasets"][0]["path"]]
    if not _is_safe(pixels):
        raise ValueError("pixels coded in a way that may run code")
    return np.asarray(pixels[...]).squeeze()


def _is_safe(array: Any) -> bool:
    """Whether no pickle can be in an array: Zarr v2, which NGFF 0.4 is in, takes one as a filter or compressor."""
    metadata = array.metadata
    coders = (*(metadata.filters or ()), metadata.compressor) if metadata.zarr_format == 2 else ()
    known = all(coder is None or coder.codec_id in _SAFE_CODERS for coder in coders)
    return known and array.dtype.kind in "biu"


def _ome(group: Any) -> Any:
    return group.attrs.get("ome", group.attrs)


def read_points(path: Path) -> Points:
    """Centres from a CSV with columns x and y (or x_px and y_px) and perhaps class.

    Raises
    ------
    UsageError
        If the columns are missing or hold something else than numbers.
    """
    try:
        text = path.read_text("utf-8-sig")  # spreadsheets write a byte order mark
        lines = csv_lines(text)
        names = [name.strip().lower() for name in next(lines, (1, [""]))[1]]
        x, y = ("x_px", "y_px") if "x_px" in names else ("x", "y")
        point = "," if csv_delimiter(text) == ";" else "."  # where a comma begins the decimals, a semicolon ends fields
        rows = (dict(zip(names, row, strict=False)) for _, row in lines) if {x, y} <= set(names) else None
        found = [(*(float(row[n].replace(point, ".")) for n in (x, y)), row.get("class", "")) for row in rows or ()]
    except (OSError, ValueError, LookupError, csv.Error) as error:
        why = str(error) if isinstance(error, csv.Error) else told(error)
        raise UsageError(f"is no list of points ({why})", _POINTS, path.name) from error
    if rows is None:
        raise UsageError("is no list of points (no columns x and y)", _POINTS, path.name)
    xy = np.array([(px, py) for px, py, _ in found], np.float64).reshape(-1, 2)
    return Points(xy, np.array([name for _, _, name in found], np.str_))

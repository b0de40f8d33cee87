"""TIFF slides that OpenSlide cannot open, through tiffslide."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiffslide import TiffSlide

from wsipipe.errors import NotBrightfieldError, told
from wsipipe.io.levels import true_levels
from wsipipe.io.metadata import mpp_from_imagej, mpp_from_ome, mpp_without_print_dpi, number
from wsipipe.io.pixels import to_rgb8
from wsipipe.io.readers import GREY_WARNING, CannotOpenError, Facts, ReadFailureError, reopened
from wsipipe.records import Box

_COLOURS = frozenset({"MINISBLACK", "RGB", "YCBCR"})
_ASSOCIATED_ALPHA = 1


class _LevelTiffSlide(TiffSlide):  # type: ignore[misc]  # tiffslide is not followed by mypy
    """A TiffSlide whose locations are pixels of the level read, so that nothing is rounded twice."""

    def _read_region_loc_transform(self, location: tuple[int, int], level: int) -> tuple[int, int]:  # noqa: ARG002
        return location


class TiffSlideReader:
    """One tiffslide handle; every level is addressed in its own pixels, so all levels are exact."""

    def __init__(self, path: Path, reasons: tuple[str, ...] = ()) -> None:
        self._path = path
        self._slide = _open(path)
        try:
            self.facts, self._premultiplied = _facts(self._slide, reasons)
        except (CannotOpenError, NotBrightfieldError):
            self._slide.close()
            raise
        except Exception as error:  # tiffslide, tifffile and zarr raise anything on damaged files
            self._slide.close()
            raise CannotOpenError(told(error)) from error

    def exact(self, level: int) -> bool:  # noqa: ARG002
        """Always: tiles are cut, never resampled."""
        return True

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """See `Reader.read`."""
        try:
            pixels = self._slide.read_region((box.x, box.y), level, (box.width, box.height), as_array=True)
        except Exception as error:  # codecs raise classes of their own, without a common base
            failed, self._slide = self._slide, reopened(_open, self._path)
            failed.close()
            raise ReadFailureError(told(error)) from error
        return to_rgb8(pixels, premultiplied=self._premultiplied)

    def close(self) -> None:
        """See `Reader.close`."""
        self._slide.close()


def _open(path: Path) -> _LevelTiffSlide:
    with warnings.catch_warnings(action="ignore"):
        try:
            slide = _LevelTiffSlide(path)
        except Exception as error:  # tifffile raises anything on damaged files
            raise CannotOpenError(told(error)) from error
        try:
            _show_missing_tiles_white(slide)
            _ = slide.level_dimensions  # parses the metadata, which is where broken files show
        except Exception as error:  # tiffslide, tifffile and zarr raise anything on damaged files
            slide.close()
            raise CannotOpenError(told(error)) from error
    return slide


def _show_missing_tiles_white(slide: _LevelTiffSlide) -> None:
    """Tiles that a file leaves out hold nothing that was scanned; tifffile shows them as 0, which is black."""
    for series in slide.ts_tifffile.series:
        for level in series.levels:
            if level.keyframe.dtype in (np.uint8, np.uint16):
                level.keyframe.nodata = int(np.iinfo(level.keyframe.dtype).max)


def _facts(slide: _LevelTiffSlide, reasons: tuple[str, ...]) -> tuple[Facts, bool]:
    stated = slide.properties
    series = slide.ts_tifffile.series[stated["tiffslide.series-index"]]
    page = series.keyframe
    channels = _channels(series)
    warned = [f"read by tiffslide, because OpenSlide cannot open it ({'; '.join(reasons)})"]
    if channels == 1:
        warned.append(GREY_WARNING)
    mpp_x, mpp_y = _mpp(slide)
    facts = Facts(
        reader="tiffslide",
        vendor=str(stated.get("tiffslide.vendor") or "unknown"),
        levels=true_levels(slide.level_dimensions, slide.level_downsamples),
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        objective_power=number(stated.get("tiffslide.objective-power")),
        properties={"tiff.compression": page.compression.name, "tiff.photometric": page.photometric.name},
        warnings=tuple(warned),
    )
    return facts, _ASSOCIATED_ALPHA in page.extrasamples


def _channels(series: Any) -> int:
    """Number of channels, all of which can be shown as RGB."""
    page = series.keyframe
    if page.photometric.name not in _COLOURS or page.dtype not in (np.uint8, np.uint16):
        raise CannotOpenError(f"{page.dtype} samples, {page.photometric.name}")
    channels = int(series.shape[series.axes.index("C")]) if "C" in series.axes else int(page.samplesperpixel)
    # Separate channels are fluorescence, unless there are just the three of an RGB image.
    if channels not in ((3,) if "C" in series.axes else (1, 3, 4)):
        raise NotBrightfieldError(f"{channels} channels instead of RGB", "only brightfield RGB slides can be analysed")
    return channels


def _mpp(slide: _LevelTiffSlide) -> tuple[float | None, float | None]:
    stated = slide.properties
    mpp_x, mpp_y = (number(stated.get(f"tiffslide.mpp-{axis}")) for axis in "xy")
    ome = mpp_from_ome(slide.ts_tifffile.ome_metadata)
    if ome[0]:
        return ome
    imagej = slide.ts_tifffile.imagej_metadata or {}
    if "unit" in imagej:
        per_unit = slide.ts_tifffile.pages.first.resolution
        return mpp_from_imagej(str(imagej["unit"]), per_unit[0]), mpp_from_imagej(str(imagej["unit"]), per_unit[1])
    if stated.get("tiff.ResolutionUnit") == "INCH":
        return mpp_without_print_dpi(mpp_x), mpp_without_print_dpi(mpp_y)
    return mpp_x, mpp_y

"""Slides through OpenSlide."""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray

from wsipipe.io.blocks import one_by_one
from wsipipe.io.levels import true_levels
from wsipipe.io.metadata import mpp_from_ome, mpp_without_print_dpi, number, ome_planes
from wsipipe.io.pixels import composite_on_white
from wsipipe.io.readers import CannotOpenError, Facts, ReadFailureError, reopened
from wsipipe.io.tiff_tiles import PlainTiff, TiffTiles
from wsipipe.records import Box

_PROPERTIES = (
    openslide.PROPERTY_NAME_MPP_X,
    openslide.PROPERTY_NAME_MPP_Y,
    openslide.PROPERTY_NAME_OBJECTIVE_POWER,
    openslide.PROPERTY_NAME_BACKGROUND_COLOR,
    "openslide.level[0].tile-width",
    "openslide.level[0].tile-height",
    "openslide.icc-size",
    "openslide.quickhash-1",  # of the pixels: tells whether files are parts of one slide
)
"""The only properties that leave this module; others hold dates, names and numbers of people and cases."""

_PLAIN_GRIDS = frozenset({"aperio", "dicom", "generic-tiff", "hamamatsu", "philips"})
"""Vendors whose tiles lie on whole pixels of level 0; elsewhere tiles overlap by fractions and are blended."""


class OpenSlideReader:
    """One OpenSlide handle, replaced after each failed read because a failed handle keeps failing."""

    def __init__(self, path: Path, reasons: tuple[str, ...] = ()) -> None:
        self._path = path
        self._slide = _open(path)
        try:
            self.facts = _facts(self._slide, reasons)
        except openslide.OpenSlideError as error:
            self._slide.close()
            raise CannotOpenError(_reason(error, path)) from error
        except CannotOpenError:
            self._slide.close()
            raise
        self._downsamples = self._slide.level_downsamples
        self._plain = PlainTiff(path, self.facts.vendor, self.facts.levels)

    def exact(self, level: int) -> bool:
        """True where no pixel is ever blended with its neighbours.

        OpenSlide counts in level-0 pixels, and shifts by fractions where one of the level is no whole number of them;
        tiles that are decoded here never are shifted.
        """
        return self._tiles(level) is not None or self._whole(level)

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """See `Reader.read`."""
        tiles = self._tiles(level)
        if tiles is not None:
            compose = self._compose if self._whole(level) else self._compose_blocks
            return tiles.read(box, functools.partial(compose, level))
        return self._compose(level, box)

    def _whole(self, level: int) -> bool:
        return self.facts.vendor in _PLAIN_GRIDS and self._downsamples[level].is_integer()

    def _tiles(self, level: int) -> TiffTiles | None:
        """Tiles of a level that can be decoded without OpenSlide.

        Where only the corner, which may be blank, can be compared, those of level 0 must be what OpenSlide reads, too.
        """
        at_corner = not self._whole(level)
        if at_corner and (level == 0 or self._tiles(0) is None):
            return None
        try:
            return self._plain.level(level, functools.partial(self._compose, level), at_corner=at_corner)
        except ReadFailureError:
            return None

    def _compose(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Pixels as OpenSlide composes them."""
        downsample = self._downsamples[level]
        corner = (round(box.x * downsample), round(box.y * downsample))
        try:
            image = self._slide.read_region(corner, level, (box.width, box.height))
        except openslide.OpenSlideError as error:
            failed, self._slide = self._slide, reopened(_open, self._path)
            failed.close()
            raise ReadFailureError(_reason(error, self._path)) from error
        return composite_on_white(np.asarray(image))

    def _compose_blocks(self, level: int, box: Box) -> NDArray[np.uint8]:
        """The same by whole blocks, so that shifts by fractions do not depend on the box."""
        return one_by_one(functools.partial(self._compose, level), self.facts.levels[level], box)

    def close(self) -> None:
        """See `Reader.close`."""
        self._slide.close()
        self._plain.close()


def _open(path: Path) -> openslide.OpenSlide:
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise CannotOpenError("not a format it knows") from error
    except openslide.OpenSlideError as error:
        raise CannotOpenError(_reason(error, path)) from error


def _reason(error: openslide.OpenSlideError, path: Path) -> str:
    """OpenSlide's words without the folder, which the user knows and others need not."""
    return str(error).replace(f"{path.parent}/", "")


def _facts(slide: openslide.OpenSlide, reasons: tuple[str, ...]) -> Facts:
    stated = slide.properties
    vendor = stated.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
    mpp_x, mpp_y = (number(stated.get(key)) for key in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y))
    if vendor == "generic-tiff":
        description = stated.get("tiff.ImageDescription")
        channels, focal_planes = ome_planes(description)
        if channels > 1:  # OpenSlide would take the first for a grey slide
            raise CannotOpenError(f"{channels} channels in planes of their own")
        if focal_planes > 1:
            reasons += (f"has {focal_planes} focal planes, of which the first is read",)
        ome = mpp_from_ome(description)
        if ome[0]:
            mpp_x, mpp_y = ome
        elif stated.get("tiff.ResolutionUnit") == "inch":
            mpp_x, mpp_y = mpp_without_print_dpi(mpp_x), mpp_without_print_dpi(mpp_y)
    return Facts(
        reader="openslide",
        vendor=vendor,
        levels=true_levels(slide.level_dimensions, slide.level_downsamples),
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        objective_power=number(stated.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)),
        bounds=_bounds(stated),
        properties={key: stated[key] for key in _PROPERTIES if key in stated},
        warnings=reasons,
    )


def _bounds(stated: Mapping[str, str]) -> Box | None:
    names = ("x", "y", "width", "height")
    values = [number(stated.get(f"openslide.bounds-{name}")) for name in names]
    if any(value is None for value in values):
        return None
    return Box(*(int(value) for value in values if value is not None))

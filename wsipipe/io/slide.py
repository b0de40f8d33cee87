"""A slide: what is known of it, and its pixels on any grid. Slide pixels become arrays only here."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import UnreadableSlideError
from wsipipe.io.blocks import BLOCK_PX, block_count, read_blocks
from wsipipe.io.pyramid import fitting_recipe, make_grid, overview_grid
from wsipipe.io.readers import SUFFIXES, Facts, Reader, ReadFailureError, open_reader
from wsipipe.io.resample import resample, source_box
from wsipipe.io.resolution import missing_mpp, resolve_mpp, stated_mpp
from wsipipe.records import Box, Grid, SlideInfo

__all__ = ["BLOCK_PX", "SUFFIXES", "Region", "Slide", "fingerprint", "open_slide", "probe"]

MAX_OVERVIEW_PX = 1 << 26
"""An overview has no more pixels, whatever resolution is asked for."""

_OVERVIEW_TILE_PX = 2048
_PROBES = 5
_ENDS_BYTES = 1 << 16
_COPY_AGAIN = "copy it again from the scanner, with all its parts"


class Region(NamedTuple):
    """Pixels of a grid and the blocks of its level that could not be decoded.

    `rgb` is uint8 (h, w, 3), white where unreadable. `unreadable` holds (column, row) of fixed blocks: block (i, j)
    covers `BLOCK_PX` pixels a side of `Grid.level`, beginning at pixel (i, j) * `BLOCK_PX` of that level.
    """

    rgb: NDArray[np.uint8]
    unreadable: frozenset[tuple[int, int]]


class Slide:
    """An open slide, for one thread; several may be open on one file. Made by `open_slide`."""

    def __init__(self, reader: Reader, info: SlideInfo) -> None:
        self._reader = reader
        self.info = info

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._reader.close()

    def grid(self, mpp: float) -> Grid:
        """Pixel grid of `mpp` microns per pixel over the slide, anchored at level-0 (0, 0).

        Raises
        ------
        ResolutionError
            If the slide is more than 1.25 times coarser; the remedy names the recipe to use instead.
        """
        return make_grid(self.info.levels, self.info.mpp, mpp)

    def read(self, grid: Grid, box: Box) -> Region:
        """Pixels `box` of `grid`; a pixel has the same value whatever box it is read through.

        Raises
        ------
        ValueError
            If the box is empty or reaches beyond the grid.
        UnreadableSlideError
            If the file cannot be opened any more.
        """
        if box.width < 1 or box.height < 1 or min(box.x, box.y) < 0:
            raise ValueError(f"{box} is empty or begins outside the grid")
        if box.right > grid.width_px or box.bottom > grid.height_px:
            raise ValueError(f"{box} reaches beyond the grid of {grid.width_px} x {grid.height_px} px")
        level = self.info.levels[grid.level]
        source = source_box(grid.scale, box, level)
        rgb, unreadable = read_blocks(self._reader, grid.level, source)
        return Region(resample(rgb, source, grid.scale, box, level), unreadable)

    def overview(self, mpp: float) -> tuple[NDArray[np.uint8], Grid]:
        """The whole canvas at about `mpp` microns per pixel, white outside the bounds and where unreadable.

        Returns
        -------
        rgb : uint8, (h, w, 3)
        grid : Grid
            Its true resolution: finer than `mpp` never, coarser where the slide is, or to stay below `MAX_OVERVIEW_PX`.

        Raises
        ------
        UnreadableSlideError
            If not one block of the level can be decoded.
        """
        grid = overview_grid(self.info.levels, self.info.mpp, mpp, MAX_OVERVIEW_PX)
        rgb = np.full((grid.height_px, grid.width_px, 3), 255, np.uint8)
        step = max(1, int(_OVERVIEW_TILE_PX / grid.scale))
        blocks = failed = 0
        for box in _tiles_within(grid, self.info.bounds, step):
            region = self.read(grid, box)
            rgb[box.y : box.bottom, box.x : box.right] = region.rgb
            blocks += block_count(source_box(grid.scale, box, self.info.levels[grid.level]))
            failed += len(region.unreadable)
        if blocks == failed:
            raise UnreadableSlideError(f"no part of level {grid.level} can be decoded", _COPY_AGAIN)
        return rgb, grid


def open_slide(
    path: Path, *, slide_id: str | None = None, mpp: float | None = None, mpp_source: str = "--mpp"
) -> Slide:
    """Open a slide with the first reader that can, and check that it can be read at all.

    Parameters
    ----------
    path : Path
        Any OpenSlide format, a TIFF that tiffslide reads, or a plain PNG, JPEG or TIFF image.
    slide_id : str, optional
        Its name in all outputs; the file's stem unless given.
    mpp : float, optional
        True microns per pixel of level 0, which goes before the metadata.
    mpp_source : str
        Where `mpp` comes from: "--mpp" or "cohort table".

    Raises
    ------
    UnreadableSlideError
        If the file is missing, damaged, or of a format that no reader opens.
    ResolutionError
        If microns per pixel are missing or outside 0.05 to 20.
    NotBrightfieldError
        If the file holds separate channels instead of RGB.
    """
    reader = open_reader(path)
    try:
        facts = reader.facts
        value, source, warnings = resolve_mpp(facts, mpp, mpp_source)
        _check_readable(reader)
        info = SlideInfo(
            slide_id=path.stem if slide_id is None else slide_id,
            reader=facts.reader,
            vendor=facts.vendor,
            mpp=value,
            mpp_source=source,
            objective_power=facts.objective_power,
            levels=facts.levels,
            bounds=_bounds(facts),
            has_bounds=facts.bounds is not None,
            fingerprint=fingerprint(path),
            warnings=facts.warnings + warnings,
        )
    except BaseException:
        reader.close()
        raise
    return Slide(reader, info)


def probe(path: Path, mpp: float | None = None) -> dict[str, Any]:
    """What `wsipipe info` shows: plain values only, also for a slide without microns per pixel.

    Warnings are what a run would say and go on, problems what it would stop at.

    Raises
    ------
    UnreadableSlideError
        If no reader opens the file.
    """
    reader = open_reader(path)
    try:
        facts = reader.facts
        warnings, problems = list(facts.warnings), []
        value, source = mpp, "--mpp"
        if value is None:
            value, source = stated_mpp(facts), "metadata"
        fault = missing_mpp(facts, value, source)
        if fault is None:
            warnings += resolve_mpp(facts, mpp, "--mpp")[2]
        else:
            problems.append(f"{fault.what}: {fault.remedy}")
            value, source = None, "none"
        try:
            _check_readable(reader)
        except UnreadableSlideError as error:
            problems.append(f"{error.what}: {error.remedy}")
    finally:
        reader.close()
    levels = [
        {
            "width_px": level.width_px,
            "height_px": level.height_px,
            "downsample": level.downsample,
            "mpp": None if value is None else value * level.downsample,
        }
        for level in facts.levels
    ]
    return {
        "slide_id": path.stem,
        "reader": facts.reader,
        "vendor": facts.vendor,
        "width_px": facts.levels[0].width_px,
        "height_px": facts.levels[0].height_px,
        "levels": levels,
        "mpp": value,
        "mpp_source": source,
        "objective_power": facts.objective_power,
        "bounds": None if facts.bounds is None else _bounds(facts)._asdict(),
        "recipe": None if value is None else fitting_recipe(value),
        "properties": dict(facts.properties),
        "fingerprint": fingerprint(path),
        "warnings": warnings,
        "problems": problems,
    }


def fingerprint(path: Path) -> str:
    """32 hex digits of a file's size, time of change, first and last 64 KiB.

    For MIRAX, whose pixels lie in a folder beside the file, names, sizes and times of what is in there count too.
    """
    state = path.stat()
    digest = hashlib.sha256(f"{state.st_size} {state.st_mtime_ns}\n".encode())
    with path.open("rb") as file:
        digest.update(file.read(_ENDS_BYTES))
        file.seek(max(0, state.st_size - _ENDS_BYTES))
        digest.update(file.read(_ENDS_BYTES))
    folder = path.with_suffix("")
    if path.suffix.lower() == ".mrxs" and folder.is_dir():
        for part in sorted(folder.iterdir()):
            digest.update(f"{part.name} {part.stat().st_size} {part.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _bounds(facts: Facts) -> Box:
    """Stated bounds as far as they lie on the slide, else the whole slide."""
    width, height = facts.levels[0].width_px, facts.levels[0].height_px
    if facts.bounds is None:
        return Box(0, 0, width, height)
    x, y = max(0, facts.bounds.x), max(0, facts.bounds.y)
    right, bottom = min(width, facts.bounds.right), min(height, facts.bounds.bottom)
    if right <= x or bottom <= y:
        return Box(0, 0, width, height)
    return Box(x, y, right - x, bottom - y)


def _check_readable(reader: Reader) -> None:
    """Raise UnreadableSlideError unless one of 25 blocks spread over level 0 can be decoded; the middle comes first."""
    bounds = _bounds(reader.facts)
    places = sorted(
        ((i, j) for i in range(_PROBES) for j in range(_PROBES)), key=lambda p: abs(p[0] - 2) + abs(p[1] - 2)
    )
    seen = set()
    reason = ""
    for i, j in places:
        x = (bounds.x + (2 * i + 1) * bounds.width // (2 * _PROBES)) // BLOCK_PX * BLOCK_PX
        y = (bounds.y + (2 * j + 1) * bounds.height // (2 * _PROBES)) // BLOCK_PX * BLOCK_PX
        if (x, y) in seen:
            continue
        seen.add((x, y))
        level = reader.facts.levels[0]
        try:
            reader.read(0, Box(x, y, min(BLOCK_PX, level.width_px - x), min(BLOCK_PX, level.height_px - y)))
        except ReadFailureError as error:
            reason = str(error)
        else:
            return
    raise UnreadableSlideError(f"its pixels cannot be decoded ({reason})", _COPY_AGAIN)


def _tiles_within(grid: Grid, bounds: Box, step: int) -> list[Box]:
    """Boxes of the grid, `step` pixels a side, that touch level-0 rectangle `bounds`."""
    found = []
    for y in range(0, grid.height_px, step):
        for x in range(0, grid.width_px, step):
            box = Box(x, y, min(step, grid.width_px - x), min(step, grid.height_px - y))
            inside_x = box.right * grid.downsample > bounds.x and x * grid.downsample < bounds.right
            if inside_x and box.bottom * grid.downsample > bounds.y and y * grid.downsample < bounds.bottom:
                found.append(box)
    return found

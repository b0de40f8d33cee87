"""The same answer whatever box a pixel is read through, for every kind of level and scale."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.slides import TILE_PX, halves, noise, smooth, wipe_tiles, write_image, write_svs, write_tiff
from wsipipe.io.resample import axis_taps, grid_length, resample, source_box
from wsipipe.io.slide import BLOCK_PX, Region, Slide, open_slide
from wsipipe.records import Box, Grid, Level

MPP = 0.25
CASES = {
    # name: (file, working mpp), with the level and the scale that they lead to
    "whole level 0": ("exact.svs", 0.25, 0, 1.0),
    "whole level 1": ("exact.svs", 0.5, 1, 1.0),
    "level 1, fraction": ("exact.svs", 0.6, 1, 1.2),
    "level 0, upsampled": ("exact.svs", 0.21, 0, 0.84),
    "factor 2": ("flat.svs", 0.5, 0, 2.0),
    "factor 4": ("flat.svs", 1.0, 0, 4.0),
    "fraction": ("flat.svs", 0.57, 0, 2.28),
    "large fraction": ("flat.svs", 2.3, 0, 9.2),
    "odd level as it is": ("odd.tif", 0.5, 1, 1.0),
    "odd level, fraction": ("odd.tif", 0.7, 1, None),
    "damaged": ("damaged.svs", 0.25, 0, 1.0),
    "damaged, fraction": ("damaged.svs", 0.4, 0, 1.6),
    "stripped TIFF, tiffslide": ("strips.tif", 0.4, 0, 1.6),
    "PNG": ("plain.png", 0.31, 0, 1.24),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("slides")
    write_svs(where / "exact.svs", halves(noise(720, 528), 2), MPP)
    write_svs(where / "flat.svs", [noise(733, 517)], MPP)
    write_tiff(where / "odd.tif", halves(noise(701, 503), 3), MPP)
    write_svs(where / "damaged.svs", [smooth(700, 500)], MPP, compression="jpeg")
    wipe_tiles(where / "damaged.svs", [7, 14])
    write_tiff(where / "strips.tif", [noise(400, 333)], MPP, tile=None, rowsperstrip=16)
    write_image(where / "plain.png", noise(401, 299))
    return where


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Slide, Grid, Region]]:
    name, mpp, level, scale = CASES[request.param]
    with open_slide(folder / name, mpp=MPP) as slide:
        grid = slide.grid(mpp)
        assert grid.level == level
        assert scale is None or grid.scale == pytest.approx(scale)
        yield slide, grid, slide.read(grid, Box(0, 0, grid.width_px, grid.height_px))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_pixel_does_not_depend_on_the_box(case: tuple[Slide, Grid, Region], data: st.DataObject) -> None:
    slide, grid, whole = case
    box = data.draw(boxes_within(grid.width_px, grid.height_px))
    part = slide.read(grid, box)
    np.testing.assert_array_equal(part.rgb, whole.rgb[box.y : box.bottom, box.x : box.right])
    assert part.unreadable == {block for block in whole.unreadable if touches(slide, grid, box, block)}


def test_unreadable_blocks_are_those_of_the_wiped_tiles(folder: Path) -> None:
    with open_slide(folder / "damaged.svs") as slide:
        grid = slide.grid(MPP)
        region = slide.read(grid, Box(0, 0, grid.width_px, grid.height_px))
    across, per_tile = -(-700 // TILE_PX), TILE_PX // BLOCK_PX
    expected = {
        (tile % across * per_tile + i, tile // across * per_tile + j)
        for tile in (7, 14)
        for i in range(per_tile)
        for j in range(per_tile)
    }
    assert region.unreadable == expected
    for x, y in expected:
        area = region.rgb[y * BLOCK_PX : (y + 1) * BLOCK_PX, x * BLOCK_PX : (x + 1) * BLOCK_PX]
        assert (area == 255).all()
    assert (region.rgb != 255).any(axis=2).sum() == 700 * 500 - len(expected) * BLOCK_PX**2


@settings(max_examples=60, deadline=None)
@given(scale=st.floats(0.5, 40), first=st.integers(0, 10**6), count=st.integers(1, 40))
def test_weights_add_up_and_are_the_covered_area(scale: float, first: int, count: int) -> None:
    level_px = round((first + count + 1) * scale) + 1
    taps = axis_taps(scale, first, count, level_px)
    assert (taps.weight.sum(axis=1) == 1 << 14).all()
    assert (taps.weight >= 0).all()
    pixel = taps.start[:, None] + np.arange(taps.weight.shape[1])
    index = first + np.arange(count)[:, None]
    if scale >= 1:
        begin, end = index * scale, (index + 1) * scale
        expected = np.clip(np.minimum(pixel + 1, end) - np.maximum(pixel, begin), 0, None) / scale
    else:
        centre = np.clip((index + 0.5) * scale - 0.5, 0, level_px - 1)
        expected = np.clip(1 - np.abs(centre - pixel), 0, None)
    np.testing.assert_allclose(taps.weight / (1 << 14), expected, atol=5e-4)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.8, 12), seed=st.integers(0, 99))
def test_resampling_is_within_one_grey_level_of_floating_point(scale: float, seed: int) -> None:
    level = Level(150, 130, 1.0)
    rgb = noise(level.width_px, level.height_px, seed)
    box = Box(0, 0, grid_length(level.width_px, scale), grid_length(level.height_px, scale))
    source = source_box(scale, box, level)
    found = resample(rgb[: source.height, : source.width], source, scale, box, level)
    rows, columns = (
        dense_weights(scale, count, size)
        for count, size in ((box.height, level.height_px), (box.width, level.width_px))
    )
    expected = (rows @ rgb.transpose(2, 0, 1).astype(float) @ columns.T).transpose(1, 2, 0)
    assert np.abs(found - expected).max() < 0.75


def dense_weights(scale: float, count: int, size: int) -> np.ndarray:
    """Weights of `axis_taps` in plain floating point, (count, size)."""
    weights = np.zeros((count, size))
    for i in range(count):
        if scale >= 1:
            edges = np.clip(np.arange(size + 1), i * scale, (i + 1) * scale)
            weights[i] = np.diff(edges) / scale
        else:
            centre = min(max((i + 0.5) * scale - 0.5, 0), size - 1)
            left = min(int(centre), size - 2)
            weights[i, left : left + 2] = left + 1 - centre, centre - left
    return weights


@st.composite
def boxes_within(draw: st.DrawFn, width_px: int, height_px: int) -> Box:
    x, y = draw(st.integers(0, width_px - 1)), draw(st.integers(0, height_px - 1))
    width = draw(st.integers(1, min(width_px - x, 200)))
    return Box(x, y, width, draw(st.integers(1, min(height_px - y, 200))))


def touches(slide: Slide, grid: Grid, box: Box, block: tuple[int, int]) -> bool:
    """Whether `box` needs level pixels of `block`."""
    source = source_box(grid.scale, box, slide.info.levels[grid.level])
    x, y = block[0] * BLOCK_PX, block[1] * BLOCK_PX
    return x < source.right and x + BLOCK_PX > source.x and y < source.bottom and y + BLOCK_PX > source.y

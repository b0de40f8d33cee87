"""Downsamples of levels whose sizes were rounded, and what depends on them: places on level 0, and plain pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from tests.slides import noise, smooth, write_tiff
from wsipipe.io.levels import true_levels
from wsipipe.io.openslide_reader import OpenSlideReader
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.slide import open_slide
from wsipipe.records import Box


def downsamples(*sizes: tuple[int, int], stated: list[float] | None = None) -> list[float]:
    means = [(sizes[0][0] / w + sizes[0][1] / h) / 2 for w, h in sizes]
    return [level.downsample for level in true_levels(sizes, stated or means)]


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(46000, 32914), (11500, 8228), (2875, 2057)], [1, 4, 16]),  # Aperio, rounded down
        ([(4095, 1003), (2048, 502)], [1, 2]),  # rounded up
        ([(9001, 900), (3000, 300), (1000, 100)], [1, 3, 9]),
        ([(40000, 1003), (20000, 501), (10000, 250)], [1, 2, 4]),
        ([(300, 250), (150, 125), (74, 62), (37, 31)], [1, 2, 4, 8]),
        ([(16000, 1001), (10000, 625)], [1, 1.6]),  # of the longer side
        ([(1001, 16000), (625, 10000)], [1, 1.6]),
        ([(5, 3), (1, 1)], [1, 4]),
    ],
)
def test_rounded_sizes_hide_no_whole_number(sizes: list[tuple[int, int]], wanted: list[float]) -> None:
    assert downsamples(*sizes) == wanted


def test_what_a_file_states_itself_is_kept() -> None:
    padded = [(8192, 8192), (4608, 4608), (2560, 2560)]  # whole tiles
    assert downsamples(*padded, stated=[1, 2, 4]) == [1, 2, 4]
    assert downsamples(*padded, stated=[1, 2.0004, 4]) == [1, 2.0004, 4]


def long_slide(path: Path) -> np.ndarray:
    """Thirty discs along a slide of 12000 x 203 px, whose lower levels have rounded heights; returns their x."""
    pixels = np.full((203, 12000, 3), 240, np.uint8)
    x = np.linspace(60, 11940, 30).round()
    for centre in x:
        cv2.circle(pixels, (int(centre), 100), 15, (90, 40, 130), -1)
    write_pyramid(path, pixels, 0.25)
    return x + 0.5


def test_the_far_end_of_a_long_slide_is_where_it_is(tmp_path: Path) -> None:
    x = long_slide(tmp_path / "long.tiff")
    with open_slide(tmp_path / "long.tiff") as slide:
        grid = slide.grid(0.5)
        assert (grid.level, grid.downsample, grid.mpp) == (1, 2, 0.5)
        dark = slide.read(grid, Box(0, 0, grid.width_px, grid.height_px)).rgb[..., 1] < 140
    count, _, _, centres = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
    assert count == 31
    found = (np.sort(centres[1:, 0]) + 0.5) * grid.downsample
    np.testing.assert_allclose(found, x, atol=0.6)  # 14 px at the far end with the mean of both ratios


@pytest.mark.parametrize("size", [(601, 403), (600, 403)])
def test_tiles_of_levels_with_rounded_sizes_are_not_blended(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    fine = smooth(width, height)
    fine[100:300, 150:400] = noise(250, 200)
    half = np.ascontiguousarray(fine[: height // 2 * 2 : 2, : width // 2 * 2 : 2])
    path = write_tiff(tmp_path / "odd.tiff", [fine, half], 0.25, compression="jpeg", compressionargs={"level": 90})
    reader = OpenSlideReader(path)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[1]
        wanted = np.asarray(page.asarray())
    assert reader.exact(1)
    np.testing.assert_array_equal(reader.read(1, Box(0, 0, *half.shape[1::-1])), wanted)
    np.testing.assert_array_equal(reader.read(1, Box(77, 31, 150, 99)), wanted[31:130, 77:227])
    reader.close()


def test_what_openslide_reads_of_such_a_level_does_not_depend_on_the_box(tmp_path: Path) -> None:
    fine = noise(601, 403)
    path = write_tiff(tmp_path / "odd.tiff", [fine, np.ascontiguousarray(fine[:402:2, :600:2])], 0.25)
    reader = OpenSlideReader(path)
    assert not reader.exact(1)
    whole = reader._compose_blocks(1, Box(0, 0, 300, 201))
    for box in (Box(5, 3, 1, 1), Box(63, 64, 130, 100), Box(299, 200, 1, 1), Box(0, 64, 300, 64)):
        np.testing.assert_array_equal(reader._compose_blocks(1, box), whole[box.y : box.bottom, box.x : box.right])
    reader.close()

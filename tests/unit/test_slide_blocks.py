"""Blocks, bounds and transparency, on a reader made of an array and on sparse files."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.slides import noise, smooth, write_svs, write_tiff
from wsipipe.errors import UnreadableSlideError
from wsipipe.io import slide as slide_module
from wsipipe.io.blocks import BLOCK_PX, block_count, read_blocks
from wsipipe.io.readers import Facts, ReadFailureError
from wsipipe.io.slide import open_slide, probe
from wsipipe.records import Box, Level


class ArrayReader:
    """Pixels of an array; boxes that touch a pixel of `bad` fail. Counts its reads."""

    def __init__(
        self, pixels: np.ndarray, bad: np.ndarray | None = None, bounds: Box | None = None, exact: bool = True
    ) -> None:
        height, width = pixels.shape[:2]
        self.pixels, self._exact = pixels, exact
        self.bad = np.zeros((height, width), bool) if bad is None else bad
        self.facts = Facts("openslide", "mirax", (Level(width, height, 1.0),), 0.5, 0.5, 20.0, bounds)
        self.boxes: list[Box] = []

    def exact(self, level: int) -> bool:
        return self._exact

    def read(self, level: int, box: Box) -> np.ndarray:
        self.boxes.append(box)
        area = np.s_[box.y : box.bottom, box.x : box.right]
        if self.bad[area].any():
            raise ReadFailureError("bad")
        return self.pixels[area]

    def close(self) -> None:
        pass


def test_one_read_where_the_level_is_exact() -> None:
    reader = ArrayReader(noise(300, 200))
    pixels, unreadable = read_blocks(reader, 0, Box(70, 10, 200, 100))
    assert reader.boxes == [Box(64, 0, 236, 128)]
    assert unreadable == frozenset()
    np.testing.assert_array_equal(pixels, reader.pixels[10:110, 70:270])


def test_single_blocks_where_it_is_not() -> None:
    reader = ArrayReader(noise(300, 200), exact=False)
    pixels, _ = read_blocks(reader, 0, Box(70, 10, 200, 100))
    np.testing.assert_array_equal(pixels, reader.pixels[10:110, 70:270])
    assert all(box.x % BLOCK_PX == box.y % BLOCK_PX == 0 for box in reader.boxes)
    assert len(reader.boxes) == block_count(Box(70, 10, 200, 100)) == 8


@pytest.mark.parametrize("exact", [True, False])
def test_one_bad_pixel_costs_one_block(exact: bool) -> None:
    pixels = smooth(700, 500)
    bad = np.zeros((500, 700), bool)
    bad[130, 300] = True
    reader = ArrayReader(pixels, bad, exact=exact)
    found, unreadable = read_blocks(reader, 0, Box(0, 0, 700, 500))
    assert unreadable == {(300 // BLOCK_PX, 130 // BLOCK_PX)}
    expected = pixels.copy()
    expected[128:192, 256:320] = 255
    np.testing.assert_array_equal(found, expected)
    # A box beside the bad pixel but inside its block gets the same answer.
    assert read_blocks(reader, 0, Box(310, 180, 5, 5))[1] == unreadable


def test_bounds_limit_the_overview(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"x")
    bounds = Box(1000, 600, 300, 200)
    reader = ArrayReader(smooth(2000, 1200), bounds=bounds)
    monkeypatch.setattr(slide_module, "open_reader", lambda _: reader)
    monkeypatch.setattr(slide_module, "_OVERVIEW_TILE_PX", 160)
    with open_slide(path) as slide:
        assert (slide.info.bounds, slide.info.has_bounds) == (bounds, True)
        reader.boxes.clear()
        rgb, grid = slide.overview(8.0)
    assert rgb.shape == (grid.height_px, grid.width_px, 3) == (75, 125, 3)
    scanned = np.s_[38:50, 63:81]
    assert (rgb[scanned] < 255).any(axis=2).all()
    assert (rgb[:30] == 255).all()
    assert (rgb[:, :50] == 255).all()
    assert all(box.right > 600 and box.x < 1600 for box in reader.boxes)
    assert probe(path)["bounds"] == {"x": 1000, "y": 600, "width": 300, "height": 200}


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        (Box(-10, -10, 100, 100), Box(0, 0, 90, 90)),
        (Box(250, 0, 100, 100), Box(250, 0, 50, 100)),
        (Box(900, 0, 9, 9), Box(0, 0, 300, 200)),
    ],
)
def test_bounds_beyond_the_slide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stated: Box, kept: Box) -> None:
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"x")
    monkeypatch.setattr(slide_module, "open_reader", lambda _: ArrayReader(smooth(300, 200), bounds=stated))
    with open_slide(path) as slide:
        assert slide.info.bounds == kept


def test_opening_fails_only_if_nothing_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(b"x")
    bad = np.ones((600, 900), bool)
    monkeypatch.setattr(slide_module, "open_reader", lambda _: ArrayReader(smooth(900, 600), bad))
    with pytest.raises(UnreadableSlideError):
        open_slide(path)
    bad[500:, 700:] = False
    with open_slide(path) as slide:
        rgb, _ = slide.overview(8.0)
    assert (rgb[:20] == 255).all()
    bad[:] = True
    with pytest.raises(UnreadableSlideError, match="level 0"):
        slide.overview(8.0)


@pytest.mark.parametrize("aperio", [True, False])
def test_tiles_that_were_never_scanned_are_white(tmp_path: Path, aperio: bool) -> None:
    pixels = noise(384, 256)
    path = tmp_path / "sparse.tif"
    if aperio:
        write_svs(path, [pixels], mpp=0.5)
    else:
        write_tiff(path, [pixels], mpp=0.5)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        counts = list(tiff.pages[0].databytecounts)
        counts[1] = 0
        tiff.pages[0].tags["TileByteCounts"].overwrite(counts)
    with open_slide(path) as slide:
        region = slide.read(slide.grid(0.5), Box(0, 0, 384, 256))
    pixels[:128, 128:256] = 255
    np.testing.assert_array_equal(region.rgb, pixels)
    assert region.unreadable == frozenset()

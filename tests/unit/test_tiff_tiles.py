"""Tiles decoded directly are what OpenSlide reads; whatever is out of the ordinary is left to OpenSlide."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.slides import TILE_PX, noise, smooth, write_svs, write_tiff
from wsipipe.io.openslide_reader import OpenSlideReader
from wsipipe.io.readers import ReadFailureError
from wsipipe.io.tiff_tiles import PlainTiff
from wsipipe.records import Box

JPEG = {"compression": "jpeg", "compressionargs": {"level": 85}}


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = smooth(500, 420)
    pixels[100:200, 150:300] = noise(150, 100)
    folder = tmp_path_factory.mktemp("tiles")
    return write_tiff(folder / "slide.tiff", [pixels, np.ascontiguousarray(pixels[::2, ::2])], 0.5, **JPEG)


def direct(reader: OpenSlideReader, level: int = 0) -> bool:
    return reader._plain.level(level, lambda box: reader._compose(level, box)) is not None


@settings(max_examples=30)
@given(st.integers(0, 1), st.integers(0, 200), st.integers(0, 180), st.integers(1, 300), st.integers(1, 240))
def test_a_box_is_what_openslide_composes(slide: Path, level: int, x: int, y: int, w: int, h: int) -> None:
    reader = OpenSlideReader(slide)
    size = reader.facts.levels[level]
    box = Box(x, y, min(w, size.width_px - x), min(h, size.height_px - y))
    assert direct(reader, level)
    assert np.array_equal(reader.read(level, box), reader._compose(level, box))
    reader.close()


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_colour_spaces_of_aperio(tmp_path: Path, photometric: str) -> None:
    path = write_svs(tmp_path / "a.svs", [smooth(300, 300)], photometric=photometric, **JPEG)
    reader = OpenSlideReader(path)
    assert direct(reader)
    box = Box(17, 90, 200, 133)
    assert np.array_equal(reader.read(0, box), reader._compose(0, box))
    reader.close()


@pytest.mark.parametrize("compression", ["zlib", "lzw", None])
def test_other_compressions_are_left_to_openslide(tmp_path: Path, compression: str | None) -> None:
    reader = OpenSlideReader(write_tiff(tmp_path / "a.tiff", [smooth(200, 200)], compression=compression))
    assert not direct(reader)
    assert reader.read(0, Box(0, 0, 200, 200)).shape == (200, 200, 3)
    reader.close()


def test_other_formats_are_not_looked_at(slide: Path) -> None:
    with PlainTiff(slide, "hamamatsu", ()) as plain:
        assert plain._file is None


def test_a_level_that_differs_from_what_openslide_reads_is_not_used(slide: Path) -> None:
    reader = OpenSlideReader(slide)
    with PlainTiff(slide, "generic-tiff", reader.facts.levels) as plain:
        assert plain.level(0, lambda box: reader._compose(0, box) ^ 1) is None
    reader.close()


def damaged(slide: Path, to: Path, index: int, content: bytes | None) -> Path:
    """A copy of which one tile begins with `content`, or ends halfway."""
    data = bytearray(slide.read_bytes())
    with tifffile.TiffFile(slide) as tiff:
        page = tiff.pages.first
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        tags = page.tags["TileByteCounts"]
    if content is None:
        struct.pack_into(
            "<I" if tags.dtype == 4 else "<H",
            data,
            tags.valueoffset + index * (4 if tags.dtype == 4 else 2),
            count // 2,
        )
    else:
        data[offset : offset + len(content)] = content
    to.write_bytes(data)
    return to


@pytest.mark.parametrize("content", [b"\0" * 40, b"\xff\xd8" + b"\0" * 60, None])
def test_a_damaged_tile_is_openslides_to_judge(slide: Path, tmp_path: Path, content: bytes | None) -> None:
    reader = OpenSlideReader(damaged(slide, tmp_path / "bad.tiff", 1, content))
    assert direct(reader)
    good, bad = Box(0, 0, TILE_PX, 400), Box(TILE_PX - 10, 5, 50, 50)
    whole = OpenSlideReader(slide)
    assert np.array_equal(reader.read(0, good), whole._compose(0, good))
    try:
        expected = reader._compose(0, bad)
    except ReadFailureError:
        with pytest.raises(ReadFailureError):
            reader.read(0, bad)
    else:
        assert np.array_equal(reader.read(0, bad), expected)
    reader.close()
    whole.close()

"""Directories that state more than the file holds are refused before a reader believes them."""

import contextlib
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import tifffile

from tests.fuzz.tiff_layout import parse
from tests.slides import halves, smooth, write_svs, write_tiff
from wsipipe.errors import UnreadableSlideError
from wsipipe.io.readers import open_reader
from wsipipe.io.tiff_check import check_tiff
from wsipipe.io.tiff_tiles import _jpeg_size
from wsipipe.records import Box

WIDTH, HEIGHT, TILE_WIDTH = 256, 257, 322


def restated(path: Path, values: dict[int, int]) -> Path:
    data = bytearray(path.read_bytes())
    layout = parse(bytes(data))
    assert layout is not None
    for tag, value in values.items():
        layout.put_value(data, layout.named(tag)[0], 0, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({WIDTH: 65_535, HEIGHT: 65_535}, "has 9 of 262144 tiles"),
        ({WIDTH: 0}, "is 0 x 384 px"),
        ({TILE_WIDTH: 0}, "has tiles of 0 x 128 px"),
    ],
)
def test_more_than_there_is(tmp_path: Path, values: dict[int, int], words: str) -> None:
    path = restated(write_svs(tmp_path / "a.svs", halves(smooth(384, 384), 2), compression="jpeg"), values)
    with pytest.raises(UnreadableSlideError, match=words):
        open_reader(path)


def test_a_tile_larger_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(smooth(64, 64), tile=(16, 16), photometric="rgb")
    restated(path, {TILE_WIDTH: 65_520, 323: 65_520})
    with pytest.raises(UnreadableSlideError, match="tiles of 65520 x 65520 px"):
        check_tiff(path)


def test_directories_that_never_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_svs(tmp_path / "a.svs", halves(smooth(384, 384), 2), compression="jpeg")
    with tifffile.TiffFile(path) as tiff:  # as tifffile goes round and round in some NDPI files
        round_and_round = contextlib.nullcontext(SimpleNamespace(pages=itertools.cycle(list(tiff.pages))))
        monkeypatch.setattr(tifffile, "TiffFile", lambda path: round_and_round)
        with pytest.raises(UnreadableSlideError, match="leads back to another"):
            check_tiff(path)


def test_sound_files_pass(tmp_path: Path) -> None:
    check_tiff(write_tiff(tmp_path / "a.tif", halves(smooth(700, 500), 2), 0.5))
    check_tiff(write_tiff(tmp_path / "b.tif", [smooth(700, 500)], 0.5, tile=None, rowsperstrip=7))


def test_a_tile_whose_jpeg_states_another_size_goes_to_openslide(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [smooth(384, 384)], compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    assert _jpeg_size(bytes(data[offset : offset + count])) == (128, 128)
    frame = data.index(b"\xff\xc0", offset)
    data[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    path.write_bytes(data)
    assert _jpeg_size(bytes(data[offset : offset + count])) == (65_500, 65_500)
    reader = open_reader(path)
    assert reader.read(0, Box(128, 0, 64, 64)).shape == (64, 64, 3)  # the next tile is sound
    reader.close()

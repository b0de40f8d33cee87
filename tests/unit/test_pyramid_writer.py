"""Pyramids that other programs open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
import tiffslide

from wsipipe.image.synthetic import SyntheticSlide
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.records import Box


@contextmanager
def tiffslide_opened(path: Path) -> Iterator[tiffslide.TiffSlide]:
    with path.open("rb") as file, tiffslide.TiffSlide(file) as slide:
        yield slide


def smooth(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 200 // width, y * 200 // height, (x + y) % 97 + 100], -1).astype(np.uint8)


@pytest.mark.parametrize("aperio", [False, True])
@pytest.mark.parametrize(("factor", "sizes"), [(2, [(1023, 769), (511, 384)]), (4, [(1023, 769), (255, 192)])])
def test_both_readers_see_the_same_levels_pixels_and_mpp(
    tmp_path: Path, aperio: bool, factor: int, sizes: list[tuple[int, int]]
) -> None:
    path = tmp_path / ("a.svs" if aperio else "a.tiff")
    picture = smooth(1023, 769)
    write_pyramid(path, picture, 0.2527, factor=factor, aperio=aperio)
    with openslide.OpenSlide(path) as a, tiffslide_opened(path) as b:
        assert a.properties["openslide.vendor"] == ("aperio" if aperio else "generic-tiff")
        assert list(a.level_dimensions) == list(b.level_dimensions) == sizes
        for axis in "xy":
            assert float(a.properties[f"openslide.mpp-{axis}"]) == pytest.approx(0.2527, rel=1e-6)
            assert float(b.properties[f"tiffslide.mpp-{axis}"]) == pytest.approx(0.2527, rel=1e-6)
        for level, size in enumerate(sizes):
            seen_a, seen_b = (np.asarray(s.read_region((0, 0), level, size))[..., :3].astype(int) for s in (a, b))
            assert np.abs(seen_a - seen_b).max() <= 1
            wanted = picture[: size[1] * factor : factor, : size[0] * factor : factor] if level else picture
            assert np.abs(seen_a - wanted).mean() < 6
        assert set(a.associated_images) == ({"thumbnail"} if aperio else set())


def test_a_function_of_boxes_gives_the_same_file_as_the_array(tmp_path: Path) -> None:
    picture = smooth(700, 530)
    asked = []

    def read(box: Box) -> np.ndarray:
        asked.append(box)
        return picture[box.y : box.bottom, box.x : box.right]

    write_pyramid(tmp_path / "array.tiff", picture, 0.5)
    write_pyramid(tmp_path / "function.tiff", read, 0.5, size_px=(700, 530))
    assert (tmp_path / "array.tiff").read_bytes() == (tmp_path / "function.tiff").read_bytes()
    assert asked == [Box(x, y, min(256, 700 - x), min(256, 530 - y)) for y in (0, 256, 512) for x in (0, 256, 512)]


def test_lower_levels_are_averages(tmp_path: Path) -> None:
    picture = np.zeros((1024, 1024, 3), np.uint8)
    picture[::2] = 200
    write_pyramid(tmp_path / "a.tiff", picture, 0.5, quality=100)
    with tifffile.TiffFile(tmp_path / "a.tiff") as tiff:
        assert tiff.pages[1].shape == (512, 512, 3)
        np.testing.assert_allclose(tiff.pages[1].asarray(), 100, atol=1)


def test_a_small_picture_is_one_level(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "a.tiff", smooth(100, 30), 0.5)
    with openslide.OpenSlide(tmp_path / "a.tiff") as slide:
        assert slide.level_dimensions == ((100, 30),)


def test_the_synthetic_slide_survives_compression(tiny_slide: SyntheticSlide, tiny_slide_path: Path) -> None:
    with openslide.OpenSlide(tiny_slide_path) as slide:
        seen = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3].astype(int)
    assert np.abs(seen - tiny_slide.rgb).mean() < 2.5


def test_only_the_finished_file_is_left(tmp_path: Path) -> None:
    def fail(box: Box) -> np.ndarray:
        if box.y > 256:
            raise OSError(28, "No space left on device")
        return np.zeros((box.height, box.width, 3), np.uint8)

    with pytest.raises(OSError, match="No space"):
        write_pyramid(tmp_path / "a.tiff", fail, 0.5, size_px=(600, 2000))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("size_px", "tile_px", "factor"), [(None, 256, 2), ((0, 10), 256, 2), ((10, 10), 250, 2), ((10, 10), 256, 3)]
)
def test_sizes_that_do_not_fit_are_refused(
    tmp_path: Path, size_px: tuple[int, int] | None, tile_px: int, factor: int
) -> None:
    with pytest.raises(ValueError, match=r"size_px|multiple"):
        write_pyramid(
            tmp_path / "a.tiff",
            lambda box: smooth(box.width, box.height),
            0.5,
            size_px=size_px,
            tile_px=tile_px,
            factor=factor,
        )

"""Plain images and the TIFFs that only tiffslide opens: converted rightly, or refused in words."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.slides import TILE_PX, noise, smooth, wipe_tiles, write_image, write_tiff
from wsipipe.errors import NotBrightfieldError, ResolutionError, UnreadableSlideError
from wsipipe.io import image_reader
from wsipipe.io.metadata import mpp_from_dpi, mpp_from_ome, ome_planes
from wsipipe.io.pixels import composite_on_white, to_rgb8
from wsipipe.io.slide import open_slide
from wsipipe.records import Box


def read_all(path: Path) -> np.ndarray:
    with open_slide(path, mpp=0.5) as slide:
        return slide.read(slide.grid(0.5), Box(0, 0, slide.info.width_px, slide.info.height_px)).rgb


def test_png_is_read_as_it_is(tmp_path: Path) -> None:
    pixels = noise(130, 90)
    path = write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_all(path), pixels)
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.info.reader, slide.info.vendor, slide.info.warnings) == ("image", "unknown", ())


def test_jpeg(tmp_path: Path) -> None:
    pixels = smooth(130, 90)
    assert np.abs(read_all(write_image(tmp_path / "a.JPG", pixels, quality=95)).astype(int) - pixels).max() <= 4


def test_a_picture_that_viewers_turn_is_read_as_it_is_stored_and_that_is_said(tmp_path: Path) -> None:
    pixels, turned = smooth(130, 90), Image.Exif()
    turned[274] = 6
    path = write_image(tmp_path / "a.jpg", pixels, quality=95, exif=turned)
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.info.width_px, slide.info.height_px) == (130, 90)
        assert "as they are stored" in slide.info.warnings[0]
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0garbage of a camera"):
        with open_slide(write_image(path, pixels, exif=exif), mpp=0.5) as slide:
            assert not slide.info.warnings


def test_what_a_reader_hands_out_can_be_written_to(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", noise(130, 90))
    first = read_all(path)
    with open_slide(path, mpp=0.5) as one, open_slide(path, mpp=0.5) as two:
        box = Box(0, 0, 130, 90)
        one.read(one.grid(0.5), box).rgb[:] = 0
        np.testing.assert_array_equal(two.read(two.grid(0.5), box).rgb, first)


def test_grey_palette_and_alpha(tmp_path: Path) -> None:
    pixels = smooth(130, 90)
    grey = read_all(write_image(tmp_path / "l.png", pixels[..., 0]))
    np.testing.assert_array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))
    palette = read_all(write_image(tmp_path / "p.png", pixels, "P"))
    assert np.abs(palette.astype(int) - pixels).max() < 64
    alpha = np.dstack([pixels, np.full((90, 130), 255, np.uint8)])
    alpha[:40, :, 3] = 0
    rgb = read_all(write_image(tmp_path / "rgba.png", alpha))
    assert (rgb[:40] == 255).all()
    np.testing.assert_array_equal(rgb[40:], pixels[40:])
    with open_slide(tmp_path / "l.png", mpp=0.5) as slide:
        assert "grey" in slide.info.warnings[0]


def test_sixteen_bits(tmp_path: Path) -> None:
    pixels = smooth(130, 90)
    deep = pixels.astype(np.uint16) * 257
    np.testing.assert_array_equal(
        read_all(write_image(tmp_path / "a.png", deep[..., 0])), np.dstack([pixels[..., 0]] * 3)
    )
    path = write_tiff(tmp_path / "a.tif", [deep], tile=None, rowsperstrip=8)
    np.testing.assert_array_equal(read_all(path), pixels)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_colour_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth(130, 90)).convert(mode).save(path)
    if mode == "CMYK":
        with pytest.raises(UnreadableSlideError, match=r"colour mode CMYK: convert it to an 8-bit RGB"):
            open_slide(path, mpp=0.5)
    else:
        assert np.abs(read_all(path).astype(int) - smooth(130, 90)).max() <= 8


def test_resolution_of_images(tmp_path: Path) -> None:
    specific = write_image(tmp_path / "a.png", noise(130, 90), dpi=(25_400 / 0.26, 25_400 / 0.26))
    with open_slide(specific) as slide:
        assert slide.info.mpp == pytest.approx(0.26, rel=1e-3)
    for name, dpi in (("b.png", 96), ("c.png", 2400), ("d.jpg", 72)):
        path = write_image(tmp_path / name, noise(130, 90), dpi=(dpi, dpi))
        with pytest.raises(ResolutionError, match="--mpp"):
            open_slide(path)


def test_large_images_pass_pillows_limit_but_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_image(tmp_path / "a.png", noise(130, 90))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_all(path).shape == (90, 130, 3)
    monkeypatch.setattr(image_reader, "MAX_IMAGE_PX", 10_000)
    with pytest.raises(UnreadableSlideError, match=r"130 x 90 px.*pyramidal TIFF"):
        open_slide(path, mpp=0.5)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_images_cut_short(tmp_path: Path, name: str) -> None:
    path = write_image(tmp_path / name, noise(330, 290))
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UnreadableSlideError, match="cannot be decoded"):
        open_slide(path, mpp=0.5)


def test_stripped_tiff_is_read_by_tiffslide_and_says_so(tmp_path: Path) -> None:
    pixels = noise(300, 200)
    path = write_tiff(tmp_path / "a.tif", [pixels], mpp=0.5, tile=None, rowsperstrip=16)
    with open_slide(path) as slide:
        assert (slide.info.reader, slide.info.mpp) == ("tiffslide", pytest.approx(0.5))
        assert "read by tiffslide, because OpenSlide cannot open it" in slide.info.warnings[0]
    np.testing.assert_array_equal(read_all(path), pixels)


@pytest.mark.parametrize(
    ("unit", "per_unit", "mpp"),
    [
        ("um", 4.0, 0.25),
        ("micron", 2.0, 0.5),
        ("\\u00B5m", 2.0, 0.5),
        ("mm", 2000.0, 0.5),
        ("pixel", 1.0, None),
        ("inch", 96.0, None),
    ],
)
def test_resolution_that_imagej_writes(tmp_path: Path, unit: str, per_unit: float, mpp: float | None) -> None:
    path = tmp_path / "roi.tif"
    tifffile.imwrite(path, noise(130, 90), imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    if mpp is None:
        with pytest.raises(ResolutionError, match="--mpp"):
            open_slide(path)
        return
    with open_slide(path) as slide:
        assert slide.info.mpp == pytest.approx(mpp)


def test_damaged_strips_are_white_and_named(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [noise(300, 256)], mpp=0.5, tile=None, rowsperstrip=64)
    wipe_tiles(path, [1])
    with open_slide(path) as slide:
        region = slide.read(slide.grid(0.5), Box(0, 0, 300, 256))
    assert region.unreadable == {(i, 1) for i in range(5)}
    assert (region.rgb[64:128] == 255).all()
    assert (region.rgb[128:] != 255).any()


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_tiles_that_a_file_leaves_out_are_white(tmp_path: Path, compression: str) -> None:
    """As Philips and GDAL write them; OpenSlide shows the first file, tiffslide the second."""
    pixels = noise(300, 256)
    path = write_tiff(tmp_path / "a.tif", [pixels], mpp=0.5, compression=compression)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for tag in (tiff.pages.first.tags["TileOffsets"], tiff.pages.first.tags["TileByteCounts"]):
            tag.overwrite([0, *tag.value[1:]])
    wanted = pixels.copy()
    wanted[:TILE_PX, :TILE_PX] = 255
    np.testing.assert_array_equal(read_all(path), wanted)
    with open_slide(path) as slide:
        assert slide.info.reader == ("openslide" if compression == "zlib" else "tiffslide")


def test_palette_tiff_falls_through_to_the_image_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(smooth(130, 90)).convert("P").save(path)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.info.reader in ("image", "openslide")
    assert np.abs(read_all(path).astype(int) - smooth(130, 90)).max() < 64


def write_planes(path: Path, planes: np.ndarray, axes: str, photometric: str) -> Path:
    metadata = {"axes": axes, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, planes, photometric=photometric, metadata=metadata, ome=True, tile=(64, 64))
    return path


def test_colours_in_planes_of_their_own_are_put_together(tmp_path: Path) -> None:
    """As raw2ometiff writes them; OpenSlide opens such a file and takes red for grey."""
    pixels = noise(130, 90)
    path = write_planes(tmp_path / "a.ome.tif", np.moveaxis(pixels, 2, 0), "CYX", "minisblack")
    with open_slide(path) as slide:
        assert (slide.info.reader, slide.info.mpp) == ("tiffslide", 0.5)
        assert "3 channels in planes of their own" in slide.info.warnings[0]
    np.testing.assert_array_equal(read_all(path), pixels)


def test_tiled_fluorescence_is_refused_too(tmp_path: Path) -> None:
    path = write_planes(tmp_path / "a.ome.tif", np.zeros((4, 90, 130), np.uint8), "CYX", "minisblack")
    with pytest.raises(NotBrightfieldError, match="4 channels instead of RGB"):
        open_slide(path)


def test_of_several_focal_planes_the_first_is_read_and_that_is_said(tmp_path: Path) -> None:
    planes = np.stack([noise(130, 90, seed) for seed in range(3)])
    path = write_planes(tmp_path / "a.ome.tif", planes, "ZYXS", "rgb")
    with open_slide(path) as slide:
        assert slide.info.warnings == ("has 3 focal planes, of which the first is read",)
    np.testing.assert_array_equal(read_all(path), planes[0])


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_of_fluorescence_are_refused(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.ome.tif"
    stack = np.zeros((channels, 64, 64), np.uint16)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    with pytest.raises(NotBrightfieldError, match=f"{channels} channels instead of RGB"):
        open_slide(path, mpp=0.5)


def test_floating_point_tiff_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [np.zeros((64, 64, 3), np.float32)], tile=None)
    with pytest.raises(UnreadableSlideError, match="float32"):
        open_slide(path, mpp=0.5)


def test_transparent_pixels_hide_their_colour() -> None:
    rgba = np.array([[[9, 8, 7, 0], [9, 8, 7, 255], [100, 0, 255, 128]]], np.uint8)
    assert composite_on_white(rgba).tolist() == [[[255, 255, 255], [9, 8, 7], [177, 127, 255]]]
    premultiplied = np.array([[[50, 0, 128, 128], [0, 0, 0, 0]]], np.uint8)
    assert composite_on_white(premultiplied, premultiplied=True).tolist() == [[[177, 127, 255], [255, 255, 255]]]


def test_to_rgb8_of_every_kind() -> None:
    assert to_rgb8(np.array([[7]], np.uint8)).tolist() == [[[7, 7, 7]]]
    assert to_rgb8(np.array([[[7, 0]]], np.uint8)).tolist() == [[[255, 255, 255]]]
    assert to_rgb8(np.array([[65535, 128, 129]], np.uint16)[..., None]).tolist() == [[[255] * 3, [0] * 3, [1] * 3]]


@pytest.mark.parametrize(
    ("dpi", "mpp"),
    [(72, None), (72.009, None), (299.9994, None), (2400, None), (101_600, 0.25), (0, None), (None, None)],
)
def test_dpi(dpi: float | None, mpp: float | None) -> None:
    assert mpp_from_dpi(dpi) == (None if mpp is None else pytest.approx(mpp, rel=1e-3))


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ('<OME><Pixels PhysicalSizeX="0.25" PhysicalSizeXUnit="µm" PhysicalSizeY="0.26"/>', (0.25, 0.26)),
        ('<OME><Pixels PhysicalSizeX="2.5e-4" PhysicalSizeXUnit="mm"/>', (0.25, None)),
        ('<OME><Pixels PhysicalSizeX="1" PhysicalSizeXUnit="pixel"/>', (None, None)),
        ('<OME><Pixels PhysicalSizeX="abc"/>', (None, None)),
        ("<OME><Image/>", (None, None)),
        ('PhysicalSizeX="0.25"', (None, None)),
    ],
)
def test_ome(pixels: str, expected: tuple[float | None, float | None]) -> None:
    assert mpp_from_ome(pixels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<OME><Pixels SizeC="3" SizeZ="1"><Channel SamplesPerPixel="3"/>', (1, 1)),
        ('<OME><Pixels SizeC="3" SizeZ="5"><Channel ID="0" SamplesPerPixel="1"/>', (3, 5)),
        ('<OME><Pixels SizeC="3" SizeZ="1"/>', (1, 1)),
        ('<OME><Pixels SizeC="x" SizeZ=""/>', (1, 1)),
        (None, (1, 1)),
    ],
)
def test_planes_of_ome(text: str | None, expected: tuple[int, int]) -> None:
    assert ome_planes(text) == expected

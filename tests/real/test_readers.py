"""Every file of the real slides, sound and broken, through our readers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsipipe.errors import UnreadableSlideError, WsipipeError
from wsipipe.io.openslide_reader import OpenSlideReader
from wsipipe.io.slide import BLOCK_PX, Region, open_slide, probe
from wsipipe.io.tiffslide_reader import TiffSlideReader
from wsipipe.records import Box

RealFile = Callable[[str], Path]

SOUND = {
    # name: (reader, width, height, microns per pixel in the metadata)
    "slides/CMU-1-Small-Region.svs": ("openslide", 2220, 2967, 0.499),
    "slides/gcp_multi_frame_jpeg_camelyon_challenge_image.dcm": ("openslide", 1152, 700, None),
    "slides/highdicom_sm_image.dcm": ("openslide", 50, 50, 0.499),
    "slides/kidney-48-5.tif": ("tiffslide", 1493, 901, None),
    "slides/osp_boxes.tiff": ("openslide", 300, 250, None),
    "slides/osp_boxes_dicom/boxes_0.dcm": ("openslide", 16, 16, 0.499),
    "slides/osp_boxes_dicom/boxes_1.dcm": ("openslide", 16, 16, 0.499),
    "slides/osp_small.svs": ("openslide", 16, 16, 0.499),
    "slides/slaid_patch.tif": ("openslide", 256, 256, None),
    "slides/slideio_test3-DAPI-2-387.ndpi": ("openslide", 3968, 4864, 0.22818),
    "slides_derived/BM_GRAZ_HE_0001_01_pyramid_nompp.tif": ("openslide", 1200, 1200, None),
    "slides_derived/MoNuSeg_TCGA-21-5784_pyramid_0.2527mpp.tif": ("openslide", 1000, 1000, 0.2527),
    "slides_derived/MoNuSeg_TCGA-AR-A1AK_pyramid_0.2468mpp.ome.tif": ("openslide", 1000, 1000, 0.2468),
    "slides_broken/derived_CMU-1_two_zeroed_tiles.svs": ("openslide", 2220, 2967, 0.499),
}

BROKEN = {
    "slides_broken/derived_CMU-1_truncated.svs": "cut short",
    "slides_broken/derived_empty.svs": "empty",
    "slides_broken/derived_text_named.svs": "no reader opens it",
    "slides_broken/gcp_test_wsi2.dcm": "no reader opens it",
    "slides_broken/highdicom_sm_image_jpegls.dcm": "transfer syntax",
    "slides_broken/mrxs_missing_data_files/Mirax2-Fluorescence-2.mrxs": "Data0005.dat",
    "slides_broken/osp_unopenable.tiff": "no reader opens it",
    "slides_broken/osp_unreadable.svs": "cannot be decoded",
}

BOTH_READERS = [
    name
    for name in SOUND
    if name.endswith((".svs", ".tif", ".tiff", ".ndpi")) and "kidney" not in name and "zeroed" not in name
]


@pytest.mark.parametrize("name", SOUND)
def test_sound_slides_open_and_read(real_file: RealFile, name: str) -> None:
    reader, width, height, mpp = SOUND[name]
    path = real_file(name)
    facts = probe(path)
    assert facts["reader"] == reader
    assert facts["mpp"] == (None if mpp is None else pytest.approx(mpp, rel=1e-4))
    with open_slide(path, mpp=facts["mpp"] or 0.5) as slide:
        grid = slide.grid(slide.info.mpp)
        assert (grid.width_px, grid.height_px) == (width, height)
        corner = Box(width - min(width, 100), height - min(height, 70), min(width, 100), min(height, 70))
        region = slide.read(grid, corner)
        assert region.rgb.shape == (corner.height, corner.width, 3)
        assert region.unreadable == frozenset()
        overview, _ = slide.overview(8.0)
        assert overview.dtype == np.uint8


@pytest.mark.parametrize("name", BROKEN)
def test_broken_slides_give_one_clear_line(real_file: RealFile, name: str) -> None:
    path = real_file(name)
    with pytest.raises(UnreadableSlideError, match=BROKEN[name]) as caught:
        open_slide(path, mpp=0.5)
    assert "\n" not in str(caught.value)
    assert str(path.parent) not in str(caught.value)


def test_every_file_is_one_of_these(real_file: RealFile) -> None:
    root = real_file("slides").parent
    for folder in ("slides", "slides_broken"):
        for path in (root / folder).rglob("*"):
            inside_mirax = "Mirax2-Fluorescence-2" in path.parent.name
            if path.is_dir() or inside_mirax or path.suffix == ".md" or str(path.relative_to(root)) in SOUND | BROKEN:
                continue
            with pytest.raises(WsipipeError):
                open_slide(path, mpp=0.5)


@pytest.mark.parametrize("name", BOTH_READERS)
def test_two_readers_agree_to_one_grey_level(real_file: RealFile, name: str) -> None:
    path = real_file(name)
    readers = OpenSlideReader(path), TiffSlideReader(path)
    try:
        level = readers[0].facts.levels[0]
        assert level == readers[1].facts.levels[0]
        box = Box(0, 0, level.width_px, level.height_px)
        one, two = (reader.read(0, box) for reader in readers)
    finally:
        for reader in readers:
            reader.close()
    assert np.maximum(one, two).astype(int).max() > 0
    assert int((np.maximum(one, two) - np.minimum(one, two)).max()) <= 1


def test_zeroed_tiles_are_named_whatever_the_box(real_file: RealFile) -> None:
    with open_slide(real_file("slides_broken/derived_CMU-1_two_zeroed_tiles.svs")) as slide:
        grid = slide.grid(0.5)
        whole = slide.read(grid, Box(0, 0, grid.width_px, grid.height_px))
        assert whole.unreadable
        column, row = min(whole.unreadable)
        box = Box(column * BLOCK_PX - 50, row * BLOCK_PX - 30, 300, 200)
        part = slide.read(grid, box)
    np.testing.assert_array_equal(part.rgb, whole.rgb[box.y : box.bottom, box.x : box.right])
    assert part.unreadable == {b for b in whole.unreadable if touched(b, box)}
    assert part.unreadable != whole.unreadable or len(whole.unreadable) == 1
    with open_slide(real_file("slides/CMU-1-Small-Region.svs")) as sound:
        intact: Region = sound.read(sound.grid(0.5), Box(0, 0, grid.width_px, grid.height_px))
    damaged = np.zeros(intact.rgb.shape[:2], bool)
    for i, j in whole.unreadable:
        damaged[j * BLOCK_PX : (j + 1) * BLOCK_PX, i * BLOCK_PX : (i + 1) * BLOCK_PX] = True
    np.testing.assert_array_equal(whole.rgb[~damaged], intact.rgb[~damaged])
    assert (whole.rgb[damaged] == 255).all()


@pytest.mark.parametrize("mpp", [0.46, 0.5, 1.9])
def test_boxes_of_a_real_pyramid(real_file: RealFile, mpp: float) -> None:
    rng = np.random.default_rng(0)
    with open_slide(real_file("slides/slideio_test3-DAPI-2-387.ndpi")) as slide:
        grid = slide.grid(mpp)
        whole = slide.read(grid, Box(0, 0, grid.width_px, grid.height_px)).rgb
        for _ in range(10):
            x, y = rng.integers(0, grid.width_px - 90), rng.integers(0, grid.height_px - 90)
            box = Box(int(x), int(y), int(rng.integers(1, 90)), int(rng.integers(1, 90)))
            np.testing.assert_array_equal(slide.read(grid, box).rgb, whole[box.y : box.bottom, box.x : box.right])


def touched(block: tuple[int, int], box: Box) -> bool:
    x, y = block[0] * BLOCK_PX, block[1] * BLOCK_PX
    return x < box.right and x + BLOCK_PX > box.x and y < box.bottom and y + BLOCK_PX > box.y

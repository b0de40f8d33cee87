"""Opening slides: facts, resolution, errors, privacy, fingerprints, overviews."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.slides import halves, noise, smooth, wipe_tiles, write_image, write_svs, write_tiff
from wsipipe.errors import ResolutionError, UnreadableSlideError
from wsipipe.io import slide as slide_module
from wsipipe.io.slide import fingerprint, open_slide, probe
from wsipipe.records import Box


def test_facts_of_an_aperio_slide(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "case 7.svs", halves(noise(700, 500), 3), mpp=0.25, objective=40)
    with open_slide(path) as slide:
        info = slide.info
    assert (info.slide_id, info.reader, info.vendor) == ("case 7", "openslide", "aperio")
    assert (info.mpp, info.mpp_source, info.objective_power) == (0.25, "metadata", 40)
    assert [(level.width_px, level.height_px, level.downsample) for level in info.levels] == [
        (700, 500, 1),
        (350, 250, 2),
        (175, 125, 4),
    ]
    assert (info.bounds, info.has_bounds, info.warnings) == (Box(0, 0, 700, 500), False, ())


def test_pixels_keep_their_place(tmp_path: Path) -> None:
    # Not square, so that swapped axes would show.
    pixels = noise(300, 200)
    with open_slide(write_svs(tmp_path / "a.svs", [pixels])) as slide:
        region = slide.read(slide.grid(0.25), Box(130, 20, 90, 40))
    np.testing.assert_array_equal(region.rgb, pixels[20:60, 130:220])
    assert region.unreadable == frozenset()
    assert region.rgb.dtype == np.uint8
    assert region.rgb.flags.c_contiguous


@pytest.mark.parametrize("box", [Box(0, 0, 301, 10), Box(-1, 0, 10, 10), Box(0, 0, 0, 5), Box(0, 195, 5, 6)])
def test_boxes_outside_the_slide_are_refused(tmp_path: Path, box: Box) -> None:
    with open_slide(write_svs(tmp_path / "a.svs", [noise(300, 200)])) as slide, pytest.raises(ValueError, match="grid"):
        slide.read(slide.grid(0.25), box)


def test_missing_mpp_names_the_option_and_the_likely_value(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [noise(300, 200)], mpp=None, objective=20)
    with pytest.raises(ResolutionError, match=r"not in the metadata.*--mpp.*20x: most likely --mpp 0\.5"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.info.mpp, slide.info.mpp_source) == (0.5, "--mpp")
    with open_slide(path, mpp=0.5, mpp_source="cohort table", slide_id="x") as slide:
        assert (slide.info.mpp_source, slide.info.slide_id) == ("cohort table", "x")


def test_missing_mpp_without_objective_guesses_nothing(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [noise(300, 200)], mpp=None, objective=None)
    with pytest.raises(ResolutionError, match="--mpp") as caught:
        open_slide(path)
    assert "likely" not in str(caught.value)


@pytest.mark.parametrize("mpp", [0.04, 20.5, 1e9])
def test_implausible_metadata_are_an_error(tmp_path: Path, mpp: float) -> None:
    path = write_svs(tmp_path / "a.svs", [noise(300, 200)], mpp=mpp)
    with pytest.raises(ResolutionError, match=r"metadata\) is not between 0\.05 and 20.*--mpp 0\.25"):
        open_slide(path)


@pytest.mark.parametrize("mpp", [0.0, -1.0, 25.0, float("nan"), float("inf")])
def test_implausible_option_is_an_error(tmp_path: Path, mpp: float) -> None:
    path = write_svs(tmp_path / "a.svs", [noise(300, 200)])
    with pytest.raises(ResolutionError, match=r"\(--mpp\) is not between"):
        open_slide(path, mpp=mpp)


def test_the_given_mpp_goes_before_the_metadata_and_says_so(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [noise(300, 200)], mpp=0.5, objective=None)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.info.mpp == 0.25
        assert slide.info.warnings == ("0.25 um/px (--mpp) is used, but the metadata state 0.5",)


def test_mpp_that_does_not_fit_the_objective_is_a_warning(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "a.svs", [noise(300, 200)], mpp=0.5, objective=40)) as slide:
        assert "unusual for an objective of 40x" in slide.info.warnings[0]


def test_pixels_that_are_not_square_are_a_warning_and_areas_are_true(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, [noise(300, 200)], resolution=(1e4 / 0.5, 1e4 / 0.6), resolutionunit="CENTIMETER")
    with open_slide(path) as slide:
        assert slide.info.mpp**2 == pytest.approx(0.5 * 0.6)
        assert "not square (0.5 x 0.6 um)" in slide.info.warnings[0]


@pytest.mark.parametrize("dpi", [72, 96, 300, 1200, 2400])
def test_printer_dpi_are_not_a_resolution(tmp_path: Path, dpi: float) -> None:
    path = write_tiff(tmp_path / "a.tif", [noise(300, 200)], resolution=(dpi, dpi), resolutionunit="INCH")
    with pytest.raises(ResolutionError, match=r"not in the metadata.*--mpp"):
        open_slide(path)


def test_ome_xml_states_the_resolution(tmp_path: Path) -> None:
    ome = (
        '<OME><Image><Pixels SizeX="3" PhysicalSizeX="247" PhysicalSizeXUnit="nm" PhysicalSizeY="0.247"/></Image></OME>'
    )
    with open_slide(write_tiff(tmp_path / "a.ome.tif", [noise(300, 200)], description=ome)) as slide:
        assert slide.info.mpp == pytest.approx(0.247)
        assert slide.info.slide_id == "a.ome"


def test_nothing_but_whitelisted_facts_leaves(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [noise(300, 200)], extra="User = Mueller|Filename = S-4711|Date = 01/02/03")
    with open_slide(path) as slide:
        seen = repr(slide.info) + repr(vars(slide._reader)["facts"])
    seen += repr(probe(path))
    assert not [secret for secret in ("Mueller", "4711", "01/02/03") if secret in seen]


def test_probe_works_without_mpp(tmp_path: Path) -> None:
    facts = probe(write_svs(tmp_path / "a.svs", halves(noise(700, 500), 2), mpp=None))
    assert facts["mpp"] is None
    assert [level["mpp"] for level in facts["levels"]] == [None, None]
    assert "--mpp 0.25" in facts["problems"][0]
    assert (facts["width_px"], facts["height_px"], facts["objective_power"]) == (700, 500, 40)


def test_probe_states_levels_and_recipe(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", halves(noise(700, 500), 2))
    facts = probe(path)
    assert [level["mpp"] for level in facts["levels"]] == [0.25, 0.5]
    assert (facts["mpp_source"], facts["recipe"], facts["problems"]) == ("metadata", "he-40x", [])
    assert probe(path, 0.5)["mpp_source"] == "--mpp"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "the file is empty: copy it again"),
        (b"just words", "no reader opens it"),
        (b"II*\0\xff\xff\0\0" + bytes(100), "cut short"),
        (b"MM\0*\0\0\0\x08" + bytes(100), "no reader opens it"),
    ],
)
def test_what_is_not_a_slide(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.svs"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableSlideError, match=message) as caught:
        open_slide(path, mpp=0.5)
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.remedy


def test_a_folder_is_no_slide(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlideError, match=r"is a folder: .*wsipipe batch"):
        open_slide(tmp_path)


def test_the_thumbnail_of_a_lost_mirax_slide_is_not_taken_for_it(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", smooth(300, 200)).rename(tmp_path / "a.mrxs")
    with pytest.raises(UnreadableSlideError, match=r"folder of the same name.*\.dat"):
        open_slide(path, mpp=0.25)


def test_fingerprint_sees_time_size_head_and_tail(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(300_000))
    os.utime(path, ns=(1, 1))
    first = fingerprint(path)
    assert first == fingerprint(path)
    assert len(first) == 32
    seen = {first}
    for position in (0, 299_999):
        content = bytearray(300_000)
        content[position] = 1
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
        seen.add(fingerprint(path))
    os.utime(path, ns=(1, 2))
    seen.add(fingerprint(path))
    assert len(seen) == 4


def test_overview_is_the_average_of_the_slide(tmp_path: Path) -> None:
    pixels = noise(640, 384)
    with open_slide(write_svs(tmp_path / "a.svs", [pixels], mpp=0.5, objective=None)) as slide:
        rgb, grid = slide.overview(8)
    assert (grid.mpp, grid.downsample) == (8, 16)
    expected = pixels.reshape(24, 16, 40, 16, 3).mean(axis=(1, 3))
    assert np.abs(rgb - expected).max() <= 0.5


def test_overview_of_a_slide_coarser_than_asked_for(tmp_path: Path) -> None:
    pixels = noise(64, 40)
    with open_slide(write_image(tmp_path / "a.png", pixels), mpp=18) as slide:
        rgb, grid = slide.overview(8)
    np.testing.assert_array_equal(rgb, pixels)
    assert (grid.mpp, grid.scale) == (18, 1)


def test_overview_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slide_module, "MAX_OVERVIEW_PX", 1000)
    monkeypatch.setattr(slide_module, "_OVERVIEW_TILE_PX", 100)
    with open_slide(write_svs(tmp_path / "a.svs", [smooth(640, 384)], mpp=0.5, objective=None)) as slide:
        rgb, grid = slide.overview(1)
        assert rgb.shape[0] * rgb.shape[1] <= 1000
        whole = slide.read(grid, Box(0, 0, grid.width_px, grid.height_px)).rgb
    np.testing.assert_array_equal(rgb, whole)


def test_a_slide_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [smooth(500, 300)], compression="jpeg")
    wipe_tiles(path, range(12))
    with pytest.raises(UnreadableSlideError, match=r"cannot be decoded.*copy it again"):
        open_slide(path)
    assert "cannot be decoded" in probe(path)["problems"][0]


def test_a_slide_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [smooth(500, 300)], compression="jpeg")
    wipe_tiles(path, [0])
    with open_slide(path) as slide:
        path.unlink()
        with pytest.raises(UnreadableSlideError, match="any more"):
            slide.read(slide.grid(0.25), Box(0, 0, 500, 300))

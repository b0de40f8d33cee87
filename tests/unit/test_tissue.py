"""Tissue masks on painted overviews: what must be found, left out, or refused."""

import dataclasses

import cv2
import numpy as np
import pytest

from wsipipe.config import TissueConfig
from wsipipe.errors import NotBrightfieldError, NoTissueError
from wsipipe.image.tissue import find_tissue

CONFIG = TissueConfig()
GLASS = (240, 238, 241)
EOSIN, HAEMATOXYLIN, DAB = (0.05, 0.28, 0.16), (0.42, 0.50, 0.22), (0.25, 0.40, 0.55)
MPP = 8.0


def paint(
    stain: float = 1.0, glass: tuple[float, float, float] = GLASS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Overview of 2.4 x 1.6 mm with one piece of tissue, and where that is; optical density times `stain`."""
    rng = np.random.default_rng(seed)
    inside = cv2.ellipse(np.zeros((200, 300), np.uint8), (130, 95), (80, 55), 20, 0, 360, 1, -1) > 0
    share = cv2.GaussianBlur(rng.random((200, 300)), (0, 0), 2)[..., None]
    share = (share - share.min()) / np.ptp(share)
    density = (share * HAEMATOXYLIN + (1 - share) * np.array(EOSIN)) * inside[..., None]
    rgb = np.array(glass) * 10 ** (-stain * density)
    return np.clip(rgb + rng.normal(0, 0.5, rgb.shape), 0, 254).astype(np.uint8), inside


def overlap(found: np.ndarray, wanted: np.ndarray) -> float:
    """Intersection over union, where the margin that is added on purpose counts as right."""
    widened = cv2.dilate(wanted.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    return float((found & wanted).sum() / ((found & ~widened) | wanted).sum())


def draw(rgb: np.ndarray, colour: tuple[int, int, int], width_px: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """A stroke of ink beside and over the tissue, and its core on clear glass."""
    stroke = np.zeros(rgb.shape[:2], np.uint8)
    cv2.polylines(stroke, [np.array([[20, 180], [100, 185], [275, 150], [280, 20]])], False, 255, width_px)
    strength = (cv2.GaussianBlur(stroke, (0, 0), 1.0) / 255)[..., None]
    transmission = 1 - strength * (1 - np.array(colour) / 255)
    return (rgb * transmission).astype(np.uint8), strength[..., 0] > 0.9


@pytest.mark.parametrize("stain", [0.3, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("glass", [GLASS, (254, 254, 254), (205, 203, 207), (232, 224, 231)])
def test_tissue_of_any_stain_on_any_glass(stain: float, glass: tuple[float, float, float]) -> None:
    rgb, inside = paint(stain, glass)
    tissue = find_tissue(rgb, MPP, CONFIG)
    assert overlap(tissue.mask, inside) > 0.95
    assert tissue.white == pytest.approx(glass, abs=2)
    assert tissue.warnings == ()
    assert tissue.mask.dtype == bool


def test_the_margin_holds_what_lies_at_the_edge() -> None:
    rgb, inside = paint()
    tissue = find_tissue(rgb, MPP, CONFIG)
    assert tissue.mask[inside].mean() > 0.999


@pytest.mark.parametrize(
    "ink",
    [(40, 70, 190), (30, 40, 120), (20, 140, 70), (90, 200, 130), (30, 30, 35), (205, 30, 45), (220, 40, 80)],
    ids=["blue", "navy", "green", "light", "black", "red", "crimson"],
)
def test_ink_is_left_out_and_named(ink: tuple[int, int, int]) -> None:
    rgb, inside = paint()
    marked, stroke = draw(rgb, ink)
    tissue = find_tissue(marked, MPP, CONFIG)
    assert tissue.mask[stroke & ~inside].mean() < 0.02
    untouched = inside & ~(cv2.dilate(stroke.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    assert tissue.mask[untouched].mean() > 0.98
    assert tissue.ink[stroke].mean() > 0.9
    assert tissue.warnings == ()


@pytest.mark.parametrize("stain", [1.0, 0.4])
def test_dirty_glass_is_no_tissue(stain: float) -> None:
    rgb, inside = paint(stain)
    rng = np.random.default_rng(3)
    smear = cv2.resize(rng.random((5, 7)).astype(np.float32), (300, 200), interpolation=cv2.INTER_CUBIC)
    dirty = rgb * 10 ** (-0.1 * np.clip(smear - 0.4, 0, 1))[..., None]
    for x, y in rng.integers(0, (300, 200), (150, 2)):
        cv2.circle(dirty, (int(x), int(y)), 1, (90, 92, 95), -1)
    assert overlap(find_tissue(dirty.astype(np.uint8), MPP, CONFIG).mask, inside) > 0.93


def test_uneven_light() -> None:
    rgb, inside = paint()
    uneven = (rgb * np.linspace(0.85, 1, 300)[:, None]).astype(np.uint8)
    assert overlap(find_tissue(uneven, MPP, CONFIG).mask, inside) > 0.95


def test_dark_borders_are_left_out() -> None:
    rgb, inside = paint()
    framed = np.zeros((260, 420, 3), np.uint8)
    framed[30:230, 60:360] = rgb
    tissue = find_tissue(framed, MPP, CONFIG)
    assert overlap(tissue.mask[30:230, 60:360], inside) > 0.95
    assert tissue.mask.sum() == tissue.mask[30:230, 60:360].sum()
    assert tissue.border.sum() == pytest.approx(260 * 420 - 200 * 300, rel=0.03)
    assert tissue.white == pytest.approx(GLASS, abs=2)
    assert "dark border" in tissue.warnings[0]


def test_transparent_canvas_around_the_scan_does_not_matter() -> None:
    rgb, inside = paint()
    canvas = np.full((900, 900, 3), 255, np.uint8)
    canvas[500:700, 100:400] = rgb
    tissue = find_tissue(canvas, MPP, CONFIG)
    assert overlap(tissue.mask[500:700, 100:400], inside) > 0.95
    assert tissue.white == pytest.approx(GLASS, abs=2)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("side_px", [4, 16, 31])
def test_an_image_that_is_all_tissue_stays_whole(seed: int, side_px: int) -> None:
    rgb, _ = paint(seed=seed)
    tile = rgb[80 : 80 + side_px, 110 : 110 + side_px]
    tissue = find_tissue(tile, MPP, CONFIG)
    assert tissue.mask.mean() > 0.99
    assert tissue.white == (255, 255, 255)


def test_specks_go_and_small_holes_are_filled() -> None:
    rgb, _ = paint()
    rgb[180:184, 250:254] = (150, 80, 140)
    hole = cv2.circle(np.zeros((200, 300), np.uint8), (130, 95), 8, 1, -1) > 0
    rgb[hole] = GLASS
    mask = find_tissue(rgb, MPP, CONFIG).mask
    assert not mask[180:184, 250:254].any()
    assert mask[hole].all()
    kept = find_tissue(rgb, MPP, dataclasses.replace(CONFIG, min_area_um2=0, max_hole_um2=0)).mask
    assert kept[181:183, 251:253].all()
    assert not kept[95, 130]


def test_only_valid_pixels_are_searched() -> None:
    rgb, inside = paint()
    valid = np.zeros(inside.shape, bool)
    valid[:, :130] = True
    mask = find_tissue(rgb, MPP, CONFIG, valid).mask
    assert not mask[:, 130:].any()
    assert overlap(mask, inside & valid) > 0.95


def test_immunohistochemistry_is_not_ink() -> None:
    rng = np.random.default_rng(0)
    _, inside = paint()
    brown = (cv2.GaussianBlur(rng.random((200, 300)), (0, 0), 3) > 0.5)[..., None]
    density = np.where(brown, DAB, (0.30, 0.27, 0.12)) * inside[..., None]  # blue counterstain without eosin
    rgb = (np.array(GLASS) * 10**-density).astype(np.uint8)
    tissue = find_tissue(rgb, MPP, CONFIG)
    assert overlap(tissue.mask, inside) > 0.95
    assert tissue.warnings == ()


def test_grey_images_are_judged_by_darkness_alone() -> None:
    rgb, inside = paint()
    grey = np.repeat(rgb[..., 1:2], 3, axis=2)
    assert overlap(find_tissue(grey, MPP, CONFIG).mask, inside) > 0.9


def fluorescence(colour: tuple[float, float, float]) -> np.ndarray:
    rng = np.random.default_rng(0)
    light = np.clip(cv2.GaussianBlur(rng.random((120, 160)), (0, 0), 3) * 6 - 2.9, 0, 1)
    return (4 + 250 * light[..., None] * np.array(colour)).astype(np.uint8)


@pytest.mark.parametrize("colour", [(0, 0, 1), (0, 1, 0.1), (1, 1, 1), (0, 0, 0)])
@pytest.mark.parametrize("canvas", [False, True])
def test_dark_slides_are_refused(colour: tuple[float, float, float], canvas: bool) -> None:
    rgb = fluorescence(colour)
    if canvas:  # the scan on a transparent canvas
        whole = np.full((500, 500, 3), 255, np.uint8)
        whole[50:170, 60:220] = rgb
        rgb = whole
    with pytest.raises(NotBrightfieldError, match=r"dark.*brightfield"):
        find_tissue(rgb, MPP, CONFIG)


@pytest.mark.parametrize("level", [255, 244, 200])
def test_empty_glass_is_an_error(level: int) -> None:
    with pytest.raises(NoTissueError):
        find_tissue(np.full((50, 60, 3), level, np.uint8), MPP, CONFIG)
    with pytest.raises(NoTissueError):
        find_tissue(np.full((1, 1, 3), level, np.uint8), MPP, CONFIG)


def test_regions_without_anything_in_them() -> None:
    rgb, _ = paint()
    with pytest.raises(NoTissueError, match="nothing is to be searched: draw --regions on this slide"):
        find_tissue(rgb, MPP, CONFIG, np.zeros(rgb.shape[:2], bool))


@pytest.mark.parametrize("mpp", [2.0, 32.0])
def test_other_resolutions(mpp: float) -> None:
    rgb, inside = paint()
    size = (int(300 * MPP / mpp), int(200 * MPP / mpp))
    interpolation = cv2.INTER_CUBIC if mpp < MPP else cv2.INTER_AREA
    scaled = cv2.resize(rgb, size, interpolation=interpolation)
    mask = find_tissue(scaled, mpp, CONFIG).mask
    back = cv2.resize(mask.astype(np.uint8), (300, 200), interpolation=cv2.INTER_NEAREST) > 0
    assert overlap(back, inside) > 0.85


def test_the_input_is_not_changed() -> None:
    rgb, _ = paint()
    before = rgb.copy()
    rgb.setflags(write=False)
    find_tissue(rgb, MPP, CONFIG)
    np.testing.assert_array_equal(rgb, before)

"""Tissue of a synthetic slide: outline, collagen fibres, glands and the stain each of them takes up."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

STEP_UM = 8.0
"""Grid step of the slow fields: outline, fibre direction, density of cells."""

GLASS, STROMA, EPITHELIUM, LUMEN = 0, 1, 2, 3
"""Values of `Tissue.regions`."""


@dataclass(frozen=True)
class Gland:
    """A closed tube cut across: wavy outlines of the basal membrane and of the lumen.

    Attributes
    ----------
    x_px, y_px : float
        Centre.
    angle : float64, (n,)
        Directions from the centre, radians.
    outer_px, inner_px : float64, (n,)
        Distance of the basal membrane and of the lumen's edge in each direction.
    """

    x_px: float
    y_px: float
    angle: NDArray[np.float64]
    outer_px: NDArray[np.float64]
    inner_px: NDArray[np.float64]


@dataclass(frozen=True)
class Tissue:
    """What the nuclei are put into.

    Attributes
    ----------
    h, e : float32, (height, width)
        Concentration of haematoxylin and of eosin.
    regions : uint8, (height, width)
        GLASS, STROMA, EPITHELIUM or LUMEN.
    glands : tuple of Gland
        All of them, complete.
    fibre_angle, density : float32, (rows, columns)
        Direction of the fibres (radians) and relative density of lymphocytes, one value every STEP_UM.
    """

    h: Field
    e: Field
    regions: NDArray[np.uint8]
    glands: tuple[Gland, ...]
    fibre_angle: Field
    density: Field


def noise(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> Field:
    """Smooth random field of zero mean whose blobs are about `scale_px` wide (cubic interpolation of white noise)."""
    coarse = rng.standard_normal([int(side / scale_px) + 4 for side in shape], dtype=np.float32)
    zoom = np.array([[1 / scale_px, 0, 1], [0, 1 / scale_px, 1]], np.float32)
    return _sample(coarse, zoom, shape)


def _sample(field: Field, matrix: NDArray[np.float32], shape: tuple[int, int]) -> Field:
    """`field` at `matrix @ (x, y, 1)` for every pixel of `shape`."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(field, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped)


def make_tissue(width_px: int, height_px: int, mpp: float, rng: np.random.Generator) -> Tissue:
    """One piece of tissue with a glass margin all around.

    Parameters
    ----------
    width_px, height_px : int
        Size of the slide.
    mpp : float
        Microns per pixel.
    rng : Generator
        Source of all randomness.
    """
    shape = (height_px, width_px)
    step_px = STEP_UM / mpp
    slow = (int(height_px / step_px) + 2, int(width_px / step_px) + 2)
    outline = _outline(slow, rng)
    swirl = noise(slow, 300 / STEP_UM, rng) * 75 + noise(slow, 60 / STEP_UM, rng) * 14  # microns
    direction = rng.uniform(0, np.pi)
    bundles, gaps = _fibres(swirl, direction, shape, mpp, rng)
    edge = enlarge(outline, step_px, shape)
    edge += 0.02 * bundles  # the fibres fray it
    regions = (edge > 0).astype(np.uint8)
    glands = _glands(regions, outline, step_px, mpp, rng)
    h, e = _stain(regions, bundles, gaps, glands, mpp, rng)
    crowds = np.clip(noise(slow, 160 / STEP_UM, rng) - 0.2, 0.03, None) ** 1.5
    return Tissue(h, e, regions, glands, _fibre_angle(swirl, direction), crowds)


def enlarge(field: Field, step_px: float, shape: tuple[int, int]) -> Field:
    """A slow field, one value every `step_px`, at every pixel of `shape`."""
    zoom = np.array([[1 / step_px, 0, 0], [0, 1 / step_px, 0]], np.float32)
    return _sample(field, zoom, shape)


def _outline(slow: tuple[int, int], rng: np.random.Generator) -> Field:
    """Positive inside the tissue, falling to about -1 at the borders of the slide."""
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in slow)
    radius = (np.abs(x[None] / 0.84) ** 3 + np.abs(y[:, None] / 0.82) ** 3) ** (1 / 3)
    waves = sum(noise(slow, um / STEP_UM, rng) * size for um, size in ((420, 0.13), (120, 0.06), (40, 0.02)))
    inside = 1 - radius + np.asarray(waves, np.float32)
    glass = 6 * (0.92 - np.maximum(np.abs(x[None]), np.abs(y[:, None])))
    return np.asarray(np.minimum(inside, glass + np.minimum(waves, 0)), np.float32)


def _fibres(
    swirl: Field, direction: float, shape: tuple[int, int], mpp: float, rng: np.random.Generator
) -> tuple[Field, Field]:
    """Wavy bundles and the gaps between them: noise drawn out along a direction that the swirl bends."""
    side_um = int(np.hypot(*shape) * mpp) + 600
    bands = (side_um, side_um // 5)  # across, along: fibres are five times longer than wide
    thickness = ((1.5, 0.45), (4.0, 0.6), (9.0, 0.7), (40.0, 0.6))
    texture = np.asarray(sum(noise(bands, um, rng) * size for um, size in thickness), np.float32)
    cracks = np.asarray(noise(bands, 6.0, rng) + 0.7 * noise(bands, 18.0, rng), np.float32)
    y, x = ((np.arange(side, dtype=np.float32) - side // 2) * np.float32(mpp) for side in shape)
    cos, sin = np.float32(np.cos(direction)), np.float32(np.sin(direction))
    across = enlarge(swirl, STEP_UM / mpp, shape)
    across += x[None] * -sin + y[:, None] * cos + np.float32(bands[0] / 2)
    along = (x[None] * cos + y[:, None] * sin) / np.float32(5) + np.float32(bands[1] / 2)
    bundles, gaps = (
        cv2.remap(band, along, across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for band in (texture, cracks)
    )
    return np.asarray(bundles), np.asarray(gaps)


def _fibre_angle(swirl: Field, direction: float) -> Field:
    """Direction along which the fibre pattern does not change: at right angles to the gradient of `across`."""
    d_y, d_x = np.gradient(swirl, STEP_UM)
    angle = np.arctan2(np.sin(direction) - d_x, np.cos(direction) + d_y)
    return np.asarray(angle, np.float32)


def _glands(
    regions: NDArray[np.uint8], outline: Field, step_px: float, mpp: float, rng: np.random.Generator
) -> tuple[Gland, ...]:
    """Put glands where they fit, drawing each into `regions`."""
    rows, columns = np.nonzero(outline > 0.05)
    order = rng.permutation(len(rows))
    room_px2 = 0.3 * len(rows) * step_px**2
    found: list[Gland] = []
    for row, column in zip(rows[order], columns[order], strict=True):
        gland = _gland(column * step_px, row * step_px, mpp, rng)
        if room_px2 <= 0:
            break
        if _is_free(regions, gland, mpp):
            _fill(regions, gland, gland.outer_px, EPITHELIUM)
            _fill(regions, gland, gland.inner_px, LUMEN)
            room_px2 -= float(np.mean(gland.outer_px**2)) * np.pi
            found.append(gland)
    return tuple(found)


def _gland(x_px: float, y_px: float, mpp: float, rng: np.random.Generator) -> Gland:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius_um = rng.uniform(34, 62)
    k = np.arange(2, 6)
    waves = np.cos(k[:, None] * angle + rng.uniform(0, 2 * np.pi, (4, 1)))
    outer = radius_um * (1 + (rng.normal(0, 0.22, 4) / k) @ waves)
    inner = np.maximum(outer - rng.uniform(17, 22), 3) * (1 + (rng.normal(0, 0.1, 4) / k) @ waves)
    return Gland(x_px, y_px, angle, outer / mpp, np.minimum(inner, outer - 12) / mpp)


def _vertices(gland: Gland, radius_px: NDArray[np.float64]) -> NDArray[np.int32]:
    x = gland.x_px + radius_px * np.cos(gland.angle)
    y = gland.y_px + radius_px * np.sin(gland.angle)
    return np.stack([x, y], 1).round().astype(np.int32)


def _is_free(regions: NDArray[np.uint8], gland: Gland, mpp: float) -> bool:
    """Whether stroma lies all along the outline and 8 um beyond it, and in the middle."""
    height, width = regions.shape
    points = np.concatenate([_vertices(gland, gland.outer_px * s + 8 / mpp) for s in (1.0, 0.7, 0.35, 0.0)])
    x, y = points.T
    if x.min() < 0 or y.min() < 0 or x.max() >= width or y.max() >= height:
        return False
    return bool((regions[y, x] == STROMA).all())


def _fill(regions: NDArray[np.uint8], gland: Gland, radius_px: NDArray[np.float64], value: int) -> None:
    cv2.fillPoly(regions, [_vertices(gland, radius_px)], value)


def _stain(
    regions: NDArray[np.uint8],
    bundles: Field,
    gaps: Field,
    glands: tuple[Gland, ...],
    mpp: float,
    rng: np.random.Generator,
) -> tuple[Field, Field]:
    """Concentrations of both stains before any nucleus is drawn."""
    shape = regions.shape
    loose = enlarge(noise((shape[0] // 64 + 2, shape[1] // 64 + 2), 4, rng), 64, shape)
    grain = noise(shape, 1.2 / mpp, rng)
    e = 0.66 + 0.2 * bundles
    e -= 0.1 * loose
    e += 0.05 * grain
    np.maximum(e, 0.15, out=e)
    gaps += 0.35 * loose
    e *= np.clip((np.float32(1.15) - gaps) * 5, 0, 1)
    e[regions == GLASS] = 0
    h = 0.1 * e
    cells = regions == EPITHELIUM
    e[cells] = 0.42 + 0.07 * grain[cells]
    h[cells] = 0.2 + 0.05 * grain[cells]
    hollow = regions == LUMEN
    e[hollow] = 0.03 + 0.02 * grain[hollow]
    h[hollow] = 0.0
    for gland in glands:  # basal membrane: a thin pink line around every gland
        cv2.polylines(e, [_vertices(gland, gland.outer_px)], True, 0.95, max(1, round(1.2 / mpp)), cv2.LINE_AA)
    return h, e

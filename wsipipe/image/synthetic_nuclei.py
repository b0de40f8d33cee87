"""Nuclei of a synthetic slide: the kinds as data, where each kind lies, and how one nucleus is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.image.synthetic_tissue import STEP_UM, STROMA, Field, Tissue, noise


@dataclass(frozen=True)
class Kind:
    """How nuclei of one kind look: mean and standard deviation over the nuclei of the kind.

    Lengths are microns, stain is concentration (the natural-log optical density it adds along its vector).
    """

    name: str
    share: float
    """Of all nuclei asked for."""
    radius_um: tuple[float, float]
    """Of the disc with the same area."""
    elongation: tuple[float, float]
    """Long over short axis."""
    h: tuple[float, float]
    """Haematoxylin in the middle."""
    chromatin: float
    """Relative size of the texture."""
    rim: float
    """Relative gain of haematoxylin towards the membrane."""
    nucleolus: float = 0.0
    """Chance of a dark nucleolus."""
    bend: float = 0.0
    """Standard deviation of the curvature of the long axis, in units of the short over the long axis squared."""
    waist: float = 0.0
    """How far the middle is drawn in: two lobes."""
    cytoplasm_um: float = 0.0
    """Width of a strongly eosinophilic cytoplasm."""


KIND_MODELS = (
    Kind("epithelial", 0.46, (4.3, 0.5), (1.35, 0.18), (0.85, 0.15), 0.28, 0.35, nucleolus=0.6),
    Kind("lymphocyte", 0.30, (2.95, 0.28), (1.1, 0.07), (1.85, 0.25), 0.16, 0.0),
    Kind("fibroblast", 0.17, (3.1, 0.38), (3.4, 0.7), (1.4, 0.25), 0.14, 0.1, bend=0.25),
    Kind("eosinophil", 0.07, (2.9, 0.26), (1.5, 0.15), (1.5, 0.2), 0.14, 0.0, waist=0.3, cytoplasm_um=2.2),
)


class Place(NamedTuple):
    """A point where a nucleus may be put, and the direction of its long axis."""

    x_px: float
    y_px: float
    angle: float


class Window(NamedTuple):
    """A square piece of the slide, with the nucleus' own coordinates in it."""

    rows: slice
    columns: slice
    radius: Field
    """Distance from the centre, 1 at the outline."""
    along: Field
    """Coordinate along the long axis, microns."""
    across: Field


def texture_bank(mpp: float, rng: np.random.Generator) -> Field:
    """Chromatin texture, (512, 512), that every nucleus takes a piece of."""
    return noise((512, 512), 0.8 / mpp, rng) + 0.7 * noise((512, 512), 1.8 / mpp, rng)


def places(kind: Kind, tissue: Tissue, mpp: float, rng: np.random.Generator) -> Iterator[Place]:
    """Where nuclei of a kind may lie, in random order, more than will be needed."""
    if kind.name == "epithelial":
        yield from _gland_places(tissue, mpp, rng)
    else:
        yield from _stroma_places(tissue, mpp, rng, crowded=kind.name == "lymphocyte")


def _gland_places(tissue: Tissue, mpp: float, rng: np.random.Generator) -> Iterator[Place]:
    """Near the basal membrane, the long axis pointing to the lumen; then a second, looser row."""
    found = []
    for depth_um, spacing_um in ((6.5, 7.5), (7.0, 9.0), (12.5, 13.0)):
        for gland in tissue.glands:
            n = int(2 * np.pi * gland.outer_px.mean() * mpp / spacing_um)
            angle = (np.arange(n) + rng.uniform(-0.3, 0.3, n)) * 2 * np.pi / max(n, 1)
            radius = np.interp(angle, gland.angle, gland.outer_px, period=2 * np.pi)
            radius = radius - (depth_um + rng.normal(0, 1.3, n)) / mpp
            x, y = gland.x_px + radius * np.cos(angle), gland.y_px + radius * np.sin(angle)
            found += list(zip(x, y, angle + rng.normal(0, 0.25, n), strict=True))
    for i in rng.permutation(len(found)):
        yield Place(*found[i])


def _stroma_places(tissue: Tissue, mpp: float, rng: np.random.Generator, *, crowded: bool) -> Iterator[Place]:
    """Anywhere in the stroma, along the fibres; crowded kinds where the density is high."""
    step_px = STEP_UM / mpp
    height, width = tissue.regions.shape
    weight = np.where(crowded, tissue.density, 1.0).ravel().astype(np.float64)
    n = 20 * weight.size
    cell = rng.choice(weight.size, n, p=weight / weight.sum())
    row, column = np.divmod(cell, tissue.density.shape[1])
    x = (column + rng.uniform(-0.5, 0.5, n)) * step_px
    y = (row + rng.uniform(-0.5, 0.5, n)) * step_px
    angle = tissue.fibre_angle.ravel()[cell] + rng.normal(0, 0.2, n)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    inside[inside] = tissue.regions[y[inside].astype(int), x[inside].astype(int)] == STROMA
    for i in np.flatnonzero(inside):
        yield Place(x[i], y[i], angle[i])


def draw(
    kind: Kind,
    place: Place,
    number: int,
    tissue: Tissue,
    labels: NDArray[np.int32],
    bank: Field,
    mpp: float,
    rng: np.random.Generator,
) -> bool:
    """Draw one nucleus into the stain maps and the label image, if it fits.

    It fits when it lies on the slide, when at most a tenth of it is taken by other nuclei (what is taken stays
    theirs, so that the two touch), and when what is left is in one piece.

    Returns
    -------
    bool
        Whether it was drawn.
    """
    window = _window(kind, place, labels.shape, mpp, rng)
    if window is None:
        return False
    part = (window.rows, window.columns)
    inside = window.radius < 1
    others = labels[part] > 0
    free = inside & ~others
    if free.sum() < 0.9 * inside.sum() or not _in_one_piece(free):
        return False
    labels[part][free] = number
    _stain(kind, window, part, tissue, others, bank, rng)
    return True


def _window(kind: Kind, place: Place, shape: tuple[int, ...], mpp: float, rng: np.random.Generator) -> Window | None:
    """A random shape of the kind, or None when it does not lie on the slide."""
    size_um = max(rng.normal(*kind.radius_um), 0.6 * kind.radius_um[0])
    stretch = max(rng.normal(*kind.elongation), 1.0) ** 0.5
    bend, waves, phase = rng.normal(0, kind.bend), rng.normal(0, 0.06, 3), rng.uniform(0, 2 * np.pi, 3)
    reach = int((1.3 * size_um * stretch + kind.cytoplasm_um) / mpp) + 3
    left, top = int(place.x_px) - reach, int(place.y_px) - reach
    if left < 0 or top < 0 or left + 2 * reach >= shape[1] or top + 2 * reach >= shape[0]:
        return None
    axis = np.arange(2 * reach + 1, dtype=np.float32)
    x = (axis + np.float32(left + 0.5 - place.x_px)) * np.float32(mpp)
    y = (axis + np.float32(top + 0.5 - place.y_px)) * np.float32(mpp)
    cos, sin = np.float32(np.cos(place.angle)), np.float32(np.sin(place.angle))
    along, across = x[None] * cos + y[:, None] * sin, y[:, None] * cos - x[None] * sin
    u = along / np.float32(size_um * stretch)
    v = across / np.float32(size_um / stretch) + np.float32(bend * stretch) * (u * u - np.float32(0.5))
    theta = np.arctan2(v, u)
    outline = np.ones_like(theta)
    for k, size, turn in zip((2, 3, 4), waves, phase, strict=True):
        outline += np.float32(size / (k - 1)) * np.cos(k * theta + np.float32(turn))
    outline -= np.float32(kind.waist) * np.exp(-((u / np.float32(0.3)) ** 2))
    radius = np.hypot(u, v) / outline
    rows, columns = slice(top, top + len(axis)), slice(left, left + len(axis))
    return Window(rows, columns, np.asarray(radius, np.float32), along, across)


def _in_one_piece(mask: NDArray[np.bool_]) -> bool:
    return int(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0]) == 2


def _stain(
    kind: Kind,
    window: Window,
    part: tuple[slice, slice],
    tissue: Tissue,
    others: NDArray[np.bool_],
    bank: Field,
    rng: np.random.Generator,
) -> None:
    """Mix the nucleus (and its cytoplasm) into the stain maps, leaving the pixels of others alone."""
    h, e = tissue.h[part], tissue.e[part]
    row, column = rng.integers(0, np.array(bank.shape) - len(h))
    grain = bank[row : row + len(h), column : column + len(h)]
    if kind.cytoplasm_um:
        shift_um = rng.normal(0, 0.6, 2)
        reach_um = kind.radius_um[0] + kind.cytoplasm_um + rng.normal(0, 0.3)
        far = np.hypot(window.along - shift_um[0], window.across - shift_um[1])
        body = np.where(others, 0, np.clip((reach_um - far) / 0.8, 0, 1)).astype(np.float32)
        _mix(e, body, rng.normal(1.55, 0.15) * (1 + 0.16 * grain))
        _mix(h, body, np.float32(0.04))
    middle = max(rng.normal(*kind.h), 0.5 * kind.h[0])
    inside = middle * (1 + kind.chromatin * grain + kind.rim * (window.radius**4 - 0.2))
    if rng.random() < kind.nucleolus:
        spot = rng.normal(0, 0.9, 2)
        near = np.hypot(window.along - spot[0], window.across - spot[1]) / rng.uniform(0.6, 0.95)
        inside = inside + 0.9 * middle * np.exp(-(near**2))
    edge = (1 - window.radius) * np.float32(kind.radius_um[0] / 0.7) + np.float32(0.5)
    body = np.where(others, 0, np.clip(edge, 0, 1)).astype(np.float32)
    _mix(h, body, np.maximum(inside, 0.1))
    _mix(e, body, np.float32(rng.normal(0.3, 0.05)))


def _mix(stain: Field, share: Field, value: NDArray[np.floating] | np.float32) -> None:
    stain += share * (value - stain)

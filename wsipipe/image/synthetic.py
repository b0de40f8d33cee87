"""A synthetic H&E slide on which every nucleus, its outline and its kind are known."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.image import synthetic_nuclei, synthetic_tissue

KINDS = tuple(kind.name for kind in synthetic_nuclei.KIND_MODELS)
"""Names of the kinds; `SyntheticSlide.kind` is an index into them."""

NUCLEI_PER_MM2 = 3800.0
"""Nuclei asked for per area of tissue."""

STAIN_VECTORS = ((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581))
"""Optical-density RGB vectors of haematoxylin and eosin, the reference of Macenko et al. (ISBI 2009)."""

GLASS_RGB = (244.0, 243.0, 245.0)
"""Colour of clear glass."""


@dataclass(frozen=True)
class SyntheticSlide:
    """A slide and the truth about it. Row i is the nucleus with label i + 1; rows are sorted by y_px, then x_px.

    Attributes
    ----------
    rgb : uint8, (height, width, 3)
        The picture.
    labels : int32, (height, width)
        0, or 1 + the row of the nucleus that the pixel belongs to.
    x_px, y_px : float64, (n,)
        Centre of mass of the nucleus' pixels, rounded to 2 decimals; the top-left pixel covers [0, 1) x [0, 1).
    kind : uint8, (n,)
        Index into KINDS.
    mpp : float
        Microns per pixel.
    """

    rgb: NDArray[np.uint8]
    labels: NDArray[np.int32]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    kind: NDArray[np.uint8]
    mpp: float


def make_slide(width_px: int = 4096, height_px: int = 3072, mpp: float = 0.5, seed: int = 0) -> SyntheticSlide:
    """Draw a slide: tissue with stroma and glands on clear glass, and nuclei of four kinds in uneven numbers.

    Stain is drawn as concentrations and turned into colour by the law of Beer and Lambert with two stain
    vectors (which vary a little with the seed, as between laboratories), then blurred and made noisy like a scan.

    Parameters
    ----------
    width_px, height_px : int
        Size; the default holds about 6000 nuclei.
    mpp : float
        Microns per pixel.
    seed : int
        The same seed gives the same slide.
    """
    rng = np.random.default_rng(seed)
    tissue = synthetic_tissue.make_tissue(width_px, height_px, mpp, rng)
    labels = np.zeros((height_px, width_px), np.int32)
    kinds = _put_nuclei(tissue, labels, mpp, rng)
    labels, x_px, y_px, kind = _sorted_truth(labels, kinds)
    return SyntheticSlide(_scan(tissue.h, tissue.e, mpp, rng), labels, x_px, y_px, kind, mpp)


def _put_nuclei(
    tissue: synthetic_tissue.Tissue, labels: NDArray[np.int32], mpp: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw every nucleus; return the kinds in drawing order."""
    tissue_mm2 = np.count_nonzero(tissue.regions) * (mpp / 1000) ** 2
    bank = synthetic_nuclei.texture_bank(mpp, rng)
    kinds: list[int] = []
    for index, kind in enumerate(synthetic_nuclei.KIND_MODELS):
        left = round(tissue_mm2 * NUCLEI_PER_MM2 * kind.share)
        for place in synthetic_nuclei.places(kind, tissue, mpp, rng):
            if left == 0:
                break
            if synthetic_nuclei.draw(kind, place, len(kinds) + 1, tissue, labels, bank, mpp, rng):
                kinds.append(index)
                left -= 1
    return np.array(kinds, np.uint8)


def _sorted_truth(
    labels: NDArray[np.int32], kinds: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Renumber the nuclei by y, then x, and measure their centres."""
    row, column = np.nonzero(labels)
    owner = labels[row, column]
    size = np.bincount(owner, minlength=len(kinds) + 1)[1:]
    x = np.bincount(owner, column + 0.5, len(kinds) + 1)[1:] / size
    y = np.bincount(owner, row + 0.5, len(kinds) + 1)[1:] / size
    x, y = x.round(2), y.round(2)
    order = np.lexsort((x, y))
    number = np.zeros(len(kinds) + 1, np.int32)
    number[order + 1] = np.arange(1, len(kinds) + 1)
    return number[labels], x[order], y[order], kinds[order]


def _scan(
    h: synthetic_tissue.Field, e: synthetic_tissue.Field, mpp: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """RGB as a scanner sees it: Beer-Lambert mixing, blur of the optics, noise of the sensor."""
    vectors = np.array(STAIN_VECTORS) + rng.normal(0, 0.02, (2, 3))
    vectors *= rng.normal(1, 0.05, (2, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    rgb = np.empty((*h.shape, 3), np.uint8)
    for channel in range(3):
        light = h * np.float32(-vectors[0, channel])
        light += e * np.float32(-vectors[1, channel])
        np.exp(light, out=light)
        light *= np.float32(GLASS_RGB[channel])
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), 0.3 / mpp))
        light += rng.standard_normal(h.shape, dtype=np.float32) * np.float32(1.6)
        light += np.float32(0.5)
        rgb[..., channel] = np.clip(light, 0, 255, out=light)
    return rgb

"""What of a slide is unfit to be analysed: found on the overview (ink, folds) and in fixed blocks of tiles (focus)."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.config import QualityConfig
from wsipipe.image.focus import LAGS, block_px, blocks_of, find_blurred
from wsipipe.records import Box, Grid
from wsipipe.units import um_to_px

KINDS = ("blurred", "pen", "folded")
"""What can be wrong with a place; also the flags of a slide with much of it."""

_REACH_UM = 250.0
"""Half the width of the widest stroke of a pen."""


@dataclass(frozen=True)
class Unfit:
    """Where the tissue of a slide is unfit.

    Attributes
    ----------
    blurred, pen, folded : bool, (h, w)
        On the pixels of the overview; pen also beside the tissue.
    """

    blurred: NDArray[np.bool_]
    pen: NDArray[np.bool_]
    folded: NDArray[np.bool_]

    def counts(self, tissue: NDArray[np.bool_], overview: Grid, grid: Grid) -> dict[str, dict[str, float]]:
        """For each kind: blocks that hold any of it, its area, and its share of the tissue.

        Ink hides what is under it: tissue, where there is tissue on both sides.

        Parameters
        ----------
        tissue : bool, (h, w)
            Tissue, with or without what is unfit.
        overview, grid : Grid
            Of the masks, and the working grid that blocks are cut from.
        """
        whole = tissue | self.blurred | self.folded
        whole |= self.pen & _closed(whole, overview.mpp)
        area = max(1, int(whole.sum()))
        found: dict[str, dict[str, float]] = {}
        for kind in KINDS:
            mask = getattr(self, kind)
            found[kind] = {
                "blocks": int(blocks_with(mask, overview, grid).sum()),
                "mm2": round(float(mask.sum()) * (overview.mpp / 1000) ** 2, 4),
                "share": round(float((mask & whole).sum()) / area, 6),
            }
        return found


def found_sentences(counts: dict[str, dict[str, float]], config: QualityConfig) -> tuple[str, ...]:
    """One sentence for each kind that was found."""
    names = {"blurred": "out of focus", "pen": "under ink", "folded": "folded"}
    kept = {
        "blurred": not config.leave_out_blurred,
        "pen": not config.leave_out_pen,
        "folded": not config.leave_out_folds,
    }
    return tuple(
        f"{values['mm2']:.2f} mm2 ({values['share']:.1%}) {names[kind]}"
        f" {'kept, as the recipe asks' if kept[kind] else 'left out'}"
        for kind, values in counts.items()
        if values["blocks"]
    )


def unfit_flags(counts: dict[str, dict[str, float]], config: QualityConfig) -> tuple[str, ...]:
    """Kinds of which there is more than the recipe's share."""
    return tuple(kind for kind, values in counts.items() if values["share"] > config.flag_share)


def pack(energies: NDArray[np.uint32]) -> str:
    """Energies of a tile's blocks as text."""
    return base64.b64encode(energies.astype("<u4").tobytes()).decode()


def blurred_mask(
    packed: Iterable[tuple[Box, str]], tissue: NDArray[np.bool_], overview: Grid, grid: Grid, config: QualityConfig
) -> NDArray[np.bool_]:
    """Tissue that is out of focus, on the pixels of the overview.

    Parameters
    ----------
    packed : iterable of Box and str
        Core of every tile that was done, and its blocks by `pack`; wherever tissue is, a tile was done.
    tissue : bool, (h, w)
        Tissue on the overview.
    """
    blocks = blocks_of(Box(0, 0, grid.width_px, grid.height_px), grid.mpp)
    energies = np.zeros((blocks.height, blocks.width, len(LAGS)), np.uint32)
    for core, text in packed:
        part = blocks_of(core, grid.mpp)
        values = np.frombuffer(base64.b64decode(text), "<u4").reshape(part.height, part.width, len(LAGS))
        energies[part.y : part.bottom, part.x : part.right] = values
    blurred = find_blurred(energies, blocks_with(tissue, overview, grid), config)
    row, column = _block_of_pixels(overview, grid)
    return np.asarray(blurred[np.ix_(row, column)] & tissue)


def blocks_with(mask: NDArray[np.bool_], overview: Grid, grid: Grid) -> NDArray[np.bool_]:
    """Blocks of the working grid that hold the centre of any set pixel of the overview's mask."""
    blocks = blocks_of(Box(0, 0, grid.width_px, grid.height_px), grid.mpp)
    row, column = _block_of_pixels(overview, grid)
    y, x = np.nonzero(mask)
    found = np.zeros((blocks.height, blocks.width), bool)
    found[row[y], column[x]] = True
    return found


def _closed(tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Tissue with what lies in gaps of up to twice _REACH_UM."""
    radius = max(1, round(um_to_px(_REACH_UM, mpp)))
    square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    closed = cv2.morphologyEx(np.pad(tissue, radius).astype(np.uint8), cv2.MORPH_CLOSE, square)
    return np.asarray(closed[radius:-radius, radius:-radius] > 0)


def _block_of_pixels(overview: Grid, grid: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row of blocks of each row of the overview, by its middle, and the same of the columns."""
    side = block_px(grid.mpp) * grid.downsample
    sizes = ((overview.height_px, grid.height_px), (overview.width_px, grid.width_px))
    row, column = (
        np.minimum((np.arange(n) + 0.5) * overview.downsample / side, (size - 1) // block_px(grid.mpp)).astype(np.intp)
        for n, size in sizes
    )
    return row, column

"""What the exports read: cells with their classes, in chunks as large as the caller likes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.records import Cells


@dataclass(frozen=True)
class LabelledCells:
    """Consecutive cells of one slide, in the order of their cell_id.

    The exports take an iterable of these and hold one at a time, so that memory is bounded by the largest chunk:
    some 50 000 rows are a good size. A whole slide in one chunk is right too, where memory allows.

    Attributes
    ----------
    cells : Cells
        n rows; patches are never read.
    classes : uint8, (n,), or None
        Class index of each; None for a slide without labels.
    confidence : float32, (n,), or None
        Probability of that class; given exactly when `classes` is.
    """

    cells: Cells
    classes: NDArray[np.uint8] | None = None
    confidence: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        lengths = {len(a) for a in (self.cells.x_px, self.classes, self.confidence) if a is not None}
        if len(lengths) > 1 or (self.classes is None) != (self.confidence is None):
            msg = "classes and confidence go together, one of each per cell"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.cells.x_px)


class RowOrder:
    """Numbers the rows of consecutive chunks and sees that they come in the order of every output."""

    def __init__(self) -> None:
        self.n_cells = 0
        self._last = (-np.inf, -np.inf)

    def take(self, chunk: LabelledCells) -> int:
        """The cell_id of the chunk's first row.

        Raises
        ------
        ValueError
            Rows are not sorted by y_px, then x_px.
        """
        y = np.concatenate([[self._last[0]], chunk.cells.y_px])
        x = np.concatenate([[self._last[1]], chunk.cells.x_px])
        if ((y[1:] < y[:-1]) | ((y[1:] == y[:-1]) & (x[1:] < x[:-1]))).any():
            msg = "cells are not sorted by y_px, then x_px"
            raise ValueError(msg)
        first, self.n_cells, self._last = self.n_cells, self.n_cells + len(chunk), (y[-1], x[-1])
        return first

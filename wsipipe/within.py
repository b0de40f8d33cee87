"""Cells of a finished store that lie in some part of the slide."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.rows import LabelledCells
from wsipipe.io.store import CellStore
from wsipipe.records import Box, Cells, Labels


class CellsWithin:
    """Answers which cells touch a box; holds the bounding boxes of all cells and the cells of the last rows asked for.

    Parameters
    ----------
    store : CellStore
    labels : Labels or None
        Of all its cells.
    """

    def __init__(self, store: CellStore, labels: Labels | None) -> None:
        self._store, self._labels = store, labels
        self._boxes = np.asarray(store.array("bbox_px")[:])
        self._strip: tuple[tuple[int, int], int, Cells] | None = None

    def touching(self, box: Box) -> tuple[LabelledCells, NDArray[np.int64]]:
        """Cells whose bounding box touches a box of level 0, without patches, and their cell_id, in its order."""
        first, cells = self._rows(box.y, box.bottom)
        left, top, right, bottom = cells.bbox_px.T
        seen = (left < box.right) & (right > box.x) & (top < box.bottom) & (bottom > box.y)
        ids = first + np.flatnonzero(seen)
        if self._labels is None:
            return LabelledCells(cells.take(seen)), ids
        return LabelledCells(cells.take(seen), self._labels.classes[ids], self._labels.confidence[ids]), ids

    def _rows(self, top: int, bottom: int) -> tuple[int, Cells]:
        """The first row that touches these rows of pixels, and all from it to the last: rows are in the order of y."""
        if self._strip is None or self._strip[0] != (top, bottom):
            touching = np.flatnonzero((self._boxes[:, 1] < bottom) & (self._boxes[:, 3] > top))
            first, stop = (int(touching[0]), int(touching[-1]) + 1) if len(touching) else (0, 0)
            self._strip = (top, bottom), first, self._store.rows(first, stop, patches=False)
        return self._strip[1:]

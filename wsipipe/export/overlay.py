"""Regions of a slide at full resolution with the nuclei drawn in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.export.classes import CellClass
from wsipipe.export.encode import png
from wsipipe.export.report.pictures import draw_nuclei
from wsipipe.export.rows import LabelledCells
from wsipipe.records import Box

UNLABELLED_RGB = (0, 230, 60)
"""Far from the colours of most stains."""


def write_overlay(
    path: Path, rgb: NDArray[np.uint8], box: Box, cells: LabelledCells, classes: Sequence[CellClass] = ()
) -> None:
    """Write the pixels of a region with the outlines of its nuclei in the colours of their classes, as PNG.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete.
    rgb : uint8, (height, width, 3)
        Pixels of the region at level 0.
    box : Box
        The region.
    cells : LabelledCells
        All cells that touch it.
    classes : sequence of CellClass
        Name and colour of each class index; empty without labels.
    """
    colors = [c.color for c in classes] or [UNLABELLED_RGB]
    if not classes:
        cells = LabelledCells(cells.cells, np.zeros(len(cells), np.uint8), np.zeros(len(cells), np.float32))
    drawn = draw_nuclei(rgb, cells, colors, 1.0, (box.x, box.y))
    with atomic_write(path, "wb") as file:
        file.write(png(drawn))

"""The records that travel between stages: frozen, validated where they are made, no I/O."""

from wsipipe.records.cells import Cells, Labels, Rings, row_order
from wsipipe.records.description import DESCRIPTION, SPREAD, VIEWS, words_for
from wsipipe.records.slide import Box, Grid, Level, SlideInfo, StainProfile, Tile

__all__ = [
    "DESCRIPTION",
    "SPREAD",
    "VIEWS",
    "Box",
    "Cells",
    "Grid",
    "Labels",
    "Level",
    "Rings",
    "SlideInfo",
    "StainProfile",
    "Tile",
    "row_order",
    "words_for",
]

"""The page of a slide: warnings first, then what was found, how it was made last. Every text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.export.classes import CellClass
from wsipipe.export.report.charts import Measurement
from wsipipe.export.report.document import document
from wsipipe.export.report.markup import facts, sentences
from wsipipe.export.report.sections import class_cards, densities, details, found, morphology, shares, slide_map


@dataclass(frozen=True)
class Area:
    """A part of the slide that is outlined on the map: the tissue, or what quality control found.

    Attributes
    ----------
    name : str
        As a person reads it.
    mask : bool, (h, w)
        Size of the marks of the classes.
    color : (int, int, int)
        RGB.
    """

    name: str
    mask: NDArray[np.bool_]
    color: tuple[int, int, int]


@dataclass(frozen=True)
class ClassReport:
    """What is known of the cells of one class.

    Attributes
    ----------
    cell_class : CellClass
        Name and colour.
    count : int
        Its cells.
    interval : (float, float) or None
        Where the share lies with 95 % confidence; None when nobody has estimated it.
    marks : bool, (h, w)
        Its cells on the map of the whole slide.
    density : float32, (h, w)
        Cells per mm2, NaN outside tissue.
    real, drawn : uint8, (m, size, size, 3)
        Patches of its most certain cells, and patches that G draws for it; m may be 0.
    """

    cell_class: CellClass
    count: int
    interval: tuple[float, float] | None
    marks: NDArray[np.bool_]
    density: NDArray[np.float32]
    real: NDArray[np.uint8]
    drawn: NDArray[np.uint8]


@dataclass(frozen=True)
class Detail:
    """A field of view with the outlines of its nuclei.

    Attributes
    ----------
    rgb : uint8, (h, w, 3)
        The picture.
    um_per_px : float
        Its resolution.
    caption : str
        Where it lies.
    rings : sequence of (int, float (n, 2))
        Class index and outline of each nucleus, in pixels of the picture.
    """

    rgb: NDArray[np.uint8]
    um_per_px: float
    caption: str
    rings: Sequence[tuple[int, NDArray[np.float64]]]


@dataclass(frozen=True)
class SlideReport:
    """What the page of one slide shows.

    Attributes
    ----------
    slide_id : str
        The slide.
    n_cells : int
        Nuclei found.
    tissue_mm2 : float
        Area of the tissue searched.
    warnings : sequence of str
        What the user should know first, one sentence each.
    thumbnail : uint8, (h, w, 3)
        The whole slide, any size.
    width_um : float
        Width of the slide.
    areas : sequence of Area
        Outlined on the map.
    classes : sequence of ClassReport
        In the order of their index; all nuclei as one when `labelled` is false.
    labelled : bool
        Whether the cells have classes.
    measurements : sequence of Measurement
        Of the cells of each class.
    details : sequence of Detail
        Fields of view.
    facts : sequence of (str, str)
        The slide in words: size, resolution, scanner.
    made : sequence of (str, str)
        How it was made: recipe, versions, model, times.
    """

    slide_id: str
    n_cells: int
    tissue_mm2: float
    warnings: Sequence[str]
    thumbnail: NDArray[np.uint8]
    width_um: float
    areas: Sequence[Area]
    classes: Sequence[ClassReport]
    labelled: bool
    measurements: Sequence[Measurement]
    details: Sequence[Detail]
    facts: Sequence[tuple[str, str]]
    made: Sequence[tuple[str, str]]

    def __post_init__(self) -> None:
        if any(len(measurement.boxes) != len(self.classes) for measurement in self.measurements):
            msg = "a report needs one box per class in every measurement"
            raise ValueError(msg)

    @property
    def indices(self) -> list[str]:
        """Number of each class as the page shows it; nothing where the cells have no classes."""
        return [str(i) if self.labelled else "" for i in range(len(self.classes))]


def slide_page(report: SlideReport) -> str:
    """One HTML document that needs no other file, no script and no network.

    Parameters
    ----------
    report : SlideReport
        What to show; every text in it is escaped.
    """
    sections = [
        sentences("Warnings", report.warnings),
        found(report),
        slide_map(report),
        shares(report),
        densities(report),
        class_cards(report),
        morphology(report),
        details(report),
        facts("The slide", report.facts),
        facts("How it was made", report.made),
    ]
    return document(report.slide_id, sections, _toggles(report), kind="cells")


def _toggles(report: SlideReport) -> str:
    """Rules that hide a layer of the map whose box is not ticked: the page has no script."""
    names = [f"a{i}" for i in range(len(report.areas))] + [f"k{i}" for i in range(len(report.classes))]
    return "".join(f".map:has(#{name}:not(:checked)) .{name}{{visibility:hidden}}\n" for name in names)

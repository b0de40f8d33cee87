"""What is known of a slide, its grids and its colours."""

from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle of whole pixels: x to the right, y down; (x, y) is the top-left pixel."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height


@dataclass(frozen=True)
class Level:
    """One level of a pyramid; `downsample` is level-0 pixels per pixel of this level."""

    width_px: int
    height_px: int
    downsample: float


@dataclass(frozen=True)
class SlideInfo:
    """What is known of a slide before its pixels are read; nothing here identifies a patient.

    Attributes
    ----------
    slide_id : str
        Name of the slide in every output.
    reader : str
        "openslide", "tiffslide" or "image".
    vendor : str
        Scanner vendor as the reader names it, or "unknown".
    mpp : float
        True microns per pixel of level 0.
    mpp_source : str
        "cohort table", "--mpp" or "metadata".
    objective_power : float or None
        Objective magnification, where stated.
    levels : tuple of Level
        Finest first; `levels[0]` is level 0.
    bounds : Box
        Level-0 rectangle that holds the scanned area (`openslide.bounds-*`, else the whole slide).
    has_bounds : bool
        Whether the slide states bounds (viewers such as QuPath then crop to them).
    fingerprint : str
        Hash of the file's size, time, head and tail.
    warnings : tuple of str
        Things the user should know, one sentence each.
    """

    slide_id: str
    reader: str
    vendor: str
    mpp: float
    mpp_source: str
    objective_power: float | None
    levels: tuple[Level, ...]
    bounds: Box
    has_bounds: bool
    fingerprint: str
    warnings: tuple[str, ...] = ()

    @property
    def width_px(self) -> int:
        """Width of level 0."""
        return self.levels[0].width_px

    @property
    def height_px(self) -> int:
        """Height of level 0."""
        return self.levels[0].height_px


@dataclass(frozen=True)
class Grid:
    """A pixel grid over the whole slide, anchored at level-0 (0, 0).

    Attributes
    ----------
    mpp : float
        True microns per grid pixel.
    level : int
        Level the pixels are read from.
    level_downsample : float
        Level-0 pixels per pixel of that level.
    scale : float
        Pixels of that level per grid pixel; 1 when the level is used as it is.
    width_px, height_px : int
        Size of the grid.
    """

    mpp: float
    level: int
    level_downsample: float
    scale: float
    width_px: int
    height_px: int

    @property
    def downsample(self) -> float:
        """Level-0 pixels per grid pixel."""
        return self.level_downsample * self.scale


@dataclass(frozen=True)
class Tile:
    """One unit of work on a grid: owns the nuclei whose centre is in `core`, sees `view` (core plus halo)."""

    index: int
    core: Box
    view: Box


@dataclass(frozen=True)
class StainProfile:
    """Colour of one slide, fitted once on sampled tissue and used for every tile.

    Attributes
    ----------
    method : str
        Normalization this profile is for: "macenko", "vahadane", "given", "reinhard" or "none".
    white : tuple of 3 float
        RGB of clear glass; optical density is measured against it.
    vectors : tuple of 2 tuples of 3 float
        Unit optical-density RGB vectors: haematoxylin, then eosin or the second stain of the recipe.
    max_od : tuple of 2 float
        99th percentile of the concentrations of these two over the sample.
    lab_mean, lab_std : tuple of 3 float
        Mean and standard deviation in Ruderman's l-alpha-beta space (Reinhard 2001).
    threshold : float
        Slide-level haematoxylin threshold for nuclei, optical density.
    fallback : str
        Empty, or why reference vectors stand in for fitted ones.
    """

    method: str
    white: tuple[float, float, float]
    vectors: tuple[tuple[float, float, float], tuple[float, float, float]]
    max_od: tuple[float, float]
    lab_mean: tuple[float, float, float]
    lab_std: tuple[float, float, float]
    threshold: float = float("nan")
    fallback: str = ""

"""What a user asks for besides the recipe."""

from dataclasses import dataclass, field
from pathlib import Path

from wsipipe.config.recipe import Recipe


@dataclass(frozen=True)
class Settings:
    """What the user asked for besides the recipe; the options that mean the same in every command."""

    out: Path
    recipe: Recipe = field(default_factory=Recipe)
    mpp: float | None = None
    """True microns per pixel of level 0, over the metadata."""
    mpp_source: str = "--mpp"
    """Where `mpp` comes from: "--mpp" or "cohort table"."""
    regions: Path | None = None
    """GeoJSON with the polygons to stay inside of."""
    nuclei: Path | None = None
    """File of nuclei to use instead of segmenting, or a folder with one for each slide."""
    model: str | None = None
    """Name or file of a trained model."""
    classes: int | None = None
    """Number of classes asked for besides the recipe, which has it too; a model that is there must have as many."""
    train: bool = False
    """Fit one model on all the given slides' cells first."""
    device: str = "auto"
    """"auto", "cpu" or "cuda"."""
    workers: int | None = None
    """Threads for tiles and labels; all usable CPUs when None."""
    scheduler: str | None = None
    """Address of a Dask scheduler."""
    seed: int = 0
    overwrite: bool = False
    debug: bool = False
    """Let unexpected errors through, with their traceback."""

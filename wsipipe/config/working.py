"""Stage parameters of reading: the working resolution, and how the work is cut up."""

from dataclasses import dataclass

from wsipipe.config.fields import number


@dataclass(frozen=True)
class WorkingConfig:
    """Resolution at which nuclei are found."""

    mpp: float = number(0.5, 0.1, 2.0)
    """Microns per pixel of the working grid."""
    max_unreadable: float = number(0.25, 0.0, 1.0)
    """A slide of whose tissue more than this share cannot be read fails; up to it, the rest is kept and flagged."""


@dataclass(frozen=True)
class TilingConfig:
    """How the work is cut up. Changes speed and memory, never a result."""

    tile_px: int = number(1024, 128, 1 << 20)
    """Side of a tile's core on the working grid, pixels."""

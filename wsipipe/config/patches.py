"""Stage parameters of the cells' patches."""

from dataclasses import dataclass

from wsipipe.config.fields import number


@dataclass(frozen=True)
class PatchConfig:
    """Patch around one nucleus, the networks' input."""

    size_px: int = number(32, 8, 256)
    """Side of a patch, pixels."""
    mpp: float = number(0.5, 0.1, 2.0)
    """Microns per patch pixel."""
    surroundings: bool = True
    """Keep what lies around the nucleus; false puts the nucleus on white and scales larger ones down (the paper)."""

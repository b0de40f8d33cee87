"""Stage parameters of the search for tissue."""

from dataclasses import dataclass

from wsipipe.config.fields import number


@dataclass(frozen=True)
class TissueConfig:
    """Where tissue is searched and what counts as tissue."""

    mpp: float = number(8.0, 1.0, 64.0)
    """Microns per pixel of the overview that the tissue mask is made from."""
    min_od: float = number(0.035, 0.0, 1.0)
    """Lowest mean optical density above the glass that can be tissue; noisy or dirty glass raises the threshold."""
    min_area_um2: float = number(10_000.0, 0.0, 1e9)
    """Smaller pieces are dirt; on images smaller than 5 mm2 the limit is 0.2 % of the image."""
    max_hole_um2: float = number(50_000.0, 0.0, 1e9)
    """Smaller holes in tissue are tissue; on images smaller than 1 mm2 the limit is 5 % of the image."""
    margin_um: float = number(12.0, 0.0, 1000.0)
    """Tissue is widened by this, at least by one pixel, so that nuclei at its edge are inside."""
    min_ink_um2: float = number(50_000.0, 0.0, 1e9)
    """Smaller places of the colour of ink are taken for tissue."""

"""Stage parameters of stain normalization and deconvolution."""

from dataclasses import dataclass

from wsipipe.config.fields import choice, number, vector


@dataclass(frozen=True)
class StainConfig:
    """Stain normalization and deconvolution."""

    method: str = choice("macenko", "vahadane", "given", "reinhard", "none")
    """Normalization towards the packaged reference stain; vectors are Macenko's with the last two."""
    stain_1: tuple[float, float, float] = vector(0.65, 0.70, 0.29)
    """Optical density in red, green and blue of the nuclear stain, for method "given" only; of any length."""
    stain_2: tuple[float, float, float] = vector(0.07, 0.99, 0.11)
    """The same of the other stain, which the `e_od` columns are then of. Both defaults are Ruifrok's H&E."""
    sample_blocks: int = number(64, 1, 4096)
    """Blocks of 256 x 256 working pixels, spread evenly over the tissue, that the profile is fitted on."""
    min_od: float = number(0.15, 0.0, 1.0)
    """Pixels with less optical density, averaged over the channels, are glass and do not enter a fit (beta)."""
    angle_percentile: float = number(1.0, 0.0, 49.0)
    """Macenko's alpha: percentile of the angles that become the stain vectors."""
    sparsity: float = number(0.1, 0.0, 10.0)
    """Vahadane's lambda: weight of the sum of the concentrations."""

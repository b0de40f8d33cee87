"""Stage parameters of finding nuclei."""

from dataclasses import dataclass

from wsipipe.config.fields import number


@dataclass(frozen=True)
class NucleiConfig:
    """Seek, choose and clean nuclei among the threshold components of the haematoxylin image."""

    threshold_scale: float = number(1.0, 0.1, 10.0)
    """Factor on the slide's own haematoxylin threshold (Otsu's, on sampled tissue)."""
    reference_share: float = number(0.45, 0.0, 1.0)
    """Haematoxylin is unmixed with the reference vectors to this share, else with the slide's own."""
    smooth_um: float = number(0.3, 0.0, 5.0)
    """Gaussian sigma applied to the haematoxylin image before components are made of it."""
    sharpen: float = number(0.6, 0.0, 5.0)
    """How much of the difference from the surroundings' mean is added."""
    sharpen_um: float = number(3.0, 0.1, 20.0)
    """Spread of these surroundings (standard deviation of a square)."""
    open_um: float = number(1.0, 0.0, 5.0)
    """Radius of an opening that offers further components, cut off at thin necks."""
    edge_um: float = number(0.15, 0.0, 5.0)
    """Gaussian sigma applied to the haematoxylin image before contrast across outlines is measured."""
    reach_um: float = number(0.5, 0.0, 5.0)
    """Contrast is measured between pixels this far inside and outside the outline."""
    lowest_threshold: float = number(0.58, 0.02, 4.0)
    """Lowest threshold that outlines are sought at, as a share of the slide's own."""
    half_drop: float = number(0.3, 0.001, 10.0)
    """Contrast across an outline that earns half of the greatest contrast score, as a share of the threshold."""
    shape_weight: float = number(1.15, 0.0, 100.0)
    """Loss of score for the square root of the share of its ellipse that an object leaves empty."""
    size_weight: float = number(0.15, 0.0, 10.0)
    """Loss of score for the squared logarithm of an object's area over the typical one."""
    typical_area_um2: float = number(48.0, 1.0, 1000.0)
    """Area with no such loss."""
    least_quality: float = number(-0.06, -10.0, 1.0)
    """Contrast less the losses above that an object must exceed to be a nucleus."""
    area_power: float = number(0.45, 0.0, 2.0)
    """An object's quality counts times its area to this power when it competes with objects inside it."""
    max_hole_um2: float = number(12.0, 0.0, 1000.0)
    """Smaller holes are filled."""
    min_area_um2: float = number(7.5, 0.0, 1000.0)
    """Smaller objects are dropped."""
    max_area_um2: float = number(350.0, 1.0, 10_000.0)
    """Larger objects are not nuclei; dark ones that hold no nucleus are counted."""
    max_extent_um: float = number(25.0, 5.0, 100.0)
    """Objects whose bounding box is longer are not nuclei either; the halo is made from this."""

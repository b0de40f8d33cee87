"""Label-free cell classes and proportions from stained whole-slide images."""

__version__ = "0.1.0"

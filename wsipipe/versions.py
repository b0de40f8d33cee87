"""What a result depends on besides its slide and its recipe."""

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Versions of everything that a result depends on."""
    names = ("wsipipe", "numpy", "scipy", "opencv-python-headless", "scikit-image", "zarr", "openslide-bin", "torch")
    return {"python": platform.python_version(), "machine": platform.machine(), **{n: version(n) for n in names}}

"""Small synthetic slides with known nuclei, for any test: import the functions, or take the fixtures of conftest.py."""

import functools
from pathlib import Path

from wsipipe.image.synthetic import SyntheticSlide, make_slide
from wsipipe.io.pyramid_writer import write_pyramid

TINY_WIDTH_PX, TINY_HEIGHT_PX, TINY_MPP = 1024, 768, 0.5


@functools.cache
def tiny_slide(seed: int = 0) -> SyntheticSlide:
    """1024 x 768 px at 0.5 um/px, some 350 nuclei; made once per process, arrays locked against writing."""
    slide = make_slide(TINY_WIDTH_PX, TINY_HEIGHT_PX, TINY_MPP, seed)
    for array in (slide.rgb, slide.labels, slide.x_px, slide.y_px, slide.kind):
        array.setflags(write=False)
    return slide


def write_tiny_slide(folder: Path, name: str = "tiny.tiff", seed: int = 0, mpp: float = TINY_MPP) -> Path:
    """The tiny slide as a pyramid; names ending in .svs look as if an Aperio scanner had written them."""
    path = folder / name
    write_pyramid(path, tiny_slide(seed).rgb, mpp, aperio=path.suffix == ".svs")
    return path


def hooked_slides(folder: Path, hook: str, victim: str) -> Path:
    """Three tiny slides in `folder`/slides, the middle one named `victim`, a recipe of small tiles, and a hook.

    Every Python that starts with `folder` on its PYTHONPATH runs the hook first.
    """
    (folder / "sitecustomize.py").write_text(hook)
    (folder / "slides").mkdir()
    for seed, name in enumerate(("a.tiff", victim, "z.tiff")):
        write_tiny_slide(folder / "slides", name, seed=seed)
    (folder / "small.toml").write_text("[tiling]\ntile_px = 256\n")
    return folder

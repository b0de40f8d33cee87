"""Settings of the whole suite, and the fixtures that many tests share."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from wsipipe.image.synthetic import SyntheticSlide

# shared, noisy machines: a slow example is no failure, and runs repeat
settings.register_profile("wsipipe", deadline=None, derandomize=True)
settings.load_profile("wsipipe")


@pytest.fixture
def synth() -> Any:
    """`tests.synth`, imported on use: the networks are tested where nothing reads slides too."""
    return importlib.import_module("tests.synth")


@pytest.fixture
def tiny_slide(synth: Any) -> "SyntheticSlide":
    """A small synthetic slide and the truth about it (read-only arrays)."""
    slide: SyntheticSlide = synth.tiny_slide()
    return slide


@pytest.fixture
def tiny_slide_path(synth: Any, tmp_path: Path) -> Path:
    """The same slide as a pyramidal TIFF, in this test's own folder."""
    path: Path = synth.write_tiny_slide(tmp_path)
    return path

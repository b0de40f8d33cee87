"""Settings of the whole suite, and the fixtures that many tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests import synth
from wsipipe.image.synthetic import SyntheticSlide

# shared, noisy machines: a slow example is no failure, and runs repeat
settings.register_profile("wsipipe", deadline=None, derandomize=True)
settings.load_profile("wsipipe")


@pytest.fixture
def tiny_slide() -> SyntheticSlide:
    """A small synthetic slide and the truth about it (read-only arrays)."""
    return synth.tiny_slide()


@pytest.fixture
def tiny_slide_path(tmp_path: Path) -> Path:
    """The same slide as a pyramidal TIFF, in this test's own folder."""
    return synth.write_tiny_slide(tmp_path)

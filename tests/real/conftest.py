"""Real slides and labelled images: found through WSIPIPE_TEST_DATA, skipped by name where absent."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """Path of a file or folder of the real data, given relative to its root."""
    root = Path(os.environ.get("WSIPIPE_TEST_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"real data absent: {name}")
        return path

    return find

"""A long cohort needs no more memory or open files at its end than at its beginning."""

import statistics
from pathlib import Path

import pytest

from tests.benchmarks.cohort import EDGE, batch, draw, held

SLIDES = 200


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_and_open_files_stay_flat_over_two_hundred_slides(tmp_path: Path) -> None:
    draw(tmp_path / "slides", SLIDES)
    batch(tmp_path / "slides", tmp_path / "out", workers=1)
    for rows in held(tmp_path / "out"):
        assert len(rows) == SLIDES
        first, last = rows[1 : 1 + EDGE], rows[-EDGE:]  # the very first slide compiles and imports
        assert statistics.median(row[1] for row in last) <= 1.05 * statistics.median(row[1] for row in first) + 5
        assert max(row[2] for row in last) <= max(row[2] for row in first)

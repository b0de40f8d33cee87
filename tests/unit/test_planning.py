"""What surrounds or covers tissue is not taken for stain when a slide is looked over."""

from pathlib import Path

import numpy as np
import pytest

from tests.degraded import INKS, penned
from tests.synth import tiny_slide
from wsipipe.config import Settings
from wsipipe.image.synthetic import make_slide
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.slide import open_slide
from wsipipe.planning import SlidePlan, plan_slide


def plan(path: Path, rgb: np.ndarray) -> SlidePlan:
    write_pyramid(path, rgb, 0.5)
    with open_slide(path) as slide:
        return plan_slide(slide, path, Settings(out=path.parent))


def angle(one: SlidePlan, other: SlidePlan) -> float:
    """Degrees between the haematoxylin vectors of two slides."""
    a, b = (np.array(p.task.profile.vectors[0]) for p in (one, other))
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def test_black_around_the_scan_leaves_the_stain_as_it_is(tmp_path: Path) -> None:
    rgb = tiny_slide().rgb
    framed = np.zeros((1500, 1700, 3), np.uint8)
    framed[300 : 300 + rgb.shape[0], 400 : 400 + rgb.shape[1]] = rgb
    alone, within = plan(tmp_path / "alone.tiff", rgb), plan(tmp_path / "framed.tiff", framed)
    assert "dark border" in within.warnings[0]
    assert within.task.profile.threshold == pytest.approx(alone.task.profile.threshold, abs=0.05)  # 1.2 before
    assert within.task.profile.max_od[0] == pytest.approx(alone.task.profile.max_od[0], rel=0.2)  # 3.7 before
    assert angle(alone, within) < 3


@pytest.mark.parametrize("ink", ["blue", "green"])
def test_a_pen_beside_tissue_leaves_the_stain_as_it_is(tmp_path: Path, ink: str) -> None:
    rgb = make_slide(2048, 1536, 0.5, 1).rgb
    clean, marked = plan(tmp_path / "a.tiff", rgb), plan(tmp_path / "b.tiff", penned(rgb, 0.5, INKS[ink])[0])
    assert marked.unfit.pen.any()
    assert not marked.task.profile.fallback
    assert marked.task.profile.threshold == pytest.approx(clean.task.profile.threshold, abs=0.03)  # 0.7 and 1.2 before
    assert angle(clean, marked) < 2

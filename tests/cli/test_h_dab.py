"""A slide stained with haematoxylin and DAB, through the packed recipe."""

import json
from pathlib import Path

import numpy as np
import pytest

from wsipipe import slides
from wsipipe.cohort.evaluate import detection_scores, match_points
from wsipipe.config import Settings, load_recipe
from wsipipe.image import synthetic
from wsipipe.io.output import OutputFolder
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.store import CellStore
from wsipipe.progress import Quiet


def test_nuclei_are_found_and_the_second_stain_is_dab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("h-dab")
    monkeypatch.setattr(synthetic, "STAIN_VECTORS", (recipe.stain.stain_1, recipe.stain.stain_2))
    slide = synthetic.make_slide(1024, 768, 0.5, 0)
    write_pyramid(tmp_path / "dab.tiff", slide.rgb, 0.5)
    assert not slides.segment([tmp_path / "dab.tiff"], Settings(out=tmp_path / "out", recipe=recipe), Quiet())
    (done,) = OutputFolder(tmp_path / "out").finished()
    store = CellStore(done.store)
    found = np.column_stack([store.array(name)[:] for name in ("x_px", "y_px")])
    true = np.column_stack([slide.x_px, slide.y_px])
    scores = detection_scores(len(match_points(found, true, 5.0)[0]), len(found), len(true))
    assert scores.f1 > 0.8  # the same slide in H&E: 0.83
    assert store.array("h_od_mean")[:].mean() > 2 * store.array("e_od_mean")[:].mean() > 0
    run = json.loads((tmp_path / "out" / "dab" / "run.json").read_text())
    assert run["warnings"] == []
    assert run["recipe"]["stain"]["stain_2"] == list(recipe.stain.stain_2)
    # a second run finds its own recipe in the store
    assert not slides.segment([tmp_path / "dab.tiff"], Settings(out=tmp_path / "out", recipe=recipe), Quiet())

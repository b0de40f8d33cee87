"""The model that ships: there, small, whole, repeatable, described by its card; `run` uses it and says so."""

import re
from pathlib import Path

import numpy as np
import pytest

from wsipipe.config import Settings, load_recipe
from wsipipe.errors import UsageError
from wsipipe.gan.draw import sample
from wsipipe.gan.label import label
from wsipipe.io.output import OutputFolder
from wsipipe.labelling import SHIPPED, check_shipped, load_model

CARD = Path(__file__).parents[2] / "docs" / "model-card.md"
MOST_BYTES = 5_000_000


def test_it_is_small_and_fits_the_packed_recipes() -> None:
    assert SHIPPED.stat().st_size <= MOST_BYTES
    model = load_model("default")
    assert model.facts["warnings"] == []
    for name in ("default", "he-40x"):
        recipe = load_recipe(name)
        assert (recipe.patches.size_px, recipe.patches.mpp) == (model.patch_px, model.patch_mpp)
        assert recipe.gan.classes == model.config.classes
        assert (recipe.gan.channels, recipe.gan.noise_dim) == (model.config.channels, model.config.noise_dim)


def test_it_labels_the_same_bytes_twice_and_draws_each_class() -> None:
    model = load_model("default")
    patches = np.concatenate([sample(model, cls, 30, seed=3) for cls in range(model.config.classes)])
    first, second = (label(load_model("default"), patches, device="cpu", threads=n) for n in (1, 2))
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
    asked = np.repeat(np.arange(model.config.classes), 30)
    assert (first[0] == asked).mean() > 1.5 / model.config.classes  # Q reads the class that G was asked for


def test_the_card_is_of_this_model() -> None:
    text, model = CARD.read_text("utf-8"), load_model("default")
    assert model.hash in text
    assert f"{model.facts['cells']}" in text
    for shown in ("AMI", "ARI", "purity", "PROVENANCE", "research use"):
        assert shown in text
    shares = [float(number) for number in re.findall(r"^\| c\d+ \| (0\.\d+) \|", text, re.MULTILINE)]
    assert len(shares) == model.config.classes
    assert sum(shares) == pytest.approx(1.0, abs=0.01)


def test_recipes_that_it_does_not_fit_are_refused_before_the_work(tmp_path: Path) -> None:
    out = OutputFolder(tmp_path / "out")
    check_shipped(out, Settings(out.path, load_recipe("he-40x")))
    with pytest.raises(UsageError, match=r"patches of 32 px at 0.5 um/px.*add --train"):
        check_shipped(out, Settings(out.path, load_recipe("paper")))
    check_shipped(out, Settings(out.path, load_recipe("paper"), train=True))

"""Getting used to a slide: shares and staining of its own, found without labels; nothing where all is as usual."""

import dataclasses

import numpy as np
import pytest
import torch

from wsipipe.config import GanConfig
from wsipipe.errors import TrainingError
from wsipipe.gan import slide as module
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.inputs import lessons_of
from wsipipe.gan.label import weigh
from wsipipe.gan.opinions import fused, log_softmax, logits
from wsipipe.gan.slide import TRUST, USUAL, slide_of, usual
from wsipipe.records import DESCRIPTION

K = 3
CENTRES = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])


def cells(shares: list[float], count: int = 3000, off: float = 0.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Kinds of cell, what is seen of them, and their descriptions; staining moves the first column by `off`."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(K, count, p=shares)
    described = np.zeros((count, len(DESCRIPTION)))
    described[:, :2] = CENTRES[kinds] + rng.normal(size=(count, 2)) + [off, 0.0]
    told = 0.5 * np.eye(K)[kinds] + rng.normal(0, 0.5, (count, K))
    return kinds, log_softmax(told).astype(np.float32), described


@pytest.fixture(scope="module")
def model() -> Model:
    """Q that knows the kinds above, from a slide with as many of each."""
    weight = np.zeros((K, len(DESCRIPTION)))
    weight[:, :2] = CENTRES
    tensors = {"critic.described.weight": torch.from_numpy(weight), "critic.sharpness": torch.tensor(1.0)}
    tensors["critic.described.bias"] = torch.from_numpy(-0.5 * (CENTRES**2).sum(1))
    model = Model(GanConfig(classes=K, describe=True, adapt=True), 32, 0.5, tensors, {})
    _, seen, described = cells([1 / 3] * 3, seed=1)
    found = dict(zip(USUAL, usual(model, seen, described), strict=True))
    return dataclasses.replace(model, tensors=tensors | {f"critic.{n}": torch.from_numpy(v) for n, v in found.items()})


def right(model: Model, shares: list[float], off: float, *, adapted: bool) -> float:
    """Share of the cells of a slide that get their class."""
    kinds, seen, described = cells(shares, off=off)
    slide = slide_of(model, seen, described) if adapted else None
    return float((weigh(model, seen, described, slide).classes == kinds).mean())


def test_where_all_is_as_usual_nothing_changes(model: Model) -> None:
    _, seen, described = cells([1 / 3] * 3, seed=1)
    slide = slide_of(model, seen, described)
    assert slide is not None
    for part in (slide.seen, slide.known, slide.lift):
        np.testing.assert_allclose(part, 0.0, atol=1e-9)
    np.testing.assert_allclose(fused(model, seen, described, slide), fused(model, seen, described), atol=1e-9)


OTHERS = [([0.9, 0.08, 0.02], 0.0), ([0.4, 0.3, 0.3], 1.2), ([0.4, 0.3, 0.3], -1.2), ([0.1, 0.2, 0.7], 1.0)]


@pytest.mark.parametrize(("shares", "off"), OTHERS)
def test_other_shares_and_other_staining_are_got_used_to(model: Model, shares: list[float], off: float) -> None:
    before, after = (right(model, shares, off, adapted=adapted) for adapted in (False, True))
    assert after > before + 0.02


def test_shares_come_nearer_to_the_true_ones_and_no_class_dies_out(model: Model) -> None:
    shares = [0.95, 0.05, 0.0]
    _, seen, described = cells(shares)
    slide = slide_of(model, seen, described)
    before, after = (np.exp(fused(model, seen, described, s)).mean(0) for s in (None, slide))
    assert np.abs(after - shares).sum() < 0.6 * np.abs(before - shares).sum()
    assert slide is not None
    assert (slide.lift >= np.log(1.0 - TRUST)).all()


def test_a_few_cells_are_hardly_followed(model: Model) -> None:
    _, seen, described = cells([0.0, 0.0, 1.0], count=2, off=3.0)
    slide = slide_of(model, seen, described)
    assert slide is not None
    assert np.abs(slide.lift).max() < 0.1
    usual_off = np.abs(logits(model, described).mean(0) - logits(model, cells([1 / 3] * 3)[2]).mean(0)).max()
    assert np.abs(slide.known).max() < 0.05 * usual_off


def test_large_slides_are_known_by_some_cells_of_all_of_them(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    _, seen, described = cells([0.7, 0.2, 0.1], off=0.8)
    whole = slide_of(model, seen, described)
    monkeypatch.setattr(module, "MOST_CELLS", 1000)
    some = slide_of(model, seen, described)
    every_third = slide_of(model, np.repeat(seen[::3], 3, 0), np.repeat(described[::3], 3, 0))
    assert whole is not None
    assert some is not None
    assert every_third is not None
    np.testing.assert_allclose(some.lift, whole.lift, atol=0.1)
    np.testing.assert_allclose(some.known, every_third.known, rtol=1e-9)
    parted = usual(model, seen, described)
    monkeypatch.undo()
    for one, other in zip(parted, usual(model, seen, described), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_only_models_that_adapt_do_and_only_with_descriptions(model: Model) -> None:
    _, seen, described = cells([0.9, 0.1, 0.0])
    still = dataclasses.replace(model, config=dataclasses.replace(model.config, adapt=False))
    assert slide_of(still, seen, described) is None
    assert slide_of(model, seen, None) is None
    assert slide_of(model, seen[:0], described[:0]) is None


def test_a_class_that_no_training_cell_has_stays_a_number(model: Model) -> None:
    _, seen, described = cells([0.5, 0.5, 0.0])
    bias = model.tensors["critic.described.bias"] + torch.tensor([0.0, 0.0, -5000.0])
    empty = dataclasses.replace(model, tensors={**model.tensors, "critic.described.bias": bias})
    share, *means = usual(empty, seen, described)
    assert share[2] > 0
    assert all(np.isfinite(mean).all() for mean in means)


def test_adapting_without_descriptions_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"gan\.adapt needs gan\.describe"):
        lessons_of(None, GanConfig(adapt=True), 100, 0)

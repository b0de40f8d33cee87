"""Training: repeatable, each step moves its own networks, and what it learns is told apart."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wsipipe.config import GanConfig, load_recipe
from wsipipe.errors import TrainingError
from wsipipe.gan.finish import _reordered
from wsipipe.gan.label import label
from wsipipe.gan.losses import critic_loss, gradient_penalty
from wsipipe.gan.mixture import Described
from wsipipe.gan.nets import Critic, Generator, centre_window
from wsipipe.gan.parts import workers
from wsipipe.gan.start import initialised
from wsipipe.gan.train import estimate_seconds, train
from wsipipe.gan.trainer import METRICS, Trainer
from wsipipe.records import DESCRIPTION

TINY = GanConfig(
    classes=3, noise_dim=4, channels=16, batch=4, steps=3, critic_steps=2, lambda_real=1.0, real_batch=8,
    info_steps=2, standardize=True, anneal=True, augment="dihedral",
)  # fmt: skip
PAPER = dataclasses.replace(load_recipe("paper").gan, channels=8, steps=2, batch=4)


def cells(count: int = 60, size: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Patches of three kinds, 3:2:1: discs of another size and darkness on a noisy pink ground; and the kinds."""
    rng = np.random.default_rng(seed)
    kind = np.repeat([0, 1, 2], [count // 2, count // 3, count - count // 2 - count // 3])
    rng.shuffle(kind)
    radius, dark = np.array([2.5, 4.0, 6.0])[kind], np.array([90, 20, 140])[kind]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    centre = rng.normal(0, 0.7, (count, 2))
    inside = np.hypot(y - centre[:, 0, None, None], x - centre[:, 1, None, None]) < radius[:, None, None]
    image = np.where(inside[..., None], (dark[:, None, None, None] + [20, 0, 60]), [230, 200, 220])
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8), kind


@pytest.mark.parametrize("config", [TINY, PAPER], ids=["default", "paper"])
def test_weights_are_the_same_bits_whatever_the_threads(config: GanConfig) -> None:
    patches, _ = cells()
    before, hashes = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(threads)
            state = torch.random.get_rng_state()
            hashes.append(train(patches, config, seed=1, device="cpu", patch_mpp=0.5).hash)
            assert torch.get_num_threads() == threads
            assert torch.equal(torch.random.get_rng_state(), state)
    finally:
        torch.set_num_threads(before)
    assert hashes[0] == hashes[1]
    assert train(patches, config, seed=2, device="cpu", patch_mpp=0.5).hash != hashes[0]


def test_threads_are_given_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(Trainer, "step", lambda self: self.metrics.fill_(float("nan")))
    with pytest.raises(TrainingError, match="no finite number at step 1 of 3"):
        train(cells()[0], TINY, seed=0, device="cpu", patch_mpp=0.5)
    assert torch.get_num_threads() == before


def test_weights_that_are_no_numbers_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the prior is learned from them, and nothing can be drawn by it."""

    def broken(*arguments: Any) -> tuple[Generator, Critic]:
        generator, critic = initialised(*arguments)
        torch.nn.init.constant_(critic.q_head.weight, float("nan"))
        return generator, critic

    monkeypatch.setattr("wsipipe.gan.trainer.initialised", broken)
    config = dataclasses.replace(TINY, learned_prior=True, steps=200)
    with pytest.raises(TrainingError, match="no finite number at step 2 of 200"):
        train(cells()[0], config, seed=0, device="cpu", patch_mpp=0.5)


def moved(trainer: Trainer, step: str) -> set[str]:
    """Which parts a step changes."""
    parts = {
        "G": trainer.generator, "trunk": trainer.critic.trunk, "D": trainer.critic.d_head, "Q": trainer.critic.q_head,
    }  # fmt: skip
    before = {name: [p.clone() for p in part.parameters()] for name, part in parts.items()}
    getattr(trainer, step)()
    return {
        name
        for name, part in parts.items()
        if any(not torch.equal(old, new) for old, new in zip(before[name], part.parameters(), strict=True))
    }


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        ("_critic_step", {"trunk", "D"}),
        ("_generator_step", {"G"}),
        ("_info_step", {"G", "trunk", "Q"}),
        ("_real_info_step", {"trunk", "Q"}),
    ],
)
def test_each_step_moves_its_own_networks(step: str, parts: set[str]) -> None:
    with workers("cpu") as threads:
        trainer = Trainer(torch.from_numpy(cells()[0]), TINY, 0, threads)
        assert moved(trainer, step) == parts


def test_a_critic_step_is_adam_on_the_whole_batchs_loss() -> None:
    """Against PyTorch's plain Adam and one backward pass over the whole batch."""
    config = dataclasses.replace(TINY, channels=24, batch=12, learning_rate=1e-3)
    patches = torch.from_numpy(cells(60, 32)[0])
    with workers("cpu") as threads:
        trainer = Trainer(patches, config, 0, threads)
        other = Trainer(patches, config, 0, threads)
        trainer._critic_step()
        real, (fake, _) = other._real(12), other._fake()
        mix = torch.rand(12, generator=other.random)
        critic = other.critic
        penalty = gradient_penalty(critic.score, real, fake, mix)
        loss = critic_loss(critic.score(real), critic.score(fake.detach())) + 10.0 * penalty
        before = [p.detach().clone() for p in other.d_parameters]
        adam = torch.optim.Adam(other.d_parameters, 1e-3, (0.5, 0.9), foreach=False, fused=False)
        loss.backward(inputs=other.d_parameters)
        adam.step()
    steps = list(zip(trainer.d_parameters, other.d_parameters, before, strict=True))
    for ours, wanted, old in steps[:-1]:  # the gradient of D's last bias is 0
        # Adam's first step is the sign of the gradient, so compare where that is no rounding matter
        agree = torch.isclose(ours - old, wanted - old, rtol=0.02, atol=1e-6).float().mean()
        assert agree > 0.98


def test_schedule_is_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    zero = torch.zeros(())
    answers = {
        "_critic_step": (zero, zero), "_generator_step": zero, "_info_step": (zero, (zero,) * 3),
        "_real_info_step": (zero,) * 3,
    }  # fmt: skip
    for name, answer in answers.items():

        def record(_: Trainer, name: str = name, answer: object = answer) -> object:
            calls.append(name.strip("_").removesuffix("_step"))
            return answer

        monkeypatch.setattr(Trainer, name, record)
    for config in (PAPER, TINY):
        with workers("cpu") as threads:
            Trainer(torch.from_numpy(cells()[0]), config, 0, threads).step()
    assert calls == ["critic"] * 5 + ["generator", "info"] + ["critic"] * 2 + ["generator", "info", "real_info"]


def test_paper_has_the_published_settings() -> None:
    config = load_recipe("paper").gan
    published = {
        "classes": 5, "noise_dim": 32, "channels": 128, "batch": 10, "critic_steps": 5, "learning_rate": 1e-4,
        "info_learning_rate": 1e-4, "beta1": 0.5, "beta2": 0.9, "lambda_gradient": 10.0, "lambda_info": 1.0,
        "lambda_real": 0.0, "info_steps": 1, "standardize": False, "anneal": False, "augment": "flips",
    }  # fmt: skip
    assert {name: getattr(config, name) for name in published} == published


def test_model_and_progress_tell_of_the_training() -> None:
    patches, _ = cells()
    seen: list[tuple[int, int, dict[str, float]]] = []
    model = train(patches, TINY, seed=5, device="cpu", patch_mpp=0.25, progress=lambda *event: seen.append(event))
    assert [(step, total) for step, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert all(set(losses) == set(METRICS) for _, _, losses in seen)
    assert (model.config, model.patch_px, model.patch_mpp) == (TINY, 16, 0.25)
    facts = model.facts
    assert (facts["cells"], facts["seed"], facts["device"]) == (60, 5, "cpu")
    assert [point["step"] for point in facts["curve"]] == [1, 2, 3]
    counts = np.bincount(label(model, patches, device="cpu", threads=1)[0], minlength=3)
    assert facts["shares"] == (counts / 60).tolist()
    assert facts["shares"] == sorted(facts["shares"], reverse=True)
    assert bool(facts["warnings"]) == (min(counts) == 0)


def test_long_trainings_report_at_most_a_hundred_times() -> None:
    config = dataclasses.replace(PAPER, channels=4, batch=2, critic_steps=1, steps=120)
    seen: list[int] = []
    patches = cells(size=8)[0]
    model = train(patches, config, seed=0, device="cpu", patch_mpp=0.5, progress=lambda step, *_: seen.append(step))
    assert seen == list(range(2, 121, 2))
    assert len(model.facts["curve"]) == 60


def test_reordering_classes_goes_for_q_and_g_alike() -> None:
    model = train(cells()[0], TINY, seed=0, device="cpu", patch_mpp=0.5)
    order = torch.tensor([2, 0, 1])
    other = dataclasses.replace(model, tensors=_reordered(model, order))
    noise, one_hot = torch.randn(3, 4), F.one_hot(torch.arange(3), 3).float()
    with torch.no_grad():
        patches = model.generator()(noise, one_hot)
        torch.testing.assert_close(other.generator()(noise, one_hot), model.generator()(noise, one_hot[order]))
        torch.testing.assert_close(other.critic().log_classes(patches), model.critic().log_classes(patches)[:, order])


def described(kind: np.ndarray) -> Described:
    """Descriptions in which the three kinds of `cells` lie apart."""
    values = np.random.default_rng(0).normal(size=(len(kind), len(DESCRIPTION))) * 0.3
    return Described(
        values + 2.0 * np.eye(3, len(DESCRIPTION)).repeat(8, 1)[kind, : len(DESCRIPTION)], np.full((len(kind), 2), -1)
    )


def test_q_begins_with_what_descriptions_say() -> None:
    """Three steps teach a patch next to nothing; with descriptions Q is right already, and keeps being so."""
    patches, kind = cells(90)
    config = dataclasses.replace(TINY, describe=True, lambda_teach=1.0)
    about = described(kind)
    model = train(patches, config, seed=0, device="cpu", patch_mpp=0.5, described=about)
    classes, _ = label(model, patches, device="cpu", threads=1, described=about.values)
    table = np.histogram2d(kind, classes, bins=(np.arange(4), np.arange(4)))[0]
    assert table.max(0).sum() / len(kind) > 0.95
    assert np.bincount(classes, minlength=3).tolist() == sorted(np.bincount(kind).tolist(), reverse=True)
    assert model.facts["shares"] == (np.bincount(classes, minlength=3) / len(kind)).tolist()
    order = torch.tensor([2, 0, 1])
    other = dataclasses.replace(model, tensors=_reordered(model, order))
    turned, _ = label(other, patches, device="cpu", threads=1, described=about.values)
    np.testing.assert_array_equal(order.numpy()[turned], classes)
    with pytest.raises(TrainingError, match="not given for every cell"):
        train(patches, config, seed=0, device="cpu", patch_mpp=0.5)


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        (cells(7)[0], r"7 cells, a training needs at least 8 \(twice gan.batch\): add slides"),
        (cells(60, 12)[0], "12 px a side, which is no multiple of 8"),
        (np.zeros((0, 16, 16, 3), np.uint8), "0 cells"),
        (np.zeros((20, 16, 16, 3), np.float32), "give uint8"),
        (np.zeros((20, 16, 24, 3), np.uint8), "square RGB patches"),
        (np.full((20, 16, 16, 3), 255, np.uint8), "all patches are the same"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(patches: np.ndarray, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(patches, TINY, seed=0, device="cpu", patch_mpp=0.5)


def test_estimate_grows_with_the_steps() -> None:
    short = estimate_seconds(TINY, 16, "cpu")
    long = estimate_seconds(dataclasses.replace(TINY, steps=3000), 16, "cpu")
    assert 0 < 50 * short < long


def test_real_cells_teach_q_their_kinds() -> None:
    """Three kinds of cell, 3:2:1, in under a hundred steps of a network with 16 channels, no label seen.

    So short a training finds all three from most starts, not from each.
    """
    patches, kind = cells(300)
    config = dataclasses.replace(TINY, steps=80, batch=8, real_batch=64, info_learning_rate=1e-3)
    model = train(patches, config, seed=2, device="cpu", patch_mpp=0.5)
    fresh, fresh_kind = cells(300, seed=1)
    for images, truth in ((patches, kind), (fresh, fresh_kind)):
        classes, _ = label(model, images, device="cpu", threads=1)
        table = np.histogram2d(truth, classes, bins=(np.arange(4), np.arange(4)))[0]
        assert table.max(0).sum() / len(images) > 0.9
    assert model.facts["warnings"] == []


def test_a_training_may_follow_a_labelling() -> None:
    """What labelling keeps for the next time is no tensor of inference mode, which no training could use."""
    centre_window.cache_clear()
    config = dataclasses.replace(TINY, pooling="centre", steps=1)
    with torch.inference_mode():
        Critic(config).log_classes(torch.zeros(1, 3, 16, 16))
    train(cells()[0], config, seed=0, device="cpu", patch_mpp=0.5)


@pytest.mark.gpu
def test_training_on_cuda_repeats() -> None:
    models = [train(cells()[0], TINY, seed=1, device="cuda", patch_mpp=0.5) for _ in range(2)]
    assert models[0].hash == models[1].hash

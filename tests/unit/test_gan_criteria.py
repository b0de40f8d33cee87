"""Criteria without labels: high where classes are real, low where they are noise."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.unit.test_gan_train import TINY, cells
from wsipipe.gan.averages import Averages
from wsipipe.gan.best import Best, kept_aside
from wsipipe.gan.criteria import criteria
from wsipipe.gan.mixture import Described
from wsipipe.gan.train import train
from wsipipe.records import DESCRIPTION


def test_trained_classes_are_judged_better_than_those_of_a_scrambled_head() -> None:
    patches, kind = cells(240)
    rows = np.argsort(kind, kind="stable")  # kinds lie together in the tissue
    patches, kind = patches[rows], kind[rows]
    near = np.arange(240)[:, None] + np.array([-1, 1])
    values = np.random.default_rng(0).normal(size=(240, len(DESCRIPTION))) + 4.0 * kind[:, None]
    described = Described(values, np.where((near >= 0) & (near < 240), near, -1))
    config = dataclasses.replace(
        TINY, steps=40, batch=8, real_batch=64, info_learning_rate=1e-3, lambda_teach=1.0, lambda_measure=1.0,
        coherence=0.5, learned_prior=True, average=0.9, pooling="centre",
    )  # fmt: skip
    model = train(patches, config, seed=0, device="cpu", patch_mpp=0.5, described=described)
    found = criteria(model, patches, described)
    assert set(found) == {"information", "agreement", "coherence", "separation"}
    assert all(0.0 <= value <= 1.0 for value in found.values())
    assert found["agreement"] > 0.8
    assert found["separation"] > 0.4
    weight = model.tensors["critic.q_head.weight"]
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * weight.std()
    broken = dataclasses.replace(model, tensors={**model.tensors, "critic.q_head.weight": noise})
    worse = criteria(broken, patches, described)
    assert worse["separation"] < found["separation"]
    assert worse["information"] < found["information"]


def test_averages_follow_the_weights_and_forget_the_start() -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(net.weight, 0.0)
    averages = Averages([net], decay=0.9)
    for step in range(1, 200):
        torch.nn.init.constant_(net.weight, 1.0 if step < 150 else 2.0)
        averages.update(step)
    averages.copy_into()
    assert 1.98 < float(net.weight.item()) < 2.0


def test_the_moment_is_kept_at_which_patch_and_description_agree_most() -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    averages = Averages([net], decay=0.5)
    best = Best(net, "cpu")
    for step, (weight, agreed) in enumerate([(1.0, 0.2), (2.0, 0.7), (3.0, 0.7), (4.0, 0.5)], 1):
        torch.nn.init.constant_(net.weight, weight)
        averages.update(step)
        best.offer(torch.tensor(agreed), step, averages)
        if step == 2:
            wanted = float(averages.means[0])
    best.copy_into()
    assert (int(best.step), float(net.weight.detach())) == (2, wanted)
    assert float(best.agreement) == pytest.approx(0.7)


def test_cells_aside_are_never_drawn_and_judge_the_averaged_weights() -> None:
    patches, kind = cells(240)
    values = np.random.default_rng(0).normal(size=(240, len(DESCRIPTION))) + 4.0 * kind[:, None]
    about = Described(values, np.full((240, 2), -1))
    config = dataclasses.replace(
        TINY, steps=30, batch=8, real_batch=64, info_learning_rate=1e-3, lambda_teach=1.0, describe=True, average=0.9,
        checks=5,
    )  # fmt: skip
    aside, others = kept_aside(240, 3)
    assert (len(aside), len(others)) == (24, 216)
    assert set(aside.tolist()) | set(others.tolist()) == set(range(240))
    scrambled = patches.copy()
    scrambled[aside.numpy()] = 255 - scrambled[aside.numpy()]
    models = [train(p, config, seed=3, device="cpu", patch_mpp=0.5, described=about) for p in (patches, scrambled)]
    assert models[0].facts["kept"]["agreement"] > 0.9 > models[1].facts["kept"]["agreement"]
    assert models[0].facts["kept"]["step"] in range(6, 31, 6)
    last = [model.facts["curve"][-1] for model in models]
    assert last[0] == last[1], "what is kept aside takes no part in the training"

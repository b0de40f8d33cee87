"""Criteria without labels: high where classes are real, low where they are noise."""

import dataclasses

import numpy as np
import torch

from tests.unit.test_gan_train import TINY, cells
from wsipipe.gan.averages import Averages
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

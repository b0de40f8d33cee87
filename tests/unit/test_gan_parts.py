"""Batches in parts: the gradients of the whole, the same bits with any number of threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.config import GanConfig
from wsipipe.gan.nets import Critic
from wsipipe.gan.parts import PARTS, Features, Workers, add_up, workers


@given(st.integers(0, 1000))
def test_parts_cover_a_batch_once_and_evenly(count: int) -> None:
    bounds = Workers("cpu", None).bounds(count)
    assert [row for rows in bounds for row in range(count)[rows]] == list(range(count))
    lengths = [rows.stop - rows.start for rows in bounds]
    assert len(bounds) <= PARTS
    assert max(lengths) - min(lengths) <= 1
    assert Workers("cuda", None).bounds(count) == [slice(0, count)]


def test_results_come_in_order_from_several_threads() -> None:
    barrier = threading.Barrier(2, timeout=30)

    def task(i: int) -> int:
        if i < 2:
            barrier.wait()  # passed only by two tasks at a time
        return 10 * i

    with workers("cpu") as threads:
        alone = threads.map(lambda i: 10 * i, [3])
        assert alone == [30]
    with ThreadPoolExecutor(2) as pool:
        assert Workers("cpu", pool).map(task, range(5)) == [0, 10, 20, 30, 40]


def test_threads_compute_alone_and_settings_come_back() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with workers("cpu") as threads:
            assert threads.map(lambda _: torch.get_num_threads(), range(4)) == [1] * 4
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 10, 70])
def test_features_in_parts_have_the_gradients_of_the_whole(count: int) -> None:
    torch.manual_seed(0)
    critic = Critic(GanConfig(channels=4))
    trunk = list(critic.trunk.parameters())
    patches = torch.randn(count, 3, 8, 8, requires_grad=True)
    target = torch.randn(count, 4)
    wanted = torch.autograd.grad((critic.features(patches) - target).square().sum(), (patches, *trunk))
    with workers("cpu") as threads:
        features = Features(threads, critic.features, patches)
        (of_features,) = torch.autograd.grad((features.joined - target).square().sum(), features.joined)
        of_patches, of_trunk = features.gradients(of_features, trunk)
    assert of_patches is not None
    for ours, whole in zip((of_patches, *of_trunk), wanted, strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-4, atol=1e-4)


def test_one_thread_and_four_give_the_same_bits() -> None:
    torch.manual_seed(0)
    critic = Critic(GanConfig(channels=16))
    trunk = list(critic.trunk.parameters())
    patches = torch.randn(70, 3, 16, 16)
    answers = []
    for count in (1, 4):
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            features = Features(Workers("cpu", pool), critic.features, patches)
            of_patches, of_trunk = features.gradients(torch.ones_like(features.joined), trunk)
        assert of_patches is None
        answers.append((features.joined, *of_trunk))
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def test_sums_are_added_in_order() -> None:
    parts = [[torch.tensor(1e8), torch.tensor(1.0)], [torch.tensor(1.0)] * 2, [torch.tensor(-1e8), torch.tensor(0.0)]]
    assert [t.item() for t in add_up(parts)] == [0.0, 2.0]

"""Each loss against values worked out by hand, the penalty against critics whose gradient is known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wsipipe.config import GanConfig
from wsipipe.gan.losses import critic_loss, generator_loss, gradient_penalty, info_loss, real_info_loss
from wsipipe.gan.nets import Critic


def test_critic_loss_by_hand() -> None:
    assert critic_loss(torch.tensor([1.0, 3.0]), torch.tensor([0.5, -1.5])).item() == -0.5 - 2.0


def test_generator_loss_by_hand() -> None:
    assert generator_loss(torch.tensor([0.5, -1.5, 4.0])).item() == -1.0


def test_info_loss_by_hand() -> None:
    answers = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]).log()
    wanted = -(math.log(0.25) + math.log(0.8)) / 2
    assert info_loss(answers, torch.tensor([1, 2])).item() == pytest.approx(wanted, abs=1e-6)


def test_real_info_loss_by_hand() -> None:
    """Joint [[.4, .1], [.1, .4]] with equal marginals: I = 2 * .4 ln 1.6 + 2 * .1 ln .4."""
    view_a = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log()
    view_b = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).log()
    wanted = 0.8 * math.log(1.6) + 0.2 * math.log(0.4)
    assert real_info_loss(view_a, view_b).item() == pytest.approx(-wanted, abs=1e-6)


@pytest.mark.parametrize("k", [2, 5, 8])
def test_real_info_is_ln_k_at_best_and_nothing_when_collapsed(k: int) -> None:
    certain = torch.eye(k).clamp_min(1e-30).log()
    assert real_info_loss(certain, certain).item() == pytest.approx(-math.log(k), abs=1e-5)
    collapsed = certain[:1].expand(k, k)
    assert real_info_loss(collapsed, collapsed).item() == pytest.approx(0.0, abs=1e-5)
    unsure = torch.full((k, k), 1.0 / k).log()
    assert real_info_loss(unsure, unsure).item() == pytest.approx(0.0, abs=1e-5)


def test_more_spread_rewards_equal_shares_more() -> None:
    uneven = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]]).clamp_min(1e-30).log()
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert real_info_loss(uneven, uneven).item() == pytest.approx(-entropy, abs=1e-5)
    assert real_info_loss(uneven, uneven, spread=1.5).item() == pytest.approx(-2.0 * entropy, abs=1e-5)


@given(st.integers(2, 6), st.integers(1, 20), st.integers(0, 1000))
def test_real_info_is_mutual_information(k: int, n: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.log_softmax(3 * torch.randn(n, k, generator=random, dtype=torch.float64), 1) for _ in range(2))
    joint = sum(torch.outer(p, q) + torch.outer(q, p) for p, q in zip(a.exp(), b.exp(), strict=True)) / (2 * n)
    wanted = (joint * (joint / torch.outer(joint.sum(1), joint.sum(0))).log()).sum()
    torch.testing.assert_close(real_info_loss(a, b), -wanted, atol=1e-9, rtol=0)
    assert real_info_loss(a, b) <= 1e-9
    torch.testing.assert_close(real_info_loss(a, b), real_info_loss(b, a))


def test_real_info_has_finite_gradients_at_certainty() -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    answers = torch.log_softmax(logits, 1)
    real_info_loss(answers, answers).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_penalty_of_a_linear_critic() -> None:
    """D(x) = w.x has gradient w everywhere: penalty (|w| - 1)^2, and its gradient 2 (|w| - 1) w / |w|."""
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty = gradient_penalty(lambda x: x @ weight, torch.randn(7, 2), torch.randn(7, 2), torch.rand(7))
    assert penalty.item() == pytest.approx(16.0, rel=1e-6)
    penalty.backward()
    torch.testing.assert_close(weight.grad, 8.0 * torch.tensor([0.6, 0.8]))


def test_penalty_is_taken_on_the_lines() -> None:
    """D(x) = a |x|^2 / 2 has gradient a x: at mix 1 that is the real end, at 0 the generated one."""
    scale = torch.tensor(2.0, requires_grad=True)
    real, fake = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 2.0]])

    def score(x: Tensor) -> Tensor:
        return scale * x.square().sum(1) / 2

    at_real = gradient_penalty(score, real, fake, torch.ones(2))
    assert at_real.item() == pytest.approx(((10.0 - 1) ** 2 + (2.0 - 1) ** 2) / 2)
    assert gradient_penalty(score, real, fake, torch.zeros(2)).item() == pytest.approx((1.0 + 9.0) / 2)
    middle = gradient_penalty(score, real, fake, torch.tensor([0.5, 0.5]))
    norms = [2 * math.hypot(1.5, 2.5), 2 * math.hypot(0.5, 1.0)]
    assert middle.item() == pytest.approx(sum((n - 1) ** 2 for n in norms) / 2)
    at_real.backward()
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx((2 * 9 * 5 + 2 * 1 * 1) / 2)


def test_penalty_of_a_dead_critic_has_a_finite_gradient() -> None:
    weight = torch.zeros(2, requires_grad=True)
    penalty = gradient_penalty(lambda x: x @ weight, torch.randn(3, 2), torch.randn(3, 2), torch.rand(3))
    penalty.backward()
    assert penalty.item() == 1.0
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_double_backward_through_the_critic_agrees_with_differences() -> None:
    torch.manual_seed(0)
    critic = Critic(GanConfig(channels=4)).double()
    real, fake = torch.rand(2, 3, 8, 8, dtype=torch.float64), torch.rand(2, 3, 8, 8, dtype=torch.float64)
    mix = torch.tensor([0.3, 0.8], dtype=torch.float64)
    parameter = critic.trunk[0].conv2.weight
    (gradient,) = torch.autograd.grad(gradient_penalty(critic.score, real, fake, mix), parameter)
    step = 1e-6
    for index in ((0, 0, 0, 0), (1, 2, 1, 1), (3, 3, 2, 0)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[index] += sign * step
            values.append(gradient_penalty(critic.score, real, fake, mix).item())
            with torch.no_grad():
                parameter[index] -= sign * step
        assert gradient[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_generated_patches_get_no_gradient_from_the_critics_step() -> None:
    fake = torch.randn(3, 2, requires_grad=True)
    weight = torch.ones(2, requires_grad=True)
    gradient_penalty(lambda x: x @ weight, torch.randn(3, 2), fake, torch.rand(3)).backward()
    assert fake.grad is None

"""The critic for answers gives the answers of the one that was trained."""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.config import GanConfig
from wsipipe.gan import device, nets
from wsipipe.gan.folded import folded
from wsipipe.gan.nets import Critic
from wsipipe.gan.standardize import standardize_trunk


def plain_pooled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The paper's two steps."""
    return F.avg_pool2d(F.conv2d(x, conv.weight, conv.bias, padding=1), 2)


@pytest.fixture(scope="module")
def patches() -> Tensor:
    return torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def trained_like(patches: Tensor, channels: int = 24) -> Critic:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = Critic(GanConfig(channels=channels, classes=4))
    standardize_trunk(critic, patches)
    return critic.eval()


def plain_answers(critic: Critic, patches: Tensor) -> Tensor:
    with mock.patch.object(nets, "pooled_conv3x3", plain_pooled), torch.no_grad():
        return critic.log_classes(patches)


@pytest.mark.parametrize("channels", [5, 24, 64])
def test_folded_answers_are_the_papers_within_float_error(patches: Tensor, channels: int) -> None:
    critic = trained_like(patches, channels)
    torch.testing.assert_close(folded(critic).log_classes(patches), plain_answers(critic, patches), rtol=0, atol=2e-5)


def test_folding_is_exact_in_double_precision(patches: Tensor) -> None:
    critic, fast = trained_like(patches), folded(trained_like(patches))
    block, plain = fast.trunk[1].double(), critic.trunk[0].double()
    torch.testing.assert_close(
        block.conv2(patches[:, :1].double().expand(-1, 24, -1, -1)),
        plain_pooled(patches[:, :1].double().expand(-1, 24, -1, -1), plain.conv2),
        rtol=0,
        atol=2e-6,  # kernels were folded in float32
    )


def test_bfloat16_answers_are_near_and_heads_stay_float32(patches: Tensor) -> None:
    critic = trained_like(patches)
    fast = folded(critic, torch.bfloat16)
    answers, wanted = fast.log_classes(patches).exp(), plain_answers(critic, patches).exp()
    assert answers.dtype == torch.float32
    assert fast.trunk[1].conv2.weight.dtype == torch.bfloat16
    assert fast.q_head.weight.dtype == torch.float32
    torch.testing.assert_close(answers, wanted, rtol=0, atol=0.02)


def test_the_trained_critic_stays_as_it_is(patches: Tensor) -> None:
    critic = trained_like(patches)
    before = {name: tensor.clone() for name, tensor in critic.state_dict().items()}
    kept = patches.clone()
    folded(critic, torch.bfloat16).log_classes(patches)
    assert critic.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in critic.state_dict().items())
    assert all(parameter.requires_grad for parameter in critic.parameters())
    assert torch.equal(patches, kept)


@pytest.mark.parametrize(
    ("abilities", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"bf16": True, "architecture": "aarch64"}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_bfloat16_only_where_the_processor_has_it(
    abilities: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities, raising=False)
    assert device.fast_dtype("cpu") == dtype


def test_a_pytorch_that_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert device.fast_dtype("cpu") == torch.float32

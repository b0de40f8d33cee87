"""The gradient penalty's second derivatives: PyTorch's numbers, by operations that GPUs are fast at."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tests.tape import Listener
from wsipipe.config import load_recipe
from wsipipe.gan.losses import gradient_penalty
from wsipipe.gan.nets import Critic
from wsipipe.gan.piecewise import Piecewise
from wsipipe.gan.start import initialised

LARGEST_KERNEL = 4


def critic_of(recipe: str) -> Critic:
    config = dataclasses.replace(load_recipe(recipe).gan, channels=8)
    return initialised(config, 16, seed=0)[1].double()


def asked(critic: Critic, device: str = "cpu") -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """The penalty, and its gradients in the weights."""
    random = torch.Generator().manual_seed(0)
    ends = torch.randn(2, 5, 3, 16, 16, generator=random, dtype=torch.float64)
    real, fake = (end.to(device, memory_format=torch.channels_last) for end in ends)
    mix = torch.rand(5, generator=random, dtype=torch.float64).to(device)
    penalty = gradient_penalty(critic.score, real, fake, mix)
    weights = [*critic.trunk.parameters(), *critic.d_head.parameters()]
    return penalty, list(torch.autograd.grad(penalty, weights, allow_unused=True))


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_numbers_are_pytorchs(recipe: str) -> None:
    critic = critic_of(recipe)
    wanted, wanted_gradients = asked(critic)
    with Piecewise():
        found, gradients = asked(critic)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0.0)
    assert sum(gradient is not None for gradient in gradients) == len(gradients) // 2, "weights"
    for one, other in zip(gradients, wanted_gradients, strict=True):
        if one is None:  # of a bias, which the penalty does not depend on
            assert other is None or not other.any()
        else:
            assert other is not None
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-15)


def test_nothing_is_computed_in_vain_and_no_kernel_is_as_large_as_a_map() -> None:
    """No pass back through the network with zeros: weights are differentiated once."""
    critic = critic_of("default").to("meta")
    with Listener() as plain:
        asked(critic, "meta")
    with Listener() as listener, Piecewise():
        asked(critic, "meta")
    kernels = {
        max(o.args[1].shape[2:]) for o in listener.operations if o.function is torch.ops.aten.convolution.default
    }
    assert max(kernels) <= LARGEST_KERNEL
    assert len(listener.operations) < 0.8 * len(plain.operations)
    assert not any(operation.waits for operation in listener.operations)
    back = [o for o in listener.operations if o.function is torch.ops.aten.convolution_backward.default]
    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in critic.trunk.modules())
    assert [o.args[-1] for o in back] == [[False, True, False]] * convolutions


def test_what_is_no_number_stays_so() -> None:
    with Piecewise():
        assert F.relu(torch.tensor([-1.0, 2.0, torch.nan])).nan_to_num(7.0).tolist() == [0.0, 2.0, 7.0]


def test_other_convolutions_are_refused() -> None:
    x, weight = torch.zeros(1, 2, 8, 8), torch.zeros(2, 1, 3, 3)
    with Piecewise(), pytest.raises(NotImplementedError):
        F.conv2d(x, weight, groups=2)

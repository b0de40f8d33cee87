"""Weights that a training starts from."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wsipipe.config import GanConfig
from wsipipe.gan.nets import Critic, Generator


def initialised(config: GanConfig, patch_px: int, seed: int) -> tuple[Generator, Critic]:
    """Networks with He's normal weights (ICCV 2015) and zero biases; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        generator, critic = Generator(config, patch_px), Critic(config)
    random = torch.Generator().manual_seed(seed)
    for module in (*generator.modules(), *critic.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=random)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        generator.linear.weight[:, config.noise_dim :].mul_(config.class_scale)
    return generator, critic


@torch.no_grad()
def copy_start(start: Mapping[str, Tensor], generator: Generator) -> None:
    """Let G begin as another model's, which draws cells already; its inputs for classes stay as they are.

    D and Q begin anew: those of another model hold on to the kinds that it was trained on.
    """
    for name, tensor in generator.state_dict().items():
        there = start[f"generator.{name}"]
        if name == "linear.weight":
            tensor[:, : generator.noise_dim] = there[:, : generator.noise_dim]
        else:
            tensor.copy_(there)

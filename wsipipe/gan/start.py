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
    return generator, critic


@torch.no_grad()
def copy_start(start: Mapping[str, Tensor], generator: Generator, critic: Critic) -> None:
    """Weights of another model for all that does not depend on its classes: they may be other ones here."""
    for prefix, net in (("generator.", generator), ("critic.", critic)):
        for name, tensor in net.state_dict().items():
            if name.split(".")[0] in {"q_head", "m_head"}:
                continue
            there = start[prefix + name]
            if name == "linear.weight" and there.shape != tensor.shape:  # another number of classes
                noise = generator.linear.in_features - critic.q_head.out_features
                tensor[:, :noise] = there[:, :noise]
            else:
                tensor.copy_(there)

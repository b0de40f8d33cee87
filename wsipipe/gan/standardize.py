"""What lets a trunk without batch norm learn from real cells quickly, and leaves no trace in the finished networks.

Real patches are alike: bright, pink and blue. With He's weights alone nearly the same activations answer every one of
them, Q gives all cells one class, and the gradient that would spread them is too small to see.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.gan.nets import Critic, DownBlock, ResidualBlock, pooled_conv3x3

MOMENTUM = 0.1
EPSILON = 1e-5


@torch.no_grad()
def standardize_trunk(critic: Critic, patches: Tensor) -> None:
    """Scale and shift every convolution so that its channels have mean 0 and deviation 1 over `patches`.

    Data-dependent initialization of Salimans and Kingma (NeurIPS 2016), layer by layer from the input.

    Parameters
    ----------
    critic : Critic
        Changed in place.
    patches : Tensor (n, 3, s, s)
        Real patches in [-1, 1].
    """
    hidden = patches
    for module in critic.trunk:
        block = cast("DownBlock | ResidualBlock", module)
        start = F.relu(hidden) if not isinstance(block, DownBlock) or block.leading_relu else hidden
        _standardize(block.conv1, block.conv1(start))
        middle = F.relu(block.conv1(start))
        if isinstance(block, DownBlock):
            _standardize(block.conv2, pooled_conv3x3(middle, block.conv2))
            _standardize(block.shortcut, block.shortcut(F.avg_pool2d(hidden, 2)))
        else:
            _standardize(block.conv2, block.conv2(middle))
        hidden = block(hidden)


class FeatureNorm:
    """Standardizes the trunk's features for Q by their statistics over real cells; no parameters of its own."""

    def __init__(self, width: int, device: str) -> None:
        self.mean, self.variance = torch.zeros(width, device=device), torch.ones(width, device=device)

    def of_real(self, features: Tensor) -> Tensor:
        """Standardize features (n, width) of real cells by their own statistics, and remember these."""
        return F.batch_norm(features, self.mean, self.variance, training=True, momentum=MOMENTUM, eps=EPSILON)

    def of_generated(self, features: Tensor) -> Tensor:
        """Standardize features (n, width) of generated cells by what is remembered of real ones."""
        return F.batch_norm(features, self.mean, self.variance, eps=EPSILON)

    @torch.no_grad()
    def fold_into(self, head: nn.Linear, features: Tensor) -> None:
        """Make `head` do what standardizing by the statistics of `features` (n, width) and then `head` did."""
        variance, mean = torch.var_mean(features, 0)
        head.weight.mul_((variance + EPSILON).rsqrt())
        head.bias.sub_(head.weight @ mean)


def _standardize(conv: nn.Conv2d, output: Tensor) -> None:
    variance, mean = torch.var_mean(output, (0, 2, 3))
    scale = (variance + EPSILON).rsqrt()
    conv.weight.mul_(scale.view(-1, 1, 1, 1))
    if conv.bias is not None:
        conv.bias.sub_(mean).mul_(scale)

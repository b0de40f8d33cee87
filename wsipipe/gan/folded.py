"""The critic rebuilt for answers only: convolutions folded once, in the number format that is fastest there."""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.gan.nets import Critic, DownBlock, ResidualBlock, pooled_kernel

WIDE = 64
"""From this many channels on a CPU's products cost more than the pass over memory that saves them. Not a GPU's: of 2048
patches at 128 channels it saves 120 GFLOP and moves 1.1 GB more, which takes such chips as long at best."""


def folded(critic: Critic, dtype: torch.dtype = torch.float32) -> Critic:
    """A critic that gives the same answers faster; it cannot be trained.

    A 3x3 convolution before 2x2 mean pooling becomes one 4x4 convolution of stride 2, whose kernel is computed once
    (exact: see `nets.pooled_kernel`), or in wide networks on a CPU the mean over 2x2 and then a 3x3 convolution of
    stride 2 (exact as well: both are sums of shifted inputs, whose order does not matter; 9 products instead of 16, one
    more pass over memory). ReLUs write over their input; weights lie channels-last in memory, as patches do. The trunk
    computes in `dtype`, features and heads in float32.

    Parameters
    ----------
    critic : Critic
        Left as it is.
    dtype : {torch.float32, torch.bfloat16}
    """
    fast = copy.deepcopy(critic).requires_grad_(requires_grad=False)
    blocks = [
        _DownBlock(block) if isinstance(block, DownBlock) else _ResidualBlock(cast("ResidualBlock", block))
        for block in fast.trunk
    ]
    fast.trunk = nn.Sequential(_Cast(dtype), *(block.to(dtype) for block in blocks), _Cast(torch.float32))
    return cast("Critic", fast.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


class _DownBlock(nn.Module):
    """`nets.DownBlock`, its second convolution and the pooling in one."""

    def __init__(self, block: DownBlock) -> None:
        super().__init__()
        self.leading_relu, self.conv1, self.shortcut = block.leading_relu, block.conv1, block.shortcut
        width_in, width_out = block.conv2.in_channels, block.conv2.out_channels
        self.mean_first = width_in >= WIDE and block.conv2.weight.device.type == "cpu"
        kernel = block.conv2.weight if self.mean_first else pooled_kernel(block.conv2.weight)
        side, padding = kernel.shape[-1], 0 if self.mean_first else 1
        # no weights are drawn: the global random state is left alone
        self.conv2 = nn.Conv2d(width_in, width_out, side, stride=2, padding=padding, device="meta")
        self.conv2.weight = nn.Parameter(kernel, requires_grad=False)
        self.conv2.bias = block.conv2.bias

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(F.avg_pool2d(x, 2))
        hidden = F.relu_(self.conv1(F.relu(x) if self.leading_relu else x))
        if self.mean_first:
            hidden = F.avg_pool2d(hidden, 2, stride=1, padding=1)
        out: Tensor = self.conv2(hidden)
        return out.add_(shortcut)


class _ResidualBlock(nn.Module):
    """`nets.ResidualBlock`, adding in place."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = block.conv1, block.conv2

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(F.relu_(self.conv1(F.relu(x))))
        return out.add_(x)

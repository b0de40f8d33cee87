"""The critic rebuilt for answers in whole numbers of 8 bits, which some processors multiply four times as fast."""

import copy
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.gan.folded import folded
from wsipipe.gan.nets import Critic, DownBlock, ResidualBlock

FULL = 255
"""The largest value of 8 bits. What comes to it may have been cut off."""

MOST = 126
"""The largest weight in whole steps: 127, less the one that `rounded` may add."""

CONTRAST, HEADROOM = 4.0, 1.25
"""Before the largest values are looked for, contrast in `drawn` is multiplied, pixels cut to what they can be; and how
far values may exceed them still. (Values in some tissues were 3.8 times the largest in what G drew.)"""

_AnyBlock = DownBlock | ResidualBlock


@torch.no_grad()
def quantized(critic: Critic, drawn: Tensor) -> Critic:
    """A critic that gives nearly the same answers much faster, or says that it cannot; it cannot be trained.

    Every 3x3 convolution of the trunk multiplies weights of 8 bits (one scale per output channel) with inputs of 8 bits
    (one scale for all; pixels have 8 bits anyway, the others are not negative, being ReLUs'), and its sums are exact.
    Scales are fixed once, by the largest values that `drawn` gives: static quantization (Jacob et al., CVPR 2018, arXiv
    1712.05877). Mean pooling comes before a 3x3 convolution of stride 2, as in `folded`. What is added up from block to
    block, shortcuts, features and heads are float32.
    Where a value is too large for its scale, all answers for that patch are NaN: ask another critic.

    Parameters
    ----------
    critic : Critic
        Left as it is.
    drawn : float32 Tensor (n, 3, s, s)
        Patches in [-1, 1] that show what values are to be expected.
    """
    fast = copy.deepcopy(critic).requires_grad_(requires_grad=False)
    vivid = drawn.mul(CONTRAST).clamp_(-1.0, 1.0)
    blocks = zip(fast.trunk, _largest(critic, vivid), strict=True)
    fast.trunk = nn.Sequential(_Trunk([_Block(cast("_AnyBlock", block), *largest) for block, largest in blocks]))
    return fast


def _largest(critic: Critic, patches: Tensor) -> list[tuple[float, float]]:
    """Of every block: the largest value that goes into its first convolution, and that comes out of it."""
    net = folded(critic)
    found: list[tuple[float, float]] = []

    def see(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        found.append((float(given[0].max()), float(out.max())))

    for block in list(net.trunk)[1:-1]:
        cast("nn.Conv2d", block.conv1).register_forward_hook(see)
    net.features(patches)
    return found


def rounded(weight: Tensor) -> Tensor:
    """Whole numbers near weights (o, i, h, w), with each kernel's sum as near as whole numbers come.

    Neighbouring values of a map are alike, so what counts most of a kernel's rounding errors is their sum. The weights
    that rounding changed most are rounded the other way, as many as make up for it.
    """
    kernels = weight.flatten(2)
    nearest = kernels.round()
    errors = kernels - nearest
    missing = errors.sum(2, keepdim=True).round()
    place = errors.argsort(dim=2, stable=True).argsort(2)
    nearest += (place >= place.shape[2] - missing).to(nearest.dtype)
    nearest -= (place < -missing).to(nearest.dtype)
    return nearest.view_as(weight)


class _Scale(NamedTuple):
    """Whole numbers from 0 to 255 for values `x`: `x / step + zero - offset / step`, cut."""

    step: float
    zero: int = 0
    offset: float = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        # by way of signed bytes, to which PyTorch converts several times as fast
        least = torch.tensor(self.zero - self.offset / self.step - 128.0)
        signed = torch.add(least, x, alpha=1.0 / self.step).round_().clamp_(-128.0, 127.0).to(torch.int8)
        return signed.view(torch.uint8).bitwise_xor_(128)


_PIXELS = _Scale(1.0 / 127.5, zero=128, offset=0.5 / 127.5)
"""Pixels as they were before `augment.to_unit`."""

_WHOLE = _Scale(1.0)


def _up_to(largest: float) -> _Scale:
    return _Scale(max(largest, 1e-6) * HEADROOM / FULL)


class _Trunk(nn.Module):
    """float32 (n, 3, s, s) to (n, c, s/4, s/4), NaN for every patch of which a value was too large."""

    def __init__(self, blocks: list["_Block"]) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        largest = []
        for block in self.blocks:
            x, within = block(x)
            largest += within
        full = torch.stack(largest).amax(0) == FULL
        return x.masked_fill_(full.view(-1, 1, 1, 1), torch.nan)


class _Block:
    """`nets.DownBlock` or `nets.ResidualBlock`: its result, and the largest of the whole numbers of each patch."""

    def __init__(self, block: _AnyBlock, entering: float, inside: float) -> None:
        self._down = block if isinstance(block, DownBlock) else None
        self._scale = _PIXELS if self._down is not None and not self._down.leading_relu else _up_to(entering)
        self._inside = _up_to(inside)
        width = block.conv2.in_channels
        self._conv1 = _Convolution(block.conv1.weight, block.conv1.bias, self._scale)
        if self._down is not None:
            self._mean = _mean_of_four(width)
            self._down.shortcut.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        stride, padding = (2, 0) if self._down is not None else (1, 1)
        self._conv2 = _Convolution(block.conv2.weight, block.conv2.bias, self._inside, stride=stride, padding=padding)

    def __call__(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        entered = self._scale(x)
        hidden = self._conv1.relu(entered, self._inside)
        seen = [hidden] if self._scale is _PIXELS else [entered, hidden]
        largest = [maps.amax((1, 2, 3)) for maps in seen]
        if self._down is not None:
            hidden, x = self._mean.relu(hidden, _WHOLE), self._down.shortcut(F.avg_pool2d(x, 2))
        return self._conv2.add(hidden, x), largest


class _Convolution:
    """Of maps in 8 bits with weights in 8 bits, rounded once and laid out for the processor."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        scale: _Scale,
        *,
        most: int = MOST,
        stride: int = 1,
        padding: int = 1,
        groups: int = 1,
    ) -> None:
        steps = weight.abs().amax((1, 2, 3)).div(most).clamp_min(1e-12)
        whole = rounded(weight / steps.view(-1, 1, 1, 1)).to(torch.int8)
        if bias is not None:
            bias = bias + scale.offset * weight.sum((1, 2, 3))
        window = [stride] * 2, [padding] * 2, [1, 1]
        packed = torch.ops.onednn.qconv_prepack(whole, steps, scale.step, scale.zero, *window, groups, None)
        zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._weights = scale.step, scale.zero, packed, steps, zeros
        self._rest = bias, *window, groups

    def relu(self, maps: Tensor, scale: _Scale) -> Tensor:
        """What is positive of it, in 8 bits."""
        result: tuple[Any, ...] = (scale.step, scale.zero, torch.uint8, "relu", [], "")
        return cast("Tensor", torch.ops.onednn.qconv2d_pointwise(maps, *self._weights, *self._rest, *result))

    def add(self, maps: Tensor, to: Tensor) -> Tensor:
        """`to` and it, in float32; writes over `to`."""
        result: tuple[Any, ...] = (1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, "none", [], "")
        added = torch.ops.onednn.qconv2d_pointwise.binary(maps, *self._weights, to, *self._rest, *result)
        return cast("Tensor", added)


def _mean_of_four(width: int) -> _Convolution:
    """Means of 2x2 neighbours, of each channel: powers of two are exact, so that halves go to even numbers."""
    return _Convolution(torch.full((width, 1, 2, 2), 0.25), None, _WHOLE, most=64, groups=width)

"""Second derivatives of networks that are linear between their ReLUs, as the gradient penalty asks for."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight
from torch.overrides import TorchFunctionMode

Window = tuple[Any, Any]
"""Stride and padding."""


class Piecewise(TorchFunctionMode):
    """Within the block a network's gradient in its input, and that gradient's in the weights, cost what they must.

    Such a gradient depends on weights alone: no value of the forward pass is in it, but for the signs that ReLUs see.
    PyTorch does not know that: it goes back through the whole forward pass with zeros, and differentiates a convolution
    twice by one whose kernels are gradients, as large as the maps, for which GPUs have no fast kernels (so do Karras et
    al. say in the code of StyleGAN2-ADA, NeurIPS 2020). Here weights are differentiated as in any training.

    What is computed in the block has no gradient in the weights of convolutions itself; only its gradient in the input
    has. Numbers differ from PyTorch's own in rounding.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Convolutions and ReLUs are replaced, all else is as it was."""
        replacement = {F.relu: _relu, F.conv2d: _conv2d}.get(func, func)
        return replacement(*args, **(kwargs or {}))


def _relu(x: Tensor, *, inplace: bool = False) -> Tensor:  # noqa: ARG001 - a copy is as good
    return x.masked_fill(x <= 0.0, 0.0)  # not a number stays so


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if dilation not in (1, (1, 1)) or groups != 1:
        msg = "a convolution with dilation or groups"
        raise NotImplementedError(msg)
    found: Tensor = _Convolution.apply(x, weight, bias, (stride, padding))  # type: ignore[no-untyped-call]
    return found


class _Convolution(torch.autograd.Function):
    """The sides of its input are those that a stride divides: none is cut off."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.window = window
        return F.conv2d(x, weight, bias, *window)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return _OfInput.apply(gradient, weight, ctx.window), None, None, None  # type: ignore[no-untyped-call]


class _OfInput(torch.autograd.Function):
    """Gradient of a convolution in its input: linear in the gradient of the output, and in the weights."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, window: Window) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.window = window
        return F.conv_transpose2d(gradient, weight, None, *window)

    @staticmethod
    def backward(ctx: Any, of_it: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        of_weight = conv2d_weight(of_it, weight.shape, gradient, *ctx.window)  # type: ignore[no-untyped-call]
        return F.conv2d(of_it, weight, None, *ctx.window), of_weight, None

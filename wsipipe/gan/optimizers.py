"""Adam with learning rates that lie on the device, where recorded steps find what the host last wrote there."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from wsipipe.config import GanConfig


def adam(
    groups: Sequence[tuple[list[nn.Parameter], float]], config: GanConfig, device: str, *, recordable: bool
) -> torch.optim.Adam:
    """Adam on parameters, each group of them with its own rate.

    Parameters
    ----------
    groups : sequence of (list of Parameter, float)
    config : GanConfig
        Has the betas.
    device : str
        Of the parameters.
    recordable : bool
        Whether a CUDA graph will be made of its steps.
    """
    optimizer = torch.optim.Adam(
        [{"params": parameters, "lr": rate} for parameters, rate in groups],
        betas=(config.beta1, config.beta2),
        fused=True,
        capturable=recordable,
    )
    dtype = torch.float64 if device == "cpu" else torch.float32  # as the kernels there read it
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
        group["lr"] = torch.tensor(group["lr"], dtype=dtype, device=device)
    return optimizer


def set_rates(optimizers: Iterable[torch.optim.Adam], share: float) -> None:
    """Let every learning rate be this share of the one it began with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"].fill_(share * group["initial_lr"])


def update(optimizer: torch.optim.Adam, parameters: list[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """One step; parameters without a gradient stay as they are."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else laid_out(gradient, parameter)
    optimizer.step()
    optimizer.zero_grad()


def laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor with its numbers in memory as those of `like`.

    Fused Adam walks through memory. On a CPU it would read a gradient that lies otherwise scrambled; on a GPU it
    refuses one whose strides differ, even those of sides of length 1.
    """
    return tensor if tensor.stride() == like.stride() else torch.empty_like(like, device=tensor.device).copy_(tensor)

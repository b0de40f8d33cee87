"""Running averages of the weights: what the finished model holds swings less than the last step's."""

from collections.abc import Sequence

import torch
from torch import nn


class Averages:
    """Exponential moving averages of every floating-point tensor of some networks (Polyak and Juditsky, 1992).

    Parameters
    ----------
    nets : sequence of Module
    decay : float
        Per update; the first ones decay faster, so that the start is soon forgotten.

    Attributes
    ----------
    means : list of Tensor
        The averages, in the order of the networks' states.
    """

    def __init__(self, nets: Sequence[nn.Module], decay: float) -> None:
        self._tensors = [tensor for net in nets for tensor in net.state_dict().values()]
        self.means = [tensor.clone() for tensor in self._tensors]
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` updates."""
        weight = 1.0 - min(self._decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(self.means, self._tensors, weight)

    @torch.no_grad()
    def copy_into(self) -> None:
        """Put the averages in the networks' place."""
        for tensor, mean in zip(self._tensors, self.means, strict=True):
            tensor.copy_(mean)

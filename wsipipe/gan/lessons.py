"""What real cells teach beside their looks."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lessons:
    """Descriptions of the training cells, and classes that a mixture gives them; row i is the i-th cell.

    Attributes
    ----------
    values : float32 Tensor (n, d)
        Standardized descriptions.
    classes : float32 Tensor (n, k)
        Probabilities of the classes of `coherent_classes`.
    weight, bias : float32 Tensor (k, d), (k,)
        Those classes from a description, as in `Taught`.
    """

    values: Tensor
    classes: Tensor
    weight: Tensor
    bias: Tensor

    def to(self, device: torch.device) -> "Lessons":
        """The same on a device."""
        return Lessons(*(part.to(device) for part in (self.values, self.classes, self.weight, self.bias)))

"""What the generator draws."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from wsipipe.errors import ModelError
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.device import fixed_arithmetic


@torch.inference_mode()
def sample(model: Model, cls: int, n: int, seed: int) -> NDArray[np.uint8]:
    """Draw `n` patches of class `cls`; RGB uint8 (n, s, s, 3), the same for the same seed.

    Raises
    ------
    ModelError
        If the model has no such class.
    """
    if not 0 <= cls < model.config.classes:
        raise ModelError(f"no class {cls}", f"the model has classes 0 to {model.config.classes - 1}")
    noise = torch.randn(n, model.config.noise_dim, generator=torch.Generator().manual_seed(seed))
    one_hot = F.one_hot(torch.full((n,), cls), model.config.classes).float()
    with fixed_arithmetic(1):
        patches = model.generator()(noise, one_hot)
    grey = patches.add_(1.0).mul_(127.5).round_().clamp_(0.0, 255.0)
    return np.ascontiguousarray(grey.to(torch.uint8).permute(0, 2, 3, 1).numpy())

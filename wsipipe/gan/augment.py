"""Random transforms of a batch of real patches that leave the kind of cell as it is."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

STAIN_RGB_OD = ((0.650, 0.704, 0.286), (0.072, 0.990, 0.105), (0.268, 0.570, 0.776))
"""Unit optical-density vectors of haematoxylin, eosin and the rest (Ruifrok and Johnston, 2001)."""

STAIN_JITTER = 0.2
"""Each stain's amount is multiplied by a factor within 1 +- this."""


def to_unit(patches: Tensor) -> Tensor:
    """Networks' input, float32 (n, 3, s, s) in [-1, 1], channels last in memory, from uint8 (n, s, s, 3)."""
    return patches.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def augment(patches: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Transform each patch at random.

    Parameters
    ----------
    patches : uint8 Tensor (n, s, s, 3)
        Real patches, RGB.
    kind : {"flips", "dihedral"}
        Flips; or flips, quarter turns and light stain jitter.
    generator : torch.Generator
        Source of every random number, on the device of `patches`.

    Returns
    -------
    float32 Tensor (n, 3, s, s) in [-1, 1], channels last in memory.
    """
    patches = _where_half(patches, patches.flip(1), generator)
    patches = _where_half(patches, patches.flip(2), generator)
    if kind == "flips":
        return to_unit(patches)
    patches = _where_half(patches, patches.transpose(1, 2), generator)
    return _jitter_stains(patches, generator)


def _where_half(patches: Tensor, others: Tensor, generator: torch.Generator) -> Tensor:
    coin = torch.rand(len(patches), 1, 1, 1, generator=generator, device=patches.device) < 0.5
    return torch.where(coin, others, patches)


def _jitter_stains(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Scale the amount of each stain of each patch; Tellez et al. (IEEE TMI 2018) do so in OD space."""
    log_transmission, unmix, stains = _stain_tables(patches.device)
    factor = torch.rand(len(patches), 3, generator=generator, device=patches.device)
    factor = 1.0 + STAIN_JITTER * (2.0 * factor - 1.0)
    transform = unmix @ (factor[:, :, None] * stains)  # per patch: unmix, scale, mix again
    changed = log_transmission[patches.int()].flatten(1, 2) @ transform
    grey = torch.exp(changed).mul_(256.0).sub_(1.0).clamp_(0.0, 255.0)
    return grey.div_(127.5).sub_(1.0).view(patches.shape).permute(0, 3, 1, 2)


@functools.cache
def _stain_tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Log transmission of each grey value (256,), and the matrices (3, 3) from log RGB to stains and back."""
    stains = F.normalize(torch.tensor(STAIN_RGB_OD), dim=1)
    grey = torch.arange(256, dtype=torch.float32)
    tables = torch.log((grey + 1.0) / 256.0), torch.linalg.inv(stains), stains
    return tables[0].to(device), tables[1].to(device), tables[2].to(device)

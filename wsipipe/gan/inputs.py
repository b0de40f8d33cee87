"""What a training is given: checked, and put where it computes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsipipe.config import GanConfig
from wsipipe.errors import TrainingError
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.lessons import Lessons
from wsipipe.gan.mixture import Described, coherent_classes
from wsipipe.gan.nets import DOWNSCALING
from wsipipe.records import DESCRIPTION

CHECKED_ROWS = 4096
"""Patches compared at once."""


def checked(patches: Any, config: GanConfig) -> NDArray[np.uint8]:
    """The patches in memory or, if they are a memory map, where they are.

    Raises
    ------
    TrainingError
        If there are too few, or they are of a wrong kind.
    """
    cells = patches if isinstance(patches, np.memmap) else np.array(patches[:])
    needed = 2 * config.batch
    if cells.dtype != np.uint8 or cells.ndim != 4 or cells.shape[1] != cells.shape[2] or cells.shape[3] != 3:
        raise TrainingError(f"patches are {cells.dtype} {cells.shape}", "give uint8 (n, s, s, 3), square RGB patches")
    if cells.shape[1] == 0 or cells.shape[1] % DOWNSCALING:
        raise TrainingError(
            f"patches are {cells.shape[1]} px a side, which is no multiple of {DOWNSCALING}",
            "set patches.size_px of the recipe to one, such as 32",
        )
    if len(cells) < needed:
        raise TrainingError(
            f"{len(cells)} cells, a training needs at least {needed} (twice gan.batch)",
            "add slides, use a model trained elsewhere (--model), or lower gan.batch in the recipe",
        )
    if all((cells[i : i + CHECKED_ROWS] == cells[0]).all() for i in range(0, len(cells), CHECKED_ROWS)):
        raise TrainingError("all patches are the same", "look at the segmentation: these are no cells")
    return cells


def lessons_of(described: Described | None, config: GanConfig, count: int, seed: int) -> Lessons | None:
    """What the descriptions teach, where the settings ask for it.

    Raises
    ------
    TrainingError
        If the settings ask for descriptions and there is not one for every cell.
    """
    if max(config.lambda_measure, config.lambda_teach, config.describe, config.checks) <= 0:
        return None
    if described is None or described.values.shape != (count, len(DESCRIPTION)):
        raise TrainingError(
            "the recipe learns from descriptions, which were not given for every cell",
            "give them, or set gan.describe to false, gan.lambda_measure, gan.lambda_teach and gan.checks to 0",
        )
    rng = np.random.default_rng(seed)
    taught = coherent_classes(described, config.classes, config.coherence, rng)
    parts = (described.standardized(), taught.answers, taught.weight, taught.bias)
    return Lessons(*(torch.from_numpy(part.astype(np.float32)) for part in parts))


def check_start(start: Model | None, config: GanConfig, patch_px: int) -> None:
    """Refuse a model to start from that the settings do not ask for, or of other widths.

    Raises
    ------
    TrainingError
    """
    if (start is not None) != (config.start != "random"):
        raise TrainingError("gan.start and the model to start from do not go together", "give both or neither")
    if start is None:
        return
    same = ("channels", "noise_dim")
    differing = [name for name in same if getattr(start.config, name) != getattr(config, name)]
    if start.patch_px != patch_px:
        differing.append("patch size")
    if differing:
        raise TrainingError(
            f"the model to start from has another {', '.join(differing)}",
            'take that of the recipe `default`, or set gan.start = "random"',
        )


def placed(cells: NDArray[np.uint8], device: str) -> Tensor:
    """The cells on `device`, or where they are when they would fill more than half of what is free there.

    Page-locked memory would hold a whole copy of them, also of those that are on disk because memory is too small; and
    what a step takes of them is gathered into other memory anyway.
    """
    tensor = torch.from_numpy(cells)
    if device == "cpu":
        return tensor
    free_bytes, _ = torch.cuda.mem_get_info()
    return tensor.to(device) if tensor.nbytes < free_bytes // 2 else tensor

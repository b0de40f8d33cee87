"""What the networks see in a cell: the features of the trunk, right before Q's head."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.gan.asking import asking
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.label import SLICE
from wsipipe.gan.nets import Critic


def embed(model: Model, patches: Any, *, device: str, threads: int) -> Iterator[NDArray[np.float32]]:
    """Features of cells in parts, in their order.

    They are computed as in `label`, and depend neither on `threads` nor on the number of patches.

    Parameters
    ----------
    model : Model
    patches : array_like uint8 (n, s, s, 3)
        RGB of the model's patch size; NumPy or Zarr, read in slices.
    device : {"cpu", "cuda"}
    threads : int
        Batches computed at a time on the CPU.

    Yields
    ------
    float32 (m, n_features)
    """
    with asking(model, device, threads, Critic.features, model.critic().n_features) as looks:
        for start in range(0, patches.shape[0], SLICE):
            yield looks.fast(np.asarray(patches[start : start + SLICE]))

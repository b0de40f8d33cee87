"""What the networks see in a cell: the features of the trunk, right before Q's head."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsipipe.gan.augment import to_unit
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.device import fast_dtype, fixed_arithmetic
from wsipipe.gan.folded import folded
from wsipipe.gan.label import CUDA_BATCH, SLICE, cpu_batch
from wsipipe.gan.nets import Critic


def embed(model: Model, patches: Any, *, device: str, threads: int) -> Iterator[NDArray[np.float32]]:
    """Features of cells in parts, in their order.

    As in `label`, every batch has one size and is computed by one thread alone, so that the features of a patch depend
    neither on `threads` nor on the number of patches.

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
    float32 (m, channels)
    """
    critic = folded(model.critic(device), fast_dtype(device))  # as in `label`: the features its answers were made of
    batch, workers = (cpu_batch(model), max(1, threads)) if device == "cpu" else (CUDA_BATCH, 1)
    pool = ThreadPoolExecutor(workers, "embed", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for start in range(0, patches.shape[0], SLICE):
            rows = np.asarray(patches[start : start + SLICE])
            batches = [rows[at : at + batch] for at in range(0, len(rows), batch)]
            with fixed_arithmetic(1):
                features = list(pool.map(partial(_features, critic, batch=batch, device=device), batches))
            yield np.concatenate(features)
    finally:
        pool.shutdown(cancel_futures=True)


@torch.inference_mode()
def _features(critic: Critic, rows: NDArray[np.uint8], *, batch: int, device: str) -> NDArray[np.float32]:
    filled = np.zeros((batch, *rows.shape[1:]), np.uint8)
    filled[: len(rows)] = rows
    features: NDArray[np.float32] = critic.features(to_unit(torch.from_numpy(filled).to(device))).cpu().numpy()
    return features[: len(rows)]

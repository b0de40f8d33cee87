"""What the host allows when labels are made on a GPU: cells a second with a network that costs nothing.

    python -m tests.benchmarks.label_host OUT [--model default] [--readers 2 8]

OUT is a finished output (nothing is written there). Everything on the way from the store to labels is done as for a
GPU, on the CPU, but the networks' sums and the copies to the device: answers are drawn once and given again for every
batch. Patches alone, then with descriptions; the best of three rounds counts.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from wsipipe.gan import asking, lanes
from wsipipe.gan.asking import CUDA_BATCH
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.label import feed, looking, weigh
from wsipipe.gan.nets import Critic
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.labelling import load_model
from wsipipe.progress import Quiet
from wsipipe.seeing import Sight

ROUNDS = 3
SURE = 0.3
"""Of the Dirichlet distribution of the answers: one in six is a close decision, more than a trained model's."""


class NoDevice:
    """Where everything is done at once."""

    device = "cpu"

    def memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """The host's."""
        return torch.zeros(tuple(shape), dtype=dtype)

    def within(self) -> contextlib.AbstractContextManager[None]:
        """Nothing is begun."""
        return contextlib.nullcontext()

    def wait(self) -> None:
        """Nothing is under way."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--readers", type=int, nargs="+", default=[2, 8])
    arguments = parser.parse_args()
    stores = [CellStore(slide.store) for slide in OutputFolder(arguments.out).finished()]
    store, model = max(stores, key=len), load_model(arguments.model)
    answers = np.random.default_rng(0).dirichlet(np.full(model.config.classes, SURE), CUDA_BATCH)
    print(f"{len(store)} cells, batches of {CUDA_BATCH}\n\n| | readers | cells/s | per CPU second |\n|---|---|---|---|")
    with free(torch.from_numpy(np.log(answers).astype(np.float32))):
        for alone, readers in ((alone, readers) for alone in (True, False) for readers in arguments.readers):
            best = min(timed(model, store, readers, alone=alone) for _ in range(ROUNDS))
            name = "patches alone" if alone else "with descriptions"
            print(f"| {name} | {readers} | {len(store) / best[0]:.0f} | {len(store) / best[1]:.0f} |")


@contextlib.contextmanager
def free(answers: torch.Tensor) -> Iterator[None]:
    """A GPU's way on the CPU, with these answers to every batch."""
    way = asking._way
    with (
        mock.patch.object(asking, "_way", lambda model, _, *rest: way(model, "cuda", *rest)),
        mock.patch.object(asking, "CudaStream", NoDevice),
        mock.patch.object(asking, "fast_dtype", return_value=torch.bfloat16),
        mock.patch.object(lanes, "to_unit", lambda patches: patches),
        mock.patch.object(Critic, "log_classes", lambda _, patches: answers[: len(patches)]),
        mock.patch.object(CellStore, "write_labels"),
    ):
        yield


def timed(model: Model, store: CellStore, readers: int, *, alone: bool) -> tuple[float, float]:
    """Seconds, and CPU seconds, from the store to labels."""
    wall, cpu = time.perf_counter(), time.process_time()
    with Quiet().stage("label", len(store), "cells") as stage, looking(model, "cpu", 1, alone=alone) as look:
        sight = Sight(model, len(store), look, stage)
        seen = np.empty((len(store), model.config.classes), np.float32)

        def take(start: int, rows: np.ndarray) -> None:
            seen[start : start + len(rows)] = look(rows)

        for _ in feed(store.patches, take if alone else sight.take, readers):
            pass
        if alone:
            weigh(model, seen)
        else:
            sight.write(store, "cpu")
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()

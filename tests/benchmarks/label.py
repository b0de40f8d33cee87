"""Cells labelled a second, store to labels, beside the plain network in the same run; and how many labels agree.

    python -m tests.benchmarks.label [--channels 128 24] [--model FILE ...] [--threads 2] [--device cuda] [--output OUT]

The cells are the given nuclei of CoNSeP (WSIPIPE_TEST_DATA, as in tests/real), segmented here, or those of a finished
output: a GPU is done with fewer than some hundred thousand before it has begun. Without --model, a network of each
width is trained on them for a few steps, by the rest of recipe `default`, so that its answers are those of a trained
one. "plain" is the network as it is written in the paper: float32, a 3x3 convolution and then mean pooling, patches in
PyTorch's own layout, a large and a small batch (the faster one counts), patches and descriptions already in memory; on
a GPU without TF32, as ours. Ours is everything from the store to labels in it, descriptions too where the model weighs
them. Rounds alternate; the best of three counts. CPU seconds are those of all threads.
"""

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F

from wsipipe.config import Settings, load_recipe
from wsipipe.describing import describe_store, nearest_in
from wsipipe.drawing import draw_cells
from wsipipe.errors import UsageError
from wsipipe.gan import asking, nets
from wsipipe.gan import label as labelling
from wsipipe.gan.augment import to_unit
from wsipipe.gan.checkpoint import Model, load
from wsipipe.gan.device import describe_device, fast_dtype, fixed_arithmetic, pick_device
from wsipipe.gan.train import train
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.progress import Quiet
from wsipipe.seeing import label_cells

ROUNDS = 3
PLAIN_BATCHES = {"cpu": (256, 32), "cuda": (4096, 256)}
WIDE, WIDE_STEPS = 64, 25
"""From this width on a network learns slowly here: a few steps, with small batches."""


def main() -> None:
    """Segment, train where no model is given, then time and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[128, 24])
    parser.add_argument("--model", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timed", type=int, default=2048, help="cells that the plain network is timed on")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="the networks run there, cpu unless told"
    )
    parser.add_argument("--output", type=Path, help="label the cells of this output instead; labels are written there")
    arguments = parser.parse_args()
    try:
        device = pick_device(arguments.device)
    except UsageError as error:
        parser.exit(2, f"{error}\n")
    data = Path(os.environ.get("WSIPIPE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    with tempfile.TemporaryDirectory() as folder:
        stores = finished(arguments.output) if arguments.output else segmented(data / "consep", Path(folder))
        patches = np.concatenate([np.asarray(store.patches[:]) for store in stores])
        where = describe_device() if device == "cuda" else f"torch {torch.__version__}"
        print(f"{len(patches)} cells of {len(stores)} images, on {device}, {arguments.threads} threads, {where}")
        models = [load(path) for path in arguments.model or ()]
        models = models or [trained(stores, channels, device) for channels in arguments.channels]
        for model in models:
            compare(model, patches, stores, arguments.threads, arguments.timed, device)


def segmented(data: Path, out: Path) -> list[CellStore]:
    """The stores of all images, with the nuclei that were marked."""
    from wsipipe.cli.main import main as wsipipe  # noqa: PLC0415 - the one place that ends in SystemExit

    images = sorted((data / "images").glob("*.png"))
    command = ["segment", *map(str, images), "--nuclei", str(data / "masks"), "--mpp", "0.25", "-o", str(out)]
    try:
        wsipipe([*command, "--recipe", "he-40x", "--workers", "2"])
    except SystemExit as ended:
        if ended.code:
            raise
    return finished(out)


def finished(out: Path) -> list[CellStore]:
    """The stores of an output."""
    return [CellStore(folder.store) for folder in OutputFolder(out).finished()]


def trained(stores: list[CellStore], channels: int, device: str) -> Model:
    """A network of some width after a few steps."""
    config = dataclasses.replace(load_recipe("default").gan, channels=channels, start="random")
    if channels >= WIDE:
        config = dataclasses.replace(config, steps=WIDE_STEPS, batch=8, real_batch=32, critic_steps=1)
    begun = time.perf_counter()
    drawn = draw_cells(stores, config, 0, Path(tempfile.gettempdir()))
    model = train(drawn.patches, config, seed=0, device=device, patch_mpp=drawn.patch_mpp, described=drawn.described)
    print(f"{channels} channels: {config.steps} steps in {time.perf_counter() - begun:.0f} s")
    return model


def compare(model: Model, patches: np.ndarray, stores: list[CellStore], threads: int, timed: int, device: str) -> None:
    """Print one table for a model."""
    critic = model.critic(device)

    def described() -> np.ndarray:
        return np.concatenate([describe_store(s, nearest_in(s), np.arange(len(s))) for s in stores])

    about = described().astype(np.float32)

    def seen(batch: int, every: int) -> np.ndarray:
        pooled = mock.patch.object(nets, "pooled_conv3x3", _convolve_then_pool)
        with pooled, fixed_arithmetic(threads), torch.inference_mode():
            parts = torch.from_numpy(patches[::every]).split(batch)
            return (
                torch.cat([critic.log_classes(to_unit(part.to(device)).contiguous()) for part in parts]).cpu().numpy()
            )

    def plain(batch: int, every: int) -> np.ndarray:
        return labelling.weigh(model, seen(batch, every), about[::every]).classes

    def ours(dtype: torch.dtype) -> np.ndarray:
        settings = Settings(Path(), workers=threads, device=device)
        with mock.patch.object(asking, "fast_dtype", return_value=dtype):
            for store in stores:
                label_cells(store, model, settings, Quiet())
        return np.concatenate([store.labels(model.hash).classes for store in stores])

    def from_memory(known: np.ndarray | None = about) -> np.ndarray:
        return labelling.label(model, patches, device=device, threads=threads, described=known)[0]

    fastest = asking.arithmetic(model, device)
    formats = dict.fromkeys([torch.float32, fast_dtype(device), getattr(torch, fastest)])
    batches = PLAIN_BATCHES[device]
    every = max(1, len(patches) // timed)
    some = len(patches[::every])
    calls: dict[str, tuple[Callable[[], np.ndarray], int]] = {
        **{f"plain float32, batch {b}": (lambda b=b: plain(b, every), some) for b in batches},
        **{f"label, {str(d)[6:]}": (lambda d=d: ours(d), len(patches)) for d in formats},
        f"label, {fastest}, patches in memory as for plain": (from_memory, len(patches)),
        f"label, {fastest}, patches in memory, without descriptions": (lambda: from_memory(None), len(patches)),
        "descriptions alone": (described, len(patches)),
    }
    all_seen = seen(batches[0], 1)
    wanted, wanted_alone = (labelling.weigh(model, all_seen, known).classes for known in (about, None))
    best = dict.fromkeys(calls, (0.0, 0.0))
    found: dict[str, np.ndarray] = {}
    for _ in range(ROUNDS):
        for name, (call, count) in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            found[name] = call()
            rates = count / (time.perf_counter() - wall), count / (time.process_time() - cpu)
            best[name] = (max(best[name][0], rates[0]), max(best[name][1], rates[1]))
    reference = [max(best[name][i] for name in best if name.startswith("plain")) for i in (0, 1)]
    print(f"\n{model.config.channels} channels, {model.config.classes} classes, model {model.hash}\n")
    print(
        "| | cells/s | cells per CPU second | times plain | times plain, CPU | same labels |\n|---|---|---|---|---|---|"
    )
    for name, (wall_rate, cpu_rate) in best.items():
        right = wanted_alone if "without" in name else wanted
        same = f"{(found[name] == right).mean():.2%}" if name.startswith("label") else ""
        ratios = f"{wall_rate / reference[0]:.2f} | {cpu_rate / reference[1]:.2f}"
        print(f"| {name} | {wall_rate:.0f} | {cpu_rate:.0f} | {ratios} | {same} |")


def _convolve_then_pool(x: torch.Tensor, conv: torch.nn.Conv2d) -> torch.Tensor:
    return F.avg_pool2d(F.conv2d(x, conv.weight, conv.bias, padding=1), 2)


if __name__ == "__main__":
    main()

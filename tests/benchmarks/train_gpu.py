"""Generator steps a second on a GPU, beside the plain eager float32 loop at the same batch in the same run.

    python -m tests.benchmarks.train_gpu [--recipes default ship paper] [--steps 50] [--rounds 5] [--loss-steps 300]

Needs only what the networks need: torch, numpy, safetensors. The cells are synthetic: how fast a step is depends on no
pixel. "Plain" is the project's own step, kernel by kernel in float32, the penalty by PyTorch's own second derivatives,
with weights and maps in PyTorch's own layout or channels last; the faster of the two is what ratios are to. Steps
include the recipe's checks and averages. Each variant is warmed up, then they are timed in turns, in blocks of --steps,
and the median block counts; the device is waited for at both ends of a block.

Losses are means over the last quarter of --loss-steps steps from three seeds. TF32 and the order of sums round
differently, so two trainings drift apart; that they are alike means that ours lie within what the plain ones differ by
from seed to seed, widened by as much on both sides.
"""

import argparse
import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch import nn

from wsipipe.config import GanConfig, load_recipe
from wsipipe.gan import losses
from wsipipe.gan import trainer as trainer_module
from wsipipe.gan.device import fixed_arithmetic, training_arithmetic
from wsipipe.gan.graph import WARM_UP, CudaRecorder
from wsipipe.gan.lessons import Lessons
from wsipipe.gan.parts import Workers, workers
from wsipipe.gan.trainer import METRICS, Trainer
from wsipipe.records import DESCRIPTION

CELLS, SIDE, SEEDS = 4096, 32, 3
FASTER = 4.0
"""What is asked for."""

PLAIN, PLAIN_LAST = "eager, float32", "eager, float32, channels last"
PENALTY = "eager, float32, channels last, penalty as ours"
EAGER, OURS = "eager, {}, channels last", "CUDA graph, {}, channels last (ours)"

Made = tuple[Trainer, bool]


def main() -> None:
    """Time, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["default", "ship", "paper"])
    parser.add_argument("--steps", type=int, default=50, help="of one timed block")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each variant")
    parser.add_argument("--loss-steps", type=int, default=300)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device is usable here: nothing was measured", file=sys.stderr)
        raise SystemExit(2)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}")
    with workers("cuda") as threads:
        for recipe in arguments.recipes:
            config = dataclasses.replace(load_recipe(recipe).gan, start="random")
            print(f"\n**{recipe}**: {config.channels} channels, batch {config.batch}\n")
            timed(config, threads, arguments.steps, arguments.rounds)
            compare_losses(config, threads, arguments.loss_steps)


def timed(config: GanConfig, threads: Workers, steps: int, rounds: int) -> None:
    """Print the steps a second of every variant."""
    warm_up = WARM_UP + 2
    whole = warm_up + rounds * steps
    checks = -(-config.checks * whole // config.steps)  # as often as in the recipe
    config = dataclasses.replace(config, steps=whole, checks=checks)
    made = {name: make(config, threads, 0) for name, make in variants().items()}
    rates: dict[str, list[float]] = {name: [] for name in made}
    for trainer, tf32 in made.values():
        run(trainer, warm_up, tf32=tf32)
    for _ in range(rounds):
        for name, (trainer, tf32) in made.items():
            rates[name].append(run(trainer, steps, tf32=tf32))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    reference = max(medians[PLAIN], medians[PLAIN_LAST])
    print("| step | steps/s, median (range) | times plain |\n|---|---|---|")
    for name, found in rates.items():
        spread = f"{medians[name]:.1f} ({min(found):.1f} to {max(found):.1f})"
        print(f"| {name} | {spread} | {medians[name] / reference:.2f} |")
    print(f"\n{FASTER:g} times plain, as asked for: {verdict(list(medians.values())[-1] / reference >= FASTER)}")


def compare_losses(config: GanConfig, threads: Workers, steps: int) -> None:
    """Print the losses of plain training and ours, and whether they are alike."""
    config, found = dataclasses.replace(config, steps=steps), dict[str, np.ndarray]()
    plain, *_, ours = variants()
    for name in (plain, ours):
        ends = []
        for seed in range(SEEDS):
            trainer, tf32 = variants()[name](config, threads, seed)
            run(trainer, steps - steps // 4, tf32=tf32)
            trainer.metrics.zero_()
            run(trainer, steps // 4, tf32=tf32)
            ends.append((trainer.metrics / (steps // 4)).tolist())
        found[name] = np.array(ends)
    low, high = found[plain].min(0), found[plain].max(0)
    alike = ((found[ours] >= 2 * low - high) & (found[ours] <= 2 * high - low)).all(0)
    print(f"\n| loss after {steps} steps, {SEEDS} seeds | plain | ours | alike |\n|---|---|---|---|")
    for i, metric in enumerate(METRICS):
        if found[plain][:, i].any():
            ranges = [f"{ends[:, i].min():.4g} to {ends[:, i].max():.4g}" for ends in found.values()]
            print(f"| {metric} | {' | '.join(ranges)} | {verdict(alike[i])} |")


def variants() -> dict[str, Callable[[GanConfig, Workers, int], Made]]:
    """How each variant makes a trainer from settings, threads and seed, and whether it multiplies in TF32."""
    arithmetic = training_arithmetic("cuda")
    return {
        PLAIN: lambda *given: (in_own_layout(*given), False),
        PLAIN_LAST: lambda *given: (with_own_derivatives(trainer_of(*given)), False),
        PENALTY: lambda *given: (trainer_of(*given), False),
        EAGER.format(arithmetic): lambda *given: (trainer_of(*given), True),
        OURS.format(arithmetic): lambda *given: (trainer_of(*given, recorder=CudaRecorder()), True),
    }


def trainer_of(config: GanConfig, threads: Workers, seed: int, recorder: CudaRecorder | None = None) -> Trainer:
    """A trainer on synthetic cells, which lie on the device."""
    cells, lessons = synthetic(config.classes)
    return Trainer(cells.to(threads.device), config, seed, threads, lessons, None, recorder)


@functools.cache
def synthetic(classes: int) -> tuple[torch.Tensor, Lessons]:
    """Cells on the host, and what they teach."""
    random = np.random.default_rng(0)
    parts = (
        random.normal(size=(CELLS, len(DESCRIPTION))),
        random.dirichlet(np.full(classes, 0.2), CELLS),
        np.zeros((classes, len(DESCRIPTION))),
        np.zeros(classes),
    )
    return torch.from_numpy(patches(random, CELLS)), Lessons(*(torch.from_numpy(p.astype(np.float32)) for p in parts))


def patches(random: np.random.Generator, count: int) -> np.ndarray:
    """Discs of three kinds, dark on noisy pink; uint8 (count, SIDE, SIDE, 3)."""
    kind = random.integers(0, 3, count)
    radius, dark = np.array([5.0, 8.0, 11.0])[kind], np.array([90, 20, 140])[kind]
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    inside = np.hypot(y, x) < radius[:, None, None]
    image = np.where(inside[..., None], (dark[:, None, None, None] + [20, 0, 60]), [230, 200, 220])
    noise = random.integers(-20, 21, (count, SIDE, SIDE, 3))
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def in_own_layout(config: GanConfig, threads: Workers, seed: int) -> Trainer:
    """A trainer with weights and maps as PyTorch lays them out unless told otherwise."""
    with mock.patch.object(trainer_module, "move", lambda net, device: net.to(device)):
        trainer = trainer_of(config, threads, seed)
    for maps in (trainer.generator.blocks, trainer.critic.trunk):
        maps.register_forward_pre_hook(_contiguous)
    return with_own_derivatives(trainer)


def with_own_derivatives(trainer: Trainer) -> Trainer:
    """The trainer, its penalty differentiated as PyTorch does."""
    trainer.penalty = functools.partial(losses.gradient_penalty, trainer.critic.score)  # type: ignore[method-assign]
    return trainer


def _contiguous(_: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.contiguous() for tensor in given)


def run(trainer: Trainer, steps: int, *, tf32: bool) -> float:
    """Steps a second; the device has done them all."""
    with fixed_arithmetic(1, tf32=tf32):
        trainer.metrics.tolist()
        begun = time.perf_counter()
        for _ in range(steps):
            trainer.step()
        trainer.metrics.tolist()
        return steps / (time.perf_counter() - begun)


def verdict(holds: object) -> str:
    """In a word."""
    return "yes" if holds else "NO"


if __name__ == "__main__":
    main()

"""Train G, D and Q on the patches of cells (Hu et al., IEEE JBHI 2019), without labels."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import wsipipe
from wsipipe.config import GanConfig
from wsipipe.errors import TrainingError
from wsipipe.gan.checkpoint import Model, merge_states
from wsipipe.gan.device import training_arithmetic
from wsipipe.gan.finish import finished
from wsipipe.gan.graph import WARM_UP, Recorder, recorded_if_possible, recorder_for
from wsipipe.gan.inputs import check_start, checked, lessons_of, placed
from wsipipe.gan.lessons import Lessons
from wsipipe.gan.mixture import Described
from wsipipe.gan.parts import workers
from wsipipe.gan.resume import SAVE_EVERY_S, SavedTraining, interrupt_between_steps, training_identity
from wsipipe.gan.trainer import METRICS, Trainer
from wsipipe.records import DESCRIPTION

REPORTS = 100
"""A training reports its mean losses at most this often; each report makes the host wait for a GPU once."""

CURVE_POINTS = 100
"""Points of the training curve that a model keeps."""

TIMED_STEPS = 2

Progress = Callable[[int, int, dict[str, float]], None]


def train(
    patches: Any,
    config: GanConfig,
    *,
    seed: int,
    device: str,
    patch_mpp: float,
    described: Described | None = None,
    start: Model | None = None,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> Model:
    """Train one model.

    On one machine and device the weights are bit-identical for the same cells, settings and seed, however many cores
    there are: on a CPU batches are cut into fixed parts, each computed by one thread, and summed in their order.

    Parameters
    ----------
    patches : array_like uint8 (n, s, s, 3)
        Patches of the training cells, RGB; s is a multiple of 8. Held in memory, but for a NumPy memory map, which
        is left on disk and may be larger than memory.
    config : GanConfig
    seed : int
        Names every random number of the training.
    device : {"cpu", "cuda"}
    patch_mpp : float
        Microns per patch pixel, kept in the model.
    described : Described, optional
        Descriptions of the same cells; needed when the settings give them a weight.
    start : Model, optional
        What G starts from when `config.start` says so; of the same widths.
    progress : callable, optional
        Called with the step, the number of steps and the mean losses since the last call.
    resume : Path, optional
        File that keeps the state while it trains. A training that was stopped goes on from there when it is called
        again with the same arguments, to the same model, bit by bit. Delete it once the model is written.

    Returns
    -------
    Model
        Class 0 is the one commonest in training, class 1 the next, and so on.

    Raises
    ------
    TrainingError
        If there are too few cells, patches of a wrong kind, or a loss is no finite number.
    """
    cells = checked(patches, config)
    lessons = lessons_of(described, config, len(cells), seed)
    check_start(start, config, cells.shape[1])
    tensors_before = None if start is None else start.tensors
    saved = None
    if resume is not None:
        values = None if described is None else described.values
        identity = training_identity(cells, config, seed, device, values, start.hash if start is not None else "")
        saved = SavedTraining(resume, identity)
    with workers(device) as threads:
        there = placed(cells, device)

        def fitted(recorder: Recorder | None) -> tuple[Trainer, list[dict[str, float]]]:
            trainer = Trainer(there, config, seed, threads, lessons, tensors_before, recorder)
            return trainer, _run(trainer, progress, saved)

        recorder = recorder_for(there)
        (trainer, curve), why_not = recorded_if_possible(fitted, recorder)
        trainer.finish()
    states = merge_states(trainer.generator, trainer.critic)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in states.items()}
    facts = {"cells": len(cells), "seed": seed, "device": device, "arithmetic": training_arithmetic(device)}
    facts |= {"graph": recorder is not None and not why_not, "curve": curve}
    facts["warnings"] = _slower(why_not, fits=there.device.type == device)
    facts |= {"wsipipe": wsipipe.__version__, "torch": torch.__version__}
    if start is not None:
        facts["start"] = start.hash
    if trainer.best is not None:
        facts["kept"] = {"step": int(trainer.best.step), "agreement": round(float(trainer.best.agreement), 4)}
    return finished(Model(config, cells.shape[1], patch_mpp, tensors, facts), cells, described, device)


def estimate_seconds(config: GanConfig, patch_px: int, device: str) -> float:
    """Seconds that `train` will take, extrapolated from two generator steps on random patches."""
    random = np.random.default_rng(0)
    n = 2 * config.batch
    cells = random.integers(0, 256, (n, patch_px, patch_px, 3), np.uint8)
    k, width = config.classes, len(DESCRIPTION)
    lessons = Lessons(torch.zeros(n, width), torch.full((n, k), 1.0 / k), torch.zeros(k, width), torch.zeros(k))
    there = torch.from_numpy(cells).to(device)

    def seconds_a_step(recorder: Recorder | None) -> float:
        trainer = Trainer(there, config, 0, threads, lessons, None, recorder)
        for _ in range(1 if recorder is None else WARM_UP + 1):  # these also warm caches and choose kernels
            trainer.step()
        trainer.metrics.tolist()
        start = time.perf_counter()
        for _ in range(TIMED_STEPS):
            trainer.step()
        trainer.metrics.tolist()  # waits for a GPU
        return (time.perf_counter() - start) / TIMED_STEPS

    with workers(device) as threads:
        return recorded_if_possible(seconds_a_step, recorder_for(there))[0] * config.steps


def _run(trainer: Trainer, progress: Progress | None, saved: SavedTraining | None) -> list[dict[str, float]]:
    """All steps that are not done yet; returns the curve: at most CURVE_POINTS of step and mean losses before it.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, once the step is done and the state is saved.
    """
    steps = trainer.config.steps
    every = -(-steps // REPORTS)
    reports = [] if saved is None else saved.load(trainer)
    if progress is not None and trainer.steps_done:
        progress(trainer.steps_done, steps, {})
    saved_at = time.monotonic()
    with interrupt_between_steps() as interrupted:
        for step in range(trainer.steps_done + 1, steps + 1):
            trainer.step()
            if step % every == 0 or step == steps:
                reports.append(_report(trainer, step, int(reports[-1]["step"]) if reports else 0))
                if progress is not None:
                    progress(step, steps, {name: reports[-1][name] for name in METRICS})
            due = step == steps or interrupted() or time.monotonic() - saved_at > SAVE_EVERY_S
            if saved is not None and due:
                saved.save(trainer, reports)
                saved_at = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt
    return _thinned(reports)


def _report(trainer: Trainer, step: int, since: int) -> dict[str, float]:
    """Mean losses between two steps; the trainer's sums start again."""
    means = (trainer.metrics / (step - since)).tolist()
    trainer.metrics.zero_()
    losses = dict(zip(METRICS, means, strict=True))
    if not np.isfinite(means).all():
        raise TrainingError(
            f"a loss is no finite number at step {step} of {trainer.config.steps} ({losses})",
            "lower gan.learning_rate in the recipe, or try another --seed",
        )
    return {"step": step, **losses}


def _thinned(reports: list[dict[str, float]]) -> list[dict[str, float]]:
    keep = np.unique(np.linspace(0, len(reports) - 1, CURVE_POINTS).round().astype(int))
    return [{name: float(f"{value:.5g}") for name, value in reports[i].items()} for i in keep]


def _slower(why_not: str, *, fits: bool) -> list[str]:
    """What is to be said of a training whose steps could not be recorded on the GPU."""
    if not fits:
        why_not = "the cells take more than half of the GPU's free memory"
    return [f"trained kernel by kernel, not as a CUDA graph, which takes longer: {why_not}"] if why_not else []

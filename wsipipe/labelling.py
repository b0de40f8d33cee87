"""From finished stores to labels: the one model of an output, and the class of every cell under it."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import Settings, differences
from wsipipe.errors import ModelError, OutputMismatchError, TrainingError, UsageError
from wsipipe.gan.checkpoint import Model, load, save
from wsipipe.gan.device import pick_device
from wsipipe.gan.label import arithmetic
from wsipipe.gan.label import label as classify
from wsipipe.gan.train import estimate_seconds
from wsipipe.gan.train import train as fit
from wsipipe.io.output import OutputFolder, SlideFolder, slide_digest
from wsipipe.io.store import CellStore
from wsipipe.parallel import cpu_count
from wsipipe.progress import Reporter
from wsipipe.records import Labels
from wsipipe.units import clock

TRAINED, GIVEN = "trained on this output's cells", "given with --model"


def choose_model(out: OutputFolder, given: Sequence[SlideFolder], settings: Settings, report: Reporter) -> Model | None:
    """The model that labels every slide of `out`; written there, so that OUT says what its labels mean.

    In this order: the model already in OUT (which `settings.model` must then be), the one that `settings.model`
    names, one trained on the cells of `given`. None when there is nothing to label.

    Raises
    ------
    OutputMismatchError
        If OUT has labels of another model, or of one trained with other settings.
    TrainingError, ModelError, UsageError
        If no model can be had.
    """
    model = model_at_hand(out, settings)
    if model is not None and settings.model:
        return keep_model(out, model, GIVEN)
    if model is not None:
        report.say(f"model {model.hash}: the one in the output folder")
        return model
    stores = [CellStore(folder.store) for folder in given]
    if not any(len(store) for store in stores):
        return None
    model = keep_model(out, train_model(stores, settings, report, out.training), TRAINED)
    out.training.unlink(missing_ok=True)
    return model


def model_at_hand(out: OutputFolder, settings: Settings) -> Model | None:
    """The model that `settings` names, or the one in OUT; None when one is to be trained.

    Raises
    ------
    OutputMismatchError
        If OUT has labels of another model, or of one trained with other settings.
    ModelError, UsageError
        If the model cannot be loaded.
    """
    if settings.train and settings.model:
        raise UsageError("cannot go with --model", "leave one of them out", "--train")
    there = load(out.model) if out.model.is_file() and not settings.overwrite else None
    if there is not None and settings.train and there.facts.get("origin") != TRAINED:
        raise OutputMismatchError(
            f"its labels are of model {there.hash}, which was given",
            "use another -o folder, or --overwrite to train one here",
            out.path.name,
        )
    if not settings.model:
        if there is not None:
            _check_training(out, there, settings)
        return there
    model = load_model(settings.model)
    if there is not None and there.hash != model.hash:
        raise OutputMismatchError(
            f"its labels are of model {there.hash}, not {model.hash}",
            "use `wsipipe label` to relabel all its slides, another -o folder, or --overwrite",
            out.path.name,
        )
    return model


def keep_model(out: OutputFolder, model: Model, origin: str) -> Model:
    """Copy a model into OUT, with a word on how it came there; its class names go when it is another one."""
    kept = dataclasses.replace(model, facts={**model.facts, "origin": origin})
    if not out.model.is_file() or load(out.model).hash != kept.hash:
        out.classes.unlink(missing_ok=True)  # names belong to the classes of one model
        save(kept, out.model)
    return kept


def load_model(name_or_file: str) -> Model:
    """A model by the name under which it ships, or from a file.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name_or_file == "default":
        raise UsageError(
            "no model ships with this version",
            "leave --model out to train one on the given slides, or give a .safetensors file",
            "--model default",
        )
    path = Path(name_or_file)
    if not path.is_file():
        raise UsageError(
            "no such file", "give a .safetensors file that `wsipipe train` wrote", f"--model {name_or_file}"
        )
    return load(path)


def train_model(stores: Sequence[CellStore], settings: Settings, report: Reporter, resume: Path) -> Model:
    """G, D and Q on cells drawn evenly from all stores.

    `resume` is the file that keeps the state of a training that is stopped; whoever has written the model deletes it.

    Raises
    ------
    TrainingError
        If there are too few cells, or the stores' patches differ in kind.
    """
    config = settings.recipe.gan
    patches, patch_mpp = draw_patches(stores, config.max_cells, settings.seed)
    device = pick_device(settings.device)
    expected = estimate_seconds(config, patches.shape[1], device)
    report.say(
        f"no model given: training a quick one on {len(patches)} cells of {len(stores)} "
        f"slide{'s' if len(stores) != 1 else ''}, about {clock(expected)} on {device} (recipe {settings.recipe.name})"
    )
    with report.stage("train", config.steps, "steps") as stage:
        seen = 0

        def progress(step: int, total: int, metrics: dict[str, float]) -> None:  # noqa: ARG001
            nonlocal seen
            stage.advance(step - seen, " ".join(f"{name} {value:.3g}" for name, value in metrics.items()))
            seen = step

        model = fit(
            patches, config, seed=settings.seed, device=device, patch_mpp=patch_mpp, progress=progress, resume=resume
        )
    trained_on = sorted(slide_digest(store.slide_id) for store in stores if len(store))
    return dataclasses.replace(model, facts={**model.facts, "trained_on": trained_on})


def draw_patches(stores: Sequence[CellStore], count: int, seed: int) -> tuple[NDArray[np.uint8], float]:
    """At most `count` patches, evenly from all stores, and their mpp; uint8 (n, size, size, 3).

    A store with fewer cells than its share gives all it has, and the others make up for it.
    """
    kinds = {(s.patches.shape[1], s.attributes["recipe"]["patches"]["mpp"]) for s in stores if len(s)}
    if len(kinds) != 1:
        found = ", ".join(f"{size} px at {mpp:g} um/px" for size, mpp in sorted(kinds)) or "no cells"
        raise TrainingError(f"one kind of patch is needed, found: {found}", "train on outputs of one recipe")
    rng = np.random.default_rng(seed)
    left, quota = count, {}
    ascending = sorted(range(len(stores)), key=lambda i: len(stores[i]))
    for position, i in enumerate(ascending):
        quota[i] = min(len(stores[i]), math.ceil(left / (len(stores) - position)))
        left -= quota[i]
    drawn = [store.sample_patches(quota[i], rng) for i, store in enumerate(stores) if quota[i]]
    return np.concatenate(drawn), kinds.pop()[1]


def label_store(store: CellStore, model: Model, settings: Settings, report: Reporter) -> None:
    """Class and confidence of every cell, written beside the cells; nothing to do when they are there.

    Raises
    ------
    ModelError
        If the model was trained on patches of another size or resolution.
    """
    if store.has_labels(model.hash):
        return
    kind = (store.patches.shape[1], float(store.attributes["recipe"]["patches"]["mpp"]))
    if kind != (model.patch_px, model.patch_mpp):
        raise ModelError(
            f"made for patches of {model.patch_px} px at {model.patch_mpp:g} um/px, "
            f"the store has {kind[0]} px at {kind[1]:g} um/px",
            "use a model and a recipe of one patch size and mpp",
            store.slide_id,
        )
    device = pick_device(settings.device)
    with report.stage("label", len(store), "cells") as stage:
        seen = 0

        def progress(done: int, total: int) -> None:  # noqa: ARG001
            nonlocal seen
            stage.advance(done - seen)
            seen = done

        threads = settings.workers or cpu_count()
        classes, confidence = classify(model, store.patches, device=device, threads=threads, progress=progress)
    store.write_labels(Labels(model.hash, classes, confidence, f"{device}, {arithmetic(device)}"))


def _check_training(out: OutputFolder, model: Model, settings: Settings) -> None:
    """Refuse another `[gan]` than the one that OUT's own model was trained with."""
    changed = differences(vars(model.config), vars(settings.recipe.gan))
    if changed and model.facts.get("origin") == TRAINED:
        raise OutputMismatchError(
            f"its model was trained with another recipe ({'; '.join(changed)})",
            "use that recipe, another -o folder, or --overwrite",
            out.path.name,
        )

"""From finished stores to labels: the one model of an output, and the class of every cell under it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from wsipipe.config import GanConfig, Settings, differences
from wsipipe.drawing import draw_cells
from wsipipe.errors import ModelError, OutputMismatchError, TrainingError, UsageError
from wsipipe.export.classes import names_given
from wsipipe.gan.checkpoint import Model, load, save
from wsipipe.gan.class_number import Suggestion, suggestion
from wsipipe.gan.criteria import CHOSEN_BY
from wsipipe.gan.device import pick_device
from wsipipe.gan.train import estimate_seconds
from wsipipe.gan.train import train as fit
from wsipipe.io.output import OutputFolder, SlideFolder, slide_digest
from wsipipe.io.store import CellStore
from wsipipe.progress import Reporter
from wsipipe.seeing import label_cells
from wsipipe.units import clock, counted

JUDGED_CELLS = 6000
"""Cells that a number of classes is suggested from, at most."""

TRAINED, GIVEN, SHIPS = "trained on this output's cells", "given with --model", "ships with wsipipe"

DEFAULT_MODEL = "default"
"""Name of the model that comes with the package."""
SHIPPED = Path(__file__).parent / "models" / "default.safetensors"


def choose_model(
    out: OutputFolder, given: Sequence[SlideFolder], settings: Settings, report: Reporter, *, shipped: bool
) -> Model | None:
    """The model that labels every slide of `out`; written there, so that OUT says what its labels mean.

    In this order: the model already in OUT (which `settings.model` must then be), the one that `settings.model`
    names, with `shipped` and without `settings.train` the one that comes with the package, one trained on the cells
    of `given`. None when there is nothing to label.

    Raises
    ------
    OutputMismatchError
        If OUT has labels of another model, or of one trained with other settings.
    TrainingError, ModelError, UsageError
        If no model can be had.
    """
    model = model_at_hand(out, settings)
    if model is not None and settings.model:
        return keep_model(out, model, GIVEN, report)
    if model is not None:
        report.say(f"model {model.hash}: the one in the output folder")
        return model
    stores = [CellStore(folder.store) for folder in given]
    if not any(len(store) for store in stores):
        return None
    if shipped and not settings.train:
        model = load_model(DEFAULT_MODEL)
        report.say(f"model {model.hash}: the one that ships with wsipipe (--train fits one on these slides instead)")
        if settings.recipe.stain.method == "given":
            report.warn("the model that ships knows haematoxylin and eosin only: --train fits one on these stains")
        return keep_model(out, model, SHIPS, report)
    model = keep_model(out, train_model(stores, settings, report, out.training), TRAINED, report)
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
    there = _own_model(out) if out.model.is_file() and not settings.overwrite else None
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


def check_shipped(out: OutputFolder, settings: Settings) -> None:
    """Refuse a recipe whose patches the model that ships was not made for, when it would be used.

    Raises
    ------
    UsageError
        Before hours of segmenting.
    """
    there = out.model.is_file() and not settings.overwrite
    if settings.model or settings.train or there:
        return
    model, patches = load_model(DEFAULT_MODEL), settings.recipe.patches
    if (patches.size_px, patches.mpp, patches.surroundings) != (model.patch_px, model.patch_mpp, True):
        raise UsageError(
            f"the model that ships takes patches of {model.patch_px} px at {model.patch_mpp:g} um/px with surroundings",
            "add --train to fit one on the given slides, or give one with --model",
            f"--recipe {settings.recipe.name}",
        )
    if settings.recipe.gan.classes != model.config.classes:
        raise UsageError(
            f"the model that ships has {model.config.classes} classes",
            "add --train to fit one with as many as you say",
            f"-k {settings.recipe.gan.classes}",
        )


def keep_model(out: OutputFolder, model: Model, origin: str, report: Reporter | None = None) -> Model:
    """Copy a model into OUT, with a word on how it came there; class names, told `report`, go with another one."""
    kept = dataclasses.replace(model, facts={**model.facts, "origin": origin})
    before = _model_in(out.model)
    if before is None or before.hash != kept.hash:
        dropped = names_given(out.classes, before.config.classes) if before else ""
        if dropped and report is not None:
            report.warn(f"{out.classes.name}: names given to classes of the model before are dropped: {dropped}")
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
    if name_or_file == DEFAULT_MODEL:
        return load(SHIPPED)
    path = Path(name_or_file)
    if not path.is_file():
        remedy = f"give a file that `wsipipe train` wrote, or the name of the model that ships, {DEFAULT_MODEL}"
        raise UsageError("no such file", remedy, f"--model {name_or_file}")
    return load(path)


def train_model(stores: Sequence[CellStore], settings: Settings, report: Reporter, resume: Path) -> Model:
    """G, D and Q on cells drawn evenly from all stores.

    `resume` is the file that keeps the state of a training that is stopped; whoever has written the model deletes it.
    Cells that are too many for memory are kept on disk, in its folder.

    Raises
    ------
    TrainingError
        If there are too few cells, or the stores' patches differ in kind.
    """
    config = settings.recipe.gan
    start = None if config.start == "random" else load_model(config.start)
    drawn = draw_cells(stores, config, settings.seed, resume.parent)
    device = pick_device(settings.device)
    expected = estimate_seconds(config, drawn.patches.shape[1], device)
    report.say(
        f"training a model on {len(drawn.patches)} cells of {counted(len(stores), 'slide')}, "
        f"about {clock(expected)} on {device} (recipe {settings.recipe.name})"
    )

    def fitted(seed: int) -> Model:
        with report.stage("train", config.steps, "steps") as stage:
            seen = 0

            def progress(step: int, total: int, metrics: dict[str, float]) -> None:  # noqa: ARG001
                nonlocal seen
                stage.advance(step - seen, " ".join(f"{name} {value:.3g}" for name, value in metrics.items()))
                seen = step

            return fit(
                drawn.patches,
                config,
                seed=seed,
                device=device,
                patch_mpp=drawn.patch_mpp,
                described=drawn.described,
                start=start,
                progress=progress,
                resume=resume,
            )

    models = [fitted(settings.seed + i) for i in range(config.restarts)]
    model = max(models, key=lambda model: model.facts["criteria"][CHOSEN_BY])
    if config.restarts > 1:
        found = ", ".join(f"seed {m.facts['seed']} {m.facts['criteria'][CHOSEN_BY]:.3f}" for m in models)
        report.say(f"kept seed {model.facts['seed']} by the {CHOSEN_BY} of its classes, no label seen ({found})")
    for line in model.facts["warnings"]:  # on its page too, which nobody may open
        report.warn(f"training: {line}")
    trained_on = sorted(slide_digest(store.slide_id) for store in stores if len(store))
    return dataclasses.replace(model, facts={**model.facts, "trained_on": trained_on})


def suggest_number(stores: Sequence[CellStore], config: GanConfig, seed: int) -> Suggestion:
    """How many classes the cells of `stores` support, as `gan.class_number.suggestion` has it.

    Raises
    ------
    TrainingError
        If there are too few cells.
    """
    few = dataclasses.replace(config, max_cells=min(config.max_cells, JUDGED_CELLS))
    described = draw_cells(stores, few, seed, Path()).described
    try:
        return suggestion(described, config.coherence, seed)
    except ValueError as error:
        raise TrainingError(str(error), "add slides, or choose a number of classes yourself") from error


def label_store(store: CellStore, model: Model, settings: Settings, report: Reporter) -> None:
    """Class and confidence of every cell, written beside the cells; nothing to do when they are there.

    Raises
    ------
    ModelError
        If the model was trained on patches of another size or resolution.
    """
    if store.has_labels(model.hash):
        return
    check_kind(model, store.patches.shape[1], float(store.attributes["recipe"]["patches"]["mpp"]), store.slide_id)
    label_cells(store, model, settings, report)


def check_kind(model: Model, patch_px: int, patch_mpp: float, subject: str) -> None:
    """Refuse to label patches of another size or resolution than the model was trained on.

    Raises
    ------
    ModelError
    """
    if (patch_px, patch_mpp) != (model.patch_px, model.patch_mpp):
        raise ModelError(
            f"made for patches of {model.patch_px} px at {model.patch_mpp:g} um/px, "
            f"these are {patch_px} px at {patch_mpp:g} um/px",
            "use a model and a recipe of one patch size and mpp",
            subject,
        )


def model_beforehand(out: OutputFolder, settings: Settings, *, shipped: bool) -> Model | None:
    """The model that `choose_model` will give, where that is known before any cell is: all but one to be trained.

    Raises
    ------
    OutputMismatchError, ModelError, UsageError
        If it cannot be used; better now than after hours of segmenting.
    """
    model = model_at_hand(out, settings)
    if shipped:
        check_shipped(out, settings)
    if model is None:
        return load_model(DEFAULT_MODEL) if shipped and not settings.train else None
    check_kind(model, settings.recipe.patches.size_px, settings.recipe.patches.mpp, f"model {model.hash}")
    return model


def _own_model(out: OutputFolder) -> Model:
    """The model in an output, or how to get on without it."""
    try:
        return load(out.model)
    except ModelError as error:
        remedy = f"use `wsipipe label {out.path.name} --model NAME|FILE`, which keeps the cells, or --overwrite"
        raise ModelError(error.what, remedy, f"{out.path.name}/{out.model.name}") from error


def _model_in(file: Path) -> Model | None:
    """The model of a file; None where there is none, or it cannot be read, so that another takes its place."""
    try:
        return load(file)
    except ModelError:
        return None


def _check_training(out: OutputFolder, model: Model, settings: Settings) -> None:
    """Refuse another `[gan]` than the one that OUT's own model was trained with."""
    changed = differences(vars(model.config), vars(settings.recipe.gan))
    if changed and model.facts.get("origin") == TRAINED:
        only_classes = len(changed) == 1 and model.config.classes != settings.recipe.gan.classes
        raise OutputMismatchError(
            f"its model was trained with another recipe ({'; '.join(changed)})",
            f"use {f'-k {model.config.classes}' if only_classes else 'that recipe'}, another -o folder, or --overwrite",
            out.path.name,
        )

"""The page of a model's training, from what the model file says."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wsipipe.atomic import atomic_write
from wsipipe.export.classes import CellClass, default_classes
from wsipipe.export.report.training import Curve, DrawnClass, TrainingReport, training_page
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.draw import sample

LOSSES = {
    "critic": (
        "Critic",
        "Mean score of generated less that of real patches: towards 0, the critic tells them apart less well.",
    ),
    "penalty": ("Gradient penalty", "How far the critic's slope is from 1; it should stay near 0."),
    "generator": ("Generator", "Minus the mean score of generated patches; it has no level of its own."),
    "info": (
        "Classes of generated patches",
        "Nats by which Q misses the class that a patch was drawn from: 0 is always right.",
    ),
    "real_info": (
        "Classes of real cells",
        "Minus the information that two views of one cell share about its class: the lower, the surer and the evener.",
    ),
    "taught": (
        "Classes taught",
        "Nats by which Q misses from the patch the classes of a mixture on descriptions.",
    ),
    "measured": ("Descriptions", "Error in telling a real cell's description from its patch."),
}
"""Name of each loss that a training records, and how it is read."""

TOLD = ("cells", "seed", "device", "arithmetic", "origin")
"""Facts of a model that are shown as they are."""

DRAWN = 14
"""Patches drawn of each class."""


def write_training_page(path: Path, model: Model, title: str, classes: Sequence[CellClass] = ()) -> None:
    """Write the page of a model; its classes are c0, c1 ... where no names are given."""
    named = tuple(classes) or default_classes(model.config.classes)
    with atomic_write(path) as file:
        file.write(training_page(training_report(model, title, named)))


def training_report(model: Model, title: str, classes: Sequence[CellClass]) -> TrainingReport:
    """What the page shows of a model: losses that were used, classes as the generator draws them, facts, settings."""
    points = model.facts.get("curve", [])
    names = [name for name in (points[0] if points else {}) if name != "step"]
    used = [name for name in names if any(point[name] for point in points)]  # terms that are left out are 0 throughout
    shares = model.facts.get("shares", [0.0] * model.config.classes)
    return TrainingReport(
        title=title,
        curves=[_curve(name, points) for name in used],
        classes=[_drawn(model, i, classes[i], shares[i]) for i in range(model.config.classes)],
        warnings=[str(line) for line in model.facts.get("warnings", [])],
        facts=[
            ("Model", model.hash),
            ("Patches", f"{model.patch_px} px at {model.patch_mpp:g} µm/px"),
            *((name.capitalize(), str(model.facts[name])) for name in TOLD if name in model.facts),
            *_kept(model),
            ("Versions", ", ".join(f"{n} {model.facts[n]}" for n in ("wsipipe", "torch") if n in model.facts)),
        ],
        settings=[(name, str(value)) for name, value in dataclasses.asdict(model.config).items()],
    )


def _kept(model: Model) -> list[tuple[str, str]]:
    """Which moment of the training the model is of, where it was chosen."""
    kept = model.facts.get("kept")
    if kept is None:
        return []
    agree = f"patch and description agree on {kept['agreement']:.0%} of the cells kept aside"
    return [("Weights kept", f"of step {kept['step']} of {model.config.steps}: {agree}")]


def _curve(name: str, points: Sequence[Mapping[str, float]]) -> Curve:
    title, note = LOSSES.get(name, (name, ""))
    steps, values = (np.array([point[key] for point in points], np.float64) for key in ("step", name))
    return Curve(title, note, steps, values)


def _drawn(model: Model, index: int, cell_class: CellClass, share: float) -> DrawnClass:
    return DrawnClass(cell_class, share, sample(model, index, DRAWN, 0))

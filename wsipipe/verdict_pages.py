"""What `classify cv` and `classify fit` show people: gathered here, drawn by `export.verdicts`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe import __version__
from wsipipe.atomic import atomic_write
from wsipipe.class_facts import ClassPictures, class_pictures, classes_beside, model_beside, overlap_note
from wsipipe.cohort.classifier_file import Classifier
from wsipipe.cohort.crossval import OutOfFold
from wsipipe.cohort.joining import LabelledSlides
from wsipipe.cohort.profile_vectors import own_share
from wsipipe.cohort.reasons import effects
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.vectors import shares
from wsipipe.cohort.verdict_scores import auc, calibration, interval, roc
from wsipipe.export.verdicts.drivers import SHOWN, Driver
from wsipipe.export.verdicts.page import Charts, VerdictPage, verdict_page
from wsipipe.gan.checkpoint import Model
from wsipipe.io.verdict_files import COUNTED, EXPECTED, PROFILES, ProportionTable
from wsipipe.judged_by import JUDGED_BY, rows_of
from wsipipe.records import DESCRIPTION, words_for
from wsipipe.verdicts import NO_PATIENTS, CrossValidation, mean_confusion

_DOUBTFUL = 40

_LOOKS = 3
"""Columns named of each class: those that differ most between the labels."""

_SHARES = "the shares of the class are"
_EXCHANGED = {
    COUNTED: _SHARES,
    EXPECTED: _SHARES,
    PROFILES: "how many cells of the class there are per mm2, and how they look, are",
}
_OF_SHARES = "vector (raw shares, Hellinger, centred log-ratio), strength, sharpness"
_CHOSEN = {
    COUNTED: _OF_SHARES,
    EXPECTED: _OF_SHARES,
    PROFILES: "how the cells of each class usually look, strength, sharpness",
}

Slides = LabelledSlides
Ranges = list[tuple[float, float] | None]


def write_cv_page(found: CrossValidation, proportions: Path, target: Path) -> list[str]:
    """classify.html; returns what the user should be told besides."""
    primary, slides = found.results[found.plan.primary], found.slides
    row = next(row for row in found.rows if row["classifier"] == found.plan.primary)
    model = model_beside(proportions, found.table.model)
    overlap, is_warning = overlap_note(model, slides.slide_ids)
    per_repeat = primary.importance.reshape(found.plan.repeats, found.plan.folds, -1).mean(axis=1)
    ranges: Ranges = [interval(values) for values in per_repeat.T]
    page = VerdictPage(
        title="Can these slides be judged by their cells?",
        classifier=found.plan.primary,
        labels=slides.labels,
        numbers=[
            (f"{row['f1']:.3f}", f"weighted F1, {found.plan.primary}"),
            (f"{row['f1_95'][0]:.2f} to {row['f1_95'][1]:.2f}", "95 % interval"),
            *([(f"{found.p:.4f}", "p, permutation test")] if found.p is not None else []),
            (f"{len(slides.slide_ids)}", "slides"),
            *([(f"{len(np.unique(slides.groups))}", "patients")] if slides.has_patients else []),
        ],
        warnings=[*_warnings(slides), *([overlap] if is_warning else [])],
        notes=[] if is_warning else [overlap],
        drivers=_drivers(found.whole.rule, found.table, slides, proportions, model, per_repeat.mean(axis=0), ranges),
        effect_words=f"fall of the weighted F1 on slides not trained on when {_EXCHANGED[found.table.judged_by]} "
        "exchanged among them (permutation importance; in brackets the range over the repeats)",
        made=[
            ("Proportions of model", found.table.model),
            ("Judged by", JUDGED_BY[found.table.judged_by]),
            ("Cross-validation", f"{found.plan.repeats} times {found.plan.folds} folds, seed {found.plan.seed}"),
            ("Chosen inside each training part", _CHOSEN[found.table.judged_by]),
            ("Weights", f"of one {found.plan.primary} fitted to all slides ({_chosen(found.whole.chosen)})"),
            ("Version", f"wsipipe {__version__}"),
        ],
        scores=found.rows,
        charts=_charts(primary, found),
        doubtful=_doubtful(primary, slides),
    )
    with atomic_write(target) as file:
        file.write(verdict_page(page))
    return [overlap] if is_warning else []


def write_fit_page(
    fitted: Classifier, table: ProportionTable, slides: LabelledSlides, proportions: Path, target: Path
) -> None:
    """classifier.html: what a fitted classifier looks at."""
    model = model_beside(proportions, table.model)
    effect = np.abs(effects(fitted.rule, rows_of(table, slides.at), fitted.usual)).mean(axis=0)
    page = VerdictPage(
        title="What the classifier looks at",
        classifier=str(fitted.facts["classifier"]),
        labels=slides.labels,
        numbers=[(str(count), f"slides {name}") for name, count in fitted.facts["slides"].items()],
        warnings=_warnings(slides),
        notes=["How well it judges is measured by `wsipipe classify cv`, not here."],
        drivers=_drivers(fitted.rule, table, slides, proportions, model, effect, [None] * len(effect)),
        effect_words="mean change of a verdict's lead when the class is as usual",
        made=[
            ("Classifier", f"{fitted.facts['classifier']} ({_chosen(fitted.facts['chosen'])})"),
            ("Takes proportions of model", fitted.model),
            ("Judges by", JUDGED_BY[fitted.judged_by]),
            ("Version", f"wsipipe {__version__}"),
        ],
    )
    with atomic_write(target) as file:
        file.write(verdict_page(page))


def _warnings(slides: LabelledSlides) -> list[str]:
    lines = [] if slides.has_patients else [f"There is {NO_PATIENTS}."]
    if slides.left_out:
        lines.append(f"{len(slides.left_out)} slides or labels found no partner and are left out: see unmatched.csv.")
    return lines


def _chosen(chosen: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in chosen.items())


def _drivers(
    rule: Rule,
    table: ProportionTable,
    slides: LabelledSlides,
    proportions: Path,
    model: Model | None,
    effect: NDArray[np.float64],
    ranges: Ranges,
) -> list[Driver]:
    counts = table.counts[slides.at]
    share = shares(counts)
    by_label = np.stack([share[slides.y == i].mean(axis=0) for i in range(len(slides.labels))], axis=1)
    classes = classes_beside(proportions, table.class_names)
    found = []
    for place, index in enumerate(int(i) for i in np.argsort(-effect, kind="stable")):
        shown = ClassPictures(np.zeros((0, 0, 0, 3), np.uint8), drawn=False)
        if place < SHOWN:
            shown = class_pictures(proportions, slides.slide_ids, counts, table.model, model, index)
        weights = rule.weights[:, index] if rule.kind == "linear" else np.zeros(0)
        found.append(
            Driver(
                index,
                classes[index],
                by_label[index],
                weights,
                float(effect[index]),
                ranges[index],
                shown.patches,
                shown.drawn,
                _looks(table, slides, index) if table.judged_by == PROFILES else (),
            )
        )
    return found


def _looks(table: ProportionTable, slides: Slides, index: int) -> tuple[tuple[str, NDArray[np.float64]], ...]:
    """Columns of the description in which a class differs most between the labels, and its mean on each label's slides.

    A slide with few cells of the class says less, as in its profile. Nothing where a label has none of them.
    """
    looks, weight = table.looks[slides.at, index], own_share(table.counts[slides.at, index])[:, None]
    of_label = [slides.y == i for i in range(len(slides.labels))]
    if not all(weight[own].any() for own in of_label):
        return ()
    means = np.stack([(weight * looks)[own].sum(axis=0) / weight[own].sum() for own in of_label])
    within = np.sqrt((weight * (looks - means[slides.y]) ** 2).sum(axis=0) / weight.sum())
    apart = (means.max(axis=0) - means.min(axis=0)) / np.maximum(within, 1e-9)
    return tuple((words_for(DESCRIPTION[i]), means[:, i]) for i in np.argsort(-apart, kind="stable")[:_LOOKS])


def _charts(primary: OutOfFold, found: CrossValidation) -> Charts:
    """All repeats together: curves of a typical classifier, not of the mean of twenty."""
    truth = np.tile(primary.truth, len(primary.probability))
    probability = primary.probability.reshape(-1, primary.labels)
    measured = calibration(truth, probability)
    every = range(primary.labels)
    return Charts(
        confusion=mean_confusion(primary),
        curves=[roc(truth, probability, i) for i in every],
        areas=[auc((truth == i).astype(np.intp), _two(probability[:, i])) for i in every],
        stated=measured.stated,
        right=measured.right,
        slides=measured.slides,
        null=found.null,
        observed=found.observed or 0.0,
        p=found.p,
    )


def _two(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([1.0 - probability, probability])


def _doubtful(primary: OutOfFold, slides: LabelledSlides) -> list[tuple[str, str, str, float]]:
    right = (primary.verdicts == primary.truth).mean(axis=0)
    verdict = primary.probability.mean(axis=0).argmax(axis=1)
    rows = [int(row) for row in np.argsort(right, kind="stable") if right[row] < 0.5]
    names = slides.labels
    return [
        (slides.slide_ids[row], names[slides.y[row]], names[verdict[row]], float(right[row]))
        for row in rows[:_DOUBTFUL]
    ]

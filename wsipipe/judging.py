"""A classifier for daily use: fit to labelled slides, predict others, compare predictions with the truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wsipipe.cohort.classifier_file import Classifier, load_classifier, save_classifier
from wsipipe.cohort.classifiers import fit_classifier
from wsipipe.cohort.folds import LEAST_PATIENTS, check_enough
from wsipipe.cohort.joining import LabelledSlides, join_labels
from wsipipe.cohort.reasons import Reason, reasons
from wsipipe.cohort.slide_rows import usual_of
from wsipipe.cohort.verdict_scores import auc, calibration, confusion, table_scores
from wsipipe.errors import ModelError, UsageError
from wsipipe.io.output import slide_digest
from wsipipe.io.verdict_files import (
    ProportionTable,
    names_of,
    read_labels,
    read_predictions,
    read_proportions,
    write_table,
)
from wsipipe.judged_by import JUDGED_BY, rows_of, vectors_for, with_judged_by
from wsipipe.progress import Reporter
from wsipipe.records import words_for
from wsipipe.verdicts import load_slides, tell_left_out, write_left_out

SEEN = "the classifier was fitted to it"
"""Note on a slide whose verdict says little about the classifier."""


def fit(
    proportions: Path, labels: Path, name: str, seed: int, judged_by: str, report: Reporter
) -> tuple[Classifier, ProportionTable, LabelledSlides]:
    """Fit one classifier to all labelled slides.

    Raises
    ------
    UsageError
        There are too few slides or patients, or one label only.
    """
    table, slides = load_slides(proportions, labels, judged_by, report)
    check_enough(slides.y, slides.groups, slides.labels, LEAST_PATIENTS)
    rows = rows_of(table, slides.at)
    fitted = fit_classifier(rows, slides.y, slides.groups, name, seed, vectors_for(table.judged_by))
    facts = {
        "classifier": name,
        "chosen": fitted.chosen,
        "slides": {label: int((slides.y == i).sum()) for i, label in enumerate(slides.labels)},
        "patients": len(np.unique(slides.groups)) if slides.has_patients else None,
        "classes": list(table.class_names),
        "seed": seed,
        "trained_on": sorted(slide_digest(slide_id) for slide_id in slides.slide_ids),
    }
    usual = usual_of(rows, fitted.rule.vector)
    return Classifier(fitted.rule, slides.labels, table.model, table.judged_by, usual, facts), table, slides


def write_classifier(classifier: Classifier, slides: LabelledSlides, folder: Path, overwrite: bool) -> Path:
    """classifier.json, and unmatched.csv where there is something to list.

    Raises
    ------
    UsageError
        There is a classifier already.
    """
    path = folder / "classifier.json"
    if path.exists() and not overwrite:
        raise UsageError("holds a classifier already", "use another -o folder, or --overwrite", f"-o {folder.name}")
    folder.mkdir(parents=True, exist_ok=True)
    save_classifier(classifier, path)
    write_left_out(slides, folder)
    return path


def predict(proportions: Path, classifier_file: Path, target: Path, report: Reporter) -> list[tuple[str, str]]:
    """Write a verdict, probabilities and reasons for every slide; slide_id and verdict ("" without cells) of each.

    Raises
    ------
    ModelError
        The classifier was fitted to proportions of another model, or is of another format.
    UsageError
        The table that it judges by is not there, or wrong.
    """
    classifier = load_classifier(classifier_file)
    table = read_proportions(proportions)
    _check_model(classifier, classifier_file, table)  # of another model, other tables may be missing
    table = with_judged_by(table, proportions, classifier.judged_by)
    report.say(f"slides are judged by {JUDGED_BY[table.judged_by]}")
    judged = np.flatnonzero(table.counts.sum(axis=1) > 0)
    fields = [["", *[""] * len(classifier.labels), "", "no cells"] for _ in table.slide_ids]
    seen = set(classifier.facts.get("trained_on", ()))
    if len(judged):
        rows = rows_of(table, judged)
        why = reasons(classifier.rule, rows, classifier.usual)
        for row, p, reason in zip(judged, classifier.rule.probabilities(rows), why, strict=True):
            verdict = classifier.labels[int(p.argmax())]
            note = SEEN if slide_digest(table.slide_ids[row]) in seen else ""
            fields[row] = [verdict, *(f"{value:.4f}" for value in p), reason_text(reason, table.class_names), note]
    header = ["slide_id", "verdict", *(f"p_{label}" for label in classifier.labels), "reasons", "note"]
    lines = [[slide_id, *own] for slide_id, own in zip(table.slide_ids, fields, strict=True)]
    write_table(target, header, lines)
    return [(line[0], line[1]) for line in lines]


def _check_model(classifier: Classifier, classifier_file: Path, table: ProportionTable) -> None:
    """See that the proportions are of the model that the classifier knows.

    Raises
    ------
    ModelError
    """
    k = classifier.classes
    if table.model and (table.model, len(table.class_names)) != (classifier.model, k):
        raise ModelError(
            f"it judges proportions of model {classifier.model} ({k} classes), these are of {table.model} "
            f"({len(table.class_names)} classes)",
            "label the slides with that model (wsipipe label OUT --model), or fit a classifier to these proportions",
            classifier_file.name,
        )


def reason_text(found: list[Reason], names: tuple[str, ...]) -> str:
    """What speaks for a verdict, best first: `c3 21.0 % (usually 8.1 %); ...`.

    Of profiles, `c3 410 per mm2 (usually 160 per mm2, its area (log um2) above usual); ...`.
    """
    return "; ".join(f"{names[r.index]} {_much(r)}{_look_text(r.look)})" for r in found)


def _much(reason: Reason) -> str:
    """How many cells of a class there are here, and usually, in terms of what slides are judged by."""
    if reason.density is None:
        return f"{100 * reason.share:.1f} % (usually {100 * reason.usual:.1f} %"
    here, usually = (f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in reason.density)
    return f"{here} per mm2 (usually {usually} per mm2"


def _look_text(look: tuple[str, bool] | None) -> str:
    return f", its {words_for(look[0])} {'above' if look[1] else 'below'} usual" if look else ""


def evaluate_slides(predictions: Path, labels: Path, warn: Callable[[str], None]) -> dict[str, Any]:
    """Scores of predictions against labels, with the confusion table; unmatched slides are told to `warn`.

    Raises
    ------
    UsageError
        A table is wrong, nothing matches, or a true label is none that the classifier knows.
    """
    said, truth = read_predictions(predictions), read_labels(labels)
    ones = np.ones(len(said.slide_ids))  # every slide with a verdict counts
    rows = [(names_of(row.slide), row.label, "") for row in truth.rows]
    slides = join_labels(said.slide_ids, ones, rows, has_patients=False)
    tell_left_out(slides.left_out, warn)
    strangers = sorted(set(slides.labels) - set(said.labels))
    if strangers:
        raise UsageError(
            f"true labels that the classifier cannot give: {', '.join(strangers)}",
            f"it gives {', '.join(said.labels)}: write them so",
            f"--labels {labels.name}",
        )
    place = {slide_id: row for row, slide_id in enumerate(said.slide_ids)}
    at = [place[slide_id] for slide_id in slides.slide_ids]
    known = sum(said.notes[row] == SEEN for row in at)
    if known:
        warn(
            f"the classifier was fitted to {known} of these {len(at)} slides: the scores are too good; see classify cv"
        )
    y = np.array([said.labels.index(slides.labels[i]) for i in slides.y], np.intp)
    verdict = np.array([said.labels.index(said.verdicts[row]) for row in at], np.intp)
    table, probability = confusion(y, verdict, len(said.labels)), said.probability[at]
    measured = calibration(y, probability)
    area = auc(y, probability)
    return {
        "slides": len(at),
        **{name: float(value) for name, value in table_scores(table).items()},
        "auc": None if np.isnan(area) else area,
        "brier": measured.brier,
        "calibration_error": measured.error,
        "labels": list(said.labels),
        "confusion": table.tolist(),
    }

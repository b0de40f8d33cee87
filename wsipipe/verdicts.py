"""How well slides can be judged by their classes of cells: labels joined, cross-validation, its tables."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.cohort.classifiers import CLASSIFIERS, Fitted, fit_classifier
from wsipipe.cohort.crossval import OutOfFold, cross_validate, permutation_test
from wsipipe.cohort.folds import check_enough
from wsipipe.cohort.joining import LabelledSlides, join_labels
from wsipipe.cohort.verdict_scores import (
    MEASURES,
    auc,
    calibration,
    confusion,
    interval,
    resampled_scores,
    table_scores,
)
from wsipipe.io.verdict_files import ProportionTable, names_of, read_labels, write_table
from wsipipe.judged_by import JUDGED_BY, load_proportions, rows_of, vectors_for, why_not_profiles
from wsipipe.progress import Reporter

NO_PATIENTS = (
    "no patient column: every slide is taken for a patient of its own. If a patient has several slides, the scores are "
    "too good; add a column `patient` to the labels"
)

BOOTSTRAP_DRAWS = 1000

_LISTED = 5


@dataclass(frozen=True)
class Plan:
    """How a cross-validation is done.

    Attributes
    ----------
    folds, repeats : int
        Parts of the cohort, and how often it is dealt anew.
    permutations : int
        Of the labels, for the p-value; 0 for none.
    primary : str
        The classifier that the permutation test and the page are about; named before anything is seen.
    seed : int
        Of every random draw.
    judged_by : {"", "counted", "expected", "profiles"}
        What slides are judged by; "" for profiles where they are known, else shares.
    """

    folds: int = 4
    repeats: int = 20
    permutations: int = 200
    primary: str = "linear-svm"
    seed: int = 0
    judged_by: str = ""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """All that a cross-validation found; `rows` is what people and machines read.

    Attributes
    ----------
    table : ProportionTable
    slides : LabelledSlides
    plan : Plan
    results : dict of str to OutOfFold
        By classifier.
    rows : list of dict
        Scores of each classifier.
    p, observed : float or None
        Of the permutation test of the primary classifier, and its weighted F1 there; None without permutations.
    null : float64, (permutations,)
        Its weighted F1 with labels dealt anew.
    whole : Fitted
        The primary classifier fitted to all slides: it describes, it is not scored.
    """

    table: ProportionTable
    slides: LabelledSlides
    plan: Plan
    results: dict[str, OutOfFold]
    rows: list[dict[str, Any]]
    p: float | None
    observed: float | None
    null: NDArray[np.float64]
    whole: Fitted


def load_slides(
    proportions: Path, labels: Path, judged_by: str, report: Reporter
) -> tuple[ProportionTable, LabelledSlides]:
    """Slides with cells and a label; whatever finds no partner is listed.

    Raises
    ------
    UsageError
        A table is wrong, or nothing matches.
    """
    table, said = load_proportions(proportions, judged_by), read_labels(labels)
    why = "" if judged_by else why_not_profiles(table, proportions)
    report.say(f"slides are judged by {JUDGED_BY[table.judged_by]}{why and f'; not by profiles: {why}'}")
    rows = [(names_of(row.slide), row.label, row.patient) for row in said.rows]
    slides = join_labels(table.slide_ids, table.counts.sum(axis=1), rows, said.has_patients)
    tell_left_out(slides.left_out, report.warn, "; unmatched.csv lists all")
    used = set(slides.slide_ids)
    flagged = Counter(flag for i, own in zip(table.slide_ids, table.flags, strict=True) if i in used for flag in own)
    if flagged:
        found = ", ".join(f"{flag} {count}" for flag, count in sorted(flagged.items()))
        report.warn(
            f"flagged among the {len(used)} slides: {found}; look at them before you believe what sets them apart"
        )
    if not said.has_patients:
        report.warn(NO_PATIENTS)
    return table, slides


def cross_validate_slides(proportions: Path, labels: Path, plan: Plan, report: Reporter) -> CrossValidation:
    """Nested cross-validation of every classifier on the same folds.

    Raises
    ------
    UsageError
        There are too few slides or patients, or one label only.
    """
    table, slides = load_slides(proportions, labels, plan.judged_by, report)
    check_enough(slides.y, slides.groups, slides.labels, plan.folds)
    rows, y, groups = rows_of(table, slides.at), slides.y, slides.groups
    vectors, results = vectors_for(table.judged_by), {}
    for name in CLASSIFIERS:
        with report.stage(name, plan.folds * plan.repeats, "folds") as stage:
            results[name] = cross_validate(
                rows,
                y,
                groups,
                name,
                folds=plan.folds,
                repeats=plan.repeats,
                seed=plan.seed,
                advance=stage.advance,
                vectors=vectors,
                explained=name == plan.primary,
            )
    observed, p, null = None, None, np.zeros(0)
    if plan.permutations:
        with report.stage("permutation test", plan.permutations + 1, "cross-validations") as stage:
            observed, p, null = permutation_test(
                rows,
                y,
                groups,
                plan.primary,
                folds=plan.folds,
                permutations=plan.permutations,
                seed=plan.seed,
                advance=stage.advance,
                vectors=vectors,
            )
    scores = [_score_row(result, groups, plan.seed) for result in results.values()]
    whole = fit_classifier(rows, y, groups, plan.primary, plan.seed, vectors)
    return CrossValidation(table, slides, plan, results, scores, p, observed, null, whole)


def write_cross_validation(found: CrossValidation, folder: Path) -> None:
    """scores.json, slides.csv (what was said of each slide) and unmatched.csv of a cross-validation."""
    folder.mkdir(parents=True, exist_ok=True)
    primary = found.results[found.plan.primary]
    data = {
        "notice": "For research use only.",
        "model": found.table.model,
        "judged_by": found.table.judged_by,
        "slides": len(found.slides.slide_ids),
        "patients": len(np.unique(found.slides.groups)) if found.slides.has_patients else None,
        "labels": {name: int((found.slides.y == i).sum()) for i, name in enumerate(found.slides.labels)},
        "folds": found.plan.folds,
        "repeats": found.plan.repeats,
        "seed": found.plan.seed,
        "classifiers": found.rows,
        "permutation_test": {"classifier": found.plan.primary, "permutations": len(found.null), "p": found.p},
        "confusion": {"classifier": found.plan.primary, "mean_slides": mean_confusion(primary).tolist()},
    }
    with atomic_write(folder / "scores.json") as file:
        json.dump(data, file, indent=2, allow_nan=False)
        file.write("\n")
    header = ["slide_id", "label", "verdict", "right_share", *(f"p_{name}" for name in found.slides.labels)]
    mean, right = primary.probability.mean(axis=0), (primary.verdicts == primary.truth).mean(axis=0)
    lines = [
        [slide_id, *(found.slides.labels[i] for i in (primary.truth[row], mean[row].argmax())), f"{right[row]:.4f}"]
        + [f"{value:.4f}" for value in mean[row]]
        for row, slide_id in enumerate(found.slides.slide_ids)
    ]
    write_table(folder / "slides.csv", header, lines)
    write_left_out(found.slides, folder)


def mean_confusion(result: OutOfFold) -> NDArray[np.float64]:
    """Slides of each true label (rows) and verdict, mean over the repeats; float64 (labels, labels)."""
    return np.asarray(np.mean([confusion(result.truth, v, result.labels) for v in result.verdicts], axis=0))


def _score_row(result: OutOfFold, groups: NDArray[np.intp], seed: int) -> dict[str, Any]:
    """Median over the repeats, their range, and the interval over patients drawn anew."""
    tables = np.stack([confusion(result.truth, v, result.labels) for v in result.verdicts])
    drawn = resampled_scores(result.truth, result.verdicts, groups, result.labels, seed, BOOTSTRAP_DRAWS)
    row: dict[str, Any] = {"classifier": result.name}
    for name in MEASURES:
        values = table_scores(tables)[name]
        row[name] = float(np.median(values))
        row[f"{name}_repeats"] = interval(values)
        row[f"{name}_95"] = interval(drawn[name])
    measured = [calibration(result.truth, p) for p in result.probability]
    row["auc"] = float(np.median([auc(result.truth, p) for p in result.probability]))
    row["brier"] = float(np.median([m.brier for m in measured]))
    row["calibration_error"] = float(np.median([m.error for m in measured]))
    row["vectors"] = dict(sorted(result.chosen.items()))
    return row


def tell_left_out(left_out: Sequence[tuple[str, str]], warn: Callable[[str], None], rest: str = "") -> None:
    """A line on all slides that are without a partner for one reason; it ends with `rest` where not all are named."""
    for reason in dict.fromkeys(reason for _, reason in left_out):
        slides = [slide for slide, why in left_out if why == reason]
        if len(slides) == 1:
            warn(f"{slides[0]}: {reason}; it is left out")
        else:
            more = f", ...{rest}" if len(slides) > _LISTED else ""
            warn(f"{len(slides)} are left out, each of which {reason}: {', '.join(slides[:_LISTED])}{more}")


def write_left_out(slides: LabelledSlides, folder: Path) -> None:
    """unmatched.csv: slides and labels that were not used, and why; no file when all were."""
    path = folder / "unmatched.csv"
    if slides.left_out:
        write_table(path, ("slide", "reason"), slides.left_out)
    else:
        path.unlink(missing_ok=True)

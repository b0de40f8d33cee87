"""Proportions and labels brought together by slide_id, with a word on everything that finds no partner."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import UsageError


@dataclass(frozen=True, eq=False)
class LabelledSlides:
    """Slides with cells and a label.

    Attributes
    ----------
    slide_ids : tuple of str
    at : intp, (n,)
        Their rows among the proportions.
    y : intp, (n,)
        Index of each slide's label.
    labels : tuple of str
        Names of the labels, sorted.
    groups : intp, (n,)
        Patient of each slide, from 0; every slide its own where none is known.
    has_patients : bool
    left_out : tuple of (str, str)
        Slide, as its table names it, and why it is not used.
    """

    slide_ids: tuple[str, ...]
    at: NDArray[np.intp]
    y: NDArray[np.intp]
    labels: tuple[str, ...]
    groups: NDArray[np.intp]
    has_patients: bool
    left_out: tuple[tuple[str, str], ...]


def join_labels(
    slide_ids: Sequence[str],
    cells: NDArray[np.float64],
    said: Sequence[tuple[Sequence[str], str, str]],
    has_patients: bool,
) -> LabelledSlides:
    """Give every slide its label.

    Parameters
    ----------
    slide_ids : sequence of str
        Of the proportions, each once.
    cells : float64, (n,)
        Cells of each slide; those without any are left out.
    said : sequence of (names, label, patient)
        What the labels say; names are those the slide may have, likeliest first. The first is as it was written.
    has_patients : bool
        Whether patients are known.

    Raises
    ------
    UsageError
        Nothing matches, a slide has two labels, or some patients are not said.
    """
    by_slide, left_out = _matched(slide_ids, said)
    used = []
    for row, slide_id in enumerate(slide_ids):
        if slide_id not in by_slide:
            left_out.append((slide_id, "has no label"))
        elif not by_slide[slide_id][0]:
            left_out.append((slide_id, "its label is empty"))
        elif cells[row] == 0:
            left_out.append((slide_id, "has no cells"))
        else:
            used.append(row)
    if not by_slide:
        raise UsageError(
            f"none of its {len(said)} slides is one of the {len(slide_ids)} slides "
            f"({said[0][0][0]!r} there, {slide_ids[0]!r} here)",
            "write slides as their slide_id or file name",
            "--labels",
        )
    names = tuple(sorted({by_slide[slide_ids[row]][0] for row in used}))
    y = np.array([names.index(by_slide[slide_ids[row]][0]) for row in used], np.intp)
    patients = [by_slide[slide_ids[row]][1] for row in used]
    if has_patients and not all(patients):
        missing = [slide_ids[row] for row, patient in zip(used, patients, strict=True) if not patient]
        raise UsageError(
            f"{len(missing)} slides have no patient ({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''})",
            "fill in the column, or leave it out for all",
            "--labels",
        )
    groups = np.unique(patients, return_inverse=True)[1] if has_patients and used else np.arange(len(used))
    return LabelledSlides(
        tuple(slide_ids[row] for row in used),
        np.array(used, np.intp),
        y,
        names,
        np.asarray(groups, np.intp),
        has_patients,
        tuple(left_out),
    )


def _matched(
    slide_ids: Sequence[str], said: Sequence[tuple[Sequence[str], str, str]]
) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """Label and patient of each slide that has them, and the lines about slides that are not there."""
    known, found, strangers = set(slide_ids), dict[str, tuple[str, str]](), []
    for names, label, patient in said:
        slide_id = next((name for name in names if name in known), None)
        if slide_id is None:
            strangers.append((names[0], "has a label, but is none of the slides here"))
        elif found.setdefault(slide_id, (label, patient)) != (label, patient):
            other = found[slide_id]
            raise UsageError(
                f"has two entries, {', '.join(filter(None, other))} and {', '.join(filter(None, (label, patient)))}",
                "keep one of them",
                f"--labels {slide_id}",
            )
    return found, strangers

"""Folds that keep a patient's slides together, and labels exchanged as the null hypothesis allows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from wsipipe.errors import UsageError

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows to train on, rows to test on."""

LEAST_PATIENTS = 4
"""Of each label: with fewer, nothing is left to choose and calibrate on inside a fold."""


def check_enough(y: NDArray[np.intp], groups: NDArray[np.intp], names: Sequence[str], n_folds: int) -> None:
    """See that there are two labels, and enough patients of each.

    Parameters
    ----------
    y, groups : intp, (n,)
        Label and patient of each slide, from 0.
    names : sequence of str
        Of the labels.
    n_folds : int
        Folds wanted.

    Raises
    ------
    UsageError
        Saying how many are needed.
    """
    if len(names) < 2:
        found = f"all slides are {names[0]!r}" if names else "no slide has a label"
        raise UsageError(found, "give slides of at least two labels", "--labels")
    needed = max(n_folds, LEAST_PATIENTS)
    unit = "slides" if len(np.unique(groups)) == len(groups) else "patients"
    counts = {name: len(np.unique(groups[y == i])) for i, name in enumerate(names)}
    short = [f"{name!r} has {count}" for name, count in counts.items() if count < needed]
    if short:
        fewer = f" or use fewer --folds (at least {LEAST_PATIENTS} are needed in any case)"
        raise UsageError(
            f"too few {unit}: {', '.join(short)}; {n_folds} folds need {needed} of every label",
            f"add {unit} of it, leave the label out{fewer if n_folds > LEAST_PATIENTS else ''}",
            "--labels",
        )


def make_folds(y: NDArray[np.intp], groups: NDArray[np.intp], n_folds: int, seed: int) -> list[Fold]:
    """Shuffled folds with about the same shares of the labels; no patient is on both sides.

    Raises
    ------
    UsageError
        Patients with several labels make a fold from which a label is missing.
    """
    single = len(np.unique(groups)) == len(groups)
    maker = StratifiedKFold if single else StratifiedGroupKFold
    splits = maker(n_folds, shuffle=True, random_state=seed).split(np.zeros((len(y), 1)), y, None if single else groups)
    made = [(np.asarray(train, np.intp), np.asarray(test, np.intp)) for train, test in splits]
    every = len(np.unique(y))
    if any(len(np.unique(y[train])) < every or not len(test) for train, test in made):
        raise UsageError(
            f"the patients cannot be dealt into {n_folds} folds with every label in each training part",
            "add patients, or use fewer --folds",
            "--labels",
        )
    return made


def inner_folds(y: NDArray[np.intp], groups: NDArray[np.intp], n_folds: int, seed: int) -> list[Fold]:
    """The same inside a training part: as many folds as its rarest label has patients for, at most `n_folds`."""
    fewest = min(len(np.unique(groups[y == label])) for label in np.unique(y))
    return make_folds(y, groups, max(2, min(n_folds, fewest)), seed)


def exchanged(y: NDArray[np.intp], groups: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Labels dealt anew, as if they had nothing to do with the slides.

    Where every patient has one label, patients exchange theirs. Otherwise patients with as many slides as each other
    exchange all their labels, and each patient's slides exchange among themselves.
    """
    patients, patient = np.unique(groups, return_inverse=True)
    rows = [np.flatnonzero(patient == i) for i in range(len(patients))]
    if all(len(np.unique(y[own])) == 1 for own in rows):
        label = np.array([y[own[0]] for own in rows], np.intp)
        return np.asarray(rng.permutation(label)[patient])
    dealt = y.copy()
    for size in {len(own) for own in rows}:
        alike = [own for own in rows if len(own) == size]
        for own, giver in zip(alike, rng.permutation(len(alike)), strict=True):
            dealt[own] = rng.permutation(y[alike[giver]])
    return dealt

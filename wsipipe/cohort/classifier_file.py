"""A fitted classifier as one JSON file, bound to the model behind its proportions. No pickle, no code."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe import __version__
from wsipipe.atomic import atomic_write
from wsipipe.cohort.profile_vectors import PROFILE
from wsipipe.cohort.rule import Rule
from wsipipe.cohort.slide_rows import shares_of
from wsipipe.errors import ModelError

FORMAT_VERSION = 3
"""Of the file; raised when an older wsipipe could not read it rightly."""

_ANOTHER = "give a file that `wsipipe classify fit` wrote"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A rule and what it takes to use it.

    Attributes
    ----------
    rule : Rule
    labels : tuple of str
        Name of each label.
    model : str
        Hash of the model whose proportions it takes.
    judged_by : {"counted", "expected", "profiles"}
        What it takes: shares of counted cells, or of expected ones, or profiles.
    usual : float64, (m,)
        The usual row of the slides it was fitted to, as `slide_rows.usual_of` gives it.
    facts : dict
        Plain values for people: name, what was chosen, slides and patients, versions.
    """

    rule: Rule
    labels: tuple[str, ...]
    model: str
    judged_by: str
    usual: NDArray[np.float64]
    facts: dict[str, Any]

    @property
    def classes(self) -> int:
        """Number of cell classes."""
        return int(shares_of(self.usual[None], self.rule.vector).shape[1])


def save_classifier(classifier: Classifier, path: Path) -> None:
    """Write the file, whole or not at all."""
    data = {
        "wsipipe_classifier": FORMAT_VERSION,
        "notice": "For research use only.",
        "model": classifier.model,
        "judged_by": classifier.judged_by,
        "labels": list(classifier.labels),
        "facts": {**classifier.facts, "wsipipe": __version__},
        "usual": classifier.usual.tolist(),
        "rule": classifier.rule.to_dict(),
    }
    with atomic_write(path) as file:
        json.dump(data, file, indent=1, allow_nan=False)
        file.write("\n")


def load_classifier(path: Path) -> Classifier:
    """Read a file that `save_classifier` wrote, checking everything.

    Raises
    ------
    ModelError
        It is missing, something else, of a later format, or damaged.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        version = data["wsipipe_classifier"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"not a classifier ({type(error).__name__})", _ANOTHER, path.name) from error
    if version != FORMAT_VERSION:
        raise ModelError(
            f"format version {version}, this wsipipe reads {FORMAT_VERSION}",
            "use the wsipipe version that wrote it, or fit again",
            path.name,
        )
    try:
        found = Classifier(
            rule=Rule.from_dict(data["rule"]),
            labels=tuple(map(str, data["labels"])),
            model=str(data["model"]),
            judged_by=str(data["judged_by"]),
            usual=np.array(data["usual"], np.float64),
            facts=dict(data["facts"]),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ModelError(f"damaged ({error})", _ANOTHER, path.name) from error
    fits = len(found.labels) == len(found.rule.offsets) and found.usual.shape == found.rule.row_shape
    if not fits or (found.judged_by == "profiles") != (found.rule.vector == PROFILE):
        raise ModelError("damaged: its parts do not fit together", _ANOTHER, path.name)
    return found

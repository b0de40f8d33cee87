"""What an output folder and its model tell about the cell classes: names, pictures, and the slides they came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import ModelError
from wsipipe.export.classes import CellClass, default_classes, read_classes
from wsipipe.gan.checkpoint import Model, load
from wsipipe.gan.draw import sample
from wsipipe.io.output import OutputFolder, slide_digest
from wsipipe.io.store import CellStore

EXAMPLES = 14
"""Pictures of a class, of as many slides."""


@dataclass(frozen=True)
class ClassPictures:
    """Cells of one class, uint8 (m, size, size, 3), and whether they are real ones or drawn by the generator."""

    patches: NDArray[np.uint8]
    drawn: bool


def model_beside(proportions: Path, model_hash: str) -> Model | None:
    """The model in the folder of proportions.csv, when it is the one behind the table."""
    path = OutputFolder(proportions.parent).model
    if not path.is_file():
        return None
    try:
        model = load(path)
    except ModelError:  # the table can be judged without it; what it would have told is said to be unknown
        return None
    return model if model.hash == model_hash else None


def classes_beside(proportions: Path, names: Sequence[str]) -> tuple[CellClass, ...]:
    """The classes of the table under its own names, with the colours of classes.toml where it lies beside."""
    path = OutputFolder(proportions.parent).classes
    colored = read_classes(path, len(names)) if path.is_file() else default_classes(len(names))
    return tuple(CellClass(name, there.color) for name, there in zip(names, colored, strict=True))


def overlap_note(model: Model | None, slide_ids: Sequence[str]) -> tuple[str, bool]:
    """A sentence on whether the cell classes were learnt on these slides, and whether it is a warning."""
    known: Any = None if model is None else model.facts.get("trained_on")
    if not isinstance(known, list):
        return "It is not known on which slides the cell classes were learnt (their model does not say).", False
    shared = len({slide_digest(slide_id) for slide_id in slide_ids} & set(known))
    if not shared:
        return "The cell classes were learnt on other slides than these (compared by slide_id).", False
    found = f"The cell classes were learnt, without labels, on cells of {shared} of these {len(slide_ids)} slides too."
    return f"{found} Slides the model never saw may be judged less well: a model trained elsewhere would tell.", True


def pictures(
    proportions: Path, slide_ids: Sequence[str], counts: NDArray[np.float64], model_hash: str, index: int
) -> NDArray[np.uint8]:
    """The most confident cell of a class on each of the slides that have the most of it; uint8 (m, size, size, 3).

    Empty when the stores do not lie beside the table, or are labelled otherwise by now.
    """
    out, found = OutputFolder(proportions.parent), []
    share = counts[:, index] / np.maximum(counts.sum(axis=1), 1)
    for row in np.argsort(-share, kind="stable")[:EXAMPLES]:
        folder = out.slide(slide_ids[row])
        if counts[row, index] == 0 or not folder.store.is_dir():
            continue
        store = CellStore(folder.store)
        if not store.has_labels(model_hash):
            continue
        labels = store.labels(model_hash)
        cells = np.flatnonzero(labels.classes == index)
        if len(cells):
            best = int(cells[np.argmax(labels.confidence[cells])])
            found.append(np.asarray(store.patches[best]))
    same = [patch for patch in found if patch.shape == found[0].shape]
    return np.stack(same) if same else np.zeros((0, 0, 0, 3), np.uint8)


def class_pictures(
    proportions: Path,
    slide_ids: Sequence[str],
    counts: NDArray[np.float64],
    model_hash: str,
    model: Model | None,
    index: int,
) -> ClassPictures:
    """Real cells of a class where their stores are at hand, else what the generator draws for it, else nothing."""
    real = pictures(proportions, slide_ids, counts, model_hash, index)
    if len(real) or model is None:
        return ClassPictures(real, drawn=False)
    return ClassPictures(sample(model, index, EXAMPLES, seed=0), drawn=True)

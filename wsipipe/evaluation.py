"""Compare a finished output with ground truth, slide by slide, matched by slide_id."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.cohort.baselines import MEASURED, CellData, baseline_classes
from wsipipe.cohort.evaluate import cluster_scores, detection_scores, mask_scores, match_points
from wsipipe.errors import UsageError
from wsipipe.image.label_image import label_image
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.io.truth_files import POINTS, TRUTHS, find_truth, read_mask, read_points
from wsipipe.stored import model_of, slide_info

NUCLEI_RADIUS_PX = 10.0
CLASSES_RADIUS_PX = 6.0
UNCLASSIFIED = "unclassified"
"""Points of this class were marked but not classified; they are left out of class scores."""

Row = dict[str, Any]


def evaluate_nuclei(out: Path, truth: Path, radius_px: float = NUCLEI_RADIUS_PX) -> list[Row]:
    """One row per slide, and one for all: AJI, PQ, DQ, SQ, Dice against masks; precision, recall, F1 against points.

    Masks are averaged over slides; points are pooled.

    Raises
    ------
    UsageError
        If no slide of `out` has a file in `truth`, or the files are of two kinds.
    """
    pairs = list(_pairs(out, truth))
    kinds = {path.suffix == ".csv" for _, path in pairs}
    if len(kinds) != 1:
        raise UsageError("holds masks and points", "keep them in two folders", f"--truth {truth.name}")
    return _against_points(pairs, radius_px) if kinds.pop() else _against_masks(pairs)


def evaluate_classes(out: Path, truth: Path, radius_px: float = CLASSES_RADIUS_PX) -> Row:
    """Purity, entropy, the paper's F, AMI, ARI and NMI of the classes against marked ones, over all slides.

    Under "baselines" the same scores of three methods without networks, by name: fitted on and applied to the very
    cells that are scored, with as many classes as the model has.

    Raises
    ------
    UsageError
        If there is no labelled slide, no point with a class, or no cell near one.
    """
    model = model_of(OutputFolder(out))
    marked, given, seen, n_truth, n_cells = [], [], [], 0, 0
    for store, path in _pairs(out, truth, POINTS):
        points = read_points(path)
        known = (points.classes != UNCLASSIFIED) & (points.classes != "")
        found, true = match_points(_centres(store), points.xy[known], radius_px)
        marked.append(points.classes[known][true])
        given.append(store.labels(model.hash).classes[found])
        seen.append(_cell_data(store, found))
        n_truth, n_cells = n_truth + int(known.sum()), n_cells + len(store)
    if not sum(map(len, marked)):
        raise UsageError("no cell lies near a point with a class", "check the coordinates", f"--truth {truth.name}")
    true = np.concatenate(marked)
    cells = CellData(np.concatenate([s.measured for s in seen]), np.concatenate([s.patches for s in seen]))
    rivals = baseline_classes(cells, cells, model.config.classes)
    return {
        **dataclasses.asdict(detection_scores(len(true), n_cells, n_truth)),
        **dataclasses.asdict(cluster_scores(true, np.concatenate(given))),
        "baselines": {name: dataclasses.asdict(cluster_scores(true, found)) for name, found in rivals.items()},
    }


def _against_masks(pairs: list[tuple[CellStore, Path]]) -> list[Row]:
    rows = []
    for store, path in pairs:
        true, info = read_mask(path), slide_info(store)
        if true.shape != (info.height_px, info.width_px):
            raise UsageError(
                f"mask of {true.shape[1]} x {true.shape[0]} px for a slide of {info.width_px} x {info.height_px} px",
                "give masks in level-0 pixels",
                path.name,
            )
        chunks = (cells for _, cells in store.chunks(patches=False))
        found = label_image(chunks, info.width_px, info.height_px)
        rows.append({"slide_id": store.slide_id, **dataclasses.asdict(mask_scores(true, found))})
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "slide_id"}
    return [*rows, {"slide_id": "mean", **mean}]


def _against_points(pairs: list[tuple[CellStore, Path]], radius_px: float) -> list[Row]:
    rows, total = [], np.zeros(3, np.int64)
    for store, path in pairs:
        points = read_points(path)
        hits = len(match_points(_centres(store), points.xy, radius_px)[0])
        counts = np.array([hits, len(store), len(points.xy)])
        total += counts
        rows.append({"slide_id": store.slide_id, **dataclasses.asdict(detection_scores(*counts.tolist()))})
    return [*rows, {"slide_id": "all", **dataclasses.asdict(detection_scores(*total.tolist()))}]


def _pairs(out: Path, truth: Path, suffixes: Sequence[str] = TRUTHS) -> Iterator[tuple[CellStore, Path]]:
    """Finished slides that have a truth file of one of these kinds."""
    none = True
    for folder in OutputFolder(out).finished():
        path = find_truth(truth, folder.slide_id, suffixes)
        if path is not None:
            none = False
            yield CellStore(folder.store), path
    if none:
        raise UsageError(
            "no file there is named like a finished slide of OUT",
            "name them <slide_id>.csv" if suffixes == POINTS else "name them <slide_id>.png or .csv",
            f"--truth {truth.name}",
        )


def _cell_data(store: CellStore, rows: NDArray[np.intp]) -> CellData:
    """What the baselines see of some cells of a store."""
    measured = np.column_stack([np.asarray(store.array(name)[:], np.float64)[rows] for name in MEASURED])
    return CellData(measured, np.asarray(store.patches.oindex[rows]))


def _centres(store: CellStore) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.column_stack([np.asarray(store.array(name)[:]) for name in ("x_px", "y_px")])

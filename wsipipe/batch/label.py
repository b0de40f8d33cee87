"""Label the slides of a cohort and write their tables, each in a worker process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wsipipe.batch.check import Failures
from wsipipe.batch.logs import logged
from wsipipe.batch.segment import Work, any_error
from wsipipe.batch.tally import tallied
from wsipipe.cohort.proportions import ProportionsRow
from wsipipe.errors import SlideError, WorkerDiedError
from wsipipe.export.encode import jpeg_uri
from wsipipe.gan.checkpoint import Model
from wsipipe.io.output import SlideFolder
from wsipipe.io.store import CellStore
from wsipipe.labelling import label_store
from wsipipe.parallel import Fleet, cpu_count
from wsipipe.progress import Reporter
from wsipipe.seeing import loaded
from wsipipe.tables import slide_row, write_tables

THUMBNAIL_PX = 112
"""Longest side of a slide's picture on the cohort page."""


@dataclass(frozen=True)
class LabelWork:
    """What every slide's task is told."""

    work: Work
    model: str
    """Hash of the model in OUT; "" when no slide has a cell."""


@dataclass(frozen=True)
class Labelled:
    """What a slide's task gives back: its row of proportions.csv, and what the cohort page shows of it."""

    row: ProportionsRow
    warnings: tuple[str, ...]
    thumbnail: str


def label_cohort(
    folders: Sequence[SlideFolder],
    label_work: LabelWork,
    fleet: Fleet,
    report: Reporter,
    failed: Callable[[Failures], None],
    given: Mapping[str, str],
) -> list[Labelled]:
    """Label every slide and bring its tables up to date; `failed` is told of each failure. By slide_id.

    `given` is how the user wrote the path of a slide of this cohort; others go by their slide_id.
    """
    found = []
    with tallied("label", len(folders), report) as tally:
        names = [folder.slide_id for folder in folders]
        for slide_id, outcome in fleet.each(label_task, label_work, names, tally.tick):
            if isinstance(outcome, Labelled):
                found.append(outcome)
                tally.ended(failed=False, cells=outcome.row.n_cells)
            else:
                report.fail(str(outcome.of(slide_id)))
                failed({slide_id: (Path(given.get(slide_id, slide_id)), outcome)})
                tally.ended(failed=True)
    return sorted(found, key=lambda labelled: labelled.row.slide_id)


def label_task(label_work: LabelWork, slide_id: str, share: int) -> Labelled | SlideError:
    """Label one slide and write its tables, in a worker process that may keep `share` CPUs busy."""
    try:
        out = label_work.work.out()
        folder = out.slide(slide_id)
        settings = replace(label_work.work.settings, workers=min(share, cpu_count()))
        model = loaded(out.model, label_work.model) if label_work.model else None
        with logged(folder) as log:
            store = CellStore(folder.store)
            if model is not None:
                label_store(store, model, settings, log)
            write_tables(out, folder, store, model)
            return labelled_slide(store, model, settings.recipe.proportions.intervals)
    except WorkerDiedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one store, the others must go on
        return any_error(error, debug=label_work.work.settings.debug)


def labelled_slide(store: CellStore, model: Model | None, intervals: bool) -> Labelled:
    """What the cohort's table and page show of a slide that is labelled."""
    return Labelled(slide_row(store, model, intervals), tuple(store.attributes["warnings"]), _thumbnail(store))


def _thumbnail(store: CellStore) -> str:
    """The whole slide; of a small image, whose overview has few pixels, the field of view with the most cells."""
    overview: NDArray[np.uint8] = np.asarray(store.array("overview")[:])
    if max(overview.shape[:2]) < THUMBNAIL_PX and store.array("details").shape[0]:
        overview = np.asarray(store.array("details")[0])
    shrink = max(overview.shape[:2]) / THUMBNAIL_PX
    size = (max(1, round(overview.shape[1] / shrink)), max(1, round(overview.shape[0] / shrink)))
    return jpeg_uri(np.asarray(cv2.resize(overview, size, interpolation=cv2.INTER_AREA), np.uint8))

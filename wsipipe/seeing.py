"""Labels of a slide's cells: patches are looked at as they pass, then weighed with what else is known of the cells.

They pass on their way into the store, when the model is known by then, or when they are read from it. Both are the same
work, so the labels are the same bytes.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import Settings
from wsipipe.describing import describe, measured_in, nearest_in
from wsipipe.gan.asking import Look, arithmetic
from wsipipe.gan.checkpoint import Model, load
from wsipipe.gan.device import pick_device
from wsipipe.gan.label import check_patches, feed, looking, readers, weigh
from wsipipe.image.texture import TEXTURES, textures
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import Rows
from wsipipe.parallel import cpu_count
from wsipipe.progress import Reporter, Stage
from wsipipe.records import Labels

WHILE_STORED = "while they were stored"


class Sight:
    """What a model sees in the patches of one slide, whoever brings them: in any order, from several threads.

    Parameters
    ----------
    model : Model
    cells : int
        Number of cells of the slide.
    look : callable
        Of `gan.label.looking`.
    stage : Stage
        Told of the cells that were looked at.
    note : str
        What the stage is to say beside.
    """

    def __init__(self, model: Model, cells: int, look: Look, stage: Stage, note: str = "") -> None:
        self._model, self._look, self._stage, self._note = model, look, stage, note
        self._seen = np.empty((cells, model.config.classes), np.float32)
        self._texture = np.empty((cells, TEXTURES)) if model.config.describe else None
        self._counting = threading.Lock()

    def take(self, start: int, patches: NDArray[np.uint8]) -> None:
        """Look at the patches of the cells from row `start` on."""
        check_patches(self._model, patches)
        here = slice(start, start + len(patches))
        self._seen[here] = self._look(patches)
        if self._texture is not None:
            self._texture[here] = textures(patches)
        with self._counting:
            self._stage.advance(len(patches), self._note)

    def write(self, store: CellStore, device: str) -> None:
        """Weigh what was seen of all cells of a store, and write the labels there."""
        about = None
        if self._texture is not None:
            about = describe(measured_in(store), self._texture, nearest_in(store))
        found = weigh(self._model, self._seen, about)
        expected, profile = tuple(found.expected.tolist()), tuple(map(tuple, found.profile.tolist()))
        computed = f"{device}, {arithmetic(self._model, device)}"
        store.write_labels(Labels(self._model.hash, found.classes, found.confidence, expected, profile, computed))


def label_cells(store: CellStore, model: Model, settings: Settings, report: Reporter) -> None:
    """Label the cells of a finished store: its patches are read once."""
    device = pick_device(settings.device)
    with report.stage("label", len(store), "cells") as stage:
        threads = _threads(settings)
        with looking(model, device, threads, alone=False) as look:
            sight = Sight(model, len(store), look, stage)
            for _ in feed(store.patches, sight.take, readers(device, threads)):
                pass
        sight.write(store, device)


class WhileStored:
    """Labels the cells of one slide on their way into its store: a `labeller.Labeller`.

    Parameters
    ----------
    model : Model
    settings : Settings
        Device, and threads that may be kept busy.
    report : Reporter
    """

    def __init__(self, model: Model, settings: Settings, report: Reporter) -> None:
        self._model, self._settings, self._report = model, settings, report
        self._device = pick_device(settings.device)
        self._sight: Sight | None = None

    @contextmanager
    def watching(self, rows: Rows) -> Iterator[Rows]:
        """The same rows; whose patches are read are looked at."""
        if not len(rows):
            yield rows
            return
        threads = _threads(self._settings)
        with (
            self._report.stage("label", len(rows), "cells") as stage,
            looking(self._model, self._device, threads, alone=False) as look,
        ):
            self._sight = Sight(self._model, len(rows), look, stage, WHILE_STORED)
            yield _Watched(rows, self._sight)

    def write(self, store: CellStore) -> None:
        """Labels of what was watched, into the store that it became."""
        if self._sight is not None:
            self._sight.write(store, self._device)
            self._sight = None


class _Watched:
    """Rows whose patches are shown to a model when they are read."""

    def __init__(self, rows: Rows, sight: Sight) -> None:
        self._rows, self._sight = rows, sight

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def n_vertices(self) -> int:
        return self._rows.n_vertices

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        values = self._rows.read(name, start, stop)
        if name == "patches":
            self._sight.take(start, values)
        return values


@dataclass(frozen=True)
class ModelInFile:
    """A model as worker processes are told of it; makes a `WhileStored` there."""

    path: Path
    hash: str

    def __call__(self, settings: Settings, report: Reporter) -> WhileStored:
        """Whoever labels the cells of one slide."""
        return WhileStored(loaded(self.path, self.hash), settings, report)


@lru_cache(maxsize=1)
def loaded(path: Path, model_hash: str) -> Model:  # noqa: ARG001 - the hash tells models in one place apart
    """A model, loaded once a process."""
    return load(path)


def _threads(settings: Settings) -> int:
    return settings.workers or cpu_count()

"""What segmenting knows of labelling: somebody who watches cells on their way into the store. No networks here."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from wsipipe.config import Settings
from wsipipe.io.store import CellStore
from wsipipe.io.store_writer import Rows
from wsipipe.progress import Reporter


class Labeller(Protocol):
    """Labels the cells of a slide while they are stored. `seeing.WhileStored` is one."""

    def watching(self, rows: Rows) -> AbstractContextManager[Rows]:
        """The same rows, looked at when they are read."""
        ...

    def write(self, store: CellStore) -> None:
        """Add the labels to the store that the rows became."""
        ...


Labelling = Callable[[Settings, Reporter], Labeller]
"""Makes the labeller of one slide."""

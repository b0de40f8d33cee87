"""Finished stores of an output, its model, and stores as the records that other stages take."""

from collections.abc import Iterator

from wsipipe.config import Recipe, parse_recipe
from wsipipe.errors import StoreError, UsageError
from wsipipe.export.rows import LabelledCells
from wsipipe.gan.checkpoint import Model, load
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.store import CellStore
from wsipipe.records import Box, Labels, Level, SlideInfo

ROWS_AT_ONCE = 50_000
"""Cells held in memory at once."""


def stores_of(out: OutputFolder) -> Iterator[tuple[SlideFolder, CellStore]]:
    """Every finished slide of an output, by slide_id.

    Raises
    ------
    StoreError
        If there is none.
    """
    finished = out.finished()
    if not finished:
        raise StoreError(
            "holds no finished slide", "run `wsipipe segment` or `wsipipe run` into it first", out.path.name
        )
    for folder in finished:
        yield folder, CellStore(folder.store)


def model_of(out: OutputFolder) -> Model:
    """The model behind the labels of an output.

    Raises
    ------
    UsageError
        If there is none.
    """
    if not out.model.is_file():
        raise UsageError("holds no labels", "run `wsipipe label` on it first", out.path.name)
    return load(out.model)


def slide_info(store: CellStore) -> SlideInfo:
    """The slide's facts, as the store keeps them."""
    facts = dict(store.attributes["slide"])
    facts["levels"] = tuple(Level(**level) for level in facts["levels"])
    facts["bounds"] = Box(*facts["bounds"])
    facts["warnings"] = tuple(facts["warnings"])
    return SlideInfo(**facts)


def labelled_chunks(store: CellStore, labels: Labels | None) -> Iterator[LabelledCells]:
    """All cells of a store with their classes, ROWS_AT_ONCE at a time, without patches."""
    for start, cells in store.chunks(ROWS_AT_ONCE, patches=False):
        if labels is None:
            yield LabelledCells(cells)
        else:
            rows = slice(start, start + len(cells))
            yield LabelledCells(cells, labels.classes[rows], labels.confidence[rows])


def has_given_nuclei(store: CellStore) -> bool:
    """Whether the user brought the nuclei."""
    return bool(store.attributes["identity"].get("nuclei"))


def stored_recipe(store: CellStore) -> Recipe:
    """The recipe that the store was made with."""
    return parse_recipe(store.attributes["recipe"], "stored recipe")

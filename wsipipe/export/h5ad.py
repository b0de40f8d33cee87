"""cells.h5ad: the cells as AnnData, which scanpy and squidpy open; streamed, so the file is written as HDF5.

The layout is the one that anndata documents ("On-disk format"): every group and dataset says in `encoding-type` and
`encoding-version` what it is.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from wsipipe import __version__
from wsipipe.atomic import atomic_write
from wsipipe.export.classes import CellClass
from wsipipe.export.rows import LabelledCells, RowOrder
from wsipipe.export.tables import MORPHOLOGY
from wsipipe.records import SlideInfo

_VERSIONS = {"anndata": "0.1.0", "dict": "0.1.0"}
"""Versions of the encodings; all others are 0.2.0."""

_TEXT = h5py.string_dtype()


def cells_h5ad(
    path: Path,
    chunks: Iterable[LabelledCells],
    n_cells: int,
    info: SlideInfo,
    classes: Sequence[CellClass] = (),
    embedding: Iterable[NDArray[np.float32]] | None = None,
) -> int:
    """Write `obs` (one row per cell), `X` (morphology) and `obsm` (`spatial`, and `embedding` where there is one).

    Names of rows are `<slide_id>-<cell_id>`, so that they stay apart when slides are put together. `obs` has
    `slide_id`, `cell_id`, and with labels `class` and `confidence`; `uns` the slide's facts, and the colours of the
    classes where scanpy looks for them. Memory is bounded by one chunk.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete.
    chunks : iterable of LabelledCells
        All cells of the slide, sorted by y_px, then x_px.
    n_cells : int
        Their number.
    info : SlideInfo
        The slide.
    classes : sequence of CellClass
        Name and colour of each class index; empty without labels.
    embedding : iterable of float32 (m, width), optional
        That of all cells, in parts of any length.

    Returns
    -------
    int
        Cells written.

    Raises
    ------
    ValueError
        Rows are out of order, or not `n_cells`.
    """
    with atomic_write(path, "wb") as opened, h5py.File(opened.name, "w") as file:
        _encode(file, "anndata")
        for name in ("layers", "obsp", "varm", "varp"):
            _group(file, name, "dict")
        _put_var(_group(file, "var", "dataframe"))
        _put_uns(_group(file, "uns", "dict"), info, classes)
        columns = _make_columns(file, n_cells, info, classes)
        order = RowOrder()
        for chunk in chunks:
            _put_rows(columns, chunk, order.take(chunk), info.slide_id)
        if order.n_cells != n_cells:
            msg = f"{order.n_cells} cells came, not {n_cells}"
            raise ValueError(msg)
        if embedding is not None:
            _put_embedding(file["obsm"], n_cells, embedding)
    return n_cells


def _make_columns(
    file: h5py.File, n_cells: int, info: SlideInfo, classes: Sequence[CellClass]
) -> dict[str, h5py.Dataset]:
    """Empty datasets for all that has one entry a cell; by the name under which `_put_rows` fills them."""
    obs, obsm = _group(file, "obs", "dataframe"), _group(file, "obsm", "dict")
    columns = {
        "X": _dataset(file, "X", (n_cells, len(MORPHOLOGY)), "f4"),
        "spatial": _dataset(obsm, "spatial", (n_cells, 2), "f8"),
        "index": _dataset(obs, "_index", (n_cells,), _TEXT),
        "cell_id": _dataset(obs, "cell_id", (n_cells,), "i8"),
    }
    order = ["slide_id", "cell_id"]
    _categorical(obs, "slide_id", n_cells, [info.slide_id])  # codes are 0 from the start
    if classes:
        columns["class"] = _categorical(obs, "class", n_cells, [c.name for c in classes])
        columns["confidence"] = _dataset(obs, "confidence", (n_cells,), "f4")
        order += ["class", "confidence"]
    obs.attrs["_index"] = "_index"
    obs.attrs.create("column-order", order, dtype=_TEXT)
    return columns


def _put_rows(columns: dict[str, h5py.Dataset], chunk: LabelledCells, first: int, slide_id: str) -> None:
    cells, rows = chunk.cells, slice(first, first + len(chunk))
    if not len(chunk):
        return
    columns["X"][rows] = np.column_stack([getattr(cells, name) for name in MORPHOLOGY])
    columns["spatial"][rows] = np.column_stack([cells.x_px, cells.y_px])
    columns["index"][rows] = [f"{slide_id}-{i}" for i in range(first, first + len(chunk))]
    columns["cell_id"][rows] = np.arange(first, first + len(chunk))
    if "class" in columns:
        columns["class"][rows] = chunk.classes
        columns["confidence"][rows] = chunk.confidence


def _put_embedding(obsm: h5py.Group, n_cells: int, parts: Iterable[NDArray[np.float32]]) -> None:
    row = 0
    for part in parts:
        if not row:
            dataset = _dataset(obsm, "embedding", (n_cells, part.shape[1]), "f4")
        dataset[row : row + len(part)] = part
        row += len(part)
    if row != n_cells:
        msg = f"{row} cells have an embedding, not {n_cells}"
        raise ValueError(msg)


def _put_var(var: h5py.Group) -> None:
    _dataset(var, "_index", (len(MORPHOLOGY),), _TEXT)[:] = list(MORPHOLOGY)
    var.attrs["_index"] = "_index"
    var.attrs.create("column-order", [], dtype=_TEXT)


def _put_uns(uns: h5py.Group, info: SlideInfo, classes: Sequence[CellClass]) -> None:
    facts = _group(uns, "wsipipe", "dict")
    texts = {
        "program": f"wsipipe {__version__}",
        "notice": "For research use only.",
        "slide_id": info.slide_id,
        "spatial": "level-0 pixels of the slide",
    }
    for name, text in texts.items():
        _encode(facts.create_dataset(name, data=text, dtype=_TEXT), "string")
    _encode(facts.create_dataset("mpp", data=info.mpp), "numeric-scalar")
    if classes:
        _dataset(uns, "class_colors", (len(classes),), _TEXT)[:] = [c.hex for c in classes]


def _categorical(parent: h5py.Group, name: str, n: int, categories: Sequence[str]) -> h5py.Dataset:
    """The codes of a categorical column, to be filled."""
    group = _group(parent, name, "categorical")
    group.attrs["ordered"] = False
    _dataset(group, "categories", (len(categories),), _TEXT)[:] = list(categories)
    return _dataset(group, "codes", (n,), "i1")


def _dataset(parent: h5py.Group, name: str, shape: tuple[int, ...], dtype: Any) -> h5py.Dataset:
    return _encode(parent.create_dataset(name, shape, dtype), "string-array" if dtype is _TEXT else "array")


def _group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    return _encode(parent.create_group(name), kind)


def _encode(item: Any, kind: str) -> Any:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = _VERSIONS.get(kind, "0.2.0")
    return item

"""cells.parquet: the columns of cells.csv with their types and all their digits."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsipipe import __version__
from wsipipe.atomic import atomic_write
from wsipipe.export.rows import LabelledCells, RowOrder
from wsipipe.export.tables import MORPHOLOGY
from wsipipe.records import SlideInfo


def cells_parquet(path: Path, chunks: Iterable[LabelledCells], info: SlideInfo, class_names: Sequence[str] = ()) -> int:
    """Write one row per cell; a row group for each chunk, so that no more than a chunk is held.

    Columns are those of cells.csv. `class` is a dictionary of the class names; it and `confidence` are null without
    labels. The schema's metadata have the slide's facts as JSON under `wsipipe`.

    Parameters
    ----------
    path : Path
        The file; it appears when it is complete.
    chunks : iterable of LabelledCells
        All cells of the slide, sorted by y_px, then x_px.
    info : SlideInfo
        The slide.
    class_names : sequence of str
        Name of each class index.

    Returns
    -------
    int
        Cells written.

    Raises
    ------
    ValueError
        Rows are out of order.
    """
    order = RowOrder()
    schema = _schema(info, class_names)
    with atomic_write(path, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for chunk in chunks:
            writer.write_table(_table(chunk, order.take(chunk), schema, class_names))
    return order.n_cells


def _schema(info: SlideInfo, class_names: Sequence[str]) -> pa.Schema:
    facts = {
        "program": f"wsipipe {__version__}",
        "notice": "For research use only.",
        "slide_id": info.slide_id,
        "mpp": info.mpp,
        "coordinates": "level-0 pixels",
        "classes": list(class_names),
    }
    fields = [
        ("cell_id", pa.int64()),
        ("x_px", pa.float64()),
        ("y_px", pa.float64()),
        ("area_um2", pa.float32()),
        ("class", pa.dictionary(pa.int32(), pa.string())),
        ("confidence", pa.float32()),
        *((name, pa.float32()) for name in MORPHOLOGY[1:]),
    ]
    return pa.schema(fields, metadata={"wsipipe": json.dumps(facts, ensure_ascii=False)})


def _table(chunk: LabelledCells, first_id: int, schema: pa.Schema, class_names: Sequence[str]) -> pa.Table:
    n = len(chunk)
    columns = {
        "cell_id": np.arange(first_id, first_id + n),
        "x_px": chunk.cells.x_px,
        "y_px": chunk.cells.y_px,
        **{name: getattr(chunk.cells, name) for name in MORPHOLOGY},
        "class": pa.nulls(n, schema.field("class").type),
        "confidence": pa.nulls(n, pa.float32()),
    }
    if chunk.classes is not None:
        index = pa.array(chunk.classes.astype(np.int32))
        columns["class"] = pa.DictionaryArray.from_arrays(index, pa.array(class_names, pa.string()))
        columns["confidence"] = chunk.confidence
    return pa.table([columns[name] for name in schema.names], schema=schema)

"""Many cells for benchmarks: those of real images again and again, each time somewhere else."""

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import Recipe, Settings, load_recipe
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.parallel import Pool
from wsipipe.progress import Quiet
from wsipipe.records import Cells
from wsipipe.segmenting import segment_slide

_DATA = Path(os.environ.get("WSIPIPE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
_PLACE_PX = 1280
"""No image is larger."""

_CELLS_A_PLACE = 250
"""In a square of this side; as in dense tissue."""


@dataclass(frozen=True)
class RepeatedRows:
    """What `wsipipe.io.store_writer.write_store` takes; patches are looked up when they are read.

    Attributes
    ----------
    cells : Cells
        All but the patches, in the order of every output.
    patches : uint8, (m, size, size, 3)
        Of the real cells.
    source : int, (n,)
        The real cell that each is a copy of.
    side_px : int
        Of the square that all lie in.
    """

    cells: Cells
    patches: NDArray[np.uint8]
    source: NDArray[np.intp]
    side_px: int

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def n_vertices(self) -> int:
        """Number of contour vertices."""
        return len(self.cells.contour_xy)

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Entries `start` to `stop` of a field of `Cells`."""
        if name == "patches":
            return self.patches[self.source[start:stop]]
        return np.asarray(getattr(self.cells, name)[start:stop])


def real_cells(recipe: Recipe) -> Cells:
    """Cells of the labelled images: monuseg, consep, gbm40, bm_graz."""
    parts = []
    with tempfile.TemporaryDirectory() as folder, Pool(1) as pool:
        out = OutputFolder(Path(folder))
        settings = Settings(out=out.path, recipe=recipe, mpp=0.25)
        for dataset in ("monuseg", "consep", "gbm40", "bm_graz"):
            for path in sorted((_DATA / dataset / "images").iterdir()):
                segment_slide(path, out.slide(path.stem), settings, pool, Quiet())
                store = CellStore(out.slide(path.stem).store)
                parts.append(store.rows(0, len(store)))
    return Cells.concatenate(parts)


def repeated_cells(count: int) -> tuple[RepeatedRows, Recipe]:
    """`count` cells of recipe `default`, and that recipe.

    Copies of a cell are far apart in their order, so that hardly a chunk of a store holds two: repeated patches would
    compress as no real ones do.
    """
    recipe = load_recipe("default")
    cells = real_cells(recipe)
    rng = np.random.default_rng(0)
    source = np.concatenate([rng.permutation(len(cells)) for _ in range(-(-count // len(cells)))])[:count]
    columns = int(np.ceil(np.sqrt(count / _CELLS_A_PLACE)))
    shift = rng.integers(0, (columns - 1) * _PLACE_PX + 1, (count, 2))
    many = dataclasses.replace(cells, patches=np.zeros((len(cells), 0, 0, 3), np.uint8)).take(source)
    vertices = many.contour_xy + np.repeat(shift, np.diff(many.contour_offset), axis=0)
    many = dataclasses.replace(
        many,
        x_px=np.round(many.x_px + shift[:, 0], 2),
        y_px=np.round(many.y_px + shift[:, 1], 2),
        bbox_px=many.bbox_px + np.concatenate([shift, shift], axis=1).astype(np.int32),
        contour_xy=vertices.astype(np.float32),
    )
    order = many.order()
    return RepeatedRows(many.take(order), cells.patches, source[order], columns * _PLACE_PX), recipe

"""Nuclei as arrays, and their classes."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Rings = tuple[NDArray[np.float64], ...]
"""One outlined nucleus in level-0 px, (n, 2) each: the outline, then rings cut out of it or added (even-odd)."""


def _column(dtype: str, shape: tuple[int, ...] = ()) -> Any:
    return dataclasses.field(metadata={"dtype": dtype, "shape": shape})


@dataclass(frozen=True)
class Cells:
    """Nuclei of a tile or a slide: row i of every array is one nucleus. Field names are those of the store.

    Attributes
    ----------
    x_px, y_px : float64, (n,)
        Centre in level-0 pixels, rounded to 2 decimals; the top-left pixel covers [0, 1) x [0, 1).
    area_um2, perimeter_um : float32, (n,)
        Area and length of the outline.
    eccentricity, solidity : float32, (n,)
        Of the ellipse with the same second moments; area over convex area. Both in [0, 1].
    h_od_mean, h_od_std, e_od_mean, e_od_std : float32, (n,)
        Haematoxylin and eosin (or the second stain of the recipe, as DAB) optical density inside the nucleus.
    bbox_px : int32, (n, 4)
        Left, top, right, bottom in level-0 pixels (right and bottom exclusive).
    patches : uint8, (n, size, size, 3)
        RGB patch around the nucleus, stain-normalized, at the recipe's patch mpp.
    contour_offset : int64, (n + 1,)
        Contour of row i is `contour_xy[contour_offset[i] : contour_offset[i + 1]]`.
    contour_xy : float32, (m, 2)
        Outline vertices in level-0 pixels, open rings (first point not repeated).
    """

    x_px: NDArray[np.float64] = _column("f8")
    y_px: NDArray[np.float64] = _column("f8")
    area_um2: NDArray[np.float32] = _column("f4")
    perimeter_um: NDArray[np.float32] = _column("f4")
    eccentricity: NDArray[np.float32] = _column("f4")
    solidity: NDArray[np.float32] = _column("f4")
    h_od_mean: NDArray[np.float32] = _column("f4")
    h_od_std: NDArray[np.float32] = _column("f4")
    e_od_mean: NDArray[np.float32] = _column("f4")
    e_od_std: NDArray[np.float32] = _column("f4")
    bbox_px: NDArray[np.int32] = _column("i4", (4,))
    patches: NDArray[np.uint8] = _column("u1", (-1, -1, 3))
    contour_offset: NDArray[np.int64] = _column("i8")
    contour_xy: NDArray[np.float32] = _column("f4", (2,))

    def __post_init__(self) -> None:
        n = len(self.x_px)
        for field in dataclasses.fields(self):
            array, wanted = getattr(self, field.name), field.metadata
            rows = {"contour_offset": n + 1, "contour_xy": int(self.contour_offset[-1])}.get(field.name, n)
            shape_ok = array.ndim == 1 + len(wanted["shape"]) and all(
                want in (-1, have) for want, have in zip(wanted["shape"], array.shape[1:], strict=True)
            )
            if array.dtype != np.dtype(wanted["dtype"]) or not shape_ok or len(array) != rows:
                msg = f"Cells.{field.name}: {array.dtype}{array.shape}, wanted {wanted['dtype']} with {rows} rows"
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.x_px)

    @classmethod
    def empty(cls, patch_px: int) -> Self:
        """No cells, with patches of `patch_px` pixels a side."""
        arrays = {
            f.name: np.zeros((0, *(patch_px if s == -1 else s for s in f.metadata["shape"])), f.metadata["dtype"])
            for f in dataclasses.fields(cls)
        }
        return cls(**{**arrays, "contour_offset": np.zeros(1, np.int64)})

    @classmethod
    def concatenate(cls, parts: list["Cells"]) -> "Cells":
        """All rows of `parts` (at least one), in their order."""
        arrays = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts])
            for f in dataclasses.fields(cls)
            if f.name != "contour_offset"
        }
        lengths = np.concatenate([np.diff(p.contour_offset) for p in parts])
        return cls(**arrays, contour_offset=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Cells":
        """The given rows, in the given order; these very cells where a mask leaves none out."""
        if rows.dtype == bool and rows.all():
            return self
        index = np.flatnonzero(rows) if rows.dtype == bool else np.asarray(rows, np.intp)
        lengths = np.diff(self.contour_offset)[index]
        offset = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        vertex = np.repeat(self.contour_offset[index] - offset[:-1], lengths) + np.arange(offset[-1])
        arrays = {
            f.name: getattr(self, f.name)[index]
            for f in dataclasses.fields(self)
            if f.name not in ("contour_offset", "contour_xy")
        }
        return Cells(**arrays, contour_offset=offset, contour_xy=self.contour_xy[vertex])

    def order(self) -> NDArray[np.intp]:
        """Row order of every output."""
        return row_order(self.x_px, self.y_px, self.area_um2, self.bbox_px)


def row_order(
    x_px: NDArray[np.float64], y_px: NDArray[np.float64], area_um2: NDArray[np.float32], bbox_px: NDArray[np.int32]
) -> NDArray[np.intp]:
    """Row order of every output: by y_px, then x_px; area and box settle what is left."""
    order = np.lexsort((x_px, y_px))
    x, y = x_px[order], y_px[order]
    same = (x[1:] == x[:-1]) & (y[1:] == y[:-1])  # rare, so that the other keys cost next to nothing
    tied = np.flatnonzero(np.concatenate([same, [False]]) | np.concatenate([[False], same]))
    rows = order[tied]
    left, top, right, bottom = bbox_px[rows].T
    order[tied] = rows[np.lexsort((bottom, right, top, left, area_um2[rows], x_px[rows], y_px[rows]))]
    return order


@dataclass(frozen=True)
class Labels:
    """Classes of the cells of one store under one model; row i belongs to cell_id i.

    `expected` is the mean probability of each class over the cells, `profile` the mean description of each class's
    cells, weighed by these probabilities (empty rows where cells are not described); `computed` says on what device
    and in what number format, such as "cpu, bfloat16".
    """

    model_hash: str
    classes: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    expected: tuple[float, ...] = ()
    profile: tuple[tuple[float, ...], ...] = ()
    computed: str = ""

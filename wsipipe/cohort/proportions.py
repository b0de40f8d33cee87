"""From labels to the share of each class on a slide: P_i = X_i / sum(X)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import ProportionsConfig

NO_NUCLEI = "no_nuclei"
"""Flag of a slide on which no nucleus was found."""

FEW_CELLS = "few_cells"
"""Flag of a slide with fewer cells than the recipe's minimum: its proportions are uncertain."""


@dataclass(frozen=True)
class ProportionsRow:
    """One row of proportions.csv.

    Attributes
    ----------
    slide_id : str
        The slide.
    counts : tuple of int
        Cells of each class index.
    tissue_mm2 : float
        Area of the tissue searched.
    flags : tuple of str
        What the user should know before using the row.
    model : str
        Hash of the model behind the labels.
    expected : tuple of float
        Mean probability of each class over the cells; empty when there are none.
    profile : tuple of tuple of float
        Mean description of the cells of each class; empty when there are none, or they are not described.
    low, high : tuple of float
        95 % interval of each class' share; empty when nobody asked, or nothing is known.
    """

    slide_id: str
    counts: tuple[int, ...]
    tissue_mm2: float
    flags: tuple[str, ...]
    model: str
    expected: tuple[float, ...] = ()
    profile: tuple[tuple[float, ...], ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def n_cells(self) -> int:
        """All cells of the slide."""
        return sum(self.counts)

    @property
    def p(self) -> tuple[float, ...]:
        """Share of each class; empty when there are no cells."""
        return tuple(count / self.n_cells for count in self.counts) if self.n_cells else ()


def proportions(labels: NDArray[np.uint8], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count the cells of each class (Hu et al., JBHI 2019, section III.D).

    Parameters
    ----------
    labels : uint8, (n,)
        Class index of each cell.
    k : int
        Number of classes.

    Returns
    -------
    counts : int64, (k,)
        Cells of each class.
    p : float64, (k,) or (0,)
        Share of each class, which sum to 1; empty when there are no cells.

    Raises
    ------
    ValueError
        A label is not below k.
    """
    counts = np.bincount(labels, minlength=k).astype(np.int64)
    if len(counts) > k:
        msg = f"label {len(counts) - 1} is not one of {k} classes"
        raise ValueError(msg)
    return counts, counts / counts.sum() if len(labels) else np.zeros(0)


def proportions_row(
    slide_id: str,
    counts: NDArray[np.int64],
    tissue_mm2: float,
    model: str,
    config: ProportionsConfig,
    flags: tuple[str, ...] = (),
    expected: tuple[float, ...] = (),
    profile: tuple[tuple[float, ...], ...] = (),
) -> ProportionsRow:
    """One slide's row, with `no_nuclei` or `few_cells` added to the flags it has already.

    Parameters
    ----------
    slide_id : str
        The slide.
    counts : int64, (k,)
        Cells of each class.
    tissue_mm2 : float
        Area of the tissue searched.
    model : str
        Hash of the model behind the labels.
    config : ProportionsConfig
        Holds the minimum of cells.
    flags : tuple of str
        Flags from the stages before.
    expected : tuple of float
        Mean probability of each class over the cells.
    profile : tuple of tuple of float
        Mean description of the cells of each class.
    """
    n_cells = int(counts.sum())
    found = NO_NUCLEI if n_cells == 0 else FEW_CELLS if n_cells < config.min_cells else ""
    own = (found,) if found else ()
    if not n_cells:
        expected = profile = ()
    looks = profile if any(profile) else ()
    return ProportionsRow(slide_id, tuple(map(int, counts)), float(tissue_mm2), (*flags, *own), model, expected, looks)

"""How sure the proportions are: a bootstrap over fixed blocks of the slide, since neighbouring cells are alike."""

import numpy as np
from numpy.typing import NDArray

BLOCK_SIDES_UM = (500.0, 250.0, 125.0, 62.5, 31.25)
"""Sides tried, largest first; the first that gives ENOUGH_BLOCKS with cells is taken, else the last."""

ENOUGH_BLOCKS = 30

DRAWS = 2000

LEVEL = 0.95

_DRAWS_AT_ONCE = 100


def proportion_intervals(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], labels: NDArray[np.uint8], k: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """95 % intervals of the share of each class on a slide.

    Blocks of a lattice anchored at (0, 0) are drawn with replacement and their cells pooled (Hall, Stochastic
    Processes and their Applications 20, 1985; Efron and Tibshirani 1993, percentiles). Cells of one block stay
    together, so that patches of alike cells widen the interval as they should. A class of which there is no cell
    cannot be drawn: its upper end is Clopper and Pearson's for none among as many cells, and is too low where cells
    cluster. Draws depend on the number of blocks alone, not on the slide's name or the order of slides.

    Parameters
    ----------
    x_um, y_um : float64, (n,)
        Centres in microns from the corner of the slide.
    labels : uint8, (n,)
        Class index of each cell.
    k : int
        Number of classes.

    Returns
    -------
    low, high : tuple of k floats
        Empty when fewer than two blocks have cells: then nothing is known.
    """
    table = _block_counts(x_um, y_um, labels, k)
    blocks = len(table)
    if blocks < 2:
        return (), ()
    rng = np.random.default_rng(0)
    drawn = []
    for start in range(0, DRAWS, _DRAWS_AT_ONCE):
        times = rng.multinomial(blocks, np.full(blocks, 1 / blocks), min(_DRAWS_AT_ONCE, DRAWS - start))
        drawn.append(times @ table)
    cells = np.concatenate(drawn)
    ends = np.quantile(cells / cells.sum(axis=1, keepdims=True), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    absent = table.sum(axis=0) == 0
    ends[1, absent] = 1.0 - ((1 - LEVEL) / 2) ** (1.0 / len(labels))
    return tuple(map(float, ends[0])), tuple(map(float, ends[1]))


def _block_counts(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], labels: NDArray[np.uint8], k: int
) -> NDArray[np.int64]:
    """Cells of each class in each block that has cells; int64 (blocks, k), by block row, then column."""
    block = np.zeros(0, np.intp)
    for side in BLOCK_SIDES_UM:
        places = np.stack([np.floor(y_um / side), np.floor(x_um / side)]).astype(np.int64)
        _, block = np.unique(places, axis=1, return_inverse=True)
        if len(block) and block.max() + 1 >= ENOUGH_BLOCKS:
            break
    table = np.zeros((int(block.max(initial=-1)) + 1, k), np.int64)
    np.add.at(table, (block.reshape(-1), labels), 1)
    return table

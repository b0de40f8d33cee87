"""From counts of cell classes to the vector a slide is judged by: shares, their square roots, or centred log-ratios."""

import numpy as np
from numpy.typing import NDArray

VECTORS = ("raw", "hellinger", "clr")
"""Raw shares as in the paper; Hellinger; centred log-ratio."""

PSEUDO_COUNT = 0.5
"""Added to every class before logarithms, as Jeffreys' prior does; the fewer the cells, the more it weighs."""


def shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares that sum to 1 in each row.

    Parameters
    ----------
    counts : float64, (n, k)
        Cells of each class; every row has some.

    Raises
    ------
    ValueError
        A row has no cells.
    """
    total = counts.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        msg = "a slide without cells has no shares"
        raise ValueError(msg)
    return np.asarray(counts / total)


def slide_vectors(counts: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """The vector of each slide.

    Shares are parts of a whole: one can rise only when others fall, and distances between rare shares look small.
    `hellinger` takes square roots (Legendre and Gallagher, Oecologia 129, 2001); `clr` the logarithm of each share
    over their geometric mean (Aitchison, The Statistical Analysis of Compositional Data, 1986), with half a cell
    added to each class so that an absent class has a logarithm.

    Parameters
    ----------
    counts : float64, (n, k)
        Cells of each class; every row has some.
    kind : str
        One of VECTORS.

    Returns
    -------
    float64, (n, k)

    Raises
    ------
    ValueError
        A row has no cells, or there is no such kind.
    """
    if kind == "raw":
        return shares(counts)
    if kind == "hellinger":
        return np.asarray(np.sqrt(shares(counts)))
    if kind == "clr":
        logs = np.log(shares(counts + PSEUDO_COUNT))
        return np.asarray(logs - logs.mean(axis=1, keepdims=True))
    msg = f"no vector {kind!r}; there are {', '.join(VECTORS)}"
    raise ValueError(msg)


def with_share(counts: NDArray[np.float64], index: int, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same slides with another share of one class; the other classes keep their shares among themselves.

    Parameters
    ----------
    counts : float64, (n, k)
        Cells of each class; every row has some.
    index : int
        The class.
    share : float64, (n,)
        Its new share, 0 to 1.

    Returns
    -------
    float64, (n, k)
        Rows sum to what they summed to before.
    """
    total, own = counts.sum(axis=1), counts[:, index]
    rest = total - own
    k = counts.shape[1]
    even = np.full_like(counts, 1.0 / max(1, k - 1))
    spread = np.divide(counts, rest[:, None], out=even, where=rest[:, None] > 0)
    changed = spread * ((1.0 - share) * total)[:, None]
    changed[:, index] = share * total
    return np.asarray(changed)

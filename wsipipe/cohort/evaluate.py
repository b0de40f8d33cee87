"""Scores against ground truth: centres, outlines and classes of nuclei."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score


@dataclass(frozen=True)
class DetectionScores:
    """How well the found centres are the true ones: all three in [0, 1]."""

    precision: float
    recall: float
    f1: float
    matched: int
    """Pairs of a found and a true centre."""


@dataclass(frozen=True)
class MaskScores:
    """How well the found outlines are the true ones: all in [0, 1].

    Attributes
    ----------
    aji : float
        Aggregated Jaccard index (Kumar et al., IEEE TMI 36(7), 2017, algorithm 1).
    pq, dq, sq : float
        Panoptic quality = detection quality times segmentation quality (Kirillov et al., CVPR 2019); a found and
        a true nucleus are the same when their intersection over union is above 0.5.
    dice : float
        Of nuclei against background.
    """

    aji: float
    pq: float
    dq: float
    sq: float
    dice: float


@dataclass(frozen=True)
class ClusterScores:
    """How well label-free classes agree with the true ones.

    Attributes
    ----------
    n : int
        Cells compared.
    clusters : int
        Classes that hold at least one of them.
    purity : float
        Share of cells that are of the commonest true class of their cluster.
    entropy : float
        Bits of uncertainty about the true class within a cluster, mean weighted by cluster size; 0 is best.
    f_score : float
        Each cluster stands for its commonest true class; F1 of the true classes, mean weighted by the cells
        rightly assigned (purity, entropy and F as in Hu et al., IEEE JBHI 23(3), 2019, section IV.C).
    ami, ari, nmi : float
        Adjusted mutual information, adjusted Rand index, normalized mutual information (arithmetic mean).
    """

    n: int
    clusters: int
    purity: float
    entropy: float
    f_score: float
    ami: float
    ari: float
    nmi: float


def match_points(
    found_xy: NDArray[np.float64], truth_xy: NDArray[np.float64], radius_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair found and true centres one to one: as many pairs as possible, none farther apart than the radius.

    Among the largest matchings (Hopcroft and Karp 1973) it takes the first that it finds, not the one of least
    distance.

    Parameters
    ----------
    found_xy : float64, (n, 2)
        Found centres, pixels.
    truth_xy : float64, (m, 2)
        True centres, pixels.
    radius_px : float
        Largest distance of a pair.

    Returns
    -------
    found, truth : intp, (pairs,)
        Row of each pair in both arrays, by rising found row.
    """
    if not len(found_xy) or not len(truth_xy):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    near = KDTree(truth_xy).query_ball_point(found_xy, radius_px, return_sorted=True)
    ends = np.cumsum([len(rows) for rows in near])
    columns = np.concatenate([np.asarray(rows, np.int32) for rows in near])
    shape = (len(found_xy), len(truth_xy))
    graph = csr_array((np.ones(len(columns), bool), columns, np.concatenate([[0], ends]).astype(np.int32)), shape)
    partner = maximum_bipartite_matching(graph, perm_type="column")
    found = np.flatnonzero(partner >= 0)
    return found, partner[found].astype(np.intp)


def detection_scores(matched: int, n_found: int, n_truth: int) -> DetectionScores:
    """Precision, recall and F1 from the number of pairs; 0 where nothing was found or nothing is there."""
    return DetectionScores(
        precision=matched / max(1, n_found),
        recall=matched / max(1, n_truth),
        f1=2 * matched / max(1, n_found + n_truth),
        matched=matched,
    )


def mask_scores(truth: NDArray[np.integer], found: NDArray[np.integer]) -> MaskScores:
    """Compare two instance masks of one image.

    Parameters
    ----------
    truth, found : int, (height, width)
        0 is background, every other value one nucleus.

    Returns
    -------
    MaskScores
        All 0 when one of the masks is empty.

    Raises
    ------
    ValueError
        The masks differ in size.
    """
    if truth.shape != found.shape:
        msg = f"masks of {truth.shape} and {found.shape} cannot be compared"
        raise ValueError(msg)
    row, column, both, truth_area, found_area = _overlaps(truth, found)
    either = truth_area[row] + found_area[column] - both
    iou = both / either
    hit = iou > 0.5
    dq = 2 * int(hit.sum()) / max(1, len(truth_area) + len(found_area))
    sq = float(iou[hit].mean()) if hit.any() else 0.0
    dice = 2 * both.sum() / max(1, truth_area.sum() + found_area.sum())
    return MaskScores(_aji(row, column, both, iou, truth_area, found_area), dq * sq, dq, sq, float(dice))


def _overlaps(
    truth: NDArray[np.integer], found: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of nuclei that share pixels (true row, found row, pixels shared) and the areas of all nuclei."""
    used = (truth != 0) | (found != 0)
    pair, pixels = np.unique(np.stack([truth[used], found[used]]).astype(np.int64), axis=1, return_counts=True)
    truth_ids, row = np.unique(np.append(pair[0], 0), return_inverse=True)
    found_ids, column = np.unique(np.append(pair[1], 0), return_inverse=True)
    row, column = row[:-1], column[:-1]
    truth_area = np.bincount(row, pixels, len(truth_ids)).astype(np.int64)
    found_area = np.bincount(column, pixels, len(found_ids)).astype(np.int64)
    shared = (pair[0] != 0) & (pair[1] != 0)
    no_truth, no_found = np.searchsorted(truth_ids, 0), np.searchsorted(found_ids, 0)
    row, column = row - (row > no_truth), column - (column > no_found)  # rows of the areas without background
    return (
        row[shared],
        column[shared],
        pixels[shared],
        np.delete(truth_area, no_truth),
        np.delete(found_area, no_found),
    )


def _aji(
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    both: NDArray[np.int64],
    iou: NDArray[np.float64],
    truth_area: NDArray[np.int64],
    found_area: NDArray[np.int64],
) -> float:
    """Each true nucleus takes the found one of highest IoU (the first of equals), which may serve several."""
    if not len(found_area):
        return 0.0
    order = np.lexsort((column, -iou, row))
    _, first = np.unique(row[order], return_index=True)
    best = order[first]
    either = truth_area[row[best]] + found_area[column[best]] - both[best]
    missed = truth_area.sum() - truth_area[row[best]].sum()
    extra = found_area.sum() - found_area[np.unique(column[best])].sum()
    return float(both[best].sum() / (either.sum() + missed + extra))


def cluster_scores(truth: ArrayLike, cluster: ArrayLike) -> ClusterScores:
    """Compare label-free classes with true ones; neither the names nor the numbers of classes need to agree.

    Parameters
    ----------
    truth, cluster : array_like, (n,)
        True class and class found, of each cell.

    Raises
    ------
    ValueError
        There are no cells, or not one class of each per cell.
    """
    true_names, true_row = np.unique(np.asarray(truth), return_inverse=True)
    names, column = np.unique(np.asarray(cluster), return_inverse=True)
    if not len(true_row) or len(true_row) != len(column):
        msg = f"{len(true_row)} true and {len(column)} found classes cannot be compared"
        raise ValueError(msg)
    table = np.zeros((len(true_names), len(names)), np.int64)
    np.add.at(table, (true_row, column), 1)
    return ClusterScores(
        n=len(true_row),
        clusters=len(names),
        purity=float(table.max(axis=0).sum() / table.sum()),
        entropy=_entropy(table),
        f_score=_f_score(table),
        ami=float(adjusted_mutual_info_score(true_row, column)),
        ari=float(adjusted_rand_score(true_row, column)),
        nmi=float(normalized_mutual_info_score(true_row, column)),
    )


def _entropy(table: NDArray[np.int64]) -> float:
    """Conditional entropy of the true class (rows) given the cluster (columns), bits."""
    row, column = np.nonzero(table)
    cells = table[row, column]
    # + 0.0 turns the -0.0 of pure clusters into 0.0
    return float(-(cells * np.log2(cells / table.sum(axis=0)[column])).sum() / table.sum() + 0.0)


def _f_score(table: NDArray[np.int64]) -> float:
    owner = table.argmax(axis=0)  # the true class each cluster stands for
    right = np.array([table[k, owner == k].sum() for k in range(len(table))])
    assigned = np.array([table[:, owner == k].sum() for k in range(len(table))])
    f1 = 2 * right / (assigned + table.sum(axis=1))  # = 2PR / (P + R)
    return float((right * f1).sum() / right.sum())

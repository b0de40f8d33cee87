"""What any lab could do without networks: the rivals that learnt classes are shown beside, on the same cells."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

MEASURED = (
    "area_um2",
    "perimeter_um",
    "eccentricity",
    "solidity",
    "h_od_mean",
    "h_od_std",
    "e_od_mean",
    "e_od_std",
)
"""Fields of `Cells` that the first two baselines see."""

SIZES = (0, 1)
"""Columns of MEASURED that are sizes."""

FIT_CELLS = 10_000
"""Most cells that a baseline is fitted on, drawn evenly at random; all are assigned."""

STARTS = 5
"""Each baseline is fitted from this many starts and the one of best criterion (its own, no labels) is kept."""

ROUNDS = 300
"""Of a fit, at most."""

_CHUNK = 4096


@dataclass(frozen=True)
class CellData:
    """What the baselines see of cells.

    Attributes
    ----------
    measured : float64, (n, 8)
        Columns as in MEASURED.
    patches : uint8, (n, size, size, 3)
        RGB.
    """

    measured: NDArray[np.float64]
    patches: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.measured.shape != (len(self.patches), len(MEASURED)):
            msg = f"{self.measured.shape} measurements for {len(self.patches)} patches; one row of 8 each is needed"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.patches)


def baseline_classes(fitted_on: CellData, cells: CellData, k: int, seed: int = 0) -> dict[str, NDArray[np.intp]]:
    """Classes of cells by three methods without networks, each fitted without labels.

    K-means (Lloyd, k-means++ starts) and a Gaussian mixture (full covariances) on the standardized measurements of
    shape and stain, and k-means on the patches' pixels. The same answer for the same input and seed.

    Parameters
    ----------
    fitted_on, cells : CellData
        Cells that the methods are fitted on, at least one; cells to assign (may be the same object).
    k : int
        Number of classes; fewer when `fitted_on` has fewer different cells.
    seed : int
        Of the starts, and of the draw when there are more than FIT_CELLS cells to fit on.

    Returns
    -------
    dict of str to intp (n,)
        Class of each of `cells`, by the name of the method.
    """
    drawn = np.arange(len(fitted_on))
    if len(drawn) > FIT_CELLS:
        drawn = np.sort(np.random.default_rng(seed).choice(drawn, FIT_CELLS, replace=False))
    scaler = StandardScaler().fit(shape_and_stain(fitted_on.measured))
    learnt, asked = (scaler.transform(shape_and_stain(c.measured)) for c in (fitted_on, cells))
    learnt, pixels = learnt[drawn], _pixels(fitted_on.patches[drawn])
    with threadpool_limits(1), warnings.catch_warnings():  # one thread: sums in one order
        warnings.simplefilter("ignore", ConvergenceWarning)  # after ROUNDS it is as good a rival as it gets
        by_shape = _k_means(learnt, k, seed)
        # a mixture needs two cells; one cell is one class by any method
        by_mixture = _mixture(learnt, by_shape.n_clusters, seed) if len(learnt) > 1 else by_shape
        by_pixels = _k_means(pixels, k, seed)
        parts = [by_pixels.predict(_pixels(cells.patches[i : i + _CHUNK])) for i in range(0, len(cells), _CHUNK)]
        return {
            "k-means on shape and stain": by_shape.predict(asked).astype(np.intp),
            "Gaussian mixture on shape and stain": by_mixture.predict(asked).astype(np.intp),
            "k-means on pixels": np.concatenate([np.zeros(0, np.intp), *parts]).astype(np.intp),
        }


def shape_and_stain(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """The measurements, sizes as logarithms so that large nuclei do not outweigh all others; float64 (n, 8).

    Parameters
    ----------
    measured : float64, (n, 8)
        Columns as in MEASURED.
    """
    features = np.array(measured, np.float64)
    features[:, SIZES] = np.log(np.maximum(features[:, SIZES], 0.01))
    return features


def _k_means(rows: NDArray[np.floating], k: int, seed: int) -> KMeans:
    different = len(np.unique(rows[:1000], axis=0))
    if different < k:
        different = len(np.unique(rows, axis=0))
    return KMeans(min(k, different), n_init=STARTS, max_iter=ROUNDS, random_state=seed).fit(rows)


def _mixture(rows: NDArray[np.floating], k: int, seed: int) -> GaussianMixture:
    return GaussianMixture(k, reg_covar=1e-3, n_init=STARTS, max_iter=ROUNDS, random_state=seed).fit(rows)


def _pixels(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One row of values in [0, 1] for each patch."""
    return patches.reshape(len(patches), -1).astype(np.float32) / np.float32(255)

"""What a fitted classifier computes, in plain arrays: it needs no scikit-learn, and is saved as JSON."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import softmax

from wsipipe.cohort.profile_vectors import PROFILE
from wsipipe.cohort.slide_rows import vectors_of
from wsipipe.cohort.vectors import VECTORS
from wsipipe.records import DESCRIPTION

KINDS = ("linear", "rbf", "nearest")


@dataclass(frozen=True, eq=False)
class Rule:
    """Slide vector -> standardized -> one decision value per label -> probabilities.

    Attributes
    ----------
    vector : str
        One of `wsipipe.cohort.vectors.VECTORS`, or "profile".
    looks : float64, (classes, len(DESCRIPTION))
        Usual looks, for a profile; without rows for the other vectors.
    center, scale : float64, (k,)
        Subtracted from the vector, which has k components, then divided by.
    kind : str
        "linear": weights times the vector; "rbf": weights times a Gaussian kernel with each row of `basis`;
        "nearest": minus the distance to each row of `basis`.
    basis : float64, (m, k)
        Support vectors, or one centre per label; empty for "linear".
    gamma : float
        Of the kernel exp(-gamma d^2); 0 where there is none.
    weights : float64, (labels, k) or (labels, m)
        Empty for "nearest".
    offsets : float64, (labels,)
        Added to the decision values.
    sharpness : float
        Decision values are multiplied by it before the softmax (inverse temperature: Guo et al., ICML 2017); it
        never changes which label is largest.
    """

    vector: str
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    kind: str
    basis: NDArray[np.float64]
    gamma: float
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]
    sharpness: float = 1.0
    looks: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros((0, len(DESCRIPTION))))

    def __post_init__(self) -> None:
        k, labels = len(self.center), len(self.offsets)
        inputs = k if self.kind == "linear" else len(self.basis)
        weights = (0, 0) if self.kind == "nearest" else (labels, inputs)
        rows = labels if self.kind == "nearest" else len(self.basis)
        classes = k // (1 + len(DESCRIPTION)) if self.vector == PROFILE else 0
        arrays = (self.center, self.scale, self.basis, self.weights, self.offsets, self.looks)
        shapes = tuple(array.shape for array in arrays)
        right = ((k,), (k,), (rows, k), weights, (labels,), (classes, len(DESCRIPTION)))
        if shapes != right or self.vector not in (*VECTORS, PROFILE) or (classes and k % (1 + len(DESCRIPTION))):
            msg = f"not a classifier: shapes {shapes}, vector {self.vector!r}"
            raise ValueError(msg)
        if (
            self.kind not in KINDS
            or labels < 2
            or not all(np.isfinite(a).all() for a in arrays)
            or not self.scale.all()
        ):
            msg = f"not a classifier: kind {self.kind!r}, {labels} labels, or numbers that cannot be"
            raise ValueError(msg)

    @property
    def row_shape(self) -> tuple[int]:
        """Of what `decisions` takes of one slide."""
        return (len(self.center) + (self.vector == PROFILE),)

    def decisions(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """One value per slide and label, the largest is the verdict; float64 (n, labels).

        Parameters
        ----------
        rows : float64, (n, classes) or (n, 1 + k)
            Cells of each class, of which every row has some; for a profile, rows of `profile_vectors.profile_rows`.
        """
        z = (vectors_of(rows, self.vector, self.looks) - self.center) / self.scale
        if self.kind == "linear":
            return np.asarray(z @ self.weights.T + self.offsets)
        squared = cdist(z, self.basis, "sqeuclidean")
        if self.kind == "nearest":
            return np.asarray(self.offsets - np.sqrt(squared))
        return np.asarray(np.exp(-self.gamma * squared) @ self.weights.T + self.offsets)

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of each label; float64 (n, labels), rows sum to 1."""
        return np.asarray(softmax(self.sharpness * self.decisions(rows), axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them; every float comes back as it was."""
        values = dataclasses.asdict(self)
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Rule":
        """The rule that `to_dict` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError
            The values are no rule.
        """
        k = len(values["center"])
        width = 0 if values["kind"] == "nearest" else len(values["weights"][0])
        return cls(
            vector=str(values["vector"]),
            center=np.array(values["center"], np.float64),
            scale=np.array(values["scale"], np.float64),
            kind=str(values["kind"]),
            basis=np.array(values["basis"], np.float64).reshape(-1, k),
            gamma=float(values["gamma"]),
            weights=np.array(values["weights"], np.float64).reshape(-1, width) if width else np.zeros((0, 0)),
            offsets=np.array(values["offsets"], np.float64),
            sharpness=float(values["sharpness"]),
            looks=np.array(values["looks"], np.float64).reshape(-1, len(DESCRIPTION)),
        )

"""The distribution of a class's foregrounds in feature space: the M-step of F-EM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf, oas, shrunk_covariance

from empaste_aug.types import ArgumentError

DISTANCES = ("mahalanobis", "cosine")
COVARIANCES = ("ledoit_wolf", "oas", "shrunk")
_CHUNK = 8192


class ForegroundModel:
    """A mean, and a metric round it (paper, 3.1, step 2).

    Args:
        samples: (N, D) features of the selected segments, N >= 2.
        distance: "mahalanobis", or "cosine", which needs no covariance.
        covariance: "ledoit_wolf", "oas", or "shrunk" (towards the scaled identity, by the constant
            `shrinkage`): estimators that hold with fewer samples than dimensions.
        shrinkage: in (0, 1], for "shrunk".

    Attributes:
        mean: (D,) float64.
        covariance: (D, D) float64, positive definite; None for the cosine distance.

    Raises:
        ArgumentError: fewer than two samples, or an unknown distance or covariance.
    """

    def __init__(
        self,
        samples: NDArray[np.floating],
        *,
        distance: str,
        covariance: str,
        shrinkage: float,
    ) -> None:
        if len(samples) < 2:
            raise ArgumentError(f"samples: a distribution needs two or more, not {len(samples)}")
        if distance not in DISTANCES:
            raise ArgumentError(
                f"distance: must be one of {', '.join(DISTANCES)}, not {distance!r}"
            )
        samples = samples.astype(np.float64)
        self.mean: NDArray[np.float64] = samples.mean(axis=0)
        self.covariance: NDArray[np.float64] | None = None
        self._whiten: NDArray[np.float64] | None = None
        if distance == "mahalanobis":
            self.covariance = _covariance(samples - self.mean, covariance, shrinkage)
            self._whiten = np.linalg.inv(np.linalg.cholesky(self.covariance)).T

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(M,) distances of (M, D) features: sqrt((h - mu)' S^-1 (h - mu)), or 1 - cosine."""
        result = np.empty(len(features))
        for start in range(0, len(features), _CHUNK):
            rows = features[start : start + _CHUNK].astype(np.float64)
            if self._whiten is not None:
                value = np.linalg.norm((rows - self.mean) @ self._whiten, axis=1)
            else:
                lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(self.mean)
                value = 1.0 - (rows @ self.mean) / np.maximum(lengths, np.finfo(np.float64).tiny)
            result[start : start + _CHUNK] = value
        return result


def _covariance(
    centred: NDArray[np.float64], estimator: str, shrinkage: float
) -> NDArray[np.float64]:
    """(D, D) positive definite estimate from (N, D) samples whose mean is zero."""
    if estimator == "ledoit_wolf":
        matrix, _ = ledoit_wolf(centred, assume_centered=True)
    elif estimator == "oas":
        matrix, _ = oas(centred, assume_centered=True)
    elif estimator == "shrunk":
        plain = centred.T @ centred / len(centred)
        matrix = shrunk_covariance(plain, shrinkage=shrinkage)
    else:
        raise ArgumentError(
            f"covariance: must be one of {', '.join(COVARIANCES)}, not {estimator!r}"
        )
    # The estimate may still be singular: equal samples, or an estimator that shrinks by nothing.
    dimension = centred.shape[1]
    variance = float(np.trace(matrix)) / dimension
    floor = 1e-6 * variance if variance > 0 else 1.0
    return np.asarray(matrix, dtype=np.float64) + floor * np.eye(dimension)

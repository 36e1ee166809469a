"""The distribution of a class's foregrounds in feature space: the M-step of F-EM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage, oas

from empaste_aug.types import ArgumentError

DISTANCES = ("mahalanobis", "cosine")
COVARIANCES = ("ledoit_wolf", "oas", "shrunk")
_CHUNK = 8192
_FLOOR = 1e-6


class ForegroundModel:
    """A mean, and a metric round it (paper, 3.1, step 2).

    The covariance S is the samples' own, shrunk towards the scaled identity, (1 - s) C + s mu I
    with mu = tr(C) / D: an estimate that holds with fewer samples than dimensions. It is kept as
    the singular vectors of the samples, at most N of them, so that neither estimating it nor
    measuring distances costs D x D.

    Args:
        samples: (N, D) features of the selected segments, N >= 2.
        distance: "mahalanobis", or "cosine", which needs no covariance.
        covariance: how s is found: "ledoit_wolf", "oas", or "shrunk" for the constant `shrinkage`.
        shrinkage: in (0, 1], for "shrunk".

    Attributes:
        mean: (D,) float64.

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
        self._axes: NDArray[np.float64] | None = None
        if distance == "mahalanobis":
            centred = samples - self.mean
            share = _shrinkage(centred, covariance, shrinkage)
            variances, axes = _principal_axes(centred)
            mean_variance = float(variances.sum()) / centred.shape[1]
            # The floor keeps S invertible where nothing is shrunk, or all samples are the same.
            self._base = (share + _FLOOR) * mean_variance if mean_variance > 0 else 1.0
            self._variances = (1 - share) * variances + self._base
            self._axes = axes

    @property
    def covariance(self) -> NDArray[np.float64] | None:
        """(D, D) positive definite S; None for the cosine distance."""
        if self._axes is None:
            return None
        along = self._axes.T * (self._variances - self._base)
        return np.asarray(along @ self._axes + self._base * np.eye(len(self.mean)))

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(M,) distances of (M, D) features: sqrt((h - mu)' S^-1 (h - mu)), or 1 - cosine."""
        result = np.empty(len(features))
        for start in range(0, len(features), _CHUNK):
            rows = features[start : start + _CHUNK].astype(np.float64)
            measure = self._cosine if self._axes is None else self._mahalanobis
            result[start : start + _CHUNK] = measure(rows)
        return result

    def _mahalanobis(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Along the samples' axes by their variances, across them all by the identity's share."""
        assert self._axes is not None
        centred = rows - self.mean
        along = (centred @ self._axes.T) ** 2
        across = np.maximum((centred**2).sum(axis=1) - along.sum(axis=1), 0.0)
        return np.asarray(np.sqrt((along / self._variances).sum(axis=1) + across / self._base))

    def _cosine(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(self.mean)
        return np.asarray(1.0 - (rows @ self.mean) / np.maximum(lengths, np.finfo(np.float64).tiny))


def _principal_axes(
    centred: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances (R,) and axes (R, D) of (N, D) samples, R = min(N, D)."""
    count, dimension = centred.shape
    if count <= dimension:
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        return lengths**2 / count, axes
    variances, vectors = np.linalg.eigh(centred.T @ centred / count)
    return np.maximum(variances, 0.0), vectors.T


def _shrinkage(centred: NDArray[np.float64], estimator: str, shrinkage: float) -> float:
    """s in [0, 1], from (N, D) samples whose mean is zero."""
    if estimator == "ledoit_wolf":
        return float(ledoit_wolf_shrinkage(centred, assume_centered=True))
    if estimator == "oas":
        return float(oas(centred, assume_centered=True)[1])
    if estimator == "shrunk":
        return shrinkage
    raise ArgumentError(f"covariance: must be one of {', '.join(COVARIANCES)}, not {estimator!r}")

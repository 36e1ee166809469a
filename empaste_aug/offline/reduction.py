"""Features of fewer dimensions: PCA over all segments of a build, from sums over its photos.

F-EM needs the features of a whole class at once, 2.5 kB a segment; reduced ones take a twentieth.
The sums are taken photo by photo, so that never more than one photo's features are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from empaste_aug.offline.segment_head import unit
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, eq=False)
class Reducer:
    """Principal components of features that were scaled to length 1.

    Attributes:
        mean: (D,) float64.
        axes: (D, d) float64, orthonormal columns by falling variance.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]

    def __call__(self, phi: NDArray[np.floating]) -> NDArray[np.float32]:
        """(M, d) float32 for (M, D) features of any length."""
        return np.asarray((unit(phi) - self.mean) @ self.axes, np.float32)


def fit_reducer(batches: Iterable[NDArray[np.floating]], dimensions: int) -> Reducer:
    """PCA of features, each scaled to length 1.

    Args:
        batches: (M, D) each, of one or more photos; M may be 0.
        dimensions: d, at least 1; no more axes are kept than there are dimensions or segments.

    Raises:
        ArgumentError: `dimensions` is below 1, or there is no segment.
    """
    if dimensions < 1:
        raise ArgumentError(f"dimensions: must be at least 1, not {dimensions}")
    count = 0
    total: NDArray[np.float64] | None = None
    products: NDArray[np.float64] | None = None
    with threadpool_limits(1):  # sums in one order, whatever the machine
        for phi in batches:
            rows = unit(phi).astype(np.float64)
            if total is None or products is None:
                total, products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
            count += len(rows)
            total += rows.sum(axis=0)
            products += rows.T @ rows
        if not count or total is None or products is None:
            raise ArgumentError("batches: there is no segment to reduce the features of")
        mean = total / count
        _, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    kept = min(dimensions, count, len(mean))
    axes = vectors[:, ::-1][:, :kept]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(kept)]
    return Reducer(mean, np.ascontiguousarray(axes * np.where(largest < 0, -1.0, 1.0)))

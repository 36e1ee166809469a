"""Average precision of multi-label predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def average_precisions(
    targets: NDArray[np.bool_], scores: NDArray[np.floating], known: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Average precision of each class (scikit-learn's, without interpolation).

    Args:
        targets: (N, K) bool.
        scores: (N, K), higher is more certain; any monotone scale.
        known: (N, K) bool, False where the target counts neither way; None where all count.

    Returns:
        (K,) in [0, 1]; NaN for a class without a positive.
    """
    from sklearn.metrics import average_precision_score

    result = np.full(targets.shape[1], np.nan)
    for k in range(targets.shape[1]):
        rows = slice(None) if known is None else known[:, k]
        if targets[rows, k].any():
            result[k] = average_precision_score(targets[rows, k], scores[rows, k])
    return result


def mean_average_precision(
    targets: NDArray[np.bool_], scores: NDArray[np.floating], known: NDArray[np.bool_] | None = None
) -> float:
    """The mean of `average_precisions` over the classes that have a positive; NaN if none has."""
    values = average_precisions(targets, scores, known)
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")

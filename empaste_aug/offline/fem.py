"""F-EM, the paper's Algorithm 1: which segment of each photo is the object of a class.

It works on one class at a time and on numbers only: for every eligible segment of every photo of
the class its feature vector, and either its distance to the photo's anchor and the classifier's
probability (the paper), or a prior, in which further cues speak. A segment's features do not change
between iterations, so they are computed once, before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from empaste_aug.offline.foreground import COVARIANCES, DISTANCES, ForegroundModel
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, kw_only=True)
class FEMConfig:
    """Every constant of Algorithm 1; the defaults are the paper's where it gives one.

    Attributes:
        top_n: step 1 takes the classifier's choice among this many segments nearest to the anchor.
        inliers: the share (the paper's k %) of the selected segments that the M-step keeps. The
            paper does not give it.
        iterations: rounds of M- and E-step ("2 or 3"); 0 keeps step 1. The loop ends before that
            once a round changes nothing, as every later one would be the same.
        distance: "mahalanobis" (the text and Alg. 1), or "cosine" to the mean (Figure 2).
        covariance: the estimator, since fewer samples than dimensions make the plain covariance
            singular: "ledoit_wolf", "oas", or "shrunk" by the constant `shrinkage`.
        shrinkage: for "shrunk": the weight in (0, 1] of the scaled identity.
        pca: reduce the class's features to this many dimensions first (at most as many as it has
            segments and dimensions); None leaves them, as in the paper.
        l2_normalise: scale each feature vector to length 1 first; not in the paper.
        em_weight: with a prior, the weight in the E-step of the (negative) distance, brought to
            mean 0 and variance 1 over a photo's segments; the prior has weight 1.
        min_images: with fewer photos that have a segment there is no distribution to estimate, and
            step 1 stands: distances are then NaN and every photo counts as an inlier.
    """

    top_n: int = 3
    inliers: float = 0.7
    iterations: int = 2
    distance: str = "mahalanobis"
    covariance: str = "ledoit_wolf"
    shrinkage: float = 0.1
    pca: int | None = None
    l2_normalise: bool = False
    em_weight: float = 7.5
    min_images: int = 3

    def __post_init__(self) -> None:
        """Raise ArgumentError for a constant out of its range."""
        checks = {
            "top_n": (self.top_n >= 1, "at least 1"),
            "inliers": (0 < self.inliers <= 1, "in (0, 1]"),
            "iterations": (self.iterations >= 0, "not negative"),
            "distance": (self.distance in DISTANCES, f"one of {', '.join(DISTANCES)}"),
            "covariance": (self.covariance in COVARIANCES, f"one of {', '.join(COVARIANCES)}"),
            "shrinkage": (0 < self.shrinkage <= 1, "in (0, 1]"),
            "pca": (self.pca is None or self.pca >= 1, "at least 1, or None"),
            "em_weight": (0 <= self.em_weight < math.inf, "not negative"),
            "min_images": (self.min_images >= 2, "at least 2"),
        }
        for name, (good, wanted) in checks.items():
            if not good:
                raise ArgumentError(f"{name}: must be {wanted}, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One round of M- and E-step.

    Attributes:
        changed: photos whose segment the E-step changed.
        inliers: segments that the distribution was re-estimated on.
        mean_distance: of the newly selected segments to that distribution.
    """

    changed: int
    inliers: int
    mean_distance: float


@dataclass(frozen=True, slots=True, eq=False)
class FEMResult:
    """What F-EM chose for one class, one entry per photo that has a segment.

    Attributes:
        images: (N,) int, the photos' numbers as given, ascending.
        selected: (N,) int, the row of the chosen segment among the M given.
        initial: (N,) int, the row that step 1 chose.
        distance: (N,) float64, of the chosen segment to the last distribution; NaN without EM.
        inlier: (N,) bool, among the class's nearest `inliers` share by that distance.
        history: one entry per round; empty without EM.
        distances: (M,) float64, of every segment to the last distribution; NaN without EM.
        values: (M,) float64, what the last E-step compares within each photo, higher is better;
            without EM the prior, and NaN without that too.
    """

    images: NDArray[np.int64]
    selected: NDArray[np.int64]
    initial: NDArray[np.int64]
    distance: NDArray[np.float64]
    inlier: NDArray[np.bool_]
    history: tuple[Iteration, ...]
    distances: NDArray[np.float64]
    values: NDArray[np.float64]


def f_em(
    features: NDArray[np.floating],
    image: ArrayLike,
    anchor_distance: ArrayLike,
    probability: ArrayLike,
    *,
    prior: ArrayLike | None = None,
    config: FEMConfig | None = None,
) -> FEMResult:
    """Choose one segment per photo of a class (paper, 3.1 and Algorithm 1).

    Step 1: of the `top_n` segments nearest to the anchor the one with the highest probability.
    M-step: mean and covariance of the selected segments, then again of the `inliers` share of them
    that is nearest. E-step: in every photo, of all its segments, the one nearest to that
    distribution. Equal values go to the earlier row.

    With a prior, step 1 takes the segment with the highest one, and the E-step that with the
    highest sum of prior and weighted nearness: the distribution alone drifts to what is common to
    all photos.

    Args:
        features: (M, D) phi of every eligible segment of every photo of the class.
        image: (M,) int, the number of the photo that each segment lies in, in any order.
        anchor_distance: (M,) mean distance of the segment's pixels to the photo's anchor; may be
            inf.
        probability: (M,) the classifier's probability of the class for the segment.
        prior: (M,) what else speaks for the segment, comparable within a photo; None: the paper's
            method.
        config: the constants; `FEMConfig()` by default.

    Returns:
        The choice for each photo that occurs in `image`. M = 0 gives an empty result.

    Raises:
        ArgumentError: shapes disagree, `image` does not hold integers, an anchor distance is NaN,
            or a feature, a probability or a prior is not finite.
    """
    config = config or FEMConfig()
    owner = np.asarray(image)
    nearness = np.asarray(anchor_distance, dtype=np.float64)
    chance = np.asarray(probability, dtype=np.float64)
    features = np.asarray(features)
    given = None if prior is None else np.asarray(prior, dtype=np.float64)
    _check(features, owner, nearness, chance, given)
    owner = owner.astype(np.int64)
    images = np.unique(owner)
    if given is None:
        initial = _step_one(owner, nearness, chance, config.top_n)
    else:
        initial = _first_per_image(owner, -given)
    selected = initial
    if len(images) < config.min_images or config.iterations == 0:
        nothing = np.full(len(images), np.nan)
        inside = np.ones(len(images), dtype=bool)
        unknown = np.full(len(owner), np.nan)
        values = unknown if given is None else given
        return FEMResult(images, initial, initial, nothing, inside, (), unknown, values)
    features = _preprocess(features, config)
    history: list[Iteration] = []
    distance = cost = np.empty(0)
    for _ in range(config.iterations):
        rough = _model(features[selected], config)
        inside = _nearest_share(rough.distances(features[selected]), config.inliers)
        model = _model(features[selected[inside]], config)
        distance = model.distances(features)
        cost = distance
        if given is not None:
            cost = config.em_weight * _standardised(owner, distance) - given
        previous, selected = selected, _first_per_image(owner, cost)
        changed = int(np.count_nonzero(previous != selected))
        history.append(Iteration(changed, int(inside.sum()), float(distance[selected].mean())))
        if not changed:
            break
    chosen = distance[selected]
    inside = _nearest_share(chosen, config.inliers)
    return FEMResult(images, selected, initial, chosen, inside, tuple(history), distance, -cost)


def _check(
    features: NDArray[np.floating],
    owner: NDArray[Any],
    nearness: NDArray[np.float64],
    chance: NDArray[np.float64],
    prior: NDArray[np.float64] | None,
) -> None:
    if features.ndim != 2:
        raise ArgumentError(f"features: must be (M, D), not of shape {features.shape}")
    for name, values in (
        ("image", owner),
        ("anchor_distance", nearness),
        ("probability", chance),
        *([] if prior is None else [("prior", prior)]),
    ):
        if values.shape != (len(features),):
            raise ArgumentError(
                f"{name}: must be of shape ({len(features)},) like features, not {values.shape}"
            )
    if owner.size and owner.dtype.kind not in "iu":
        raise ArgumentError(f"image: must hold integers, not {owner.dtype}")
    if np.isnan(nearness).any():
        raise ArgumentError("anchor_distance: holds NaN")
    if not np.isfinite(features).all():
        raise ArgumentError("features: holds values that are not finite")
    if not np.isfinite(chance).all():
        raise ArgumentError("probability: holds values that are not finite")
    if prior is not None and not np.isfinite(prior).all():
        raise ArgumentError("prior: holds values that are not finite")


def _step_one(
    owner: NDArray[np.int64], nearness: NDArray[np.float64], chance: NDArray[np.float64], n: int
) -> NDArray[np.int64]:
    """The row of step 1's choice per photo, photos ascending."""
    order = np.lexsort((nearness, owner))
    _, starts = np.unique(owner[order], return_index=True)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    near = np.sort(order[rank < n])
    return near[_first_per_image(owner[near], -chance[near])]


def _first_per_image(owner: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.int64]:
    """The row with the smallest value per photo, photos ascending."""
    order = np.lexsort((value, owner))
    _, starts = np.unique(owner[order], return_index=True)
    return order[starts].astype(np.int64)


def _standardised(owner: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with mean 0 and variance 1 within each photo; 0 where a photo's are all the same."""
    _, group, count = np.unique(owner, return_inverse=True, return_counts=True)
    mean = (np.bincount(group, values) / count)[group]
    centred = values - mean
    spread = np.sqrt(np.bincount(group, centred**2) / count)[group]
    says = spread > 1e-9 * np.abs(mean)  # less is rounding
    return np.divide(centred, spread, out=np.zeros_like(centred), where=says)


def _nearest_share(distance: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """True for the nearest `share` of the rows, rounded up, at least two of them."""
    count = min(len(distance), max(2, math.ceil(share * len(distance) - 1e-9)))
    inside = np.zeros(len(distance), dtype=bool)
    inside[np.argsort(distance, kind="stable")[:count]] = True
    return inside


def _model(samples: NDArray[np.floating], config: FEMConfig) -> ForegroundModel:
    return ForegroundModel(
        samples,
        distance=config.distance,
        covariance=config.covariance,
        shrinkage=config.shrinkage,
    )


def _preprocess(features: NDArray[np.floating], config: FEMConfig) -> NDArray[np.floating]:
    if config.l2_normalise:
        wide = features.astype(np.float32)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        features = wide / np.maximum(lengths, np.finfo(np.float32).tiny)
    if config.pca is not None:
        count = min(config.pca, *features.shape)
        reducer = PCA(n_components=count, svd_solver="full")
        features = reducer.fit_transform(features.astype(np.float64)).astype(np.float32)
    return features

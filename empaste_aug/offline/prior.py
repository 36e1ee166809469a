"""The prior of F-EM: the weighted sum of what speaks for each segment of a photo.

The cues of `offline.cues` are cheap and known of every segment. What costs a pass of the classifier
for each, occlusion, is measured for a shortlist by the others, and only the shortlist goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.cues import CUES
from empaste_aug.types import ArgumentError

SHORTLIST = 60
"""So many segments of a photo and class, the best by the prior of the cues, go on."""

_TINY = 1e-6


@dataclass(frozen=True, kw_only=True)
class CueWeights:
    """The weight of each cue in the prior, by the name of its function; 0 leaves it out.

    `occlusion` is that of `offline.occlusion`, which is no function of `Evidence`; with 0 it is not
    measured.

    All weigh the same: weights fitted on half of the development photos were no better on the other
    half (benchmarks/fem.md).
    """

    class_logit: float = 1.0
    other_classes: float = 1.0
    label_margin: float = 1.0
    segment_logit: float = 1.0
    segment_others: float = 1.0
    segment_margin: float = 1.0
    cam_mean: float = 1.0
    cam_overlap: float = 1.0
    saliency_overlap: float = 1.0
    is_salient: float = 1.0
    contour: float = 1.0
    smoothness: float = 1.0
    vote_mean: float = 1.0
    vote_contrast: float = 1.0
    segment_vote_mean: float = 1.0
    segment_vote_contrast: float = 1.0
    occlusion: float = 1.0

    def __post_init__(self) -> None:
        """Raise ArgumentError for a weight that is not finite."""
        for name, weight in self.as_dict().items():
            if not np.isfinite(weight):
                raise ArgumentError(f"{name}: the weight of a cue must be finite, not {weight}")

    def as_dict(self) -> dict[str, float]:
        """Cue -> weight."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def prior(values: NDArray[np.floating], weights: CueWeights) -> NDArray[np.float64]:
    """(M,) the weighted sum of what `cue_values` gives, each cue brought to mean 0, variance 1.

    A cue that is the same for all segments of the photo says nothing and counts 0.
    """
    given = weights.as_dict()
    return np.asarray(standardised(values) @ np.array([given[name] for name in CUES]))


def standardised(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each column of (M, C) values with mean 0 and variance 1; 0 where it is all the same."""
    wide = values.astype(np.float64)
    if not len(wide):
        return wide
    spread = wide.std(axis=0)
    says = spread > _TINY * (1 + np.abs(wide).max(axis=0))
    return np.where(says, (wide - wide.mean(axis=0)) / np.where(says, spread, 1.0), 0.0)


def shortlist(values: NDArray[np.floating], size: int = SHORTLIST) -> NDArray[np.int64]:
    """The rows, ascending, of the `size` segments with the highest equally weighted prior.

    The weights of the cues do not change it, so that what is measured for it can be kept when they
    do. Equal values go to the earlier row.

    Args:
        values: (M, number of cues), from `cue_values`.
        size: at least 1.
    """
    order = np.argsort(-prior(values, CueWeights()), kind="stable")
    return np.sort(order[:size])


def prior_with_occlusion(
    values: NDArray[np.floating], drop: NDArray[np.floating], weights: CueWeights
) -> NDArray[np.float64]:
    """(M,) `prior`, plus what occlusion says of the shortlist; NaN for all other segments.

    Args:
        values: (M, number of cues), from `cue_values`.
        drop: (M,) from `occlusion_drop`, NaN where it was not measured.
        weights: of the cues and of occlusion.
    """
    known = np.flatnonzero(~np.isnan(drop))
    result = np.full(len(values), np.nan)
    result[known] = prior(values, weights)[known]
    result[known] += weights.occlusion * standardised(drop[known, None])[:, 0]
    return result

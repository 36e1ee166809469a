"""How good a chosen mask is believed to be: one number that ranks masks across classes.

The classifier's probability ranks them badly: the best of two hundred segments is overconfident. A
logistic of a few cues, taken as they are and not within the photo, and of the prior does better.
Its constants were fitted once, on one half of 270 COCO photos (see benchmarks/fem.md), with "IoU at
least 0.5" as target; on a data set like that it is a probability, on any other it is a ranking.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.cues import CUES

QUALITY_WEIGHTS: Mapping[str, float] = {
    "saliency_overlap": 0.858,
    "segment_logit": 0.226,
    "vote_mean": 1.776,
}
"""By cue, in its own unit."""

PRIOR_WEIGHT = 0.075
BIAS = -4.759


def believed_quality(
    values: NDArray[np.floating], prior: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(N,) in (0, 1), higher is better.

    Args:
        values: (N, number of cues) of the chosen segments, as `cues.cue_values` gives them.
        prior: (N,) theirs, as `cues.prior` gives it.
    """
    names = list(CUES)
    score = BIAS + PRIOR_WEIGHT * prior.astype(np.float64)
    for name, weight in QUALITY_WEIGHTS.items():
        score = score + weight * values[:, names.index(name)].astype(np.float64)
    return np.asarray(0.5 * (1 + np.tanh(0.5 * score)))

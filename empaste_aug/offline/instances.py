"""Further instances: segments beside the one that F-EM chose, of the same class and photo.

F-EM gives one segment per photo and class (paper, Algorithm 1). Once it has chosen and the class's
distribution is fixed, the photo's other segments can be believed in the same way. One is taken for
a further instance if its quality is high, if it looks like the first one, and if it overlaps no
mask that was taken from the photo before, of any class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from empaste_aug.types import ArgumentError

Shape = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""A mask and its reach, see `take_further`."""


@dataclass(frozen=True, kw_only=True)
class InstanceConfig:
    """How many masks a photo may give for one class, and which.

    Attributes:
        max_instances: the most masks per photo and class, the first one counted; 1: no further
            ones.
        min_quality: the least quality (`offline.quality`) of a further mask.
        min_similarity: the least cosine, in [-1, 1], between its features and those of the first
            mask, as F-EM gets them: reduced by PCA, so relative to the mean of all segments.
        max_overlap: the most that it may share with the masks taken before, in [0, 1): the
            intersection over the smaller area, so that neither a part of one of them nor a whole
            that holds one counts as a further instance.
    """

    max_instances: int = 3
    min_quality: float = 0.35
    min_similarity: float = 0.6
    max_overlap: float = 0.1

    def __post_init__(self) -> None:
        """Raise ArgumentError for a constant out of its range."""
        checks = {
            "max_instances": (self.max_instances >= 1, "at least 1"),
            "min_quality": (0 <= self.min_quality <= 1, "in [0, 1]"),
            "min_similarity": (-1 <= self.min_similarity <= 1, "in [-1, 1]"),
            "max_overlap": (0 <= self.max_overlap < 1, "in [0, 1)"),
        }
        for name, (good, wanted) in checks.items():
            if not good:
                raise ArgumentError(f"{name}: must be {wanted}, not {getattr(self, name)!r}")


def similarity(features: NDArray[np.floating], to: NDArray[np.floating]) -> NDArray[np.float64]:
    """(M,) cosine between (M, D) features and, row by row, (M, D) others; 0 where one is zero."""
    ours, theirs = features.astype(np.float64), to.astype(np.float64)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    both = (ours * theirs).sum(axis=1)
    return np.asarray(np.divide(both, lengths, out=np.zeros(len(both)), where=lengths > 0))


def take_further(
    category: ArrayLike,
    value: ArrayLike,
    shapes: Sequence[Shape],
    taken: Sequence[Shape],
    config: InstanceConfig,
) -> list[int]:
    """Which candidates of one photo become further instances, in the order they are taken.

    Greedy: the candidate with the highest value is taken first, whatever its class, unless it
    overlaps what was taken before or its class has `max_instances`. Equal values go to the earlier
    one.

    Args:
        category: (N,) int, of each candidate; each category has a first mask in `taken`.
        value: (N,) comparable within the photo.
        shapes: of each candidate: its mask, (H, W) bool, not empty, and its reach, (H, W) bool, the
            pixels at which its cut-out is opaque at all: the mask and a soft rim. An overlap is
            that of one mask with the other's reach, so that of what is taken at least
            1 - `max_overlap` lies where no other cut-out does.
        taken: of every first mask of the photo, of any class.
        config: `max_instances` and `max_overlap`.

    Returns:
        Positions among the candidates.
    """
    categories, values = np.asarray(category, dtype=np.int64), np.asarray(value, dtype=np.float64)
    before = list(taken)
    count: Counter[int] = Counter()
    found: list[int] = []
    for position in np.argsort(-values, kind="stable").tolist():
        own = int(categories[position])
        if 1 + count[own] >= config.max_instances:
            continue
        if _overlap(shapes[position], before) > config.max_overlap:
            continue
        count[own] += 1
        found.append(position)
        before.append(shapes[position])
    return found


def _overlap(shape: Shape, taken: Sequence[Shape]) -> float:
    """The greatest share of the mask that others reach, together, or of one of them that it does.

    That is the intersection over the smaller area.
    """
    if not taken:
        return 0.0
    mask, reach = shape
    covered = mask & np.logical_or.reduce([other for _, other in taken])
    shares = [np.count_nonzero(other & reach) / np.count_nonzero(other) for other, _ in taken]
    return max(np.count_nonzero(covered) / np.count_nonzero(mask), *shares)

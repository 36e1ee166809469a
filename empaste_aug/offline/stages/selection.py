"""How good each chosen mask is believed to be, and which of them a bank keeps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.stages.choices import Choice
from empaste_aug.types import ArgumentError

UNKNOWN_QUALITY = 0.5
"""The quality of a mask whose class had too few photos for EM."""

RANKINGS = ("quality", "score")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which of the chosen masks the bank keeps; by default all of them.

    Attributes:
        min_score: the least classifier probability (the paper: 0.1).
        min_quality: the least quality.
        keep: the most first masks to keep, the best ones, as a share of the image-class pairs,
            rounded up: the yield, where each pair has one mask. 1 keeps all. A further instance is
            kept if the first mask of its pair is, and if it is as good as the worst first mask that
            is kept (by `keep_by`; 1 asks for nothing), so with further instances more masks than
            this share can be kept.
        keep_per_class: the share is that of each class's pairs, so that no class is emptied; else
            a class with weak masks may end with none.
        keep_by: what best means: "quality" or "score".
        max_class_overlap: of two masks of different classes on one photo with a greater IoU than
            this only the better one is kept, before the share is taken: they cannot both be the
            object that they are taken for. 1 keeps both.
    """

    min_score: float = 0.0
    min_quality: float = 0.0
    keep: float = 1.0
    keep_per_class: bool = False
    keep_by: str = "quality"
    max_class_overlap: float = 0.8

    def __post_init__(self) -> None:
        """Raise ArgumentError for a value out of its range."""
        if not 0 <= self.min_score <= 1:
            raise ArgumentError(f"min_score: must be in [0, 1], not {self.min_score}")
        if not 0 <= self.min_quality <= 1:
            raise ArgumentError(f"min_quality: must be in [0, 1], not {self.min_quality}")
        if not 0 < self.keep <= 1:
            raise ArgumentError(f"keep: must be a share in (0, 1], not {self.keep}")
        if self.keep_by not in RANKINGS:
            raise ArgumentError(
                f"keep_by: must be one of {', '.join(RANKINGS)}, not {self.keep_by!r}"
            )
        if not 0 < self.max_class_overlap <= 1:
            raise ArgumentError(
                f"max_class_overlap: must be in (0, 1], not {self.max_class_overlap}"
            )


def qualities(choices: Sequence[Choice]) -> NDArray[np.float64]:
    """How good each mask is believed to be, in (0, 1], higher is better.

    With a prior it is what `offline.quality` says, comparable across classes. Without one, in the
    paper's mode, it is 1 minus the share of the class's masks that lie nearer to the class's
    distribution: 1 for the nearest, close to 0 for the farthest. That ranks within a class; it is
    no probability, and says nothing about one class against another. `UNKNOWN_QUALITY` where there
    was no EM.
    """
    result = np.array([choice.quality for choice in choices], dtype=np.float64)
    if not np.isnan(result).any():
        return result
    result = np.full(len(choices), UNKNOWN_QUALITY)
    for rows in _by_class(choices).values():
        distance = np.array([choices[row].distance for row in rows])
        known = ~np.isnan(distance)
        nearer = np.searchsorted(np.sort(distance[known]), distance[known], side="left")
        result[np.array(rows)[known]] = 1.0 - nearer / max(int(known.sum()), 1)
    return result


def worths(
    choices: Sequence[Choice], quality: NDArray[np.float64], cut: Cut
) -> NDArray[np.float64]:
    """(len(choices),) what `keep_by` compares."""
    if cut.keep_by == "quality":
        return quality
    return np.array([choice.score for choice in choices], dtype=np.float64)


def select(
    choices: Sequence[Choice],
    quality: NDArray[np.float64],
    cut: Cut,
    pairs: Mapping[int, int],
    *,
    anothers: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """(len(choices),) bool: which choices the bank keeps.

    Args:
        choices: in any order; at most one for each image-class pair with `instance` 0, the first
            mask, and further instances of pairs that have a first mask.
        quality: (len(choices),), from `qualities`.
        cut: first `min_score` and `min_quality` are applied, to every mask; then the best share of
            the first masks is taken, and what they admit of further instances.
        pairs: category id -> its image-class pairs.
        anothers: (len(choices),) bool, masks to leave out before that; see `anothers_masks`.
    """
    score = np.array([choice.score for choice in choices])
    worth = worths(choices, quality, cut)
    passes = (score >= cut.min_score) & (quality >= cut.min_quality)
    if anothers is not None:
        passes &= ~anothers
    first = np.array([choice.instance == 0 for choice in choices], dtype=bool)
    category = np.array([choice.category_id for choice in choices], dtype=np.int64)
    group = category if cut.keep_per_class else np.full(len(choices), -1)
    most = pairs if cut.keep_per_class else {-1: sum(pairs.values())}
    kept = np.zeros(len(choices), dtype=bool)
    for key in np.unique(group[passes]).tolist():
        own = passes & (group == key)
        rows = np.flatnonzero(own & first)
        count = math.ceil(cut.keep * most[key] - 1e-9)
        best = rows[np.argsort(-worth[rows], kind="stable")[:count]]
        kept[best] = True
        admitted = {(choices[row].photo, choices[row].category_id) for row in best.tolist()}
        least = np.min(worth[best], initial=np.inf) if cut.keep < 1 else -np.inf
        for row in np.flatnonzero(own & ~first & (worth >= least)).tolist():
            kept[row] = (choices[row].photo, choices[row].category_id) in admitted
    return kept


def _by_class(choices: Sequence[Choice]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, choice in enumerate(choices):
        groups[choice.category_id].append(row)
    return groups

"""A bank's scored masks, the best first by what the bank knows, and what each one adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.offline.matching import assign, assigned_ious
from empaste_aug.offline.scoring import BankScores, MaskGroup
from empaste_aug.types import ArgumentError

RANKINGS = ("quality", "score")
"""What masks can be ranked by: fields of the bank's index."""


@dataclass(frozen=True, slots=True, eq=False)
class RankedMasks:
    """N scored masks, the best first.

    Of the masks of one class in one photo the better ones are kept first, whatever the cut. So what
    a mask adds depends on its rank alone: its `gains` are the figures of the masks of its class
    and photo down to it, matched one-to-one anew, minus those without it.

    Attributes:
        photo: (N,) int64, positions in `BankScores.images`.
        category: (N,) int64, the data set's category ids.
        gains: (N, 3) float64: to the sum of IoUs, and to the numbers of masks with an IoU of at
            least 0.5 and 0.7.
        first: (N,) bool, the best mask of one of `pairs`.
        by_class: (N,) int64, positions of the masks ordered by class, the best of each first.
        pairs: scipy sparse array (classes, photos), 1 for each image-class pair of the labels.
    """

    photo: NDArray[np.int64]
    category: NDArray[np.int64]
    gains: NDArray[np.float64]
    first: NDArray[np.bool_]
    by_class: NDArray[np.int64]
    pairs: Any

    def __len__(self) -> int:
        """How many masks there are."""
        return len(self.photo)


def known_rankings(bank: MaskBank) -> tuple[str, ...]:
    """Those of `RANKINGS` that the bank holds a value of for any of its masks."""
    return tuple(name for name in RANKINGS if not np.isnan(bank.index[name]).all())


def check_ranking(bank: MaskBank, ranking: str | None) -> str | None:
    """The ranking to use: the one asked for, or the first that the bank knows, if any.

    Raises:
        ArgumentError: there is no such ranking, or the bank does not know it.
    """
    known = known_rankings(bank)
    if ranking is None:
        return known[0] if known else None
    if ranking not in RANKINGS:
        raise ArgumentError(f"ranking: must be one of {', '.join(RANKINGS)}, not {ranking!r}")
    if ranking not in known:
        raise ArgumentError(f"ranking: {bank.path} knows no {ranking} of any of its masks")
    return ranking


def mask_order(scores: BankScores, ranking: str, seed: int = 0) -> NDArray[np.int64]:
    """Positions of the scored masks, those of all groups in a row, the best first.

    Masks of equal value are in random order, those of unknown value last.
    """
    rows = _concatenated([group.rows for group in scores.groups], np.int64)
    values = np.array(scores.bank.index[ranking][rows], dtype=np.float64)
    ties = np.random.default_rng(seed).permutation(len(rows))
    return np.lexsort((ties, -np.where(np.isnan(values), -np.inf, values)))


def rank_masks(scores: BankScores, ranking: str, seed: int = 0) -> RankedMasks:
    """The scored masks of a bank in the order of `mask_order`."""
    from scipy.sparse import csr_array

    order = mask_order(scores, ranking, seed)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    gains = np.zeros((len(order), 3))
    first = np.zeros(len(order), dtype=bool)
    start = 0
    for group in scores.groups:
        end = start + len(group.rows)
        if end > start:
            best_first = np.argsort(rank[start:end])
            gains[start + best_first] = _gains(group, best_first)
            first[start + best_first[0]] = group.labelled
        start = end
    sizes = [len(group.rows) for group in scores.groups]
    photo = np.repeat(np.array([group.photo for group in scores.groups], dtype=np.int64), sizes)
    category = np.repeat(
        np.array([group.category for group in scores.groups], dtype=np.int64), sizes
    )
    pairs = [(c, k) for k, image in enumerate(scores.images) for c in image.labels]
    where = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    shape = len(scores.dataset.class_names), len(scores.images)
    return RankedMasks(
        photo=photo[order],
        category=category[order],
        gains=gains[order],
        first=first[order],
        by_class=np.argsort(category[order], kind="stable"),
        pairs=csr_array((np.ones(len(pairs), dtype=np.int64), tuple(where)), shape=shape),
    )


def _gains(group: MaskGroup, best_first: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M, 3): what each mask adds to those before it, in the order of `best_first`."""
    sums = np.zeros((len(best_first) + 1, 3))
    for number in range(1, len(best_first) + 1):
        ious = group.ious[best_first[:number]]
        iou = assigned_ious(ious, assign(ious))
        sums[number] = iou.sum(), np.count_nonzero(iou >= 0.5), np.count_nonzero(iou >= 0.7)
    return np.diff(sums, axis=0)


def _concatenated(parts: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)

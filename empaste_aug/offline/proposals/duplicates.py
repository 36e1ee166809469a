"""Greedy suppression of near-duplicate segments, by IoU of their run-length encodings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from empaste_aug.offline.proposals.base import Segment
from empaste_aug.types import ArgumentError


def check_max_overlap(value: float | None, name: str = "max_overlap") -> None:
    """Raise ArgumentError unless `value`, the argument called `name`, is None or in (0, 1]."""
    if value is not None and not 0 < value <= 1:
        raise ArgumentError(f"{name}: must lie in (0, 1], got {value}")


def by_strength(segments: Sequence[Segment]) -> list[int]:
    """Positions of segments by falling strength; ties keep their order, NaN comes last."""

    def weakness(index: int) -> float:
        strength = segments[index].strength
        return math.inf if math.isnan(strength) else -strength

    return sorted(range(len(segments)), key=weakness)


def suppress_duplicates(segments: Sequence[Segment], *, max_overlap: float) -> list[int]:
    """Positions of the segments that stay, the strongest of each group of near-duplicates.

    Segments are gone through by falling strength (`by_strength`); one is dropped where its IoU
    with one kept before reaches `max_overlap`.

    Args:
        segments: of one photo.
        max_overlap: in (0, 1]; 1 drops only exact duplicates.

    Returns:
        Positions by falling strength; sort them for the order of `segments`.

    Raises:
        ArgumentError: `max_overlap` is out of range.
    """
    check_max_overlap(max_overlap)
    rles = [segment.rle for segment in segments]
    areas = np.array([float(coco_mask.area(rle)) for rle in rles])
    kept: list[int] = []
    for index in by_strength(segments):
        area, others = areas[index], areas[kept]
        # No IoU exceeds the ratio of the areas, so that few pairs are left to compare.
        near = np.flatnonzero(np.minimum(area, others) >= max_overlap * np.maximum(area, others))
        if near.size:
            overlaps = coco_mask.iou([rles[index]], [rles[kept[i]] for i in near], [0] * near.size)
            if np.max(overlaps) >= max_overlap:
                continue
        kept.append(index)
    return kept

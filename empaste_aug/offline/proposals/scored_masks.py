"""Masks with scores, as mask models give them, to segments of a photo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.proposals.duplicates import (
    by_strength,
    check_max_overlap,
    suppress_duplicates,
)
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of a model's masks are proposed.

    Attributes:
        min_area: masks under this share of the photo are not; empty ones never are.
        max_overlap: a mask is dropped where its IoU with one of a higher score reaches this; None
            keeps them all.
        max_segments: the most masks, highest scores first; None for all.

    Raises:
        ArgumentError: a value is out of range.
    """

    min_area: float = 0.0
    max_overlap: float | None = None
    max_segments: int | None = None

    def __post_init__(self) -> None:
        """Raise ArgumentError for a value out of its range."""
        if not 0 <= self.min_area < 1:
            raise ArgumentError(f"min_area: must lie in [0, 1), got {self.min_area}")
        check_max_overlap(self.max_overlap)
        if self.max_segments is not None and self.max_segments < 1:
            raise ArgumentError(f"max_segments: must be at least 1, got {self.max_segments}")

    def config(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "min_area": self.min_area,
            "max_overlap": self.max_overlap,
            "max_segments": self.max_segments,
        }

    def segments(
        self,
        scored: Iterable[tuple[NDArray[np.bool_], float]],
        *,
        size: tuple[int, int],
        source: str,
    ) -> list[Segment]:
        """The chosen masks by falling score; ties keep their order, NaN comes last.

        Args:
            scored: masks (h, w) bool with their scores, gone through once; a mask of a shrunken
                photo is enlarged by nearest neighbour.
            size: the photo's (height, width).
            source: the segments' method.
        """
        least = max(1.0, self.min_area * size[0] * size[1])
        found = []
        for small, score in scored:
            mask = enlarge(small, size)
            if np.count_nonzero(mask) >= least:
                found.append(Segment.from_mask(mask, source, float(score)))
        if self.max_overlap is None:
            order = by_strength(found)
        else:
            order = suppress_duplicates(found, max_overlap=self.max_overlap)
        return [found[index] for index in order[: self.max_segments]]


def enlarge(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at another (height, width), by nearest neighbour; itself where it has that size."""
    if mask.shape == tuple(size):
        return mask
    resized = cv2.resize(
        mask.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(resized, dtype=bool)

"""All segments of a photo that F-EM chooses among: those of several stages, without duplicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from empaste_aug.offline.proposals.base import Segment, filter_segments
from empaste_aug.offline.proposals.duplicates import suppress_duplicates
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.proposals import ProposalStage
from empaste_aug.offline.stages.saliency import SaliencyStage


class SegmentPool:
    """The proposals of a photo, and what is salient in it.

    Args:
        proposals: class-agnostic segments.
        saliency: further segments, which come first; None: there are none.
        segments: which of them are eligible.
    """

    def __init__(
        self,
        proposals: ProposalStage,
        saliency: SaliencyStage | None,
        segments: SegmentConfig,
    ) -> None:
        self.proposals = proposals
        self.saliency = saliency
        self.config = segments

    @property
    def key(self) -> list[object]:
        """What the pool's content depends on, as JSON values."""
        config = self.config
        return [
            self.proposals.key,
            None if self.saliency is None else self.saliency.key,
            config.min_area,
            config.max_span,
            config.max_overlap,
        ]

    def segments(self, photo: Photo) -> list[Segment]:
        """Every segment of the photo; positions among them name them.

        Raises:
            ArgumentError: a stage has not run on this photo.
        """
        salient = [] if self.saliency is None else self.saliency.segments(photo)
        return salient + self.proposals.segments(photo)

    def count(self, photo: Photo) -> int:
        """How many `segments` has."""
        found = self.proposals.cache.length(photo.name, "lengths")
        if self.saliency is not None:
            found += self.saliency.cache.length(photo.name, "lengths")
        return found

    def eligible(self, found: list[Segment]) -> NDArray[np.int64]:
        """The positions, ascending, of the segments that pass the filters of `SegmentConfig`."""
        config = self.config
        limits = {"min_area": config.min_area, "max_span": config.max_span}
        rows = [row for row, segment in enumerate(found) if filter_segments([segment], **limits)]
        if config.max_overlap is not None:
            segments = [found[row] for row in rows]
            kept = suppress_duplicates(segments, max_overlap=config.max_overlap)
            rows = sorted(rows[position] for position in kept)
        return np.array(rows, dtype=np.int64)


def decode_masks(segments: list[Segment], rows: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """The (H, W) bool masks of some of a photo's segments."""
    return [coco_mask.decode(segments[row].rle).view(bool) for row in rows]

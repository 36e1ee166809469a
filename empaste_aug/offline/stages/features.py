"""Stage `features`: phi and the logits of every eligible segment, computed once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.proposals.base import Segment, filter_segments
from empaste_aug.offline.segments import SegmentConfig, segment_features
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.proposals import ProposalStage

CPU_BATCH = 4
"""Activations of so few segments stay in a core's cache: twice as fast there as batches of 32."""

GPU_BATCH = 128


def eligible(segments: list[Segment], config: SegmentConfig) -> NDArray[np.int64]:
    """The positions of the segments that pass the filters of appendix 6."""
    limits = {"min_area": config.min_area, "max_span": config.max_span}
    rows = [row for row, segment in enumerate(segments) if filter_segments([segment], **limits)]
    return np.array(rows, dtype=np.int64)


def decode_masks(segments: list[Segment], rows: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """The (H, W) bool masks of some of a photo's segments."""
    return [coco_mask.decode(segments[row].rle).view(bool) for row in rows]


class FeatureStage(PhotoStage):
    """Per photo: ``segment`` (M,) positions among its proposals, ``phi`` (M, D) as
    `segment_features` gives it, ``logits`` (M, K) float32, one column per class of the classifier.

    Args:
        work: the work folder.
        classifier: on the device to use.
        proposals: where the segments come from.
        segments: filters and erosion.
        batch_size: segments per forward pass; None for what is fast on the classifier's device.
        threads: photos at a time, on a CPU.
    """

    name: ClassVar[str] = "features"

    def __init__(
        self,
        work: str | Path,
        classifier: Classifier,
        proposals: ProposalStage,
        *,
        segments: SegmentConfig,
        batch_size: int | None,
        threads: int,
    ) -> None:
        self.classifier = classifier
        self.proposals = proposals
        self.segments = segments
        on_cpu = classifier.device.type == "cpu"
        self.batch_size = batch_size or (CPU_BATCH if on_cpu else GPU_BATCH)
        self.threads = threads if on_cpu else 1
        config = {
            "classifier": classifier.fingerprint(),
            "proposals": proposals.key,
            "min_area": segments.min_area,
            "max_span": segments.max_span,
            "erosion": segments.erosion,
        }
        super().__init__(work, config)

    def compute(self, photo: Photo) -> Arrays:
        """Features of the photo's eligible segments."""
        found = self.proposals.segments(photo)
        rows = eligible(found, self.segments)
        phi, logits = segment_features(
            self.classifier,
            photo.read(),
            decode_masks(found, rows),
            erosion=self.segments.erosion,
            batch_size=self.batch_size,
        )
        return {"segment": rows, "phi": phi, "logits": logits}

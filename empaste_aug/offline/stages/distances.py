"""Distances of segments to anchors, which the paper's step 1 goes by; a part of the stage `fem`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from empaste_aug.offline.segments import distances_to_anchors
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.cams import CamStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import SegmentPool, decode_masks


class DistanceStage(PhotoStage):
    """Per photo: ``distance`` (M, K) float32, of its eligible segments to its K anchors, in px.

    It is a part of the stage `fem`, with files of its own: they alone depend on both the anchors
    and the proposals.
    """

    name: ClassVar[str] = "distances"
    uses_labels: ClassVar[bool] = True

    def __init__(self, work: str | Path, cams: CamStage, pool: SegmentPool) -> None:
        self.cams = cams
        self.pool = pool
        super().__init__(work, {"cams": cams.key, "segments": pool.key})

    def compute(self, photo: Photo) -> Arrays:
        """Mean distance of every eligible segment's pixels to every anchor."""
        found = self.pool.segments(photo)
        masks = decode_masks(found, self.pool.eligible(found))
        return {"distance": distances_to_anchors(masks, self.cams.load(photo)["anchors"])}

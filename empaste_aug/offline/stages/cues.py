"""Stage `cues`: what speaks for each segment of every photo, for each class of the photo."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from empaste_aug.offline.cues import CUES, Evidence, cue_values, on_grid
from empaste_aug.offline.segment_head import SegmentHead
from empaste_aug.offline.stages.activations import ActivationStage
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.head import HeadStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import decode_masks
from empaste_aug.offline.stages.saliency import SaliencyStage


class CueStage(PhotoStage):
    """Per photo: ``cues`` (K, M, number of cues) float32, of its K labels and eligible segments.

    It is a part of the stage `fem`, with files of its own: the weights of the cues come later.

    Args:
        work: the work folder.
        activations: the class activation maps.
        saliency: the saliency maps.
        features: the segments and their logits.
        head: the segment head.
        class_names: the data set's.
    """

    name: ClassVar[str] = "cues"
    uses_labels: ClassVar[bool] = True

    def __init__(
        self,
        work: str | Path,
        activations: ActivationStage,
        saliency: SaliencyStage,
        features: FeatureStage,
        head: HeadStage,
        class_names: Sequence[str],
    ) -> None:
        self.activations = activations
        self.saliency = saliency
        self.features = features
        self.head = head
        self.columns = features.classifier.check_classes(class_names)
        config = {
            "activations": activations.key,
            "saliency": saliency.key,
            "features": features.key,
            "head": head.key,
            "cues": list(CUES),
        }
        super().__init__(work, config)

    @cached_property
    def _head(self) -> SegmentHead:
        return self.head.load()

    def compute(self, photo: Photo) -> Arrays:
        """The cues of every eligible segment for every label."""
        features = self.features.load(photo)
        rows = features["segment"]
        found = self.features.pool.segments(photo)
        masks = on_grid(decode_masks(found, rows))
        salient, strength = self.saliency.told_of([found[row] for row in rows])
        maps = self.saliency.evidence(photo)
        logits = features["logits"][:, list(self.columns)]
        segment_logits = self._head.logits(features["phi"])
        values = np.zeros((len(photo.labels), len(rows), len(CUES)), np.float32)
        for position, label in enumerate(photo.labels if len(rows) else ()):
            values[position] = cue_values(
                Evidence(
                    masks=masks,
                    activation=maps.activations[position],
                    saliency=maps.map,
                    logits=logits,
                    segment_logits=segment_logits,
                    category=label,
                    others=[other for other in photo.labels if other != label],
                    salient=salient,
                    strength=strength,
                )
            )
        return {"cues": values}

"""Stage `occlusions`: what each class of a photo loses with each segment of its shortlist."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from empaste_aug.offline.occlusion import occluded_logits, occlusion_drop
from empaste_aug.offline.prior import SHORTLIST, shortlist
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.classified import ClassifierPhotoStage
from empaste_aug.offline.stages.cues import CueStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import decode_masks


class OcclusionStage(ClassifierPhotoStage):
    """Per photo: ``drop`` (K, M) float32, of its K labels and eligible segments; NaN where a
    segment is not on the label's shortlist.

    It is a part of the stage `fem`, with files of its own: the weights of the cues come later.

    Args:
        work: the work folder.
        cues: what makes the shortlist.
        threads: photos at a time, on a CPU.
    """

    name: ClassVar[str] = "occlusions"
    uses_labels: ClassVar[bool] = True

    def __init__(self, work: str | Path, cues: CueStage, *, threads: int) -> None:
        self.cues = cues
        self.features = cues.features
        self.columns = cues.columns
        config = {"cues": cues.key, "shortlist": SHORTLIST}
        super().__init__(work, config, cues.features.classifier, threads=threads)

    def compute(self, photo: Photo) -> Arrays:
        """One pass of the classifier for every segment on the shortlist of any label."""
        values = self.cues.load(photo)["cues"]
        drop = np.full(values.shape[:2], np.nan, np.float32)
        if not values.shape[1]:
            return {"drop": drop}
        lists = [shortlist(of_label) for of_label in values]
        rows = np.unique(np.concatenate(lists))
        found = self.features.pool.segments(photo)
        masks = decode_masks(found, self.features.load(photo)["segment"][rows])
        whole, occluded = occluded_logits(
            self._folded, photo.read(), masks, batch_size=self.features.batch_size
        )
        area = np.array([mask.mean() for mask in masks])
        for position, (label, listed) in enumerate(zip(photo.labels, lists, strict=True)):
            column = self.columns[label]
            values_of = occlusion_drop(whole[column], occluded[:, column], area)
            drop[position, listed] = values_of[np.searchsorted(rows, listed)]
        return {"drop": drop}

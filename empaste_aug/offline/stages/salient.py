"""Stage `salient`: cut-outs that the segment head learns from, of every photo with labels."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.proposals.saliency import Saliency
from empaste_aug.offline.segments import SegmentConfig, segment_features
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.photos import Photo

PATCHES = 4
"""At most so many patches of background a photo."""

ATTEMPTS = 40
"""So many places are tried for them."""

DULL = 0.3
"""Saliency below which a pixel is background."""

LEAST_DULL = 0.95
"""The least share of such pixels in a patch's box."""


class SalientStage(PhotoStage):
    """Per photo ``phi`` (M, D) as `segment_features` gives it, ``salient`` (M,) bool.

    M cut-outs: all that is salient, and ellipses on what is not.

    Args:
        work: the work folder.
        classifier: on the device to use.
        segments: the least area, and the erosion.
        threads: photos at a time, on a CPU.
    """

    name: ClassVar[str] = "salient"

    def __init__(
        self, work: str | Path, classifier: Classifier, segments: SegmentConfig, *, threads: int
    ) -> None:
        self.classifier = classifier
        self.segments = segments
        self.method = Saliency(min_area=segments.min_area, num_threads=1)
        self.threads = threads if classifier.device.type == "cpu" else 1
        config = {
            "classifier": classifier.fingerprint(),
            "method": self.method.config(),
            "erosion": segments.erosion,
            "patches": [PATCHES, ATTEMPTS, DULL, LEAST_DULL],
        }
        super().__init__(work, config)

    def compute(self, photo: Photo) -> Arrays:
        """Features of the photo's cut-outs."""
        image = photo.read()
        saliency = self.method.model(image)
        masks = [segment.mask() for segment in self.method.segments(saliency)]
        masks = [mask for mask in masks if mask.mean() >= self.segments.min_area and mask.any()]
        salient = np.arange(len(masks) + PATCHES) < len(masks)
        rng = np.random.default_rng(int(photo.digest[:16], 16))
        masks += dull_patches(saliency < DULL, rng)
        phi, _ = segment_features(
            self.classifier, image, masks, erosion=self.segments.erosion, batch_size=4
        )
        return {"phi": phi, "salient": salient[: len(masks)]}


def dull_patches(dull: NDArray[np.bool_], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Up to `PATCHES` ellipses, (H, W) bool, on what is not salient."""
    height, width = dull.shape
    found: list[NDArray[np.bool_]] = []
    if min(height, width) < 6:
        return found
    for _ in range(ATTEMPTS):
        if len(found) == PATCHES:
            break
        w = int(rng.integers(width // 6, width // 2))
        h = int(rng.integers(height // 6, height // 2))
        x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
        angle = float(rng.uniform(0, 30))
        if dull[y : y + h, x : x + w].mean() <= LEAST_DULL:
            continue
        patch = np.zeros(dull.shape, np.uint8)
        centre, axes = (x + w // 2, y + h // 2), (max(w // 2, 1), max(h // 2, 1))
        cv2.ellipse(patch, centre, axes, angle, 0, 360, 1, -1)
        found.append(patch.view(np.bool_))
    return found

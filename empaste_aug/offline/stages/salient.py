"""Stage `salient`: cut-outs that the segment head learns from, of every photo with labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.proposals.saliency import Saliency
from empaste_aug.offline.segment_features import features_of
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.classified import ClassifierPhotoStage
from empaste_aug.offline.stages.features import CPU_BATCH
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.proposals import unpack
from empaste_aug.offline.stages.saliency import SaliencyStage

PATCHES = 4
"""At most so many patches of background a photo."""

ATTEMPTS = 40
"""So many places are tried for them."""

DULL = 0.3
"""Saliency below which a pixel is background."""

LEAST_DULL = 0.95
"""The least share of such pixels in a patch's box."""


class SalientStage(ClassifierPhotoStage):
    """Per photo ``phi`` (M, D) as `features_of` gives it, ``salient`` (M,) bool.

    M cut-outs: all that is salient, and ellipses on what is not. Of the main data set's photos the
    stage `saliency` knows it already.

    Args:
        work: the work folder.
        classifier: on the device to use.
        segments: the least area, the erosion and the crops' size.
        saliency: has run on all photos that are not extra; None: the network sees them again.
        threads: photos at a time, on a CPU.
    """

    name: ClassVar[str] = "salient"
    version: ClassVar[int] = 2

    def __init__(
        self,
        work: str | Path,
        classifier: Classifier,
        segments: SegmentConfig,
        *,
        saliency: SaliencyStage | None = None,
        threads: int,
    ) -> None:
        self.saliency = saliency
        self.segments = segments
        self.method = Saliency(min_area=segments.min_area, num_threads=1)
        config = {
            "classifier": classifier.fingerprint(),
            "method": self.method.config(),
            "min_area": segments.min_area,
            **segments.shown(classifier),
            "saliency": None if saliency is None else saliency.key,
            "patches": [PATCHES, ATTEMPTS, DULL, LEAST_DULL],
        }
        super().__init__(work, config, classifier, threads=threads)

    def compute(self, photo: Photo) -> Arrays:
        """Features of the photo's cut-outs."""
        image = photo.read()
        found, saliency = self._salient(photo, image)
        masks = [segment.mask() for segment in found]
        masks = [mask for mask in masks if mask.mean() >= self.segments.min_area and mask.any()]
        salient = np.arange(len(masks) + PATCHES) < len(masks)
        rng = np.random.default_rng(int(photo.digest[:16], 16))
        masks += dull_patches(saliency < DULL, rng)
        phi, _ = features_of(self._folded, image, masks, self.segments, batch_size=CPU_BATCH)
        return {"phi": phi, "salient": salient[: len(masks)]}

    def token(self, photo: Photo) -> str:
        """Where the stage `saliency` is read, what that depends on."""
        if self.saliency is None or photo.extra:
            return super().token(photo)
        return self.saliency.token(photo)

    def _salient(
        self, photo: Photo, image: NDArray[np.uint8]
    ) -> tuple[Sequence[Segment], NDArray[np.float32]]:
        """Segments of the whole photo, and its (H, W) saliency map."""
        if self.saliency is None or photo.extra:
            values = self.method.model(image)
            return self.method.segments(values), values
        content = self.saliency.load(photo)
        height, width = image.shape[:2]
        coarse = content["map"].astype(np.float32) / 255
        values = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        return unpack(content)[: int(content["whole"])], np.asarray(values, np.float32)


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

"""Stage `features`: phi and the logits of every eligible segment, computed once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.segment_features import features_of
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.classified import ClassifierPhotoStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import SegmentPool, decode_masks

CPU_BATCH = 8
"""Activations of so few segments stay in a core's cache: faster there than batches of 32."""

GPU_BATCH = 128


class FeatureStage(ClassifierPhotoStage):
    """Per photo: ``segment`` (M,) positions in its pool, ``phi`` (M, D) as `features_of` gives it,
    ``logits`` (M, K) float32, one column per class of the classifier.

    Args:
        work: the work folder.
        classifier: on the device to use.
        pool: the segments.
        batch_size: segments per forward pass; None for what is fast on the classifier's device.
        threads: photos at a time, on a CPU.
    """

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 2

    def __init__(
        self,
        work: str | Path,
        classifier: Classifier,
        pool: SegmentPool,
        *,
        batch_size: int | None,
        threads: int,
    ) -> None:
        self.pool = pool
        on_cpu = classifier.device.type == "cpu"
        self.batch_size = batch_size or (CPU_BATCH if on_cpu else GPU_BATCH)
        config = {
            "classifier": classifier.fingerprint(),
            "segments": pool.key,
            **pool.config.shown(classifier),
        }
        super().__init__(work, config, classifier, threads=threads)

    def token(self, photo: Photo) -> str:
        """Salient segments depend on the photo's labels, and with them their features."""
        if self.pool.saliency is None:
            return super().token(photo)
        return self.pool.saliency.token(photo)

    def compute(self, photo: Photo) -> Arrays:
        """Features of the photo's eligible segments."""
        found = self.pool.segments(photo)
        rows = self.pool.eligible(found)
        phi, logits = features_of(
            self._folded,
            photo.read(),
            decode_masks(found, rows),
            self.pool.config,
            batch_size=self.batch_size,
        )
        return {"segment": rows, "phi": phi, "logits": logits}

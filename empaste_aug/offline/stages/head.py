"""The segment head of one build: learned once, after the features; a part of the stage `fem`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.segment_head import SegmentHead, fit_segment_head
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.cache import StageCache, digest_of
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.salient import SalientStage
from empaste_aug.types import ArgumentError

CONTRAST = 8
"""Segments of each photo that serve as contrast for the classes which it does not have."""

MOST_PHOTOS = 20_000
"""Of more photos so many, evenly spaced, are learned from: memory does not grow with the data."""

PRESENT_WEIGHT, ABSENT_WEIGHT = 2.0, 0.5


class HeadStage:
    """One file with the head's ``weight`` and ``bias``.

    Args:
        work: the work folder.
        salient: cut-outs to learn from.
        features: segments to contrast them with.
        photos: with labels; the salient cut-outs are theirs.
        contrast: photos whose segments are the contrast.
        class_names: the data set's; the head's columns are these classes.
    """

    name: ClassVar[str] = "head"
    version: ClassVar[int] = 1

    def __init__(
        self,
        work: str | Path,
        salient: SalientStage,
        features: FeatureStage,
        photos: Sequence[Photo],
        contrast: Sequence[Photo],
        class_names: Sequence[str],
    ) -> None:
        self.salient = salient
        self.features = features
        self.photos = spaced(photos)
        self.contrast = spaced(contrast)
        self.classes = len(class_names)
        listed = [
            [photo.name, photo.digest, list(photo.labels)]
            for photo in (*self.photos, *self.contrast)
        ]
        config = {
            "salient": salient.key,
            "features": features.key,
            "photos": digest_of(listed),
            "counts": [len(self.photos), len(self.contrast), CONTRAST],
        }
        self.cache = StageCache(work, self.name, config, version=self.version)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the lists of photos: who loads the head needs none."""
        return {**vars(self), "photos": [], "contrast": []}

    @property
    def key(self) -> str:
        """Hash of what the head depends on, the photos included."""
        return self.cache.key

    def run(self, *, redo: bool = False, progress: bool = True) -> Progress:
        """Compute the cut-outs that are missing, then learn."""
        self.salient.run(self.photos, redo=redo, progress=progress)
        if not redo and self.cache.holds(self.name, self.key):
            return Progress(0, 1)
        if not self.photos:
            raise ArgumentError("stage fem: no photo has a label to learn from")
        rows = [self._salient(photo) for photo in self.photos]
        rows += [self._contrast(photo) for photo in self.contrast]
        phi, targets, weights = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        head = fit_segment_head(phi, targets, weights)
        self.cache.write(self.name, self.key, {"weight": head.weight, "bias": head.bias})
        return Progress(1, 0)

    def load(self) -> SegmentHead:
        """The head.

        Raises:
            ArgumentError: it has not been learned.
        """
        content = self.cache.read(self.name, self.key)
        if content is None:
            raise ArgumentError("stage fem: has no segment head; run that stage first")
        return SegmentHead(content["weight"], content["bias"])

    def _salient(self, photo: Photo) -> _Rows:
        """Salient cut-outs are of the photo's label, or of one of its labels; patches of none."""
        content = self.salient.load(photo)
        salient = content["salient"]
        targets = np.zeros((len(salient), self.classes), np.float32)
        labels = list(photo.labels)
        for label in labels:
            targets[salient, label] = 1.0 if len(labels) == 1 else np.nan
        shared = PRESENT_WEIGHT / max(int(salient.sum()), 1)
        weights = np.where(salient, shared, ABSENT_WEIGHT).astype(np.float32)
        return content["phi"].astype(np.float32), targets, weights

    def _contrast(self, photo: Photo) -> _Rows:
        """Segments of which nothing is known but the classes that the photo does not have."""
        phi = self.features.load(photo)["phi"]
        rng = np.random.default_rng(int(photo.digest[:16], 16))
        rows = np.sort(rng.choice(len(phi), min(CONTRAST, len(phi)), replace=False))
        targets = np.zeros((len(rows), self.classes), np.float32)
        targets[:, list(photo.labels)] = np.nan
        weights = np.full(len(rows), ABSENT_WEIGHT, np.float32)
        return phi[rows].astype(np.float32), targets, weights


_Rows = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def spaced(photos: Sequence[Photo]) -> list[Photo]:
    """At most `MOST_PHOTOS` of them, evenly spaced."""
    step = max(1, -(-len(photos) // MOST_PHOTOS))
    return list(photos[::step])

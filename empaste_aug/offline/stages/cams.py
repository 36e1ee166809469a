"""Stage `cams`: the Grad-CAM anchor of every class on every photo that has it (paper, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from empaste_aug.offline.cam import Component, anchor, grad_cam
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.classified import ClassifierPhotoStage
from empaste_aug.offline.stages.photos import Photo


class CamStage(ClassifierPhotoStage):
    """Per photo: ``labels`` (K,) int64 and ``anchors`` (K, 2) float32 of x, y in pixels.

    Args:
        work: the work folder.
        classifier: on the device to use.
        class_names: the data set's; labels index into them.
        threshold: the share of a map's maximum from which on a pixel belongs to G.
        component: "all" of G, as in the paper, or its "largest" connected part.
        sizes: the maps at these input sizes are averaged; None for the classifier's own.
        threads: photos at a time, on a CPU.
    """

    name: ClassVar[str] = "cams"
    uses_labels: ClassVar[bool] = True

    def __init__(
        self,
        work: str | Path,
        classifier: Classifier,
        class_names: Sequence[str],
        *,
        threshold: float,
        component: Component,
        sizes: Sequence[int] | None,
        threads: int,
    ) -> None:
        self.columns = classifier.check_classes(class_names)
        self.threshold = threshold
        self.component: Component = component
        self.sizes = None if sizes is None else tuple(sizes)
        config = {
            "classifier": classifier.fingerprint(),
            "columns": list(self.columns),
            "threshold": threshold,
            "component": component,
            "sizes": self.sizes,
        }
        super().__init__(work, config, classifier, threads=threads)

    def compute(self, photo: Photo) -> Arrays:
        """The anchors of the photo's classes."""
        maps = grad_cam(
            self.classifier,
            photo.read(),
            [self.columns[label] for label in photo.labels],
            sizes=self.sizes,
        )
        points = [anchor(cam, threshold=self.threshold, component=self.component) for cam in maps]
        return {
            "labels": np.array(photo.labels, dtype=np.int64),
            "anchors": np.array(points, dtype=np.float32).reshape(-1, 2),
        }

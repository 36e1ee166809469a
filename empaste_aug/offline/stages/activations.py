"""Stage `activations`: the class activation map of every class on every photo that has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from empaste_aug.offline.activation import SIZES, class_activation
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.segment_features import compact
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.classified import ClassifierPhotoStage
from empaste_aug.offline.stages.photos import Photo


class ActivationStage(ClassifierPhotoStage):
    """Per photo: ``maps`` (K, GRID, GRID) float16, one for each of the photo's K labels;
    float32 where they are out of float16's range.

    Args:
        work: the work folder.
        classifier: on the device to use.
        class_names: the data set's; labels index into them.
        sizes: the maps at these input sizes are averaged.
        threads: photos at a time, on a CPU.
    """

    name: ClassVar[str] = "activations"
    version: ClassVar[int] = 2
    uses_labels: ClassVar[bool] = True

    def __init__(
        self,
        work: str | Path,
        classifier: Classifier,
        class_names: Sequence[str],
        *,
        sizes: Sequence[int] | None,
        threads: int,
    ) -> None:
        self.columns = classifier.check_classes(class_names)
        self.sizes = SIZES if sizes is None else tuple(sizes)
        config = {
            "classifier": classifier.fingerprint(),
            "columns": list(self.columns),
            "sizes": list(self.sizes),
        }
        super().__init__(work, config, classifier, threads=threads)

    def compute(self, photo: Photo) -> Arrays:
        """The maps of the photo's classes."""
        columns = [self.columns[label] for label in photo.labels]
        maps = class_activation(self.classifier, photo.read(), columns, sizes=self.sizes)
        return {"maps": compact(maps, "activation maps")}

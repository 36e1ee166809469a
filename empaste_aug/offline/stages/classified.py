"""A stage that runs the classifier on every photo."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.stages.base import PhotoStage


class ClassifierPhotoStage(PhotoStage):
    """A `PhotoStage` with the classifier, also in the form that is fastest for inference.

    Args:
        work: the work folder.
        config: see `PhotoStage`.
        classifier: on the device to use.
        threads: photos at a time, on a CPU; on another device one.
    """

    def __init__(
        self,
        work: str | Path,
        config: Mapping[str, Any],
        classifier: Classifier,
        *,
        threads: int,
    ) -> None:
        super().__init__(work, config)
        self.classifier = classifier
        self.threads = threads if classifier.device.type == "cpu" else 1

    @cached_property
    def _folded(self) -> Classifier:
        return self.classifier.folded()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the folded classifier, which is made again."""
        return {key: value for key, value in super().__getstate__().items() if key != "_folded"}

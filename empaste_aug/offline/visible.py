"""Are target classes still to be seen in a generated image? Beyond the paper.

A background goes unlabelled, so an object of a target class in it teaches the detector that the
object is background. Two judges can find one (`class_judges`): CLIP, by comparing the image with
the class's name and with neutral texts, and the data set's own classifier f (paper, 3.1). Both see
the whole image, or its tiles too; neither finds every object, small ones least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.pretrained import check_count
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleConfig:
    """From which probability on a class counts as visible.

    Attributes:
        clip_threshold: in (0, 1], of CLIP's class text against all the contrasting texts.
        classifier_threshold: in (0, 1], of the classifier's sigmoid. It must be high: a classifier
            that was trained on photos with at least one class each, as VOC's, believes in one
            everywhere. Measured with one of VOC-20: of 73 COCO photos without a VOC class 0.9
            rejects 22 % and 0.5 rejects 75 %; of 20 VOC photos it finds 75 % and 100 %.
        tiles: 1 looks at the whole image; t > 1 also at t x t tiles of it, which overlap by half,
            so that smaller objects are seen and more images are rejected.

    Raises:
        ArgumentError: a value is out of its range.
    """

    clip_threshold: float = 0.5
    classifier_threshold: float = 0.9
    tiles: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("clip_threshold", "classifier_threshold"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ArgumentError(f"{name}: must be in (0, 1], got {value}")
        check_count("tiles", self.tiles)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The target class that a judge believes in most, in one image.

    Attributes:
        by: the judge, "clip" or "classifier".
        class_name: the class.
        value: its probability in [0, 1], the highest of the image's views.
        threshold: from which the class counts as visible.
    """

    by: str
    class_name: str
    value: float
    threshold: float

    @property
    def visible(self) -> bool:
        """Whether the probability reaches the threshold."""
        return self.value >= self.threshold


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all judges say of one image.

    Attributes:
        sightings: one a judge, in the judges' order.
    """

    sightings: tuple[Sighting, ...]

    @property
    def reason(self) -> Sighting | None:
        """The first judge's sighting that rejects the image; None where none does."""
        return next((sighting for sighting in self.sightings if sighting.visible), None)

    @property
    def rejected(self) -> bool:
        """Whether any judge sees a target class."""
        return self.reason is not None


class Judge(Protocol):
    """Anything that looks for target classes in images."""

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Sighting]:
        """One sighting for each (H, W, 3) uint8 RGB image."""


def judge_all(judges: Sequence[Judge], images: Sequence[NDArray[np.uint8]]) -> list[Verdict]:
    """What each judge says of each (H, W, 3) uint8 RGB image; no judges reject nothing."""
    columns = [judge(images) for judge in judges]
    return [Verdict(tuple(column[i] for column in columns)) for i in range(len(images))]

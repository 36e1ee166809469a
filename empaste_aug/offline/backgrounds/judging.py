"""Who looks for target classes in backgrounds: made at first use, known by what they depend on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.bank.files import sha256_of
from empaste_aug.offline.class_judges import ClassifierJudge, ClipJudge
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.rank import ClipRanker
from empaste_aug.offline.visible import Judge, Sighting, VisibleConfig
from empaste_aug.types import ArgumentError

_logger = logging.getLogger(__name__)

JUDGES = ("clip", "classifier")


@dataclass
class Panel:
    """The judges of one build.

    Attributes:
        class_names: the target classes.
        words: of each class, for CLIP.
        distractors: words for what may be seen instead, for CLIP.
        ranker: the image-text model of the judge "clip"; None: it does not judge.
        classifier: a classifier's file, of the judge "classifier"; None: it does not judge.
        config: their thresholds.
        device: of the classifier.
        canonical: the name that all names of a class have in common, such as "couch" for "sofa",
            for a classifier that was trained on another data set.
    """

    class_names: Sequence[str]
    words: Mapping[str, Sequence[str]]
    distractors: Sequence[str]
    ranker: ClipRanker | None
    classifier: Path | None
    config: VisibleConfig
    device: str = "cpu"
    canonical: Callable[[str], str] = str

    @property
    def names(self) -> list[str]:
        """Who judges, out of `JUDGES`, in that order."""
        there = {"clip": self.ranker is not None, "classifier": self.classifier is not None}
        return [name for name in JUDGES if there[name]]

    def settings(self) -> dict[str, Any]:
        """What the probabilities depend on, as JSON values; the thresholds come later."""
        return {
            "classes": list(self.class_names),
            "tiles": self.config.tiles,
            "clip": None
            if self.ranker is None
            else [
                self.ranker.config(),
                {name: list(found) for name, found in self.words.items()},
                list(self.distractors),
            ],
            "classifier": None if self.classifier is None else sha256_of(self.classifier),
        }

    def thresholds(self) -> dict[str, Any]:
        """From which probability on a class counts as visible, as JSON values."""
        return asdict(self.config)

    def load(self) -> None:
        """Load the judges now instead of at the first look.

        Raises:
            ArgumentError: a model cannot be had, or the classifier knows none of the classes.
        """
        self._judges  # noqa: B018

    @cached_property
    def _judges(self) -> list[Judge]:
        judges: list[Judge] = []
        if self.ranker is not None:
            judges.append(
                ClipJudge(self.ranker, self.words, config=self.config, others=self.distractors)
            )
        if self.classifier is not None:
            judges.append(self._classifier_judge(self.classifier))
        return judges

    def _classifier_judge(self, file: Path) -> ClassifierJudge:
        loaded = Classifier.load(file, self.device)
        theirs = {self.canonical(name): name for name in loaded.class_names}
        shared = {
            name: theirs[self.canonical(name)]
            for name in self.class_names
            if self.canonical(name) in theirs
        }
        if not shared:
            raise ArgumentError(
                f"classifier: {file} knows none of the classes {', '.join(self.class_names)}; it "
                f"was trained for {', '.join(loaded.class_names)}"
            )
        unknown = [name for name in self.class_names if name not in shared]
        if unknown:
            _logger.warning(
                f"The classifier {file} does not know {len(unknown)} of {len(self.class_names)} "
                f"classes, and so does not see them: {', '.join(unknown)}"
            )
        return ClassifierJudge(loaded, shared, config=self.config)

    def look(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(N, judges) the highest probability of a target class, and which class that is."""
        value = np.zeros((len(images), len(self.names)), np.float32)
        category = np.zeros(value.shape, np.int64)
        for column, judge in enumerate(self._judges):
            for row, sighting in enumerate(judge(images)):
                value[row, column] = sighting.value
                category[row, column] = list(self.class_names).index(sighting.class_name)
        return value, category

    def reason(self, value: NDArray[np.floating], category: NDArray[np.integer]) -> Sighting | None:
        """Why an image is rejected, of its (judges,) values; None where it is not."""
        limits = {
            "clip": self.config.clip_threshold,
            "classifier": self.config.classifier_threshold,
        }
        for name, found, number in zip(self.names, value, category, strict=True):
            sighting = Sighting(name, self.class_names[int(number)], float(found), limits[name])
            if sighting.visible:
                return sighting
        return None


def classifier_of_bank(bank: MaskBank, work: Path | None = None) -> Path | None:
    """The file of the classifier that a bank was made with, by its hash, or None.

    Args:
        bank: as `build_bank` made it.
        work: the build's work folder; None for ``<bank>.work``.
    """
    told = bank.manifest["classifier"]
    if told is None:
        return None
    folder = work or bank.path.with_name(bank.path.name + ".work")
    files = sorted(folder.glob(f"classifier/*/{told['file']}"))
    return next((file for file in files if sha256_of(file) == told["sha256"]), None)

"""Stage `classifier`: the trained classifier, or one that the user brings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from empaste_aug.bank.files import sha256_of
from empaste_aug.offline.classify import Classifier, Recipe, train_classifier
from empaste_aug.offline.classify.backbone import HUB, PACKAGED
from empaste_aug.offline.classify.device import checked_device
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.cache import digest_of
from empaste_aug.offline.stages.photos import ExtraSource, Photo, listing_hash
from empaste_aug.types import ArgumentError


class ClassifierStage:
    """Trains on image-level labels into ``<work>/classifier/<key>/classifier.pt``.

    A run that was stopped goes on from its last epoch.

    Args:
        work: the work folder.
        dataset: the main data set; its instances are never read.
        photos: every photo that is trained on, for the key.
        extra: further photos with labels only.
        recipe: how to train.
        backbone, pretrained: see `build_backbone`.
        val_fraction: share of the data set's photos that only validates; 0 trains on all.
        device: where it trains, and where `load` puts it.
        workers: processes that augment; up to 1 does it in this one. The result is the same.
        trained: a file of `Classifier.save` to take instead of training.

    Attributes:
        path: the classifier's file.
        key: hash of what the classifier is made from, or of a given file.
        version: raise it when training gives another result from the same input.
    """

    name: ClassVar[str] = "classifier"
    version: ClassVar[int] = 1

    def __init__(
        self,
        work: str | Path,
        dataset: Dataset,
        photos: Sequence[Photo],
        *,
        extra: Sequence[ExtraSource],
        recipe: Recipe,
        backbone: str,
        pretrained: str | Path | None,
        val_fraction: float,
        device: str,
        workers: int,
        trained: str | Path | None = None,
    ) -> None:
        self.dataset = dataset
        self.extra = tuple(extra)
        self.recipe = recipe
        self.backbone = backbone
        self.pretrained = pretrained
        self.val_fraction = val_fraction
        self.device = checked_device(device)
        self.workers = workers if workers > 1 else 0
        self.trained = trained
        if trained is not None:
            self.path = Path(trained)
            if not self.path.is_file():
                raise ArgumentError(f"classifier: no such file: {self.path}")
            self.key = sha256_of(self.path)
        else:
            made_from = {
                "version": self.version,
                "photos": listing_hash(photos, dataset.class_names),
                "recipe": asdict(recipe),
                "backbone": backbone,
                "pretrained": _identity(pretrained),
                "val_fraction": val_fraction,
            }
            self.key = digest_of(made_from)
            self.path = Path(work) / self.name / self.key[:16] / "classifier.pt"

    def run(self, *, redo: bool = False, progress: bool = True) -> Progress:
        """Train, unless that is done or the classifier was given.

        Raises:
            ArgumentError: a given classifier cannot be loaded or lacks classes of the data set.
        """
        if self.trained is not None:
            self.load()
            return Progress(0, 1)
        damaged = 0
        if self.path.is_file() and not redo:
            try:
                self._read()
            except ArgumentError as error:
                damaged = 1
                print(f"warning: {error}; training it again", file=sys.stderr)
            else:
                return Progress(0, 1)
        if redo or damaged:
            self.path.unlink(missing_ok=True)
            (self.path.parent / "training.pt").unlink(missing_ok=True)
        classifier = train_classifier(
            self.dataset,
            extra=self.extra,
            recipe=self.recipe,
            backbone=self.backbone,
            pretrained=self.pretrained,
            val_fraction=self.val_fraction,
            device=self.device,
            workers=self.workers,
            work_dir=self.path.parent,
            progress=progress,
        )
        classifier.save(self.path)
        (self.path.parent / "training.pt").unlink(missing_ok=True)
        return Progress(1, 0, damaged)

    def load(self) -> Classifier:
        """The classifier, in evaluation mode, on the device.

        Raises:
            ArgumentError: it is not trained yet, is damaged, or lacks classes of the data set.
        """
        if self.trained is None and not self.path.is_file():
            raise ArgumentError(
                f"stage classifier: {self.path} does not exist; "
                "run that stage first (--stage classifier)"
            )
        try:
            return self._read()
        except ArgumentError as error:
            if self.trained is not None:
                raise ArgumentError(f"classifier: {error}") from error
            raise ArgumentError(
                f"stage classifier: {error}; run that stage again (--stage classifier)"
            ) from error

    def _read(self) -> Classifier:
        classifier = Classifier.load(self.path)
        classifier.check_classes(self.dataset.class_names)
        return classifier.to(self.device).eval()


def _identity(pretrained: str | Path | None) -> str | None:
    """What start weights are known by: a file by its content, so that its place does not matter."""
    if pretrained is None or pretrained in (PACKAGED, HUB) or not Path(pretrained).is_file():
        return None if pretrained is None else str(pretrained)
    return f"sha256:{sha256_of(Path(pretrained))}"

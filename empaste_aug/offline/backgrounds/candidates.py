"""Stage `synthesize`: images of every prompt, one file each, so that none is made twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.backgrounds.prompts import PromptStage
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.cache import Arrays, StageCache, digest_of
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.synthesize import Synthesizer, image_seed
from empaste_aug.types import ArgumentError


class Wanted(NamedTuple):
    """The images of one prompt.

    Attributes:
        photo: whose caption it comes from.
        number: of the caption.
        prompt: the text.
    """

    photo: Photo
    number: int
    prompt: str


class CandidateStage:
    """Per image ``png`` (n,) uint8, the file, empty where the safety checker flagged it.

    Args:
        work: the work folder.
        prompts: has run on the photos.
        synthesizer: the model.
        images: per prompt; raising it makes only those that are missing.
        seed: the run's.
    """

    name: ClassVar[str] = "synthesize"
    version: ClassVar[int] = 1

    def __init__(
        self,
        work: str | Path,
        prompts: PromptStage,
        synthesizer: Synthesizer,
        *,
        images: int,
        seed: int,
    ) -> None:
        self.prompts = prompts
        self.synthesizer = synthesizer
        self.images = images
        self.seed = seed
        config = {"synthesizer": synthesizer.config(), "seed": seed}
        self.cache = StageCache(work, self.name, config, version=self.version)

    @property
    def key(self) -> str:
        """Hash of what an image depends on, besides its prompt."""
        return self.cache.key

    def run(
        self, photos: Sequence[Photo], *, redo: bool = False, progress: bool = True
    ) -> Progress:
        """Make the images that are missing; all of them with `redo`.

        Raises:
            ArgumentError: the prompts are missing, or the model cannot be loaded.
        """
        before = len(self.cache.damaged)
        todo = [(wanted, self._missing(wanted, redo)) for wanted in self._wanted(photos)]
        damaged = len(self.cache.damaged) - before
        total = len(todo) * self.images
        made = sum(len(numbers) for _, numbers in todo)
        if made:
            with progress_bar(
                total=total,
                initial=total - made,
                description=self.name,
                unit="image",
                show=progress,
            ) as bar:
                for wanted, numbers in todo:
                    for batch in _batches(numbers, self.synthesizer.batch_size):
                        self._make(wanted, batch)
                        bar.update(len(batch))
            self.cache.sweep()
        return Progress(made, total - made, damaged)

    def image(self, wanted: Wanted, number: int) -> NDArray[np.uint8] | None:
        """One stored image, (H, W, 3) uint8 RGB; None where it was flagged.

        Raises:
            ArgumentError: it has not been made.
        """
        content: Arrays | None = self.cache.read(_name(wanted, number), _token(wanted))
        if content is None:
            raise ArgumentError(
                f"stage synthesize: has no image {number} of caption {wanted.number} of photo "
                f"{wanted.photo.name} under these options; run that stage first"
            )
        if not len(content["png"]):
            return None
        decoded = cv2.imdecode(content["png"], cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)

    def seed_of(self, wanted: Wanted, number: int) -> int:
        """The seed of one image, with which the model makes it again alone."""
        return image_seed(self.seed, f"{wanted.photo.name}#{wanted.number}", number)

    def wanted(self, photo: Photo) -> list[Wanted]:
        """The prompts of one photo.

        Raises:
            ArgumentError: it has none yet.
        """
        texts = self.prompts.load(photo)["prompt"].tolist()
        return [Wanted(photo, number, text) for number, text in enumerate(texts)]

    def _wanted(self, photos: Sequence[Photo]) -> Iterator[Wanted]:
        for photo in photos:
            yield from self.wanted(photo)

    def _missing(self, wanted: Wanted, redo: bool) -> list[int]:
        return [
            number
            for number in range(self.images)
            if redo or not self.cache.holds(_name(wanted, number), _token(wanted))
        ]

    def _make(self, wanted: Wanted, numbers: Sequence[int]) -> None:
        seeds = [self.seed_of(wanted, number) for number in numbers]
        images = self.synthesizer.images(wanted.prompt, seeds=seeds)
        for number, image in zip(numbers, images, strict=True):
            self.cache.write(_name(wanted, number), _token(wanted), {"png": as_png(image)})


def as_png(image: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The bytes of a PNG file, (n,) uint8; none for None."""
    if image is None:
        return np.zeros(0, np.uint8)
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].ravel()


def _name(wanted: Wanted, number: int) -> str:
    return f"{wanted.photo.name}/{wanted.number:02d}-{number:03d}"


def _token(wanted: Wanted) -> str:
    return digest_of(wanted.prompt)


def _batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]

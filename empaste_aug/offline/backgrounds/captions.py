"""Stage `caption`: captions of every photo, by a model or from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

import numpy as np
from tqdm import tqdm

from empaste_aug.offline.caption import Captioner, photo_seed
from empaste_aug.offline.seeds import derived_seed
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays, digest_of
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import DatasetError


class CaptionStage(PhotoStage):
    """Per photo ``caption``, (count,) text.

    Args:
        work: the work folder.
        captioner: the model.
        count: captions a photo.
        seed: the run's.
    """

    name: ClassVar[str] = "caption"

    def __init__(self, work: str | Path, captioner: Captioner, *, count: int, seed: int) -> None:
        self.captioner = captioner
        self.count = count
        self.seed = seed
        super().__init__(work, {"captioner": captioner.config(), "captions": count, "seed": seed})

    def compute(self, photo: Photo) -> Arrays:
        """The captions of one photo."""
        return self._captioned([photo])[0]

    def _compute_here(self, photos: Sequence[Photo], bar: tqdm[Any]) -> None:
        """A batch of photos at a time."""
        size = self.captioner.batch_size
        for start in range(0, len(photos), size):
            batch = photos[start : start + size]
            for photo, arrays in zip(batch, self._captioned(batch), strict=True):
                self.cache.write(photo.name, self.token(photo), arrays)
            bar.update(len(batch))

    def _captioned(self, photos: Sequence[Photo]) -> list[Arrays]:
        captions = self.captioner.captions(
            [photo.read() for photo in photos],
            seeds=[photo_seed(self.seed, photo.name) for photo in photos],
            n=self.count,
            names=[str(photo.image.path) for photo in photos],
        )
        return [{"caption": np.array(found, dtype=np.str_)} for found in captions]


class GivenCaptionStage(PhotoStage):
    """As `CaptionStage`, from captions that the user has.

    Of a photo with more captions than are wanted so many are drawn, by the seed; they keep their
    order. One with fewer has all of its own.

    Args:
        work: the work folder.
        captions: by file name, as `read_captions` gives them.
        photos: all that will be captioned.
        source: names the captions in messages.
        count: captions a photo, at most.
        seed: the run's.

    Raises:
        DatasetError: a photo has no caption.
    """

    name: ClassVar[str] = "caption"

    def __init__(
        self,
        work: str | Path,
        captions: Mapping[str, Sequence[str]],
        photos: Sequence[Photo],
        *,
        source: str,
        count: int,
        seed: int,
    ) -> None:
        self._given: dict[str, list[str]] = {}
        by_name = {PurePath(name).name: list(found) for name, found in captions.items()}
        missing = []
        for photo in photos:
            name = photo.image.file_name
            found = captions.get(name) or by_name.get(PurePath(name).name)
            if not found:
                missing.append(name)
                continue
            self._given[photo.name] = _drawn(found, count, derived_seed("drawn", seed, photo.name))
        if missing:
            raise DatasetError(
                f"{source}: has no caption for {len(missing)} of {len(photos)} photos, such as "
                f"{', '.join(missing[:3])}; it names {', '.join(list(captions)[:3])}"
            )
        super().__init__(work, {"captioner": "given", "captions": count, "seed": seed})

    def number(self, photo: Photo) -> int:
        """How many captions a photo has."""
        return len(self._given[photo.name])

    def token(self, photo: Photo) -> str:
        """The photo's captions are a part of it."""
        return digest_of([photo.digest, self._given[photo.name]])

    def compute(self, photo: Photo) -> Arrays:
        """The captions of one photo."""
        return {"caption": np.array(self._given[photo.name], dtype=np.str_)}


def _drawn(captions: Sequence[str], count: int, seed: int) -> list[str]:
    if len(captions) <= count:
        return list(captions)
    chosen = np.random.default_rng(seed).choice(len(captions), count, replace=False)
    return [captions[number] for number in np.sort(chosen)]

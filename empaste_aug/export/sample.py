"""The samples of the stream, as the online path makes them before any augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from empaste_aug.export.photos import Photos
from empaste_aug.paste import EMPaste
from empaste_aug.paste.select import some
from empaste_aug.pool import Backgrounds
from empaste_aug.stream import SampleKey, SampleStream, seeded, take_key
from empaste_aug.types import ArgumentError, Background, Scene


@dataclass(frozen=True, slots=True, eq=False)
class ExportSample:
    """One sample of the stream.

    Attributes:
        position: in the stream.
        index: of the photo among the photos.
        scene: the pasted scene; its record has the seed key, and the background if one took the
            photo's place.
    """

    position: int
    index: int
    scene: Scene

    @property
    def background(self) -> Background | None:
        """What took the photo's place; None where it stayed."""
        return None if self.scene.record is None else self.scene.record.background


class ExportStream:
    """The stream of pasted scenes of (photos, paste, seed).

    The sample at position k holds the pixels and labels of the one that `build_stream_loader` and
    `build_empaste_train_loader` make at position k with the same photos in the same order, EMPaste,
    backgrounds and seed, where pasting comes before the augmentations, and without these.

    Args:
        photos: what is pasted on.
        paste: what pastes. Its class names are those of `photos`, or None, and then they are taken.
        seed: of the stream, >= 0.
        shuffle: whether each epoch is a new permutation.
        backgrounds: what takes the place of photos; the paper's mix gets the number of `photos`,
            if it has none.

    Raises:
        ArgumentError: `seed` is negative, or the class names differ or do not match the bank's.
    """

    def __init__(
        self,
        photos: Photos,
        paste: EMPaste,
        *,
        seed: int,
        shuffle: bool = True,
        backgrounds: Backgrounds | None = None,
    ) -> None:
        if paste.class_names is None:
            paste = paste.with_class_names(photos.class_names)
        elif paste.class_names != tuple(photos.class_names):
            raise ArgumentError(
                f"class_names of paste: {some(paste.class_names)} are not those of the photos, "
                f"{some(photos.class_names)}"
            )
        if backgrounds is not None and backgrounds.chance is None:
            backgrounds = backgrounds.with_num_originals(len(photos))
        self.photos = photos
        self.paste = paste
        self.backgrounds = backgrounds
        self.order = SampleStream(len(photos), seed=seed, shuffle=shuffle)

    def samples(self, first: int, last: int) -> Iterator[ExportSample]:
        """Make the samples at positions `first` to ``last - 1``, one after the other."""
        for position, index in islice(self.order.walk(first), last - first):
            yield ExportSample(position, index, self._scene(position, index))

    def _scene(self, position: int, index: int) -> Scene:
        key = SampleKey(self.order.seed, position)
        with seeded(key):  # a selection of the user's may draw from the global generators
            taken = take_key()
            assert taken is not None
            background = None if self.backgrounds is None else self.backgrounds.draw_for(taken)
            if self.backgrounds is None or background is None:
                scene = self.photos.scene(index)
            else:
                scene = Scene(self.backgrounds.render(background, *self.photos.size(index)))
            pasted = self.paste(scene, np.random.default_rng(taken))
        assert pasted.record is not None
        pasted.record = replace(pasted.record, seed_key=tuple(taken), background=background)
        return pasted

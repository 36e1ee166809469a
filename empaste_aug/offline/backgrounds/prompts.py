"""Stage `distract`: captions become prompts that name no class of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from empaste_aug.offline.backgrounds.captions import CaptionStage, GivenCaptionStage
from empaste_aug.offline.distract import replace_targets
from empaste_aug.offline.seeds import derived_seed
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays, digest_of
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.vocabulary.tables import Vocabulary


class PromptStage(PhotoStage):
    """Per photo ``caption`` and ``prompt``, (count,) text each.

    Args:
        work: the work folder.
        captions: what is replaced in.
        targets: the data set's class names.
        vocabulary: their words.
        seed: the run's.

    Raises:
        ArgumentError: a class that the vocabulary does not know.
    """

    name: ClassVar[str] = "distract"

    def __init__(
        self,
        work: str | Path,
        captions: CaptionStage | GivenCaptionStage,
        targets: Sequence[str],
        *,
        vocabulary: Vocabulary,
        seed: int,
    ) -> None:
        self.captions = captions
        self.targets = tuple(targets)
        self.vocabulary = vocabulary
        self.seed = seed
        replace_targets("", self.targets, np.random.default_rng(0), vocabulary=vocabulary)
        config = {
            "captions": captions.key,
            "targets": list(self.targets),
            "vocabulary": _digest(vocabulary),
            "seed": seed,
        }
        super().__init__(work, config)

    def token(self, photo: Photo) -> str:
        """The captions'."""
        return self.captions.token(photo)

    def compute(self, photo: Photo) -> Arrays:
        """The prompts of one photo."""
        captions = self.captions.load(photo)["caption"].tolist()
        rng = np.random.default_rng(derived_seed("distract", self.seed, photo.name))
        prompts = [
            replace_targets(caption, self.targets, rng, vocabulary=self.vocabulary)
            for caption in captions
        ]
        return {
            "caption": np.array(captions, dtype=np.str_),
            "prompt": np.array(prompts, dtype=np.str_),
        }


def _digest(vocabulary: Vocabulary) -> str:
    """A hash of all its words."""
    distractors = {name: repr(nouns) for name, nouns in vocabulary.distractors.items()}
    classes = {name: repr(words) for name, words in vocabulary.classes.items()}
    return digest_of([classes, list(distractors), distractors])

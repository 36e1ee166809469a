"""The judges of whether target classes are visible: CLIP, and the data set's own classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.image_views import squares, views
from empaste_aug.offline.pretrained import check_count
from empaste_aug.offline.visible import Sighting, VisibleConfig
from empaste_aug.types import ArgumentError

if TYPE_CHECKING:
    from empaste_aug.offline.classify.model import Classifier
    from empaste_aug.offline.rank import ClipRanker

TEMPLATES = (
    "a photo of {}.",
    "a picture of {}.",
    "a photo of {} in the background.",
    "a close-up photo of {}.",
    "a photo of a scene with {}.",
)
"""Texts around a word and its article, whose unit vectors are averaged."""

NEUTRAL = (
    "a photo of a landscape.",
    "a photo of an empty street.",
    "a photo of an empty room.",
    "a photo of buildings.",
    "a photo of the sky.",
    "a photo of the sea.",
    "a photo of grass and trees.",
    "a photo of a wall.",
    "a photo of food on a plate.",
    "an abstract texture.",
    "a blurred background.",
)
"""What an image without target classes may be a photo of."""


class ClipJudge:
    """CLIP without training: a class's text against texts of what else there may be.

    The probability of a class is the softmax, at the model's own scale, of its cosine against
    those of the contrasting texts; the other classes play no part in it.

    Args:
        ranker: the model.
        class_names: the target classes; a mapping gives for each of them the words to describe it
            by, such as {"diningtable": ["dining table"]}.
        config: the threshold and the tiles.
        others: words for what may be in an image without being a target class, such as the
            distractors; without them a tiger is taken for a cat.
        neutral: further contrasting texts.

    Raises:
        ArgumentError: there are no classes, a class has no words, or there is nothing to contrast
            them with; or the model cannot be loaded.
    """

    def __init__(
        self,
        ranker: ClipRanker,
        class_names: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        config: VisibleConfig | None = None,
        others: Sequence[str] = (),
        neutral: Sequence[str] = NEUTRAL,
    ) -> None:
        if isinstance(class_names, Mapping):
            words = {name: list(found) for name, found in class_names.items()}
        else:
            words = {name: [name] for name in class_names}
        if not words or not all(words.values()):
            raise ArgumentError(f"class_names: each class needs words, and there are: {words}")
        if not others and not neutral:
            raise ArgumentError("neutral: is empty and so is others; CLIP only compares")
        self.config = VisibleConfig() if config is None else config
        self.class_names = tuple(words)
        self._ranker = ranker
        self._classes = np.stack([_word_features(ranker, found) for found in words.values()])
        contrasts = [_word_features(ranker, [word]) for word in others]
        if neutral:
            contrasts.extend(ranker.text_features(list(neutral)))
        self._contrasts = np.stack(contrasts)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Sighting]:
        """One sighting for each (H, W, 3) uint8 RGB image."""
        if not len(images):
            return []
        groups = [
            [square for view in views(image, self.config.tiles) for square in squares(view)]
            for image in images
        ]
        features = self._ranker.image_features([view for group in groups for view in group])
        scale = self._ranker.logit_scale
        inside = (scale * (features @ self._classes.T)).astype(np.float64)
        outside = np.logaddexp.reduce(
            (scale * (features @ self._contrasts.T)).astype(np.float64), axis=1, keepdims=True
        )
        probabilities = np.exp(inside - np.logaddexp(inside, outside))
        return _sightings(
            "clip", self.class_names, probabilities, groups, self.config.clip_threshold
        )


class ClassifierJudge:
    """The data set's own classifier, as the foregrounds were found with it.

    Args:
        classifier: moved to no device here; see `Classifier.load`.
        class_names: the target classes; a mapping gives for each of them the classifier's name of
            it, such as {"couch": "sofa"}; None for all that it was trained for.
        config: the threshold and the tiles.
        batch_size: views a batch.

    Raises:
        ArgumentError: the classifier does not know a class, or there are none.
    """

    def __init__(
        self,
        classifier: Classifier,
        class_names: Sequence[str] | Mapping[str, str] | None = None,
        *,
        config: VisibleConfig | None = None,
        batch_size: int = 32,
    ) -> None:
        self.class_names = tuple(classifier.class_names if class_names is None else class_names)
        theirs = class_names.values() if isinstance(class_names, Mapping) else self.class_names
        if not self.class_names:
            raise ArgumentError("class_names: there are none")
        self.config = VisibleConfig() if config is None else config
        self._columns = list(classifier.check_classes(list(theirs)))
        self._classifier = classifier.folded()
        self._device = classifier.device
        self._batch_size = check_count("batch_size", batch_size)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Sighting]:
        """One sighting for each (H, W, 3) uint8 RGB image."""
        import torch

        groups = [views(image, self.config.tiles) for image in images]
        flat = [view for group in groups for view in group]
        parts = []
        with torch.inference_mode():
            for start in range(0, len(flat), self._batch_size):
                batch = flat[start : start + self._batch_size]
                inputs = torch.stack([self._classifier.preprocess(view) for view in batch])
                logits = self._classifier(inputs.to(self._device))[:, self._columns]
                parts.append(logits.double().sigmoid().cpu().numpy())
        probabilities = np.concatenate(parts) if parts else np.zeros((0, len(self._columns)))
        return _sightings(
            "classifier",
            self.class_names,
            probabilities,
            groups,
            self.config.classifier_threshold,
        )


def _word_features(ranker: ClipRanker, words: Sequence[str]) -> NDArray[np.float32]:
    """(D,) unit vector: the mean over templates and words, a/an before each."""
    texts = [t.format(f"{_article(word)} {word}") for word in words for t in TEMPLATES]
    mean = ranker.text_features(texts).mean(axis=0)
    unit: NDArray[np.float32] = mean / np.maximum(np.linalg.norm(mean), 1e-12)
    return unit


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeio" else "a"


def _sightings(
    by: str,
    class_names: Sequence[str],
    probabilities: NDArray[np.float64],
    groups: Sequence[Sequence[NDArray[np.uint8]]],
    threshold: float,
) -> list[Sighting]:
    """Of each group's rows of (V, K) probabilities, the highest."""
    result = []
    start = 0
    for group in groups:
        best = probabilities[start : start + len(group)].max(axis=0)
        start += len(group)
        k = int(best.argmax())
        result.append(Sighting(by, class_names[k], float(best[k]), threshold))
    return result

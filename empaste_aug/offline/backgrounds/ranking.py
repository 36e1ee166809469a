"""Stage `rank`: how well every image fits its prompt, and whether target classes are visible."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.backgrounds.candidates import CandidateStage, Wanted
from empaste_aug.offline.backgrounds.judging import Panel
from empaste_aug.offline.rank import ClipRanker, top
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays, digest_of
from empaste_aug.offline.stages.photos import Photo


class Ranked(NamedTuple):
    """One image after the ranking.

    Attributes:
        wanted: its prompt.
        number: the image's, among those of its prompt.
        score: the cosine with the prompt, by CLIP; NaN where it was flagged.
        sightings: the highest probability of a target class, judge by judge.
        verdict: "kept", "flagged", "rejected: ..." or "not among the best".
    """

    wanted: Wanted
    number: int
    score: float
    sightings: dict[str, float]
    verdict: str

    @property
    def kept(self) -> bool:
        """Whether it goes into the pool."""
        return self.verdict == "kept"


class RankStage(PhotoStage):
    """Per photo ``score`` (captions, images) float32, NaN for flagged images, and of the judges
    ``value`` (captions, images, judges) float32 and ``category``, likewise, int64.

    Args:
        work: the work folder.
        candidates: has run on the photos.
        ranker: the image-text model.
        panel: the judges.
    """

    name: ClassVar[str] = "rank"

    def __init__(
        self, work: str | Path, candidates: CandidateStage, ranker: ClipRanker, panel: Panel
    ) -> None:
        self.candidates = candidates
        self.ranker = ranker
        self.panel = panel
        config: dict[str, Any] = {
            "candidates": candidates.key,
            "images": candidates.images,
            "prompts": candidates.prompts.key,
            "ranker": ranker.config(),
            "judges": panel.settings(),
        }
        super().__init__(work, config)

    def token(self, photo: Photo) -> str:
        """The prompts' texts are a part of it."""
        return digest_of([wanted.prompt for wanted in self.candidates.wanted(photo)])

    def compute(self, photo: Photo) -> Arrays:
        """Scores of all images of one photo."""
        prompts, images = self.candidates.wanted(photo), self.candidates.images
        judges = len(self.panel.names)
        score = np.full((len(prompts), images), np.nan, np.float32)
        value = np.zeros((len(prompts), images, judges), np.float32)
        category = np.zeros(value.shape, np.int64)
        for row, wanted in enumerate(prompts):
            made = [self.candidates.image(wanted, number) for number in range(images)]
            there = [number for number, image in enumerate(made) if image is not None]
            shown = [image for image in made if image is not None]
            if shown:
                score[row, there] = self.ranker.scores(shown, wanted.prompt)
                value[row, there], category[row, there] = self.panel.look(shown)
        return {"score": score, "value": value, "category": category}

    def ranked(self, photo: Photo, *, keep: int) -> list[Ranked]:
        """All images of one photo, prompt by prompt, in the order in which they were made.

        Of a prompt's images those with a visible target class are rejected; of the others the
        `keep` with the highest scores are kept.

        Raises:
            ArgumentError: the stage has not run on this photo.
        """
        content = self.load(photo)
        result = []
        for row, wanted in enumerate(self.candidates.wanted(photo)):
            score = content["score"][row]
            verdicts = [
                self._verdict(score[number], content["value"][row, number], category)
                for number, category in enumerate(content["category"][row])
            ]
            fit = np.array([number for number, found in enumerate(verdicts) if not found], int)
            for number in fit[top(score[fit], keep)]:
                verdicts[number] = "kept"
            result += [
                Ranked(
                    wanted,
                    number,
                    float(score[number]),
                    self._sightings(content["value"][row, number]),
                    verdict or "not among the best",
                )
                for number, verdict in enumerate(verdicts)
            ]
        return result

    def _verdict(
        self, score: float, value: NDArray[np.floating], category: NDArray[np.integer]
    ) -> str:
        if np.isnan(score):
            return "flagged"
        seen = self.panel.reason(value, category)
        if seen is None:
            return ""
        return f"rejected: {seen.class_name} {seen.value:.2f} by {seen.by}"

    def _sightings(self, value: NDArray[np.floating]) -> dict[str, float]:
        return {name: float(found) for name, found in zip(self.panel.names, value, strict=True)}

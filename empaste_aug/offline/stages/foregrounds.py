"""Stage `fem`: F-EM, one class after the other (paper, 3.1 and Algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.fem import FEMConfig, FEMResult, f_em
from empaste_aug.offline.instances import InstanceConfig, similarity
from empaste_aug.offline.prior import CueWeights, prior, prior_with_occlusion
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.quality import believed_quality
from empaste_aug.offline.reduction import Reducer, fit_reducer
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.cache import Arrays, StageCache, digest_of
from empaste_aug.offline.stages.choices import (
    Candidate,
    Choice,
    Scored,
    candidate_arrays,
    choice_arrays,
    read_candidates,
    read_choices,
)
from empaste_aug.offline.stages.cues import CueStage
from empaste_aug.offline.stages.distances import DistanceStage
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.head import spaced
from empaste_aug.offline.stages.occlusions import OcclusionStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import ArgumentError


class ForegroundStage:
    """Per class one file with the choice on every photo that has the class and a segment.

    Args:
        work: the work folder.
        features: phi and logits.
        distances: of segments to anchors, for step 1 of the paper; None where cues take its place.
        class_names: the data set's.
        config: Algorithm 1's constants.
        cues: what the prior is made of; None: the paper's method, without a prior.
        occlusions: further evidence, for a shortlist by the cues, to which F-EM's choice is then
            limited; None: all segments are compared. Needs cues.
        weights: of the cues.
        reduce: reduce the features to so many dimensions first, by PCA over all segments; None
            takes them whole, and all of a class at once.
        instances: what a further instance must be; with more than one per photo and class the files
            hold the candidates too, which needs cues. None: one.

    Raises:
        ArgumentError: further instances are wanted without cues, or there are neither cues nor
            distances.

    Attributes:
        version: as `PhotoStage.version`.
    """

    name: ClassVar[str] = "fem"
    version: ClassVar[int] = 3

    def __init__(
        self,
        work: str | Path,
        features: FeatureStage,
        distances: DistanceStage | None,
        class_names: Sequence[str],
        *,
        config: FEMConfig,
        cues: CueStage | None = None,
        occlusions: OcclusionStage | None = None,
        weights: CueWeights | None = None,
        reduce: int | None = None,
        instances: InstanceConfig | None = None,
    ) -> None:
        self.instances = instances or InstanceConfig(max_instances=1)
        if cues is None and self.instances.max_instances > 1:
            raise ArgumentError(
                "max_instances: more than 1 needs a quality of the masks, which mode 'paper' has "
                f"not, but is {self.instances.max_instances}"
            )
        if cues is None and distances is None:
            raise ArgumentError("distances: are needed where there are no cues")
        self.features = features
        self.distances = distances
        self.cues = cues
        self.occlusions = occlusions
        self.weights = weights or CueWeights()
        self.reduce = reduce
        self._reducer: Reducer | None = None
        self.class_names = tuple(class_names)
        self.columns = features.classifier.check_classes(class_names)
        self.config = config
        settings = {
            "features": features.key,
            "distances": None if distances is None else distances.key,
            "fem": asdict(config),
            "cues": None if cues is None else [cues.key, self.weights.as_dict()],
            "occlusions": None if occlusions is None else occlusions.key,
            "reduce": reduce,
        }
        if self.instances.max_instances > 1:
            limits = asdict(self.instances)
            settings["candidates"] = {name: limits[name] for name in _CANDIDATE_LIMITS}
        self.cache = StageCache(work, self.name, settings, version=self.version)

    @property
    def key(self) -> str:
        """Hash of what the results depend on, besides the list of photos."""
        return self.cache.key

    def run(
        self, photos: Sequence[Photo], *, redo: bool = False, progress: bool = True
    ) -> Progress:
        """Distances to the anchors where they are missing, then F-EM of each class."""
        if self.distances is not None:
            self.distances.run(photos, redo=redo, progress=progress)
        if self.cues is not None:
            self.cues.head.run(redo=redo, progress=progress)
            self.cues.run(photos, redo=redo, progress=progress)
        if self.occlusions is not None:
            self.occlusions.run(photos, redo=redo, progress=progress)
        classes = list(self._classes(photos))
        before = len(self.cache.damaged)
        todo = [
            (category, members, token)
            for category, members, token in classes
            if redo or not self.cache.holds(self._file(category), token)
        ]
        damaged = len(self.cache.damaged) - before
        if todo and self.reduce is not None:
            self._reducer = self._fit_reducer(photos, self.reduce)
        bar = progress_bar(todo, description=self.name, unit="class", show=progress and bool(todo))
        for category, members, token in bar:
            self.cache.write(self._file(category), token, self._compute(category, members))
        return Progress(len(todo), len(classes) - len(todo), damaged)

    def _fit_reducer(self, photos: Sequence[Photo], dimensions: int) -> Reducer | None:
        photos = spaced(photos)
        token = _listed(photos)
        content = self.cache.read(_REDUCER, token)
        if not any(len(self.features.load(photo)["segment"]) for photo in photos):
            return None
        if content is None:
            batches = (self.features.load(photo)["phi"] for photo in photos)
            reducer = fit_reducer(batches, dimensions)
            self.cache.write(_REDUCER, token, {"mean": reducer.mean, "axes": reducer.axes})
            return reducer
        return Reducer(content["mean"], content["axes"])

    def choices(self, photos: Sequence[Photo]) -> list[Choice]:
        """Every choice, by class and then in the order of the photos.

        Raises:
            ArgumentError: the stage has not run on these photos.
        """
        return [
            choice
            for category, arrays in self._results(photos)
            for choice in read_choices(category, arrays)
        ]

    def candidates(self, photos: Sequence[Photo]) -> list[Candidate]:
        """What may be a further instance, in the order of `choices`; none with one per class.

        They are the segments, besides the chosen ones, with the least quality and similarity that
        `instances` asks for; overlaps are not looked at yet.

        Raises:
            ArgumentError: the stage has not run on these photos.
        """
        if self.instances.max_instances == 1:
            return []
        return [
            candidate
            for category, arrays in self._results(photos)
            for candidate in read_candidates(category, arrays)
        ]

    def history(self, photos: Sequence[Photo]) -> dict[int, list[list[float]]]:
        """Per class, for each round: photos changed, inliers, mean distance."""
        return {category: arrays["history"].tolist() for category, arrays in self._results(photos)}

    def _results(self, photos: Sequence[Photo]) -> Iterator[tuple[int, Arrays]]:
        for category, _, token in self._classes(photos):
            arrays = self.cache.read(self._file(category), token)
            if arrays is None:
                raise ArgumentError(
                    f"stage fem: class {self.class_names[category]} has no valid result under "
                    "these options; run that stage first (--stage fem)"
                )
            yield category, arrays

    def _classes(self, photos: Sequence[Photo]) -> Iterator[tuple[int, list[Photo], str]]:
        """Every class, its photos, and the hash of these and of all that reduce the features."""
        reducing = [] if self.reduce is None else [_listed(spaced(photos))]
        for category in range(len(self.class_names)):
            members = [photo for photo in photos if category in photo.labels]
            if members:
                yield category, members, digest_of([_listed(members), *reducing])

    def _file(self, category: int) -> str:
        return f"class-{category:05d}"

    def _compute(self, category: int, members: list[Photo]) -> Arrays:
        parts = [self._evidence(category, photo) for photo in members]
        image = np.repeat(np.arange(len(parts)), [len(part.segment) for part in parts])
        phi = np.concatenate([part.phi for part in parts])
        score = np.concatenate([part.score for part in parts])
        before = None
        quality = np.full(len(image), np.nan)
        if self.cues is not None:
            cues = np.concatenate([part.cues for part in parts])
            before = np.concatenate([part.prior for part in parts])
            quality = believed_quality(cues, before)
        result = f_em(
            phi,
            image,
            np.concatenate([part.nearness for part in parts]),
            score,
            prior=before,
            config=self.config,
        )
        segment = np.concatenate([part.segment for part in parts])
        scored = Scored(members, image, segment, score, quality)
        arrays = choice_arrays(scored, result)
        arrays["history"] = np.array(
            [[step.changed, step.inliers, step.mean_distance] for step in result.history]
        ).reshape(-1, 3)
        if self.instances.max_instances > 1:
            arrays |= candidate_arrays(scored, result, self._further(result, scored, phi))
        return arrays

    def _further(
        self, result: FEMResult, scored: Scored, phi: NDArray[np.floating]
    ) -> NDArray[np.int64]:
        """The rows of the candidates, ascending."""
        first = result.selected[np.searchsorted(result.images, scored.image)]
        rows = np.flatnonzero(scored.quality >= self.instances.min_quality)
        rows = rows[rows != first[rows]]
        alike = similarity(phi[rows], phi[first[rows]]) >= self.instances.min_similarity
        return np.asarray(rows[alike])

    def _evidence(self, category: int, photo: Photo) -> _Evidence:
        features = self.features.load(photo)
        column = photo.labels.index(category)
        logits = features["logits"][:, self.columns[category]].astype(np.float64)
        rows = np.arange(len(logits))
        cues = np.zeros((len(logits), 0), np.float32)
        before = np.zeros(len(logits))
        if self.cues is not None:
            cues = self.cues.load(photo)["cues"][column]
            before = prior(cues, self.weights)
        if self.occlusions is not None:
            drop = self.occlusions.load(photo)["drop"][column]
            before = prior_with_occlusion(cues, drop, self.weights)
            rows = np.flatnonzero(~np.isnan(drop))
        phi = features["phi"][rows]
        nearness = np.zeros(len(rows), np.float32)  # F-EM starts from the prior instead
        if self.distances is not None:
            nearness = self.distances.load(photo)["distance"][rows, column]
        return _Evidence(
            segment=features["segment"][rows],
            phi=phi if self._reducer is None else self._reducer(phi),
            nearness=nearness,
            score=0.5 * (1.0 + np.tanh(0.5 * logits[rows])),
            cues=cues[rows],
            prior=before[rows],
        )


_REDUCER = "reducer"
_CANDIDATE_LIMITS = ("min_quality", "min_similarity")


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What F-EM reads of one photo: M segments, those of the shortlist where there is one."""

    segment: NDArray[np.int64]
    phi: NDArray[np.floating]
    nearness: NDArray[np.float32]
    score: NDArray[np.float64]
    cues: NDArray[np.float32]
    prior: NDArray[np.float64]


def _listed(photos: Sequence[Photo]) -> str:
    return digest_of([[photo.name, photo.digest, list(photo.labels)] for photo in photos])

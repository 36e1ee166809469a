"""Stage `fem`: F-EM, one class after the other (paper, 3.1 and Algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.cues import CueWeights, prior
from empaste_aug.offline.fem import FEMConfig, FEMResult, f_em
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.quality import believed_quality
from empaste_aug.offline.reduction import Reducer, fit_reducer
from empaste_aug.offline.segments import distances_to_anchors
from empaste_aug.offline.stages.base import PhotoStage, Progress
from empaste_aug.offline.stages.cache import Arrays, StageCache, digest_of
from empaste_aug.offline.stages.cams import CamStage
from empaste_aug.offline.stages.cues import CueStage
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import SegmentPool, decode_masks
from empaste_aug.types import ArgumentError


class DistanceStage(PhotoStage):
    """Per photo: ``distance`` (M, K) float32, of its eligible segments to its K anchors, in px.

    It is a part of the stage `fem`, with files of its own: they alone depend on both the anchors
    and the proposals.
    """

    name: ClassVar[str] = "distances"
    uses_labels: ClassVar[bool] = True

    def __init__(self, work: str | Path, cams: CamStage, pool: SegmentPool) -> None:
        self.cams = cams
        self.pool = pool
        super().__init__(work, {"cams": cams.key, "segments": pool.key})

    def compute(self, photo: Photo) -> Arrays:
        """Mean distance of every eligible segment's pixels to every anchor."""
        found = self.pool.segments(photo)
        masks = decode_masks(found, self.pool.eligible(found))
        return {"distance": distances_to_anchors(masks, self.cams.load(photo)["anchors"])}


@dataclass(frozen=True, slots=True)
class Choice:
    """The segment that F-EM chose for one class on one photo.

    Attributes:
        photo: `Photo.name`.
        category_id: of the main data set.
        segment: position among the photo's proposals.
        score: the classifier's probability of the class for the segment.
        distance: to the class's distribution; NaN without EM (too few photos).
        inlier: among the nearest share of the class.
        changed: EM chose another segment than step 1.
        quality: in (0, 1), how good the mask is believed to be; NaN without a prior.
    """

    photo: str
    category_id: int
    segment: int
    score: float
    distance: float
    inlier: bool
    changed: bool
    quality: float


class ForegroundStage:
    """Per class one file with the choice on every photo that has the class and a segment.

    Args:
        work: the work folder.
        features: phi and logits.
        distances: of segments to anchors.
        class_names: the data set's.
        config: Algorithm 1's constants.
        cues: what the prior is made of; None: the paper's method, without a prior.
        weights: of the cues.
        reduce: reduce the features to so many dimensions first, by PCA over all segments; None
            takes them whole, and all of a class at once.

    Attributes:
        version: as `PhotoStage.version`.
    """

    name: ClassVar[str] = "fem"
    version: ClassVar[int] = 2

    def __init__(
        self,
        work: str | Path,
        features: FeatureStage,
        distances: DistanceStage,
        class_names: Sequence[str],
        *,
        config: FEMConfig,
        cues: CueStage | None = None,
        weights: CueWeights | None = None,
        reduce: int | None = None,
    ) -> None:
        self.features = features
        self.distances = distances
        self.cues = cues
        self.weights = weights or CueWeights()
        self.reduce = reduce
        self._reducer: Reducer | None = None
        self.class_names = tuple(class_names)
        self.columns = features.classifier.check_classes(class_names)
        self.config = config
        settings = {
            "features": features.key,
            "distances": distances.key,
            "fem": asdict(config),
            "cues": None if cues is None else [cues.key, self.weights.as_dict()],
            "reduce": reduce,
        }
        self.cache = StageCache(work, self.name, settings, version=self.version)

    @property
    def key(self) -> str:
        """Hash of what the results depend on, besides the list of photos."""
        return self.cache.key

    def run(
        self, photos: Sequence[Photo], *, redo: bool = False, progress: bool = True
    ) -> Progress:
        """Distances to the anchors where they are missing, then F-EM of each class."""
        self.distances.run(photos, redo=redo, progress=progress)
        if self.cues is not None:
            self.cues.head.run(redo=redo, progress=progress)
            self.cues.run(photos, redo=redo, progress=progress)
        classes = list(self._classes(photos))
        before = len(self.cache.damaged)
        todo = [
            (category, members)
            for category, members in classes
            if redo or not self.cache.holds(self._file(category), _token(members))
        ]
        damaged = len(self.cache.damaged) - before
        if todo and self.reduce is not None:
            self._reducer = self._fit_reducer(photos, self.reduce)
        bar = progress_bar(todo, description=self.name, unit="class", show=progress and bool(todo))
        for category, members in bar:
            arrays = self._compute(category, members)
            self.cache.write(self._file(category), _token(members), arrays)
        return Progress(len(todo), len(classes) - len(todo), damaged)

    def _fit_reducer(self, photos: Sequence[Photo], dimensions: int) -> Reducer | None:
        token = _token(photos)
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
        result: list[Choice] = []
        for category, arrays in self._results(photos):
            columns = (arrays[name].tolist() for name in _COLUMNS)
            for photo, *rest in zip(*columns, strict=True):
                result.append(Choice(photo, category, *rest))
        return result

    def history(self, photos: Sequence[Photo]) -> dict[int, list[list[float]]]:
        """Per class, for each round: photos changed, inliers, mean distance."""
        return {category: arrays["history"].tolist() for category, arrays in self._results(photos)}

    def _results(self, photos: Sequence[Photo]) -> Iterator[tuple[int, Arrays]]:
        for category, members in self._classes(photos):
            arrays = self.cache.read(self._file(category), _token(members))
            if arrays is None:
                raise ArgumentError(
                    f"stage fem: class {self.class_names[category]} has no valid result under "
                    "these options; run that stage first (--stage fem)"
                )
            yield category, arrays

    def _classes(self, photos: Sequence[Photo]) -> Iterator[tuple[int, list[Photo]]]:
        for category in range(len(self.class_names)):
            members = [photo for photo in photos if category in photo.labels]
            if members:
                yield category, members

    def _file(self, category: int) -> str:
        return f"class-{category:05d}"

    def _compute(self, category: int, members: list[Photo]) -> Arrays:
        parts = [self._evidence(category, photo) for photo in members]
        image = np.repeat(np.arange(len(parts)), [len(part.segment) for part in parts])
        segment = np.concatenate([part.segment for part in parts])
        score = np.concatenate([part.score for part in parts])
        cues = before = None
        if self.cues is not None:
            cues = np.concatenate([part.cues for part in parts])
            before = np.concatenate([part.prior for part in parts])
        result = f_em(
            np.concatenate([part.phi for part in parts]),
            image,
            np.concatenate([part.nearness for part in parts]),
            score,
            prior=before,
            config=self.config,
        )
        quality = np.full(len(result.images), np.nan)
        if cues is not None and before is not None:
            quality = believed_quality(cues[result.selected], before[result.selected])
        return _arrays(result, members, segment, score, quality)

    def _evidence(self, category: int, photo: Photo) -> _Evidence:
        features = self.features.load(photo)
        column = photo.labels.index(category)
        logits = features["logits"][:, self.columns[category]].astype(np.float64)
        cues = np.zeros((len(logits), 0), np.float32)
        if self.cues is not None:
            cues = self.cues.load(photo)["cues"][column]
        return _Evidence(
            segment=features["segment"],
            phi=features["phi"] if self._reducer is None else self._reducer(features["phi"]),
            nearness=self.distances.load(photo)["distance"][:, column],
            score=0.5 * (1.0 + np.tanh(0.5 * logits)),
            cues=cues,
            prior=np.zeros(0) if self.cues is None else prior(cues, self.weights),
        )


_REDUCER = "reducer"
_COLUMNS = ("photo", "segment", "score", "distance", "inlier", "changed", "quality")


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What F-EM reads of one photo: M segments."""

    segment: NDArray[np.int64]
    phi: NDArray[np.floating]
    nearness: NDArray[np.float32]
    score: NDArray[np.float64]
    cues: NDArray[np.float32]
    prior: NDArray[np.float64]


def _token(members: Sequence[Photo]) -> str:
    return digest_of([[photo.name, photo.digest, list(photo.labels)] for photo in members])


def _arrays(
    result: FEMResult,
    members: Sequence[Photo],
    segment: NDArray[np.int64],
    score: NDArray[np.float64],
    quality: NDArray[np.float64],
) -> Arrays:
    return {
        "photo": np.array([members[number].name for number in result.images], dtype=np.str_),
        "segment": segment[result.selected],
        "score": score[result.selected],
        "distance": result.distance,
        "inlier": result.inlier,
        "changed": result.selected != result.initial,
        "quality": quality,
        "history": np.array(
            [[step.changed, step.inliers, step.mean_distance] for step in result.history]
        ).reshape(-1, 3),
    }

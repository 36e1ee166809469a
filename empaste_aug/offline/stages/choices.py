"""What the stage `fem` says of each photo: the chosen segments, and candidates for further ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.fem import FEMResult
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.photos import Photo


@dataclass(frozen=True, slots=True)
class Choice:
    """A segment of one photo that is taken for an object of one class.

    Attributes:
        photo: `Photo.name`.
        category_id: of the main data set.
        segment: position among the photo's proposals.
        score: the classifier's probability of the class for the segment.
        distance: to the class's distribution; NaN without EM (too few photos).
        inlier: among the nearest share of the class.
        changed: EM chose another segment than step 1.
        quality: in (0, 1), how good the mask is believed to be; NaN without a prior.
        instance: 0 for what F-EM chose, 1, 2, ... for further instances on the photo.
    """

    photo: str
    category_id: int
    segment: int
    score: float
    distance: float
    inlier: bool
    changed: bool
    quality: float
    instance: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A segment beside the chosen one that may be a further instance of the class.

    Attributes:
        choice: what it would be as a choice.
        value: what the last E-step compares within the photo, higher is better.
    """

    choice: Choice
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The M segments that F-EM chose among for one class, in its order.

    Attributes:
        photos: the class's photos.
        image: (M,) int, position of each segment's photo among them.
        segment: (M,) int, position among the photo's proposals.
        score: (M,) the classifier's probability of the class.
        quality: (M,) as `Choice.quality`.
    """

    photos: Sequence[Photo]
    image: NDArray[np.int64]
    segment: NDArray[np.int64]
    score: NDArray[np.float64]
    quality: NDArray[np.float64]

    def names(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """The names of the rows' photos."""
        return np.array([self.photos[number].name for number in self.image[rows]], dtype=np.str_)


def choice_arrays(scored: Scored, result: FEMResult) -> Arrays:
    """One class's choices as arrays."""
    rows = result.selected
    return {
        "photo": scored.names(rows),
        "segment": scored.segment[rows],
        "score": scored.score[rows],
        "distance": result.distance,
        "inlier": result.inlier,
        "changed": rows != result.initial,
        "quality": scored.quality[rows],
    }


def candidate_arrays(scored: Scored, result: FEMResult, rows: NDArray[np.int64]) -> Arrays:
    """One class's candidates as arrays; without EM all of them are inliers, as the choices."""
    distance = result.distances[rows]
    limit = np.max(result.distance[result.inlier], initial=-np.inf)
    columns = {
        "photo": scored.names(rows),
        "segment": scored.segment[rows],
        "score": scored.score[rows],
        "distance": distance,
        "inlier": ~(distance > limit),
        "changed": np.zeros(len(rows), dtype=bool),
        "quality": scored.quality[rows],
        "value": result.values[rows],
    }
    return {_FURTHER + name: values for name, values in columns.items()}


def read_choices(category: int, arrays: Arrays) -> Iterator[Choice]:
    """The choices that `choice_arrays` wrote."""
    for photo, *rest in _rows(arrays, _COLUMNS):
        yield Choice(photo, category, *rest)


def read_candidates(category: int, arrays: Arrays) -> Iterator[Candidate]:
    """The candidates that `candidate_arrays` wrote."""
    names = [_FURTHER + name for name in (*_COLUMNS, "value")]
    for photo, *rest, value in _rows(arrays, names):
        yield Candidate(Choice(photo, category, *rest), value)


_COLUMNS = ("photo", "segment", "score", "distance", "inlier", "changed", "quality")
_FURTHER = "further_"


def _rows(arrays: Arrays, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(arrays[name].tolist() for name in names), strict=True)

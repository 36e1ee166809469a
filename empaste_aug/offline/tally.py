"""Sums per photo and class, the figures made from them, and bootstrap intervals over photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.bootstrap import PhotoDraws, interval, number

FIGURES = ("mean_iou", "p50", "p70", "yield", "yield_objects")
"""The figures that are shares, in the order of a report."""

COUNTS = ("masks", "pairs", "pairs_with_mask", "objects")
"""The figures that are numbers of things."""

_SUMS = ("iou", "over_50", "over_70", *COUNTS)
_RATIOS = {
    "mean_iou": ("iou", "masks"),
    "p50": ("over_50", "masks"),
    "p70": ("over_70", "masks"),
    "yield": ("pairs_with_mask", "pairs"),
    "yield_objects": ("masks", "objects"),
}
_DRAWS_AT_ONCE = 50


class Tally:
    """What every figure is a ratio of, summed for each photo and class.

    Sparse: a photo has few of the classes.
    """

    def __init__(self, photos: int, classes: int) -> None:
        self.photos = photos
        self.classes = classes
        self._cells: dict[tuple[int, int], NDArray[np.float64]] = {}

    def add_photo(self, photo: int, labels: Sequence[int], objects: Mapping[int, int]) -> None:
        """Count a photo's labels as pairs, and its objects by category."""
        for category in labels:
            self._cell(photo, category)[_SUMS.index("pairs")] += 1
        for category, count in objects.items():
            self._cell(photo, category)[_SUMS.index("objects")] += count

    def add_masks(
        self, photo: int, category: int, ious: Sequence[float], *, labelled: bool
    ) -> None:
        """Count a photo's masks of one category; `labelled` says if the pair is one of `pairs`."""
        if not ious:
            return
        values = np.asarray(ious)
        cell = self._cell(photo, category)
        cell[_SUMS.index("iou")] += values.sum()
        cell[_SUMS.index("over_50")] += np.count_nonzero(values >= 0.5)
        cell[_SUMS.index("over_70")] += np.count_nonzero(values >= 0.7)
        cell[_SUMS.index("masks")] += len(values)
        cell[_SUMS.index("pairs_with_mask")] += labelled

    def sums(self) -> NDArray[np.float64]:
        """(classes, 7): the sums over all photos."""
        total = np.zeros((self.classes, len(_SUMS)))
        for (_, category), cell in self._cells.items():
            total[category] += cell
        return total

    def resampled(self, draws: PhotoDraws) -> NDArray[np.float64]:
        """(draws, classes, 7): the sums over the photos of each draw."""
        from scipy.sparse import csr_array

        width = self.classes * len(_SUMS)
        keys = list(self._cells)
        photos = np.repeat([photo for photo, _ in keys], len(_SUMS))
        starts = np.array([category * len(_SUMS) for _, category in keys], dtype=np.int64)
        columns = (starts[:, None] + np.arange(len(_SUMS))).ravel()
        values = np.array(list(self._cells.values())).ravel()
        matrix = csr_array((values, (photos, columns)), shape=(self.photos, width))
        parts = []
        for times in _batches(draws, _DRAWS_AT_ONCE):
            parts.append((matrix.T @ np.stack(times, axis=1).astype(np.float64)).T)
        return np.concatenate(parts).reshape(len(draws), self.classes, len(_SUMS))

    def _cell(self, photo: int, category: int) -> NDArray[np.float64]:
        return self._cells.setdefault((photo, category), np.zeros(len(_SUMS)))


def _batches(
    draws: Iterable[NDArray[np.int64]], size: int
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    left = iter(draws)
    while batch := tuple(islice(left, size)):
        yield batch


def summarise(tally: Tally, class_names: Sequence[str], draws: PhotoDraws) -> dict[str, Any]:
    """The figures of a tally: `classes`, `classes_covered`, `overall`, `macro`, `per_class`.

    Args:
        tally: the sums.
        class_names: of its categories.
        draws: for the 95 % percentile intervals; without any `intervals` are empty.
    """
    sums = tally.sums()
    drawn = tally.resampled(draws) if len(draws) else None
    per_class = {
        name: _entry(sums[k], None if drawn is None else drawn[:, k])
        for k, name in enumerate(class_names)
    }
    overall_drawn = None if drawn is None else drawn.sum(axis=1)
    present = (sums[:, _SUMS.index("pairs")] > 0) | (sums[:, _SUMS.index("objects")] > 0)
    macro = {name: number(value) for name, value in _macro(sums).items()}
    return {
        "classes": int(present.sum()),
        "classes_covered": int(np.count_nonzero(sums[:, _SUMS.index("masks")])),
        "overall": _entry(sums.sum(axis=0), overall_drawn),
        "macro": {
            **macro,
            "intervals": {} if drawn is None else _intervals(_macro(drawn)),
        },
        "per_class": per_class,
    }


def _ratios(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Each figure from (..., 7) sums; NaN for 0 / 0."""
    found = {}
    for name, (above, below) in _RATIOS.items():
        numerator, denominator = sums[..., _SUMS.index(above)], sums[..., _SUMS.index(below)]
        empty = denominator == 0
        found[name] = np.where(empty, np.nan, numerator / np.where(empty, 1, denominator))
    return found


def _macro(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Each figure's mean over the classes where it is defined, from (..., classes, 7) sums."""
    found = {}
    for name, values in _ratios(sums).items():
        defined = np.isfinite(values)
        count = defined.sum(axis=-1)
        total = np.where(defined, values, 0).sum(axis=-1)
        found[name] = np.where(count == 0, np.nan, total / np.maximum(count, 1))
    return found


def _entry(sums: NDArray[np.float64], draws: NDArray[np.float64] | None) -> dict[str, Any]:
    figures = {name: number(value) for name, value in _ratios(sums).items()}
    counts = {name: int(sums[_SUMS.index(name)]) for name in COUNTS}
    intervals = {} if draws is None else _intervals(_ratios(draws))
    return {**figures, **counts, "intervals": intervals}


def _intervals(draws: Mapping[str, NDArray[np.float64]]) -> dict[str, list[float] | None]:
    return {name: interval(values) for name, values in draws.items()}

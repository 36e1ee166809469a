"""Which photos to keep so that every class has its size, where a photo counts for several."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import ArgumentError

_GAIN = 1e-9
_EMPTY = 1e6  # more than any sum of relative errors


def choose_photos(
    counts: NDArray[np.integer], targets: NDArray[np.integer], *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of `counts` whose sums come near to `targets`.

    What is made small is `shortfall`: first the number of classes left without any, then the sum of
    the relative errors |reached - target| / target, so that ten too many of the largest class weigh
    less than one too many of the smallest. First, from the smallest target to the largest, photos
    of the class are taken in random order, each if it lowers the sum, until the class is full. Then
    photos are taken, left and exchanged as long as that lowers the sum.

    The bound: no photo can be taken, left, or exchanged for another with a lower sum. Where each
    photo counts once for one class, every target is met exactly.

    Args:
        counts: (N, K): how often each photo counts for each class.
        targets: (K,): the wanted sums, at least 1 for every class that occurs and at most what
            there is.
        rng: draws the order of the photos.

    Returns:
        (M,) int64, ascending, without photos that count for nothing.

    Raises:
        ArgumentError: the shapes do not fit, a count is negative, or a target is out of range.
    """
    _check(counts, targets)
    search = _Search(counts, targets)
    order = [int(row) for row in rng.permutation(len(counts)) if search.photos[row]]
    for category in np.argsort(targets, kind="stable").tolist():
        search.fill(category, order)
    with progress_bar(description="fitting the classes", unit="pass", delay=2) as bar:
        while search.flip(order) or search.exchange(order):
            bar.update()
    return np.flatnonzero(search.taken)


def shortfall(reached: NDArray[np.integer], targets: NDArray[np.integer]) -> float:
    """What `choose_photos` makes small: 1e6 for each empty class, and the relative errors' sum."""
    wanted = np.asarray(targets) > 0
    reached, targets = np.asarray(reached)[wanted], np.asarray(targets)[wanted]
    return float(_EMPTY * (reached == 0).sum() + (abs(reached - targets) / targets).sum())


def _check(counts: NDArray[np.integer], targets: NDArray[np.integer]) -> None:
    if counts.ndim != 2 or targets.shape != counts.shape[1:]:
        raise ArgumentError(
            f"targets: shape {targets.shape} does not fit counts of shape {counts.shape}"
        )
    if (counts < 0).any():
        raise ArgumentError(f"counts: {counts.min()} is negative")
    available = counts.sum(axis=0)
    for category, (target, have) in enumerate(zip(targets, available, strict=True)):
        if not min(have, 1) <= target <= have:
            raise ArgumentError(
                f"targets: {target} for class {category}, of which there are {have}"
            )


class _Search:
    """The state of a search: what is taken, what it sums to, and moves that lower the sum."""

    def __init__(self, counts: NDArray[np.integer], targets: NDArray[np.integer]) -> None:
        rows, categories = np.nonzero(counts)
        numbers = counts[rows, categories]
        ends = np.searchsorted(rows, np.arange(len(counts) + 1))
        pairs = list(zip(categories.tolist(), numbers.tolist(), strict=True))
        self.photos = [pairs[start:stop] for start, stop in pairwise(ends.tolist())]
        self.taken = np.zeros(len(counts), dtype=bool)
        self._rows, self._categories, self._numbers = rows, categories, numbers
        self._targets = targets
        self._useless = ends[1:] == ends[:-1]
        self._wanted: list[int] = targets.tolist()
        self._reached = [0] * len(self._wanted)

    def fill(self, category: int, order: list[int]) -> None:
        """Take photos of a class, each if it lowers the sum, until the class is full."""
        for row in order:
            if self._reached[category] >= self._wanted[category]:
                return
            shows = any(found == category for found, _ in self.photos[row])
            if shows and not self.taken[row] and self._change(row) < -_GAIN:
                self._turn(row)

    def flip(self, order: list[int]) -> bool:
        """Take and leave photos, each if that lowers the sum; whether any was."""
        turned = False
        for row in order:
            if self._change(row) < -_GAIN:
                self._turn(row)
                turned = True
        return turned

    def exchange(self, order: list[int]) -> bool:
        """Exchange taken photos for the best of the others if that lowers the sum; whether any."""
        exchanged = False
        for row in order:
            if self._reached == self._wanted:
                break
            if not self.taken[row]:
                continue
            gone = self._change(row)
            self._turn(row)
            other, change = self._best_to_take()
            if change < -gone - _GAIN:
                self._turn(other)
                exchanged = True
            else:
                self._turn(row)
        return exchanged

    def _cost(self, category: int, reached: int) -> float:
        if reached == 0:
            return _EMPTY + 1.0
        return abs(reached - self._wanted[category]) / self._wanted[category]

    def _change(self, row: int) -> float:
        """By how much the sum rises when a photo is turned: taken, or left where it is taken."""
        sign = -1 if self.taken[row] else 1
        return sum(
            self._cost(category, self._reached[category] + sign * number)
            - self._cost(category, self._reached[category])
            for category, number in self.photos[row]
        )

    def _turn(self, row: int) -> None:
        sign = -1 if self.taken[row] else 1
        for category, number in self.photos[row]:
            self._reached[category] += sign * number
        self.taken[row] = not self.taken[row]

    def _best_to_take(self) -> tuple[int, float]:
        """The photo not taken that lowers the sum most, and by how much the sum rises."""
        reached = np.array(self._reached)
        targets = np.maximum(self._targets, 1)
        costs = abs(reached - targets) / targets + _EMPTY * (reached == 0)
        found = self._categories
        after = abs(reached[found] + self._numbers - targets[found]) / targets[found]
        changes = np.bincount(self._rows, after - costs[found], minlength=len(self.taken))
        changes[self.taken | self._useless] = np.inf
        best = int(changes.argmin())
        return best, float(changes[best])

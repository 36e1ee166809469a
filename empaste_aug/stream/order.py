"""The order of the stream: which image is at which position, and which positions make a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from empaste_aug.stream.keys import integer
from empaste_aug.types import ArgumentError

_ORDER = (1,)
"""Sets the generators of epochs apart from those of samples with the same numbers."""

_NO_LENGTH = (
    "the stream is endless and has no len(); an epoch is len(dataset) / (batch_size * world_size) "
    "iterations"
)

Item = tuple[int, int]
"""(position in the stream, index into the data set)."""


class SampleStream:
    """The infinite stream of one run: epoch after epoch, each a permutation of the data set.

    An epoch's order follows from (seed, epoch) alone, so that any position can be looked up without
    walking to it. It is the same on any machine, for one version of NumPy.

    Args:
        size: number of images in the data set, >= 1.
        seed: the run's seed, >= 0.
        shuffle: whether epochs are permuted.
        repeat_factors: (size,) floats >= 0: how often an epoch shows each image, on average
            (repeat factor sampling, as of LVIS). Fractional parts are rounded up with that
            probability, drawn per image and epoch, so that epochs differ in length.

    Raises:
        ArgumentError: an argument is out of range, or no image has a repeat factor above 0.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int,
        shuffle: bool = True,
        repeat_factors: ArrayLike | None = None,
    ) -> None:
        self.size = integer("size", size, low=1)
        self.seed = integer("seed", seed)
        self.shuffle = shuffle
        self._repeats: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        if repeat_factors is not None:
            factors = np.asarray(repeat_factors, dtype=np.float64)
            if factors.shape != (self.size,):
                raise ArgumentError(
                    f"repeat_factors: shape {factors.shape}; expected one for each of the "
                    f"{self.size} images"
                )
            if not (np.isfinite(factors).all() and factors.min() >= 0 and factors.max() > 0):
                raise ArgumentError("repeat_factors: must be finite, >= 0, and not all 0")
            whole = np.floor(factors).astype(np.int64)
            self._repeats = whole, factors - whole

    def index(self, position: int) -> int:
        """The image at one position. Costs as much as the first step of `walk` from there."""
        return next(self.walk(position))[1]

    def walk(self, start: int = 0, step: int = 1) -> Iterator[Item]:
        """Yield (position, index) for positions start, start + step, start + 2 step, ...

        Each epoch costs one permutation, however the walk starts. Only with fractional repeat
        factors does starting in epoch e cost more: e times `size` draws, to know how long the
        earlier epochs were (1 ms for each epoch of 118,000 images).
        """
        position = integer("start", start)
        step = integer("step", step, low=1)
        for first, order in self.epochs(position):
            for index in order[position - first :: step].data:
                yield position, index
                position += step

    def epochs(self, position: int = 0) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each epoch, from that of `position` on: (its first position, its indices)."""
        epoch, first = self._epoch_of(integer("position", position))
        while True:
            order = self._order(epoch)
            yield first, order
            first += len(order)
            epoch += 1

    def _epoch_of(self, position: int) -> tuple[int, int]:
        """The epoch that holds the position, and the position at which it begins."""
        if self._repeats is None or not self._repeats[1].any():
            length = self.size if self._repeats is None else int(self._repeats[0].sum())
            epoch = position // length
            return epoch, epoch * length
        epoch = first = 0
        while position >= (end := first + int(self._counts(epoch)[0].sum())):
            first = end
            epoch += 1
        return epoch, first

    def _counts(self, epoch: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        """How often an epoch shows each image, and the generator that then draws its order."""
        sequence = np.random.SeedSequence((self.seed, epoch), spawn_key=_ORDER)
        rng = np.random.default_rng(sequence)
        if self._repeats is None:
            return np.ones(self.size, dtype=np.int64), rng
        whole, fraction = self._repeats
        return whole + (rng.random(self.size) < fraction), rng

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """The indices of one epoch in their order."""
        counts, rng = self._counts(epoch)
        order = np.repeat(np.arange(self.size), counts)
        return rng.permutation(order) if self.shuffle else order


class StreamSampler:
    """One rank's share of a stream: (position, index) with position = rank + k * world_size.

    Iterating begins anew each time, and never ends.

    Args:
        stream: the stream that all ranks share.
        rank, world_size: which of how many processes this is.
        start: how many positions the ranks have consumed together; the first one that is yielded is
            the lowest of this rank that is not below it.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self, stream: SampleStream, *, rank: int = 0, world_size: int = 1, start: int = 0
    ) -> None:
        self.stream = stream
        self.rank, self.world_size = _rank(rank, world_size)
        self.start = integer("start", start)

    def __len__(self) -> int:
        """Raise TypeError: the stream is endless."""
        raise TypeError(_NO_LENGTH)

    def __bool__(self) -> bool:
        """True, without asking for the length."""
        return True

    def __iter__(self) -> Iterator[Item]:
        """Yield (position, index) from `start` on, without end."""
        first = self.start + (self.rank - self.start) % self.world_size
        return self.stream.walk(first, self.world_size)


class StreamBatchSampler:
    """One rank's batches of a stream: lists of (position, index), without end.

    In iteration k the ranks consume one *total batch* of ``batch_size * world_size`` samples, and
    rank r takes every world_size-th of them, from the r-th on. The total batch does not depend on
    how many ranks share it: for any world size with the same total batch, each iteration consumes
    the same set of (position, index), and resuming may change the world size.

    - Without `groups`, total batch k holds the positions k * total to (k + 1) * total - 1. Resuming
      costs the same at any iteration, see `SampleStream.walk`.
    - With `groups`, positions wait in their group until a total batch of it is full; all ranks see
      the same group at the same iteration. No position is dropped or shown twice; in total less
      than one total batch per group waits at any time. Resuming replays the indices (not the
      samples): about 0.1 s for each million of positions.

    Args:
        stream: the stream that all ranks share.
        batch_size: samples in one rank's batch, >= 1.
        groups: (size,) integers: images of different groups never share a total batch.
        rank, world_size: which of how many processes this is.
        start_iteration: how many batches this rank has consumed. It is read whenever iterating
            begins, and may be set until then.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        stream: SampleStream,
        *,
        batch_size: int,
        groups: ArrayLike | None = None,
        rank: int = 0,
        world_size: int = 1,
        start_iteration: int = 0,
    ) -> None:
        self.stream = stream
        self.batch_size = integer("batch_size", batch_size, low=1)
        self.rank, self.world_size = _rank(rank, world_size)
        self.start_iteration = integer("start_iteration", start_iteration)
        self._groups: NDArray[Any] | None = None
        if groups is not None:
            self._groups = np.ascontiguousarray(groups)
            if self._groups.shape != (stream.size,) or self._groups.dtype.kind not in "biu":
                raise ArgumentError(
                    f"groups: {self._groups.dtype} of shape {self._groups.shape}; expected an "
                    f"integer for each of the {stream.size} images"
                )

    def __len__(self) -> int:
        """Raise TypeError: the stream is endless."""
        raise TypeError(_NO_LENGTH)

    def __bool__(self) -> bool:
        """True, without asking for the length."""
        return True

    def __iter__(self) -> Iterator[list[Item]]:
        """Yield this rank's batches from `start_iteration` on, without end."""
        skipped = integer("start_iteration", self.start_iteration)
        if self._groups is not None:
            yield from self._grouped(self._groups, skipped)
        total = self.batch_size * self.world_size
        own = self.stream.walk(skipped * total + self.rank, self.world_size)
        while True:
            yield list(islice(own, self.batch_size))

    def _grouped(self, groups: NDArray[Any], skipped: int) -> Iterator[list[Item]]:
        """This rank's share of total batches of one group each, in the order in which they fill."""
        total = self.batch_size * self.world_size
        waiting = {group: np.empty((0, 2), dtype=np.int64) for group in np.unique(groups)}
        for first, order in self.stream.epochs():
            items = np.stack([np.arange(first, first + len(order)), order], axis=1)
            filled = []
            for group, before in waiting.items():
                queue = np.concatenate([before, items[groups[order] == group]])
                end = len(queue) // total * total
                waiting[group] = queue[end:]
                filled.append(queue[:end].reshape(-1, total, 2))
            batches = np.concatenate(filled)
            batches = batches[np.argsort(batches[:, -1, 0])]
            for batch in batches[skipped:, self.rank :: self.world_size]:
                yield [(position, index) for position, index in batch.tolist()]
            skipped = max(skipped - len(batches), 0)


def aspect_groups(widths: Sequence[float], heights: Sequence[float]) -> NDArray[np.bool_]:
    """(N,) groups for `StreamBatchSampler`: True for landscape, False for portrait and square."""
    return np.asarray(widths) > np.asarray(heights)


def _rank(rank: Any, world_size: Any) -> tuple[int, int]:
    count = integer("world_size", world_size, low=1)
    number = integer("rank", rank)
    if number >= count:
        raise ArgumentError(f"rank: {number} is not below world_size, which is {count}")
    return number, count

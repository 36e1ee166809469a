"""Bootstrap over photos: which photos each draw holds, and percentile intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError

LEVEL = (2.5, 97.5)
"""The percentiles that bound a 95 % interval."""


class PhotoDraws:
    """As many photos as there are, drawn with replacement, again and again.

    Every iteration gives the same draws: figures that are computed apart, such as those of two
    banks, are of the same resampled photos, which makes their differences paired.

    Args:
        photos: how many there are; none give no draws.
        draws: how often they are drawn.
        seed: of the draws.

    Raises:
        ArgumentError: `draws` is negative.
    """

    def __init__(self, photos: int, draws: int, seed: int) -> None:
        if draws < 0:
            raise ArgumentError(f"bootstrap: must not be negative, is {draws}")
        self.photos = photos
        self.draws = draws if photos else 0
        self.seed = seed

    def __len__(self) -> int:
        """How many draws there are."""
        return self.draws

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """(photos,) int64 per draw: how often each photo was drawn."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.draws):
            drawn = rng.integers(self.photos, size=self.photos)
            yield np.bincount(drawn, minlength=self.photos)


def interval(values: Iterable[float] | NDArray[Any]) -> list[float] | None:
    """[low, high] of the 95 % interval of a figure's draws; None where no draw defines it (NaN)."""
    drawn = np.asarray(values, dtype=np.float64)
    defined = drawn[np.isfinite(drawn)]
    return np.percentile(defined, LEVEL).tolist() if defined.size else None


def number(value: Any) -> float | None:
    """A figure as JSON has it: None where it is undefined (NaN)."""
    return float(value) if np.isfinite(value) else None

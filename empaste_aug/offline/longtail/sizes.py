"""The class sizes of a long tail: they follow a Pareto density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError, MissingDependencyError

_MOST = 10**12  # float64 holds such sizes exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Pareto:
    """The class sizes of a long tail.

    The class of rank r of K (0: the largest) has size min + (max - min) f(x_r) / f(1), rounded
    down, where x_0, ..., x_(K-1) are evenly spaced between 1 and the density's quantile `tail`. So
    the largest class has `maximum`, and the smallest lies above `minimum` by (1 - tail)^((b + 1) /
    b) of the range. The paper does not say how far x goes. 0.99, as in the work whose method it
    uses, gives 20 classes sizes from 800 to 4, and the paper's smallest class has 4 masks.

    Attributes:
        shape: b, above 0; greater ones fall faster.
        maximum: the size of the largest class; at most 10^12.
        minimum: what the sizes fall towards; at least 1.
        tail: in (0, 1): the quantile at which the smallest class lies.

    Raises:
        ArgumentError: one of them is out of range, or `maximum` is below `minimum`.

    Example:
        >>> Pareto().sizes(20).tolist()[:6], Pareto().sizes(20).tolist()[-3:]
        ([800, 529, 359, 248, 175, 125], [6, 5, 4])
    """

    shape: float = 6.0
    maximum: int = 800
    minimum: int = 1
    tail: float = 0.99

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 < self.shape < np.inf:
            raise ArgumentError(f"shape: must be above 0, not {self.shape}")
        if not 0 < self.tail < 1:
            raise ArgumentError(f"tail: must lie between 0 and 1, not {self.tail}")
        for name, value in (("minimum", self.minimum), ("maximum", self.maximum)):
            if value > _MOST:
                raise ArgumentError(f"{name}: must be at most {_MOST}, not {value}")
        if self.minimum < 1:
            raise ArgumentError(f"minimum: must be at least 1, not {self.minimum}")
        if self.maximum < self.minimum:
            raise ArgumentError(
                f"maximum: {self.maximum} is below the minimum, which is {self.minimum}"
            )

    def sizes(self, classes: int) -> NDArray[np.int64]:
        """(K,) int64, never rising: the size of each rank.

        Raises:
            ArgumentError: `classes` is below 1, or `shape` is so small that the quantile `tail` is
                infinite.
            MissingDependencyError: scipy is not installed.
        """
        if classes < 1:
            raise ArgumentError(f"classes: must be at least 1, not {classes}")
        try:
            from scipy.stats import pareto
        except ImportError as error:
            raise MissingDependencyError("scipy", "offline", "a Pareto density") from error
        with np.errstate(over="ignore"):
            last = float(pareto.ppf(self.tail, self.shape))
        if not np.isfinite(last):
            raise ArgumentError(
                f"shape, tail: {self.shape} is too small, the density's quantile {self.tail} is "
                "infinite"
            )
        places = np.linspace(1.0, last, classes)
        density = pareto.pdf(places, self.shape) / pareto.pdf(1.0, self.shape)
        sizes = self.minimum + (self.maximum - self.minimum) * density
        rounded: NDArray[np.int64] = np.floor(sizes + 1e-9).astype(np.int64)
        return rounded

    def targets(
        self,
        available: Sequence[int] | NDArray[np.integer],
        class_names: Sequence[str] | None = None,
    ) -> NDArray[np.int64]:
        """(K,) int64: the size that each class should have, by how many it has.

        Classes are ranked by `available`, equal ones by their position; a class that has none takes
        no rank and gets 0.

        Args:
            available: how many each class has.
            class_names: what messages call the classes.

        Raises:
            ArgumentError: no class has any, or a class has fewer than its rank asks.
        """
        ranked = ranked_classes(available)
        targets = np.zeros(len(available), dtype=np.int64)
        targets[ranked] = self.sizes(len(ranked))
        short = [place for place in ranked if targets[place] > available[place]]
        if short:
            place = short[0]
            called = f"class {place}" if class_names is None else repr(class_names[place])
            raise ArgumentError(
                f"maximum: {self.maximum} asks {targets[place]} of {called}, rank "
                f"{ranked.index(place) + 1} of {len(ranked)}, which has {available[place]}; "
                f"{self._advice(available)}"
            )
        return targets

    def fitted(self, available: Sequence[int] | NDArray[np.integer]) -> Pareto:
        """This one, its maximum lowered as far as needed for every class to have what is asked.

        Raises:
            ArgumentError: no class has any, or the smallest has fewer than `minimum`.
        """
        largest = self._largest(available)
        if largest is None:
            raise ArgumentError(
                f"minimum: {self.minimum} is more than the {np.min(_present(available))} of the "
                "smallest class"
            )
        return replace(self, maximum=largest)

    def _largest(self, available: Sequence[int] | NDArray[np.integer]) -> int | None:
        wanted = np.asarray(available)[ranked_classes(available)]

        def fits(maximum: int) -> bool:
            return bool((replace(self, maximum=maximum).sizes(len(wanted)) <= wanted).all())

        if not fits(self.minimum):
            return None
        low, high = self.minimum, self.maximum
        while low < high:  # sizes rise with the maximum
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return low

    def _advice(self, available: Sequence[int] | NDArray[np.integer]) -> str:
        largest = self._largest(available)
        if largest is None:
            return f"minimum={self.minimum} is more than the smallest class has"
        return f"the largest that every class can fill is {largest}; fit=True takes it"


def _present(available: Sequence[int] | NDArray[np.integer]) -> NDArray[np.integer]:
    values = np.asarray(available)
    if not (values > 0).any():
        raise ArgumentError(f"available: no class has any: {values.tolist()}")
    return values[values > 0]


def ranked_classes(available: Sequence[int] | NDArray[np.integer]) -> list[int]:
    """The positions of the classes that have any, the largest first; equal ones as they stand.

    Raises:
        ArgumentError: no class has any.
    """
    present = len(_present(available))
    order = np.argsort(-np.asarray(available), kind="stable")
    return [int(place) for place in order[:present]]

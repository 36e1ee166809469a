"""One part of n of a list, for job arrays: ``--shard 3/16``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from empaste_aug.types import ArgumentError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count` parts, counted from 0.

    A part is a run of neighbours: of N items, those at positions ``N * index // count`` up to
    ``N * (index + 1) // count``. The parts are disjoint, differ in length by one at most, and give
    the list when they are put together in order. So banks of the parts, merged in order, hold the
    same cut-outs in the same order as a bank of the whole.

    Raises:
        ArgumentError: `count` is below 1, or `index` is not in 0 .. count - 1.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.count < 1 or not 0 <= self.index < self.count:
            raise ArgumentError(
                f"shard: {self} is not i/n with i in 0 .. n - 1"
                + (
                    f": of {self.count} parts the first is 0/{self.count}, the last "
                    f"{self.count - 1}/{self.count}"
                    if self.count > 0
                    else ""
                )
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that ``i/n`` means.

        Raises:
            ArgumentError: `text` has another form, or i is not in 0 .. n - 1.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if found is None:
            raise ArgumentError(f"shard: i/n is wanted, such as 0/4, not {text!r}")
        return cls(int(found[1]), int(found[2]))

    def take(self, items: Sequence[Item]) -> list[Item]:
        """This part of `items`; it may be empty."""
        total = len(items)
        return list(
            items[total * self.index // self.count : total * (self.index + 1) // self.count]
        )

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.index}/{self.count}"

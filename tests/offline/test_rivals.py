"""Two classes of a photo that took one object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.stages.choices import Choice
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.rivals import anothers_masks
from empaste_aug.offline.stages.selection import Cut, select


def square(x: int, side: int, *, speck: bool = False) -> Segment:
    mask = np.zeros((50, 100), dtype=bool)
    mask[5 : 5 + side, x : x + side] = True
    mask[48:, 98:] = speck
    return Segment.from_mask(mask, "squares")


SEGMENTS = [
    square(5, 20),
    square(5, 20),  # the same pixels
    square(5, 20, speck=True),  # the same once it is cleaned up
    square(6, 20),  # IoU 0.90
    square(9, 20),  # IoU 0.67
    square(60, 20),
]


class Squares:
    calls = 0

    def segments(self, photo: Photo) -> list[Segment]:
        self.calls += 1
        return SEGMENTS


def left_out(
    chosen: list[tuple[str, int, int]], worth: list[float], *, instance: int = 0, **options: Any
) -> list[bool]:
    choices = [
        Choice(photo, category, segment, 0.5, 1.0, True, False, 0.5, instance if row else 0)
        for row, (photo, category, segment) in enumerate(chosen)
    ]
    names = sorted({photo for photo, _, _ in chosen})
    photos = [
        Photo(LabelledImage(name, None, name, (0, 1), 50, 100), (0, 1), "0")  # type: ignore[arg-type]
        for name in names
    ]
    pool: Any = Squares()
    given = {"max_overlap": 0.8, "alpha": AlphaConfig(), "progress": False, **options}
    return anothers_masks(photos, choices, np.array(worth), pool, **given).tolist()


@pytest.mark.parametrize(
    ("other", "rival"), [(0, True), (1, True), (2, True), (3, True), (4, False), (5, False)]
)
def test_the_better_of_two_masks_of_one_object_stands(other: int, rival: bool) -> None:
    assert left_out([("a", 0, 0), ("a", 1, other)], [0.9, 0.2]) == [False, rival]
    assert left_out([("a", 0, 0), ("a", 1, other)], [0.2, 0.9]) == [rival, False]
    assert left_out([("a", 0, 0), ("a", 1, other)], [0.5, 0.5]) == [False, rival]


def test_the_limit_is_the_greatest_overlap_that_stands() -> None:
    pair = [("a", 0, 0), ("a", 1, 3)]
    assert left_out(pair, [2, 1], max_overlap=0.89) == [False, True]
    assert left_out(pair, [2, 1], max_overlap=0.92) == [False, False]
    assert left_out([("a", 0, 0), ("a", 1, 0)], [2, 1], max_overlap=1.0) == [False, False]


def test_a_mask_that_was_left_out_rivals_no_other() -> None:
    """0 beats 3, which alone would beat 4."""
    chain = [("a", 0, 0), ("a", 1, 3), ("a", 2, 4)]
    assert left_out(chain, [3, 2, 1], max_overlap=0.7) == [False, True, False]
    assert left_out(chain[1:], [2, 1], max_overlap=0.7) == [False, True]


def test_other_photos_and_further_instances_are_no_rivals() -> None:
    assert left_out([("a", 0, 0), ("b", 1, 0)], [2, 1]) == [False, False]
    assert left_out([("a", 0, 0), ("a", 0, 1)], [2, 1], instance=1) == [False, False]


def test_what_is_left_out_makes_room_within_the_share() -> None:
    choices = [Choice("a", category, 0, 0.5, 1.0, True, False, 0.5) for category in range(4)]
    quality = np.array([0.9, 0.8, 0.7, 0.6])
    anothers = np.array([False, True, False, False])
    kept = select(choices, quality, Cut(keep=0.5), {0: 1, 1: 1, 2: 1, 3: 1}, anothers=anothers)
    assert kept.tolist() == [True, False, True, False]

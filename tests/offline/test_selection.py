"""What a bank keeps: the yield that was asked for, of all pairs or of each class's."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from empaste_aug.offline.stages.foregrounds import Choice
from empaste_aug.offline.stages.selection import UNKNOWN_QUALITY, Cut, qualities, select
from empaste_aug.types import ArgumentError


def choice(
    category: int = 0, *, score: float = 0.5, distance: float = 1.0, quality: float = np.nan
) -> Choice:
    return Choice("photo", category, 0, score, distance, True, False, quality)


def random_choices(
    rng: np.random.Generator, missing: int = 0
) -> tuple[list[Choice], dict[int, int]]:
    """Choices of four classes, the last one weak; `missing` pairs of each have none."""
    counts = {0: 40, 1: 23, 2: 7, 3: 30}
    found = [
        choice(
            category,
            score=float(rng.random()),
            quality=float(rng.random() * (0.1 if category == 3 else 1)),
        )
        for category, count in counts.items()
        for _ in range(count)
    ]
    order = rng.permutation(len(found))
    pairs = {category: count + missing for category, count in counts.items()}
    return [found[row] for row in order], pairs


@pytest.mark.parametrize("missing", [0, 3])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.2, 0.34, 0.5, 0.65, 0.7, 1.0])
def test_exactly_the_share_of_the_pairs_is_kept(
    rng: np.random.Generator, share: float, missing: int
) -> None:
    choices, pairs = random_choices(rng, missing)
    quality = qualities(choices)
    kept = select(choices, quality, Cut(keep=share), pairs)
    assert kept.dtype == bool
    wanted = math.ceil(round(share * sum(pairs.values()), 6))
    assert kept.sum() == min(wanted, len(choices))
    if not kept.all():
        assert quality[kept].min() >= quality[~kept].max()


@pytest.mark.parametrize("missing", [0, 3])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.34, 0.5, 0.65, 1.0])
def test_exactly_the_share_of_each_class_is_kept(
    rng: np.random.Generator, share: float, missing: int
) -> None:
    choices, pairs = random_choices(rng, missing)
    quality = qualities(choices)
    kept = select(choices, quality, Cut(keep=share, keep_per_class=True), pairs)
    category = np.array([made.category_id for made in choices])
    for number, count in pairs.items():
        own = category == number
        assert kept[own].sum() == min(math.ceil(round(share * count, 6)), own.sum())
        if kept[own].any() and not kept[own].all():
            assert quality[own & kept].min() >= quality[own & ~kept].max()


def test_per_class_empties_no_class(rng: np.random.Generator) -> None:
    choices, pairs = random_choices(rng)
    quality = qualities(choices)
    found = {}
    for per_class in (False, True):
        kept = select(choices, quality, Cut(keep=0.34, keep_per_class=per_class), pairs)
        found[per_class] = Counter(choices[row].category_id for row in np.flatnonzero(kept))
    assert found[False][3] == 0
    assert found[True] == {0: 14, 1: 8, 2: 3, 3: 11}


def test_whole_shares_are_not_rounded_up() -> None:
    """0.07 x 100 is 7.000000000000001 in floating point."""
    choices = [choice(quality=0.5)] * 100
    assert select(choices, qualities(choices), Cut(keep=0.07), {0: 100}).sum() == 7


def test_least_score_and_quality_come_first() -> None:
    choices = [
        choice(score=0.05, quality=0.9),
        choice(score=0.9, quality=0.2),
        choice(score=0.5, quality=0.6),
        choice(score=0.1, quality=0.7),
        choice(score=0.6, quality=0.3),
    ]
    quality = qualities(choices)

    def kept(**options: object) -> list[int]:
        return np.flatnonzero(select(choices, quality, Cut(**options), {0: 5})).tolist()

    assert kept() == [0, 1, 2, 3, 4]
    assert kept(min_score=0.1) == [1, 2, 3, 4]
    assert kept(min_quality=0.3) == [0, 2, 3, 4]
    assert kept(min_score=0.1, min_quality=0.3) == [2, 3, 4]
    # The share is of the pairs, not of what the limits leave.
    assert kept(min_score=0.1, min_quality=0.3, keep=0.4) == [2, 3]
    assert kept(min_score=0.1, min_quality=0.3, keep=0.4, keep_by="score") == [2, 4]
    assert kept(min_score=0.1, min_quality=0.3, keep=0.4, keep_per_class=True) == [2, 3]
    assert kept(min_score=0.1, min_quality=0.3, keep=0.9) == [2, 3, 4]
    assert kept(min_score=0.95) == []


def test_equal_qualities_go_to_the_earlier_choice() -> None:
    choices = [choice(quality=0.5) for _ in range(7)]
    kept = select(choices, qualities(choices), Cut(keep=0.4), {0: 7})
    assert kept.tolist() == [True, True, True, False, False, False, False]


def test_no_choice_at_all() -> None:
    for per_class in (False, True):
        cut = Cut(keep=0.5, keep_per_class=per_class)
        assert select([], qualities([]), cut, {0: 4}).shape == (0,)


def test_a_prior_gives_the_quality() -> None:
    choices = [choice(0, quality=0.3, distance=9), choice(1, quality=0.8, distance=np.nan)]
    assert qualities(choices).tolist() == [0.3, 0.8]


def test_without_a_prior_quality_is_the_rank_within_the_class() -> None:
    choices = [
        choice(0, distance=3.0),
        choice(1, distance=50.0),
        choice(0, distance=1.0),
        choice(2, distance=np.nan),
        choice(0, distance=7.0),
        choice(0, distance=3.0),
        choice(1, distance=np.nan),
    ]
    expected = [0.75, 1.0, 1.0, UNKNOWN_QUALITY, 0.25, 0.75, UNKNOWN_QUALITY]
    assert qualities(choices).tolist() == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_score", -0.1),
        ("min_score", 1.1),
        ("min_quality", -0.1),
        ("min_quality", 1.1),
        ("min_quality", np.nan),
        ("keep", 0.0),
        ("keep", 1.01),
        ("keep", np.nan),
        ("keep_by", "luck"),
        ("max_class_overlap", 0.0),
        ("max_class_overlap", 1.5),
    ],
)
def test_bad_cuts_are_named(option: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=option):
        Cut(**{option: value})


def further(photo: str, instance: int, quality: float, category: int = 0) -> Choice:
    return Choice(photo, category, 0, 0.5, 1.0, True, False, quality, instance)


def test_further_instances_do_not_count_in_the_share() -> None:
    choices = [
        further("a", 0, 0.9),
        further("a", 1, 0.8),
        further("a", 2, 0.4),
        further("b", 0, 0.5),
        further("b", 1, 0.6),
        further("c", 0, 0.3),
        further("c", 1, 0.95),
        further("d", 0, 0.2, 1),
        further("d", 1, 0.25, 1),
    ]
    quality = qualities(choices)

    def kept(**options: object) -> list[int]:
        return np.flatnonzero(select(choices, quality, Cut(**options), {0: 3, 1: 1})).tolist()

    assert kept() == list(range(9))
    # Two first masks, and what is as good as the worse of them on the same photos.
    assert kept(keep=0.5) == [0, 1, 3, 4]
    assert kept(keep=0.25) == [0]
    # Of class 1 its only first mask, and the better one beside it.
    assert kept(keep=0.6, keep_per_class=True) == [0, 1, 3, 4, 7, 8]
    # Without its first mask none is kept.
    assert kept(min_quality=0.55) == [0, 1]

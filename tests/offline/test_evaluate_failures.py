from __future__ import annotations

import numpy as np
import pytest
from evaluation_data import Mask, box

from empaste_aug.offline.failures import (
    BACKGROUND,
    DUPLICATE,
    KINDS,
    LEAK,
    OTHER_OBJECT,
    PART,
    REST,
    SEVERAL,
    count_failures,
    failure_kind,
)
from empaste_aug.offline.matching import PlacedMask, overlap

CAT = box(0, 0, 20, 20)
SECOND = box(22, 0, 42, 20)
DOG = box(0, 22, 40, 40)
TINY = box(4, 24, 8, 26)  # inside DOG


@pytest.mark.parametrize(
    ("mask", "instances", "kind"),
    [
        (box(0, 22, 30, 40), [CAT], OTHER_OBJECT),
        (box(0, 22, 30, 40), [], OTHER_OBJECT),
        (box(42, 22, 60, 40), [CAT], BACKGROUND),
        (box(18, 0, 30, 20), [CAT], BACKGROUND),  # 0.17 of it inside
        (box(0, 22, 40, 40), [TINY], OTHER_OBJECT),  # a tiny cat, and all of the dog with it
        (box(0, 0, 42, 20), [CAT, SECOND], SEVERAL),
        (box(10, 0, 32, 20), [CAT, SECOND], SEVERAL),  # half of each
        (box(11, 0, 32, 20), [CAT, SECOND], REST),  # less than half of one of them
        (box(0, 0, 60, 40), [CAT], LEAK),
        (box(0, 0, 60, 40), [CAT, box(40, 20, 60, 22)], LEAK),  # both, but mostly background
        (box(0, 0, 9, 20), [CAT], PART),
        (box(14, 0, 26, 20), [CAT], REST),  # half inside, covers 0.3
        (box(0, 0, 20, 20), [CAT], DUPLICATE),
    ],
)
def test_kinds(mask: Mask, instances: list[Mask], kind: str) -> None:
    assert failure_kind(PlacedMask(mask, (0, 0)), instances, DOG) == kind
    x, y = 0, 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = int(rows[0]), int(columns[0])
    cropped = PlacedMask(mask[y : rows[-1] + 1, x : columns[-1] + 1], (x, y))
    assert failure_kind(cropped, instances, DOG) == kind


def test_ignored_pixels_decide_nothing() -> None:
    leak = PlacedMask(box(0, 0, 40, 40), (0, 0))
    assert failure_kind(leak, [CAT]) == LEAK
    assert failure_kind(leak, [CAT], None, ~CAT) == DUPLICATE  # of what counts, it is the cat
    assert failure_kind(leak, [CAT], None, box(0, 0, 60, 40)) == REST


@pytest.mark.parametrize("seed", range(30))
def test_a_part_covers_less_than_the_docstring_says(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def random_box() -> Mask:
        x, y = rng.integers(0, 40), rng.integers(0, 25)
        return box(x, y, x + rng.integers(1, 20), y + rng.integers(1, 15))

    mask = PlacedMask(random_box() | random_box(), (0, 0))
    instances = [random_box() for _ in range(rng.integers(1, 4))]
    kind = failure_kind(mask, instances, random_box())
    found = overlap(mask, instances)
    assert kind in KINDS
    assert (kind == DUPLICATE) == (found.ious.max() >= 0.5)
    best = int(found.shared.argmax())
    if kind == PART:
        assert found.shared[best] / found.areas[best] < 0.64
    if kind == LEAK:
        assert (found.shared / found.areas).max() >= 0.5
        assert found.shared[best] / found.area < 0.7


def test_counts_and_shares() -> None:
    counts = count_failures([OTHER_OBJECT, BACKGROUND, BACKGROUND, PART], 10)
    assert (counts["masks"], counts["failed"], counts["iou_below"]) == (10, 4, 0.5)
    wrong = counts["kinds"]["wrong_place"]
    assert (wrong["n"], wrong["share"], wrong["share_of_failed"]) == (3, 0.3, 0.75)
    assert wrong["split"]["background"] == {"n": 2, "share": 0.2, "share_of_failed": 0.5}
    assert counts["kinds"]["part"]["n"] == 1
    assert counts["kinds"]["rest"]["n"] == 0
    assert sum(entry["n"] for entry in counts["kinds"].values()) == 4
    assert count_failures([], 0)["kinds"]["rest"]["share"] is None

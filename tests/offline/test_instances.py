"""Further instances of a class in a photo: which candidates are taken, and what is cut of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from empaste_aug import BankWriter, MaskBank
from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.offline.instances import InstanceConfig, similarity, take_further
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.stages.choices import Candidate, Choice
from empaste_aug.offline.stages.cutouts import write_cutouts
from empaste_aug.offline.stages.further import further_choices
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import ArgumentError

# pycocotools has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = 100
Box = tuple[int, int, int, int]


def box_mask(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def hard(*box: int) -> tuple[np.ndarray, np.ndarray]:
    """A mask whose reach is itself."""
    return box_mask(*box), box_mask(*box)


def config(**options: Any) -> InstanceConfig:
    return InstanceConfig(**{"max_instances": 9, **options})


FIRST = (10, 10, 40, 40)


def test_the_best_that_overlap_nothing_are_taken_in_order() -> None:
    boxes = [(50, 10, 80, 40), (55, 12, 85, 42), (10, 50, 40, 80), (60, 60, 90, 90)]
    found = take_further(
        [0] * 4, [1.0, 4.0, 2.0, 3.0], [hard(*b) for b in boxes], [hard(*FIRST)], config()
    )
    assert found == [1, 3, 2]  # the first one lies on the second


def test_no_part_of_a_mask_nor_a_whole_with_it_is_another_instance() -> None:
    part, whole, neighbour = (12, 12, 20, 20), (10, 10, 80, 40), (42, 10, 80, 40)
    shapes = [hard(*box) for box in (part, whole, neighbour)]
    assert take_further([0] * 3, [3.0, 2.0, 1.0], shapes, [hard(*FIRST)], config()) == [2]


def test_overlap_is_the_intersection_over_the_smaller_area() -> None:
    """30 x 30 pixels against 10 x 10, of which 20 are shared: a fifth of the smaller one."""
    small = (38, 20, 48, 30)
    for first, further in ((FIRST, small), (small, FIRST)):
        for limit, expected in ((0.19, []), (0.2, [0])):
            found = take_further(
                [0], [1.0], [hard(*further)], [hard(*first)], config(max_overlap=limit)
            )
            assert found == expected


def test_a_candidate_is_measured_against_all_masks_together() -> None:
    """Each of two masks covers a tenth of it."""
    firsts = [hard(0, 0, 14, 40), hard(46, 0, 90, 40)]
    candidate = [hard(10, 0, 50, 20)]
    assert take_further([0], [1.0], candidate, firsts, config(max_overlap=0.19)) == []
    assert take_further([0], [1.0], candidate, firsts, config(max_overlap=0.2)) == [0]


def test_the_reach_counts_on_either_side() -> None:
    bare, wide = hard(*FIRST), (box_mask(*FIRST), box_mask(6, 6, 44, 44))
    beside = hard(40, 10, 60, 40)
    reaching = (box_mask(40, 10, 60, 40), box_mask(36, 6, 64, 44))
    for first, candidate, expected in (
        (bare, beside, [0]),
        (wide, beside, []),  # 4 of 20 columns
        (bare, reaching, []),  # 4 of 30 columns
    ):
        assert take_further([0], [1.0], [candidate], [first], config()) == expected


def test_other_classes_masks_are_taken_too_and_each_class_is_counted() -> None:
    boxes = [(50, 10, 70, 30), (50, 10, 70, 30), (50, 50, 70, 70), (75, 75, 95, 95)]
    shapes = [hard(*box) for box in boxes]
    firsts = [hard(*FIRST), hard(10, 60, 30, 80)]
    values = [1.0, 2.0, 3.0, 0.5]
    assert take_further([0, 1, 1, 0], values, shapes, firsts, config()) == [2, 1, 3]
    two = config(max_instances=2)
    assert take_further([0, 1, 1, 0], values, shapes, firsts, two) == [2, 0]
    assert take_further([0, 1, 1, 0], values, shapes, firsts, config(max_instances=1)) == []


def test_random_masks_share_no_more_than_allowed(rng: np.random.Generator) -> None:
    for limit in (0.0, 0.1, 0.4):
        corners = rng.integers(0, 80, (40, 2))
        boxes = [
            (x, y, x + int(w), y + int(h))
            for (x, y), (w, h) in zip(corners.tolist(), rng.integers(3, 20, (40, 2)), strict=True)
        ]
        masks = [box_mask(*FIRST), *(box_mask(*box) for box in boxes)]
        shapes = [(mask, mask) for mask in masks]
        values = rng.random(40)
        found = take_further([0] * 40, values, shapes[1:], shapes[:1], config(max_overlap=limit))
        assert (np.diff(values[found]) <= 0).all()
        taken = [masks[0], *(masks[1 + position] for position in found)]
        for number, mask in enumerate(taken):
            for other in taken[:number]:
                smaller = min(mask.sum(), other.sum())
                assert (mask & other).sum() <= limit * smaller


def test_similarity_is_the_cosine() -> None:
    ours = np.array([[3, 4], [1, 0], [0, 0], [2, 0]], np.float32)
    theirs = np.array([[6, 8], [0, 1], [1, 1], [-1, 0]], np.float32)
    np.testing.assert_allclose(similarity(ours, theirs), [1, 0, 0, -1])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_instances", 0),
        ("min_quality", -0.1),
        ("min_quality", np.nan),
        ("min_similarity", 1.1),
        ("max_overlap", 1.0),
        ("max_overlap", -0.1),
    ],
)
def test_bad_constants_are_named(option: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=option):
        InstanceConfig(**{option: value})


class Boxes:
    """Stands for the pool: the same segments on every photo."""

    def __init__(self, *masks: np.ndarray) -> None:
        self.masks = masks

    def segments(self, photo: Photo) -> list[Segment]:
        return [Segment.from_mask(mask, "boxes") for mask in self.masks]


def photo_on_disk(folder: Path, rng: np.random.Generator) -> Photo:
    path = folder / "a.png"
    Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(path)
    return Photo(LabelledImage("a", path, "a.png", (0, 1), SIZE, SIZE), (0, 1), "0")


def choice(segment: int, *, category: int = 0, photo: str = "a", instance: int = 0) -> Choice:
    return Choice(photo, category, segment, 0.5, 1.0, True, False, 0.6, instance)


def test_further_choices_are_numbered_within_photo_and_class(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    photo = photo_on_disk(tmp_path, rng)
    split = box_mask(*FIRST) | box_mask(80, 10, 95, 25)  # cut out, it is its first part alone
    pool: Any = Boxes(
        split,
        box_mask(80, 10, 95, 25),
        box_mask(10, 60, 40, 90),
        box_mask(60, 60, 90, 90),
        box_mask(62, 60, 90, 90),
    )
    offered = [
        Candidate(choice(1), 1.0),
        Candidate(choice(2), 3.0),
        Candidate(choice(3), 2.0),
        Candidate(choice(2, photo="elsewhere"), 5.0),
    ]
    firsts = [choice(0), choice(4, category=1), choice(0, photo="elsewhere")]
    found = further_choices(
        [photo], firsts, offered, pool, config=config(), alpha=AlphaConfig(), progress=False
    )
    # Segment 3 is another class's.
    assert found == [choice(2, instance=1), choice(1, instance=2)]
    whole = AlphaConfig(min_component=0.0)
    found = further_choices(
        [photo], firsts, offered, pool, config=config(), alpha=whole, progress=False
    )
    assert found == [choice(2, instance=1)]


@pytest.mark.parametrize("method", ["matting", "none"])
def test_no_two_cut_outs_have_the_same_pixels(
    tmp_path: Path, rng: np.random.Generator, method: str
) -> None:
    photo = photo_on_disk(tmp_path, rng)
    pool: Any = Boxes(box_mask(*FIRST), box_mask(38, 10, 70, 40), box_mask(68, 5, 95, 45))
    choices = [choice(1, instance=1), choice(0), choice(2, instance=2)]
    alpha = AlphaConfig(method=method)
    with BankWriter(
        tmp_path / "bank", categories=["x", "y"], supervision="labels", codec="raw"
    ) as writer:
        quality = np.array([0.2, 0.1, 0.3])
        write_cutouts(writer, [photo], choices, quality, pool, alpha=alpha, progress=False)
    bank = MaskBank(tmp_path / "bank")
    assert [bank[row].quality for row in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    full = np.zeros((3, SIZE, SIZE), dtype=int)
    for row in range(3):
        entry = bank.index[row]
        window = np.s_[
            entry["source_y0"] : entry["source_y1"], entry["source_x0"] : entry["source_x1"]
        ]
        full[row][window] = bank[row].alpha
        assert bank[row].mask.any()
    assert ((full >= 128).sum(axis=0) <= 1).all()
    for row in (1, 2):
        assert (full[row] + full[:row].max(axis=0))[full[row] > 0].max() <= 255
    # The first one is as it would be alone.
    with BankWriter(
        tmp_path / "alone", categories=["x", "y"], supervision="labels", codec="raw"
    ) as writer:
        write_cutouts(
            writer, [photo], choices[1:2], quality[1:2], pool, alpha=alpha, progress=False
        )
    alone = MaskBank(tmp_path / "alone")
    assert np.array_equal(alone[0].alpha, bank[0].alpha)
    assert np.array_equal(alone[0].rgb, bank[0].rgb)

"""Suppression of near-duplicates against a plain loop over decoded masks, and across methods."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from empaste_aug.offline.proposals import (
    Combined,
    Segment,
    Slic,
    build_proposals,
    suppress_duplicates,
)
from empaste_aug.offline.proposals.duplicates import by_strength
from empaste_aug.offline.proposals.scored_masks import Selection, enlarge
from empaste_aug.types import ArgumentError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)

NAN = float("nan")


def box_mask(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


class Fixed:
    """A method that always gives the same boxes, each with a strength."""

    def __init__(self, name: str, boxes: list[tuple[tuple[int, int, int, int], float]]) -> None:
        self.name = name
        self.boxes = boxes

    def config(self) -> dict:
        return {"boxes": len(self.boxes)}

    def __call__(self, image: np.ndarray, *, image_id: str) -> list[Segment]:
        return [
            Segment.from_mask(box_mask(*box), self.name, strength) for box, strength in self.boxes
        ]


def plain_suppression(segments: list[Segment], max_overlap: float) -> list[int]:
    order = by_strength(segments)
    kept: list[int] = []
    for index in order:
        mask = segments[index].mask()
        overlaps = []
        for other in (segments[k].mask() for k in kept):
            union = (mask | other).sum()
            overlaps.append((mask & other).sum() / union if union else 0.0)
        if not overlaps or max(overlaps) < max_overlap:
            kept.append(index)
    return kept


@pytest.mark.parametrize("max_overlap", [0.05, 0.3, 0.5, 0.85, 1.0])
def test_suppression_is_that_of_a_plain_loop(rng, max_overlap):
    for _ in range(8):
        segments = []
        for _ in range(25):
            x0, y0 = rng.integers(0, 12, 2)
            w, h = rng.integers(1, 14, 2)
            strength = float(rng.choice([0.1, 0.2, 0.5, 0.9, NAN]))
            segments.append(Segment.from_mask(box_mask(x0, y0, x0 + w, y0 + h), "a", strength))
        kept = suppress_duplicates(segments, max_overlap=max_overlap)
        assert kept == plain_suppression(segments, max_overlap)


def test_the_limit_itself_counts_as_a_duplicate():
    whole, half = box_mask(0, 0, 10, 10), box_mask(0, 0, 10, 5)
    segments = [Segment.from_mask(half, "a", 0.4), Segment.from_mask(whole, "a", 0.6)]
    assert suppress_duplicates(segments, max_overlap=0.5) == [1]
    assert suppress_duplicates(segments, max_overlap=0.51) == [1, 0]


def test_ties_keep_their_order_and_nan_comes_last():
    segments = [
        Segment.from_mask(box_mask(i, 0, i + 1, 1), "a", strength)
        for i, strength in enumerate([NAN, 0.5, 0.7, 0.5, NAN])
    ]
    assert by_strength(segments) == [2, 1, 3, 0, 4]
    assert suppress_duplicates([], max_overlap=0.5) == []


def test_across_methods_the_stronger_stays_and_the_order_is_kept():
    near, far = (0, 0, 10, 10), (15, 5, 25, 15)
    methods = [
        Fixed("weak", [(near, 0.3), (far, 0.9)]),
        Fixed("strong", [(near, 0.8), (far, 0.1), ((0, 0, 10, 9), 0.7)]),
    ]
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    everything = Combined(methods)(image, image_id="a")
    assert [(s.source, s.strength) for s in everything] == [
        ("weak", 0.3),
        ("weak", 0.9),
        ("strong", 0.8),
        ("strong", 0.1),
        ("strong", 0.7),
    ]
    found = Combined(methods, max_overlap=0.85)(image, image_id="a")
    assert [(s.source, s.strength) for s in found] == [("weak", 0.9), ("strong", 0.8)]
    found = Combined(methods, max_overlap=0.95)(image, image_id="a")
    assert [s.strength for s in found] == [0.9, 0.8, 0.7]


def test_a_method_without_strengths_yields():
    methods = [
        Fixed("none", [((0, 0, 10, 10), NAN), ((20, 0, 25, 5), NAN)]),
        Fixed("weak", [((0, 0, 10, 10), 0.01)]),
    ]
    found = Combined(methods, max_overlap=0.9)(np.zeros((20, 30, 3), np.uint8), image_id="a")
    assert [s.source for s in found] == ["none", "weak"]
    assert found[0].mask()[2, 22]


def test_the_option_of_build_proposals():
    plain = build_proposals(["slic", "hierarchy"], edges="lab")
    assert plain.max_overlap is None
    assert "max_overlap" not in plain.config()
    method = build_proposals(["slic", "hierarchy"], edges="lab", max_overlap_across=0.9)
    assert method.config() == plain.config() | {"max_overlap": 0.9}
    assert json.loads(json.dumps(method.config())) == method.config()
    assert method.methods[1].max_overlap == plain.methods[1].max_overlap
    assert pickle.loads(pickle.dumps(method)).config() == method.config()


@pytest.mark.parametrize("value", [0, -0.5, 1.01])
def test_a_bad_limit_is_named(value):
    with pytest.raises(ArgumentError, match=f"max_overlap_across.*{value}"):
        build_proposals("slic", max_overlap_across=value)
    with pytest.raises(ArgumentError, match=f"max_overlap.*{value}"):
        Combined([Slic()], max_overlap=value)
    with pytest.raises(ArgumentError, match=f"max_overlap.*{value}"):
        suppress_duplicates([], max_overlap=value)


def chosen(scored, **options) -> list[float]:
    options = {"min_area": 0.0, "max_overlap": None, "max_segments": None} | options
    segments = Selection(**options).segments(scored, size=(20, 30), source="a")
    assert all(segment.rle["size"] == [20, 30] for segment in segments)
    return [segment.strength for segment in segments]


def test_selection_orders_filters_and_limits():
    scored = [
        (box_mask(0, 0, 10, 10), 0.2),
        (box_mask(0, 0, 0, 0), 0.9),
        (box_mask(0, 0, 10, 9), 0.7),
        (box_mask(20, 0, 22, 3), 0.8),  # 1 % of the photo
    ]
    assert chosen(scored) == [0.8, 0.7, 0.2]
    assert chosen(scored, min_area=0.01) == [0.8, 0.7, 0.2]
    assert chosen(scored, min_area=0.011) == [0.7, 0.2]
    assert chosen(scored, max_overlap=0.9) == [0.8, 0.7]
    assert chosen(scored, max_segments=1) == [0.8]
    assert chosen([]) == []


def test_masks_of_a_shrunken_photo_are_enlarged(rng):
    small = rng.random((5, 10)) < 0.5
    large = enlarge(small, (20, 30))
    assert large.shape == (20, 30)
    assert np.array_equal(large, np.repeat(np.repeat(small, 4, axis=0), 3, axis=1))
    assert enlarge(small, (5, 10)) is small
    assert enlarge(small, (13, 7)).shape == (13, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_area": 1.0}, "min_area.*1.0"),
        ({"max_overlap": 0.0}, "max_overlap.*0.0"),
        ({"max_segments": 0}, "max_segments.*0"),
    ],
)
def test_a_bad_selection_is_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        chosen([], **options)

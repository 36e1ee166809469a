"""The filters of appendix 6, and methods by name."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from empaste_aug.offline.proposals import (
    METHODS,
    Combined,
    Hierarchy,
    Segment,
    Slic,
    build_proposals,
    filter_segments,
)
from empaste_aug.types import ArgumentError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)


def box_segment(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (100, 200)) -> Segment:
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return Segment.from_mask(mask, "test", 0.5)


def two_rectangles() -> tuple[np.ndarray, list[np.ndarray]]:
    image = np.full((120, 160, 3), (40, 90, 40), dtype=np.uint8)
    masks = []
    for box, colour in (((15, 20, 65, 90), (200, 40, 40)), ((90, 40, 140, 105), (40, 60, 220))):
        x0, y0, x1, y1 = box
        image[y0:y1, x0:x1] = colour
        mask = np.zeros(image.shape[:2], dtype=bool)
        mask[y0:y1, x0:x1] = True
        masks.append(mask)
    return image, masks


def best_iou(segments: list[Segment], mask: np.ndarray) -> float:
    found = [segment.mask() for segment in segments]
    return max(float((m & mask).sum() / (m | mask).sum()) for m in found)


def test_a_segment_gives_its_mask_back(rng):
    mask = rng.random((13, 17)) < 0.4
    segment = Segment.from_mask(mask, "test", 0.25)
    assert segment.rle["size"] == [13, 17]
    assert np.array_equal(segment.mask(), mask)
    assert (segment.source, segment.strength) == ("test", 0.25)


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((10, 10, 30, 20), True),  # 200 of 20,000 pixels: exactly 1 %
        ((10, 10, 209 - 180, 20), False),  # 190 pixels
        ((0, 0, 189, 20), True),  # 94.5 % of the width
        ((0, 0, 190, 20), False),  # 95 % of the width
        ((0, 0, 20, 94), True),
        ((0, 0, 20, 95), False),  # 95 % of the height
        ((0, 0, 200, 100), False),
    ],
)
def test_filter_limits_are_exact(box, kept):
    segment = box_segment(*box)
    assert filter_segments([segment]) == ([segment] if kept else [])


def test_filter_options_and_order():
    small, wide, empty = (
        box_segment(0, 0, 5, 5),
        box_segment(0, 0, 200, 50),
        box_segment(0, 0, 0, 0),
    )
    assert filter_segments([small, wide], min_area=0.0) == [small]
    assert filter_segments([small, wide], max_span=1.01) == [wide]
    assert filter_segments([wide, small], min_area=0.0, max_span=1.01) == [wide, small]
    assert filter_segments([empty], min_area=0.0, max_span=2.0) == []


def test_the_span_counts_the_box_and_not_the_pixels():
    mask = np.zeros((100, 200), dtype=bool)
    mask[:10, :30] = True
    mask[:10, 180:] = True
    assert filter_segments([Segment.from_mask(mask, "test")]) == []


def test_slic_finds_flat_rectangles():
    image, masks = two_rectangles()
    segments = Slic(n_segments=(6,), compactness=1.0)(image)
    for mask in masks:
        assert best_iou(segments, mask) > 0.9
    total = sum(segment.mask().astype(int) for segment in segments)
    assert (total == 1).all()
    assert all(np.isnan(segment.strength) for segment in segments)


def test_slic_enlarges_to_the_photo(rng):
    image = rng.integers(0, 255, (90, 130, 3), dtype=np.uint8)
    segments = Slic(n_segments=(4,), max_side=40)(image)
    assert segments
    assert {tuple(segment.rle["size"]) for segment in segments} == {(90, 130)}


def test_methods_by_name_give_their_segments_one_after_another():
    image, _ = two_rectangles()
    method = build_proposals(["slic", "hierarchy"], edges="lab", n_segments=(4, 6))
    assert method.name == "slic+hierarchy"
    first = Slic(n_segments=(4, 6))(image)
    second = Hierarchy(edges="lab")(image)
    found = method(image, image_id="a")
    assert [s.rle for s in found] == [s.rle for s in first + second]
    assert [s.source for s in found] == ["slic"] * len(first) + ["hierarchy"] * len(second)


def test_an_option_goes_to_every_method_that_takes_it():
    method = build_proposals(["slic", "hierarchy"], edges="lab", max_side=64)
    config = method.config()
    assert config["slic"]["max_side"] == config["hierarchy"]["max_side"] == 64
    assert json.loads(json.dumps(config)) == config


def test_a_single_name_may_be_given_as_text():
    assert build_proposals("slic").name == "slic"


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["hierarchie"], {}, "hierarchie.*hierarchy, saliency, slic, precomputed"),
        (["slic"], {"edges": "lab"}, "edges: no option of slic; there are compactness, max_side"),
        (["precomputed"], {}, "path: the method 'precomputed' needs"),
        (["slic", "slic"], {}, "twice"),
        ([], {}, "at least one"),
        (["hierarchy"], {"edges": "canny"}, "edges: 'canny' is none of auto, hed, lab"),
        (["hierarchy"], {"edges": "lab", "max_pairs": -1}, "max_pairs.*-1"),
        (["hierarchy"], {"edges": "lab", "max_overlap": 0}, "max_overlap.*0"),
        (["slic"], {"n_segments": ()}, "n_segments"),
        (["slic"], {"n_segments": (0,)}, "n_segments.*0"),
        (["slic"], {"max_side": 3}, "max_side.*3"),
    ],
)
def test_bad_names_and_options(names, options, message):
    with pytest.raises(ArgumentError, match=message):
        build_proposals(names, **options)


def test_combined_refuses_two_of_one_name():
    with pytest.raises(ArgumentError, match="twice"):
        Combined([Slic(), Slic(n_segments=(5,))])


def test_every_method_has_its_key_as_name():
    assert all(method.name == name for name, method in METHODS.items())


def test_pickling_keeps_config_and_output():
    image, _ = two_rectangles()
    method = build_proposals(["hierarchy", "slic"], edges="lab", n_segments=(5,))
    before = method(image, image_id="a")
    again = pickle.loads(pickle.dumps(method))
    assert again.config() == method.config()
    assert [(s.rle, s.source) for s in again(image, image_id="a")] == [
        (s.rle, s.source) for s in before
    ]

"""Segments as the classifier sees them, and their distances to the anchor."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.segments import (
    SegmentConfig,
    classifier_grey,
    distances_to_anchors,
    erode,
    segment_crop,
)
from empaste_aug.types import ArgumentError


def box_mask(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_distance_is_the_mean_over_pixels() -> None:
    masks = [box_mask(10, 5, 12, 6), box_mask(0, 0, 0, 0)]
    found = distances_to_anchors(masks, [(10.0, 5.0), (10.5, 9.0)])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [0.5, np.hypot(0.5, 4)], rtol=1e-6)
    assert (found[1] == np.inf).all()


def test_a_far_tail_counts_with_its_pixels() -> None:
    masks = [box_mask(0, 0, 4, 4), box_mask(0, 0, 40, 4)]
    near, far = distances_to_anchors(masks, [(1.5, 1.5)])[:, 0]
    assert near < far


def test_many_distances_equal_single_ones(rng: np.random.Generator) -> None:
    masks = [rng.random((17, 23)) < p for p in (0.5, 0.01, 0.0)]
    masks[1][3, 4] = True
    anchors = rng.uniform(0, 20, (2, 2))
    together = distances_to_anchors(masks, anchors)
    for row, mask in enumerate(masks):
        y, x = np.nonzero(mask)
        for column, (ax, ay) in enumerate(anchors):
            expected = np.hypot(x - ax, y - ay).mean() if x.size else np.inf
            assert together[row, column] == pytest.approx(expected)
    assert distances_to_anchors([], anchors).shape == (0, 2)
    assert distances_to_anchors(masks, np.zeros((0, 2))).shape == (3, 0)


def test_erosion_in_pixels_takes_off_the_rim() -> None:
    mask = box_mask(10, 10, 31, 31)
    np.testing.assert_array_equal(erode(mask, 2), box_mask(12, 12, 29, 29))


def test_erosion_as_a_share_follows_the_size() -> None:
    np.testing.assert_array_equal(erode(box_mask(10, 10, 30, 30), 0.05), box_mask(11, 11, 29, 29))
    small = box_mask(10, 10, 18, 18)
    assert erode(small, 0.05) is small
    assert erode(small, 0) is small


def test_erosion_removes_whiskers_and_keeps_the_cut_side() -> None:
    mask = box_mask(0, 0, 30, 20)
    mask[30, 0:55] = True
    np.testing.assert_array_equal(erode(mask, 3), box_mask(0, 0, 27, 17))


def test_erosion_never_empties() -> None:
    thin = box_mask(3, 3, 50, 5)
    np.testing.assert_array_equal(erode(thin, 4), thin)
    empty = np.zeros((5, 5), bool)
    assert not erode(empty, 2).any()
    with pytest.raises(ArgumentError, match="size"):
        erode(thin, -1)


def test_erosion_equals_a_full_size_one(rng: np.random.Generator) -> None:
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    for _ in range(30):
        mask = cv2.GaussianBlur(rng.random((33, 41)), (0, 0), 3) > 0.5
        expected = cv2.erode(mask.astype(np.uint8), disc).astype(bool)
        np.testing.assert_array_equal(erode(mask, 2), expected if expected.any() else mask)


def test_crop_is_the_object_centred_on_grey() -> None:
    image = np.full((40, 60, 3), (200, 0, 0), dtype=np.uint8)
    image[10:20, 20:40] = (0, 0, 250)
    crop = segment_crop(image, box_mask(20, 10, 40, 20), size=20, grey=(7, 8, 9))
    assert crop.shape == (20, 20, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop[5:15], np.broadcast_to((0, 0, 250), (10, 20, 3)))
    np.testing.assert_array_equal(crop[:5], np.broadcast_to((7, 8, 9), (5, 20, 3)))
    np.testing.assert_array_equal(crop[15:], np.broadcast_to((7, 8, 9), (5, 20, 3)))


def test_background_inside_the_box_is_grey() -> None:
    image = np.full((40, 60, 3), 255, dtype=np.uint8)
    mask = box_mask(0, 0, 8, 8)
    mask[2:6, 2:6] = False
    crop = segment_crop(image, mask, size=8)
    assert (crop[2:6, 2:6] == 128).all()
    assert (crop[mask[:8, :8]] == 255).all()


@pytest.mark.parametrize("size", [5, 64])
def test_crop_is_resized(size: int, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert segment_crop(image, box_mask(1, 2, 33, 20), size=size).shape == (size, size, 3)


def test_crop_refuses_bad_masks() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(ArgumentError, match="no pixel"):
        segment_crop(image, np.zeros((40, 60), bool), size=8)
    with pytest.raises(ArgumentError, match="shape"):
        segment_crop(image, np.ones((4, 6), bool), size=8)


def test_grey_is_the_mean_colour() -> None:
    assert classifier_grey((0.485, 0.456, 0.406)) == (124, 116, 104)


@pytest.mark.parametrize(
    "option", [{"min_area": 1.0}, {"max_span": 0.0}, {"erosion": -0.1}, {"crop_size": 31}]
)
def test_bad_constants_are_named(option: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(option))):
        SegmentConfig(**option)

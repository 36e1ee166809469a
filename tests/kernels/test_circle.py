"""The circle kernels against the oracle and against OpenCV's precise transform."""

from __future__ import annotations

from itertools import product
from math import sqrt

import cv2
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from empaste_aug.kernels import circle
from empaste_aug.types import ArgumentError

TINY = [*product(range(1, 5), range(1, 5)), (1, 13), (13, 1), (2, 6), (6, 2)]


def all_masks(height: int, width: int) -> np.ndarray:
    """(2 ** (height * width), height, width) bool."""
    codes = np.arange(1 << (height * width))
    bits = codes[:, None] >> np.arange(height * width) & 1
    return bits.astype(bool).reshape(-1, height, width)


def opencv_distances(occupied: np.ndarray) -> np.ndarray:
    """In float64: of OpenCV's float32 roots, the same one may differ from place to place."""
    free = np.pad((occupied == 0).astype(np.uint8), 1)
    transform = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(transform[1:-1, 1:-1].astype(np.float64) ** 2))


def ellipses(
    rng: np.random.Generator, height: int, width: int, count: int, size: float
) -> np.ndarray:
    occupied = np.zeros((height, width), np.uint8)
    for _ in range(count):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (1 + int(size * width * rng.random()), 1 + int(size * height * rng.random()))
        cv2.ellipse(occupied, centre, axes, float(rng.integers(180)), 0, 360, 1, -1)
    return occupied


def squared_distances_of_all(masks: np.ndarray) -> np.ndarray:
    """`reference.squared_distances` of many tiny masks (n, h, w) at once."""
    _, height, width = masks.shape
    result = np.empty(masks.shape, np.int64)
    for y, x in np.ndindex(height, width):
        ring = min(x + 1, width - x, y + 1, height - y)
        result[:, y, x] = ring**2
        for v, u in np.ndindex(height, width):
            there = np.where(masks[:, v, u], (x - u) ** 2 + (y - v) ** 2, ring**2)
            np.minimum(result[:, y, x], there, out=result[:, y, x])
    return result


@pytest.mark.parametrize(("height", "width"), TINY)
def test_every_tiny_mask(height: int, width: int) -> None:
    masks = all_masks(height, width)
    squared = squared_distances_of_all(masks)
    first = squared.reshape(len(masks), -1).argmax(axis=1)
    for occupied, distances, k in zip(masks, squared, first.tolist(), strict=True):
        wanted = (k % width, k // width, sqrt(distances.max()))
        if wanted[2] == 0.0:
            wanted = (-1, -1, 0.0)
        assert circle.max_inscribed_circle(occupied) == wanted, occupied
    for k in range(0, len(masks), 1 + len(masks) // 100):
        np.testing.assert_array_equal(squared[k], reference.squared_distances(masks[k]))


@pytest.mark.parametrize("tie_order", range(8))
def test_every_order_of_ties(tie_order: int, rng: np.random.Generator) -> None:
    for occupied in all_masks(3, 3):
        found = circle.max_inscribed_circle(occupied, tie_order=tie_order)
        assert found == reference.inscribed_circle(occupied, tie_order), occupied
    for _ in range(30):
        height, width = (int(v) for v in rng.integers(1, 40, 2))
        occupied = rng.random((height, width)) < rng.choice([0.0, 0.005, 0.05])
        found = circle.max_inscribed_circle(occupied, tie_order=tie_order)
        assert found == reference.inscribed_circle(occupied, tie_order), occupied.shape


def test_random_masks(rng: np.random.Generator) -> None:
    for _ in range(120):
        height, width = (int(v) for v in rng.integers(1, 61, 2))
        share = rng.choice([0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
        occupied = (rng.random((height, width)) < share).astype(np.uint8)
        assert circle.max_inscribed_circle(occupied) == reference.inscribed_circle(occupied)


@settings(max_examples=150, deadline=None)
@given(
    occupied=arrays(
        np.bool_,
        st.tuples(st.integers(0, 24), st.integers(0, 24)),
        elements=st.booleans(),
        fill=st.just(False),
    ),
    tie_order=st.integers(0, 7),
)
def test_any_mask(occupied: np.ndarray, tie_order: int) -> None:
    found = circle.max_inscribed_circle(occupied, tie_order=tie_order)
    assert found == reference.inscribed_circle(occupied, tie_order)


@pytest.mark.parametrize("side", [63, 64, 65, 127, 128, 129])
def test_sides_about_a_multiple_of_the_cell(side: int, rng: np.random.Generator) -> None:
    for height, width in ((side, side), (side, 5), (3, side), (side, 200)):
        for count in (0, 1, 4):
            occupied = ellipses(rng, height, width, count, 0.2)
            x, y, radius = circle.max_inscribed_circle(occupied)
            distances = opencv_distances(occupied)
            assert y * width + x == distances.argmax()
            assert radius == pytest.approx(distances.max(), rel=1e-6)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 375), (480, 640), (1024, 1024)])
def test_photo_sizes_like_opencv(height: int, width: int, rng: np.random.Generator) -> None:
    scenes = [ellipses(rng, height, width, n, 0.15) for n in (0, 1, 3, 8, 20, 60)]
    scenes += [(rng.random((height, width)) < p).astype(np.uint8) for p in (1e-5, 1e-3, 0.1)]
    for occupied in scenes:
        x, y, radius = circle.max_inscribed_circle(occupied)
        distances = opencv_distances(occupied)
        assert radius == pytest.approx(distances.max(), rel=1e-6)
        assert y * width + x == distances.argmax()


@pytest.mark.parametrize(
    ("rows", "columns"), [(slice(None, None, 2), slice(None, None, 2)), (slice(None, None, 40), 0)]
)
def test_regular_patterns_have_the_first_of_many_ties(rows: slice, columns: slice | int) -> None:
    occupied = np.zeros((70, 80), np.uint8)
    occupied[rows, columns] = 1
    assert circle.max_inscribed_circle(occupied) == reference.inscribed_circle(occupied)
    assert circle.max_inscribed_circle(occupied.T) == reference.inscribed_circle(occupied.T)


@pytest.mark.parametrize("n", range(3, 16))
def test_earlier_tie_at_exactly_the_bound_of_its_cell(n: int) -> None:
    # Two open discs of radius n * sqrt(2). The later one's centre is that of a coarsest cell and
    # is measured first; the earlier one's is the corner of its cells, whose own centres lie on the
    # diagonal to the obstacle at (n, n), so that distance plus reach is exactly the best.
    occupied = np.ones((192, 192), bool)
    yy, xx = np.mgrid[:192, :192]
    for x, y in ((64, 64), (160, 160)):
        occupied &= (xx - x) ** 2 + (yy - y) ** 2 >= 2 * n * n
    assert circle.max_inscribed_circle(occupied) == (64, 64, sqrt(2 * n * n))
    assert circle.max_inscribed_circle(occupied, tie_order=3) == (160, 160, sqrt(2 * n * n))


def test_nothing_free_and_nothing_occupied() -> None:
    assert circle.max_inscribed_circle(np.ones((70, 90), bool)) == (-1, -1, 0.0)
    assert circle.max_inscribed_circle(np.zeros((70, 90), bool)) == (34, 34, 35.0)
    assert circle.max_inscribed_circle(np.zeros((1, 1), bool)) == (0, 0, 1.0)
    for shape in ((0, 0), (0, 5), (5, 0)):
        assert circle.max_inscribed_circle(np.zeros(shape, bool)) == (-1, -1, 0.0)


def test_result_is_made_of_python_numbers() -> None:
    for occupied in (np.zeros((5, 5), bool), np.ones((5, 5), bool)):
        assert [type(v) for v in circle.max_inscribed_circle(occupied)] == [int, int, float]


def test_memory_layout_and_values_do_not_matter(rng: np.random.Generator) -> None:
    occupied = rng.random((41, 57)) < 0.02
    wanted = circle.max_inscribed_circle(occupied)
    strided = np.zeros((82, 171), np.uint8)
    strided[::2, ::3] = occupied * 200
    frozen = occupied.copy()
    frozen.flags.writeable = False
    for other in (strided[::2, ::3], frozen, np.asfortranarray(occupied), occupied.view(np.uint8)):
        assert circle.max_inscribed_circle(other) == wanted


def test_column_distances(rng: np.random.Generator) -> None:
    for height, width in ((1, 1), (1, 7), (2, 5), (9, 1), (33, 70)):
        for share in (0.0, 0.05, 0.5, 1.0):
            occupied = rng.random((height, width)) < share
            found = circle.column_distances(occupied)
            assert found.dtype == np.int16
            np.testing.assert_array_equal(found, reference.column_distances(occupied))


def test_column_distances_of_a_very_tall_map() -> None:
    assert circle.column_distances(np.zeros((32_766, 1), bool)).max() == 16_383
    occupied = np.zeros((80_000, 2), bool)
    occupied[79_000, 1] = True
    found = circle.column_distances(occupied)
    assert found.dtype == np.int32
    assert found[:, 0].max() == 40_000
    assert found[:, 1].max() == 39_500
    assert circle.search_circle(found) == (0, 0, 1.0)


def test_update_is_the_same_as_starting_again(rng: np.random.Generator) -> None:
    occupied = ellipses(rng, 90, 130, 2, 0.1)
    distances = circle.column_distances(occupied)
    for _ in range(20):
        x0, x1 = sorted(int(v) for v in rng.integers(0, 131, 2))
        y = int(rng.integers(90))
        occupied[y : y + 20, x0:x1] |= rng.random(occupied[y : y + 20, x0:x1].shape) < 0.4
        circle.update_column_distances(occupied, distances, (x0, y, x1, y + 20))
        np.testing.assert_array_equal(distances, reference.column_distances(occupied))
        assert circle.search_circle(distances) == circle.max_inscribed_circle(occupied)


def test_update_ignores_what_is_outside_the_map(rng: np.random.Generator) -> None:
    before = rng.random((12, 10)) < 0.2
    after = before | (rng.random((12, 10)) < 0.2)
    distances = circle.column_distances(before)
    for empty in ((4, 0, 4, 12), (12, 0, 20, 12), (-5, 0, 0, 12), (0, 12, 10, 30), (0, -9, 10, 0)):
        circle.update_column_distances(after, distances, empty)
    np.testing.assert_array_equal(distances, reference.column_distances(before))
    circle.update_column_distances(after, distances, (-5, -3, 99, 99))
    np.testing.assert_array_equal(distances, reference.column_distances(after))


def test_update_of_small_maps_whatever_the_box(rng: np.random.Generator) -> None:
    for _ in range(500):
        height, width = (int(v) for v in rng.integers(1, 9, 2))
        occupied = rng.random((height, width)) < rng.choice([0.0, 0.1, 0.4])
        distances = circle.column_distances(occupied)
        x0, y0 = int(rng.integers(width)), int(rng.integers(height))
        x1, y1 = int(rng.integers(x0, width)) + 1, int(rng.integers(y0, height)) + 1
        occupied[y0:y1, x0:x1] |= rng.random((y1 - y0, x1 - x0)) < 0.5
        circle.update_column_distances(occupied, distances, (x0, y0, x1, y1))
        np.testing.assert_array_equal(distances, reference.column_distances(occupied))


def test_search_takes_read_only_distances() -> None:
    distances = circle.column_distances(np.zeros((9, 9), bool))
    distances.flags.writeable = False
    assert circle.search_circle(distances) == (4, 4, 5.0)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), np.int64),
        np.zeros(4, bool),
        np.zeros((4, 4, 1), bool),
        [[0, 1]],
        None,
    ],
)
def test_wrong_obstacle_maps_are_named(bad: object) -> None:
    for function in (circle.max_inscribed_circle, circle.column_distances):
        with pytest.raises(ArgumentError, match="occupied: must be"):
            function(bad)


def test_wrong_distances_and_orders_are_named() -> None:
    occupied = np.zeros((6, 8), bool)
    distances = circle.column_distances(occupied)
    for bad in (distances.astype(np.int64), distances.T, distances[0], None):
        with pytest.raises(ArgumentError, match="distances: must be"):
            circle.search_circle(bad)
    with pytest.raises(ArgumentError, match="distances: its shape"):
        circle.update_column_distances(occupied[:5], distances, (0, 0, 8, 6))
    distances.flags.writeable = False
    with pytest.raises(ArgumentError, match="distances: is read-only"):
        circle.update_column_distances(occupied, distances, (0, 0, 8, 6))
    for bad_order in (-1, 8):
        with pytest.raises(ArgumentError, match="tie_order"):
            circle.max_inscribed_circle(occupied, tie_order=bad_order)
    with pytest.raises(TypeError):
        circle.max_inscribed_circle(occupied, tie_order=1.0)

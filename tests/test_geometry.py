"""The minimum enclosing circle against a brute force over pairs and triples of pixels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from empaste_aug.geometry import HALF_PIXEL_DIAGONAL, minimum_enclosing_circle
from empaste_aug.types import ArgumentError


def smallest_radius(points: np.ndarray) -> float:
    """The smallest circle is fixed by two or three of its points."""
    best = math.inf if len(points) > 1 else 0.0

    def consider(center):
        nonlocal best
        best = min(best, float(np.hypot(*(points - center).T).max()))

    for one, other in itertools.combinations(points, 2):
        consider((one + other) / 2)
    for a, b, c in itertools.combinations(points, 3):
        system = 2 * np.array([b - a, c - a])
        if abs(np.linalg.det(system)) > 1e-9:
            consider(np.linalg.solve(system, [b @ b - a @ a, c @ c - a @ a]))
    return best


masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)).filter(np.any)


@given(masks)
@settings(max_examples=200, deadline=None)
def test_every_pixel_lies_inside(mask):
    x, y, radius = minimum_enclosing_circle(mask)
    rows, columns = np.nonzero(mask)
    farthest = np.hypot(columns - x, rows - y).max()
    assert radius == pytest.approx(farthest + HALF_PIXEL_DIAGONAL, abs=1e-9)
    for dx, dy in itertools.product((-0.5, 0.5), repeat=2):
        assert np.hypot(columns + dx - x, rows + dy - y).max() <= radius + 1e-9
    height, width = mask.shape
    assert farthest <= math.hypot(height - 1, width - 1) / math.sqrt(3) + 1e-4  # Jung


@given(
    st.sets(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=9),
)
@settings(max_examples=150, deadline=None)
def test_no_smaller_circle_exists(points):
    mask = np.zeros((301, 301), bool)
    columns, rows = np.array(sorted(points)).T
    mask[rows, columns] = True
    radius = minimum_enclosing_circle(mask)[2] - HALF_PIXEL_DIAGONAL
    best = smallest_radius(np.array(sorted(points), float))
    assert best - 1e-6 <= radius <= best + 1e-3


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_known_circles(dtype):
    mask = np.zeros((9, 9), dtype)
    mask[3, 4] = 1
    assert minimum_enclosing_circle(mask) == (4.0, 3.0, HALF_PIXEL_DIAGONAL)
    mask[3, 8] = 1
    assert minimum_enclosing_circle(mask) == pytest.approx((6.0, 3.0, 2 + HALF_PIXEL_DIAGONAL))
    full = np.ones((7, 25), dtype)
    expected = (12.0, 3.0, math.hypot(12, 3) + HALF_PIXEL_DIAGONAL)
    assert minimum_enclosing_circle(full) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (4, 5)])
def test_an_empty_mask_has_no_circle(shape):
    with pytest.raises(ArgumentError, match="mask: holds no pixel"):
        minimum_enclosing_circle(np.zeros(shape, bool))


def test_only_planes_have_circles():
    with pytest.raises(ArgumentError, match=r"mask: shape \(h, w\) is wanted, not \(2, 2, 3\)"):
        minimum_enclosing_circle(np.ones((2, 2, 3), bool))

"""Averaging over squares, against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from empaste_aug import ArgumentError
from empaste_aug.kernels.reduce import reduce_alpha, reduce_rgb, reduction_for


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8, 16, 64])
def test_every_small_size_agrees_with_the_definition(rng, factor) -> None:
    sizes = [(h, w) for h in range(1, 8) for w in range(1, 8)] + [(40, 1), (1, 33), (37, 50)]
    for height, width in sizes:
        rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        alpha = rng.choice(np.array([0, 127, 128, 255], np.uint8), (height, width))
        assert np.array_equal(
            reduce_rgb(rgb, factor), reference.area_mean(rgb, factor, beyond="ignored")
        )
        assert np.array_equal(
            reduce_alpha(alpha, factor), reference.area_mean(alpha, factor, beyond="zero")
        )


def test_arrays_of_any_layout(rng) -> None:
    rgb = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    rgb.flags.writeable = False
    expected = reduce_rgb(rgb[::-1, ::2].copy(), 4)
    assert np.array_equal(reduce_rgb(rgb[::-1, ::2], 4), expected)
    assert np.array_equal(reduce_alpha(rgb[..., 1], 2), reduce_alpha(rgb[..., 1].copy(), 2))


def test_huge_factors_leave_one_transparent_pixel() -> None:
    alpha = np.full((50, 70), 255, np.uint8)
    for factor in (1 << 20, 1 << 40, 1 << 1000):
        assert reduce_alpha(alpha, factor).tolist() == [[0]]
        assert reduce_rgb(np.dstack([alpha] * 3), factor).tolist() == [[[255, 255, 255]]]


def test_the_reduction_leaves_a_half_to_one() -> None:
    for scale in (0.999, 0.75, 0.5, 0.4999, 0.3, 0.25, 0.1, 1e-3, 1e-9, 1e-300):
        reduction = reduction_for(scale)
        assert 0.5 <= scale * reduction < 1
        assert reduction & (reduction - 1) == 0
    assert [reduction_for(scale) for scale in (1.0, 1.5, 2.0, 1e9)] == [1, 1, 1, 1]


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="factor: must be at least 1, not 0"):
        reduce_alpha(np.zeros((3, 3), np.uint8), 0)
    with pytest.raises(ArgumentError, match="rgb: must be"):
        reduce_rgb(np.zeros((3, 3), np.uint8), 2)
    with pytest.raises(ArgumentError, match="alpha: must be"):
        reduce_alpha(np.zeros((3, 3), np.float32), 2)

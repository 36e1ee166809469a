"""What `warp` says of the image under a mask: where it may change, and what shows."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug import ArgumentError
from empaste_aug.kernels.warp import warp
from empaste_aug.types import tight_box

IN_PLACE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("barred", ["nothing", "valid", "occupied", "both"])
def test_agrees_with_a_loop(rng, barred) -> None:
    for _ in range(150):
        height, width, h, w = (int(v) for v in rng.integers(1, 12, 4))
        x, y = (int(v) for v in rng.integers(-14, 14, 2))
        alpha = np.where(rng.random((h, w)) < 0.6, 255, 0).astype(np.uint8)
        alpha[0, 0] = 255
        valid = rng.random((height, width)) < 0.7 if barred in ("valid", "both") else None
        occupied = None
        if barred in ("occupied", "both"):
            occupied = rng.integers(0, 3, (height, width), dtype=np.uint8)
        got = warp(
            np.zeros((h, w, 3), np.uint8),
            alpha,
            (1.0, 0.0, -float(x), 0.0, 1.0, -float(y)),
            height=height,
            width=width,
            margin=2,
            valid=valid,
            occupied=occupied,
        )
        expected = np.zeros(got.mask.shape, np.uint8)
        for i in range(expected.shape[0]):
            for j in range(expected.shape[1]):
                row, column = got.y + i, got.x + j
                if 0 <= row < height and 0 <= column < width:
                    good = valid is None or valid[row, column]
                    taken = occupied is not None and occupied[row, column]
                    expected[i, j] = good and not taken
        assert got.keep.dtype == np.uint8
        assert got.mask.dtype == got.shown.dtype == np.bool_
        assert np.array_equal(got.keep, expected)
        assert np.array_equal(got.shown, got.mask & (expected == 1))
        assert got.area == got.shown.sum()
        assert got.box == (tight_box(got.shown, (got.x, got.y)) or (0, 0, 0, 0))


def test_a_cut_out_without_a_pixel() -> None:
    rgb, alpha = np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4), np.uint8)
    got = warp(rgb, alpha, IN_PLACE, height=9, width=9, margin=3)
    assert got.keep.shape == got.shown.shape == got.mask.shape == (0, 0)
    assert (got.total, got.area, got.box) == (0, 0, (0, 0, 0, 0))


def test_maps_of_another_size_are_refused() -> None:
    rgb, alpha = np.zeros((3, 4, 3), np.uint8), np.full((3, 4), 255, np.uint8)
    with pytest.raises(ArgumentError, match="valid: its height and width"):
        warp(rgb, alpha, IN_PLACE, height=9, width=9, margin=3, valid=np.ones((9, 8), bool))
    occupied = np.ones((8, 9), np.uint8)
    with pytest.raises(ArgumentError, match="occupied: its height and width"):
        warp(rgb, alpha, IN_PLACE, height=9, width=9, margin=3, occupied=occupied)

"""Where an image may change under a mask, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug import ArgumentError
from empaste_aug.kernels.cut import cut


@pytest.mark.parametrize("barred", ["nothing", "valid", "occupied", "both"])
def test_agrees_with_a_loop(rng, barred) -> None:
    for _ in range(150):
        height, width, h, w = (int(v) for v in rng.integers(1, 12, 4))
        x, y = (int(v) for v in rng.integers(-14, 14, 2))
        mask = rng.random((h, w)) < 0.6
        valid = rng.random((height, width)) < 0.7 if barred in ("valid", "both") else None
        occupied = None
        if barred in ("occupied", "both"):
            occupied = rng.integers(0, 3, (height, width), dtype=np.uint8)
        keep, shown = cut(mask, x, y, height, width, valid=valid, occupied=occupied)
        expected = np.zeros((h, w), np.uint8)
        for i in range(h):
            for j in range(w):
                if 0 <= y + i < height and 0 <= x + j < width:
                    good = valid is None or valid[y + i, x + j]
                    taken = occupied is not None and occupied[y + i, x + j]
                    expected[i, j] = good and not taken
        assert keep.dtype == np.uint8
        assert shown.dtype == np.bool_
        assert np.array_equal(keep, expected)
        assert np.array_equal(shown, mask & (expected == 1))


def test_empty_masks() -> None:
    keep, shown = cut(np.empty((0, 5), bool), 0, 0, 9, 9)
    assert keep.shape == shown.shape == (0, 5)


def test_maps_of_another_size_are_refused() -> None:
    mask = np.ones((2, 2), bool)
    with pytest.raises(ArgumentError, match="valid: its height and width"):
        cut(mask, 0, 0, 9, 9, valid=np.ones((9, 8), bool))
    with pytest.raises(ArgumentError, match="occupied: its height and width"):
        cut(mask, 0, 0, 9, 9, occupied=np.ones((8, 9), np.uint8))

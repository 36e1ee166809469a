"""What is flattened in a crop, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug import BankWriter, MaskBank
from empaste_aug.bank.codec import encode_rgb
from empaste_aug.bank.matte import MATTE_REACH, flatten_outside


def slow_near(alpha: np.ndarray) -> np.ndarray:
    near = np.zeros(alpha.shape, bool)
    for y, x in np.argwhere(alpha > 0):
        top, left = max(y - MATTE_REACH, 0), max(x - MATTE_REACH, 0)
        near[top : y + MATTE_REACH + 1, left : x + MATTE_REACH + 1] = True
    return near


@pytest.mark.parametrize("size", [(1, 1), (5, 60), (64, 64), (70, 41)])
def test_only_far_pixels_change_and_take_near_colours(rng: np.random.Generator, size) -> None:
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    alpha = np.zeros(size, np.uint8)
    alpha[size[0] // 2, size[1] // 3] = 1  # what is hardly visible counts
    before = rgb.copy()
    flat = flatten_outside(rgb, alpha)
    near = slow_near(alpha)
    np.testing.assert_array_equal(rgb, before)
    np.testing.assert_array_equal(flat[near], rgb[near])
    for y, x in np.argwhere(~near):
        block = (slice(y // 8 * 8, y // 8 * 8 + 8), slice(x // 8 * 8, x // 8 * 8 + 8))
        seen = rgb[block][near[block]] if near[block].any() else rgb[near]
        assert np.abs(flat[y, x] - seen.mean(axis=0)).max() <= 0.5


def test_nothing_to_see_is_flat(rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert (flatten_outside(rgb, np.zeros((20, 30), np.uint8)) == 0).all()
    assert flatten_outside(rgb, np.full((20, 30), 255, np.uint8)) is rgb


def test_jpeg_banks_are_smaller_for_it_and_raw_ones_exact(
    tmp_path, rng: np.random.Generator
) -> None:
    grey = rng.integers(0, 256, (96, 96, 1), dtype=np.uint8)
    rgb = np.repeat(grey, 3, axis=2)  # JPEG keeps fewer colours than shades
    alpha = np.zeros((96, 96), np.uint8)
    alpha[8:32, 8:32] = 255
    for codec in ("jpeg", "raw"):
        with BankWriter(tmp_path / codec, categories=["a"], codec=codec) as writer:
            writer.add(rgb, alpha, category_id=0, score=1.0)
    raw, jpeg = MaskBank(tmp_path / "raw"), MaskBank(tmp_path / "jpeg")
    np.testing.assert_array_equal(raw[0].rgb, rgb)
    assert jpeg.index["rgb_bytes"][0] < 0.4 * len(encode_rgb(rgb, "jpeg", 95))
    error = jpeg[0].rgb[alpha > 0].astype(int) - rgb[alpha > 0]
    assert np.abs(error).mean() < 4

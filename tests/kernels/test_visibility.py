"""The visibility kernels against full-size masks."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from empaste_aug.kernels import visibility
from empaste_aug.types import ArgumentError

side = st.integers(0, 12)
masks = arrays(np.bool_, st.tuples(side, side), elements=st.booleans())


def check_all(mask: np.ndarray, x: int, y: int, cover: np.ndarray) -> None:
    """Both kernels on one mask and one map."""
    height, width = cover.shape
    full = reference.widen(mask, x, y, height, width)
    for value in (0, int(cover.max(initial=0))):
        visible, box, count = visibility.trim(mask, x, y, cover, value)
        wanted = full & (cover == value)
        assert visible.dtype == np.bool_
        assert visible.shape == mask.shape
        np.testing.assert_array_equal(reference.widen(visible, x, y, height, width), wanted)
        assert visible.sum() == wanted.sum() == count  # none is left off the canvas
        assert box == reference.box_of(wanted)

    painted = cover.copy()
    visibility.paint(mask, x, y, painted)
    np.testing.assert_array_equal(painted, np.where(full, 1, cover).astype(cover.dtype))


@settings(max_examples=200, deadline=None)
@given(
    mask=masks, cover=masks, x=st.integers(-14, 14), y=st.integers(-14, 14), as_bytes=st.booleans()
)
def test_any_mask_anywhere(
    mask: np.ndarray, cover: np.ndarray, x: int, y: int, as_bytes: bool
) -> None:
    if as_bytes:
        mask, cover = mask.astype(np.uint8) * 255, cover.astype(np.uint8) * 3
    check_all(mask, x, y, cover)


def test_every_tiny_mask_and_cover() -> None:
    tiny = (np.arange(64)[:, None] >> np.arange(6) & 1).astype(bool).reshape(-1, 2, 3)
    for mask in tiny:
        for cover in tiny:
            check_all(mask, 0, 0, cover)
        for x, y in ((-1, 0), (2, 1), (0, -2), (-3, 0), (1, -1)):
            check_all(mask, x, y, tiny[0b010110])


def test_trim_to_each_owner_of_a_canvas(rng: np.random.Generator) -> None:
    """What every owner has of a mask, put together, is what of it lies on the canvas."""
    owner = rng.integers(0, 256, (30, 40), dtype=np.uint8)
    mask = rng.random((50, 25)) < 0.8
    full = reference.widen(mask, 20, -4, 30, 40)
    for value in range(256):
        visible, box, count = visibility.trim(mask, 20, -4, owner, value)
        wanted = full & (owner == value)
        np.testing.assert_array_equal(reference.widen(visible, 20, -4, 30, 40), wanted)
        assert (box, count) == (reference.box_of(wanted), wanted.sum())


def test_larger_masks(rng: np.random.Generator) -> None:
    for _ in range(60):
        h, w, height, width = (int(v) for v in rng.integers(1, 61, 4))
        mask = rng.random((h, w)) < rng.choice([0.01, 0.5, 1.0])
        cover = rng.random((height, width)) < rng.choice([0.0, 0.5, 0.99])
        check_all(mask, int(rng.integers(-w, width + 1)), int(rng.integers(-h, height + 1)), cover)


def test_rows_longer_than_a_byte_counts(rng: np.random.Generator) -> None:
    mask, cover = np.ones((3, 65_535), bool), np.zeros((3, 65_535), bool)
    cover[1, 100:] = True
    visible, box, count = visibility.trim(mask, 0, 0, cover)
    assert (box, count) == ((0, 0, 65_535, 3), 2 * 65_535 + 100)
    np.testing.assert_array_equal(visible, ~cover)


def test_box_crops_the_mask(rng: np.random.Generator) -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:15, 4:25] = True
    cover = np.zeros((40, 40), bool)
    cover[:, :10] = True
    visible, (x0, y0, x1, y1), count = visibility.trim(mask, 2, -8, cover)
    assert (x0, y0, x1, y1) == (10, 0, 27, 7)
    assert visible[y0 + 8 : y1 + 8, x0 - 2 : x1 - 2].all()
    assert count == 17 * 7


def test_an_uncovered_mask_is_returned_equal_but_not_the_same(rng: np.random.Generator) -> None:
    mask = rng.random((9, 8)) < 0.5
    visible, _, count = visibility.trim(mask, 0, 0, np.zeros((9, 8), bool))
    np.testing.assert_array_equal(visible, mask)
    assert count == mask.sum()
    assert not np.shares_memory(visible, mask)


def test_paint_values_and_layouts(rng: np.random.Generator) -> None:
    mask = rng.random((6, 7)) < 0.5
    full = reference.widen(mask, 3, -1, 10, 12)
    canvas = rng.integers(0, 256, (10, 12), dtype=np.uint8)
    for value in (0, 1, 7, 255):
        for target in (canvas.copy(), np.asfortranarray(canvas), canvas[::-1].copy()[::-1]):
            visibility.paint(mask, 3, -1, target, value)
            np.testing.assert_array_equal(target, np.where(full, value, canvas))
    flags = np.ones((10, 12), bool)
    visibility.paint(mask, 3, -1, flags, 0)
    np.testing.assert_array_equal(flags, ~full)
    turned = np.zeros((12, 10), bool).T
    visibility.paint(mask, 3, -1, turned)
    np.testing.assert_array_equal(turned, full)


def test_wrong_arguments_are_named() -> None:
    mask, cover = np.ones((3, 3), bool), np.zeros((5, 5), bool)
    for function in (visibility.trim, visibility.paint):
        with pytest.raises(ArgumentError, match="mask: must be"):
            function(mask.astype(float), 0, 0, cover)
        with pytest.raises(ArgumentError, match="cover: must be"):
            function(mask, 0, 0, cover.astype(np.int32))
        with pytest.raises(TypeError):
            function(mask, 0.5, 0, cover)
    with pytest.raises(ArgumentError, match="cover: has 65536 columns"):
        visibility.trim(mask, 0, 0, np.zeros((1, 65_536), bool))
    with pytest.raises(ArgumentError, match="value: must be 0 to 1"):
        visibility.paint(mask, 0, 0, cover, 2)
    for value in (-1, 256):
        with pytest.raises(ArgumentError, match="value: must be 0 to 255"):
            visibility.paint(mask, 0, 0, cover.view(np.uint8), value)
        with pytest.raises(ArgumentError, match="value: must be 0 to 255"):
            visibility.trim(mask, 0, 0, cover.view(np.uint8), value)
    cover.flags.writeable = False
    with pytest.raises(ArgumentError, match="cover: is read-only"):
        visibility.paint(mask, 0, 0, cover)

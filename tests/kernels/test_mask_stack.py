"""Counting many masks at once, against each one widened to the whole canvas."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from empaste_aug.kernels import mask_stack
from empaste_aug.types import ArgumentError

side = st.integers(0, 12)
masks = arrays(np.bool_, st.tuples(side, side), elements=st.booleans())
place = st.integers(-14, 14)


def check_all(
    stack: list[tuple[np.ndarray, int, int]], top: tuple[np.ndarray, int, int], owner: np.ndarray
) -> None:
    """All three kernels on a stack of masks, another mask over them, and a map of owners."""
    height, width = owner.shape
    packed = mask_stack.pack_masks([m for m, _, _ in stack], [(x, y) for _, x, y in stack])
    pixels, table = packed
    assert (pixels.dtype, table.dtype, table.shape) == (np.uint8, np.int64, (len(stack), 5))
    below = [reference.widen(*entry, height, width) for entry in stack]
    over = reference.widen(*top, height, width)

    inside = mask_stack.count_inside(*packed, height, width)
    assert inside.shape == (len(stack), 2)
    assert inside.tolist() == [
        [np.count_nonzero(mask), full.sum()]
        for (mask, _, _), full in zip(stack, below, strict=True)
    ]
    uncovered = mask_stack.count_uncovered(*packed, owner)
    assert uncovered.tolist() == [(full & (owner == 0)).sum() for full in below]

    hidden, lost = mask_stack.count_hidden(*top, owner, *packed)
    assert hidden.tolist() == np.bincount(owner[over], minlength=256).tolist()
    assert lost.tolist() == [(full & over & (owner == 0)).sum() for full in below]


@settings(max_examples=200, deadline=None)
@given(
    stack=st.lists(st.tuples(masks, place, place), max_size=4),
    top=st.tuples(masks, place, place),
    owner=arrays(np.uint8, st.tuples(side, side), elements=st.sampled_from([0, 1, 2, 254, 255])),
    as_bytes=st.booleans(),
)
def test_any_masks_anywhere(stack, top, owner, as_bytes: bool) -> None:
    if as_bytes:
        stack = [(mask.astype(np.uint8) * 255, x, y) for mask, x, y in stack]
        top = (top[0].astype(np.uint8) * 7, *top[1:])
    check_all(stack, top, owner)


def test_larger_masks(rng: np.random.Generator) -> None:
    for _ in range(40):
        height, width = (int(v) for v in rng.integers(1, 61, 2))

        def draw(height=height, width=width) -> tuple[np.ndarray, int, int]:
            h, w = (int(v) for v in rng.integers(1, 61, 2))
            mask = rng.random((h, w)) < rng.choice([0.01, 0.5, 1.0])
            x, y = int(rng.integers(-w, width + 1)), int(rng.integers(-h, height + 1))
            return mask, x, y

        owner = rng.integers(0, 256, (height, width), dtype=np.uint8)
        owner[rng.random((height, width)) < rng.choice([0.0, 0.5, 1.0])] = 0
        check_all([draw() for _ in range(int(rng.integers(0, 8)))], draw(), owner)


def test_rows_longer_than_a_byte_counts() -> None:
    owner = np.zeros((3, 65_535), np.uint8)
    owner[1, 100:] = 9
    whole = np.ones((3, 65_535), bool)
    packed = mask_stack.pack_masks([whole, whole], [(0, 0), (-1, 2)])
    assert mask_stack.count_inside(*packed, 3, 65_535).tolist() == [
        [3 * 65_535, 3 * 65_535],
        [3 * 65_535, 65_534],
    ]
    free = 2 * 65_535 + 100
    assert mask_stack.count_uncovered(*packed, owner).tolist() == [free, 65_534]
    hidden, lost = mask_stack.count_hidden(whole, 0, 0, owner, *packed)
    assert (hidden[0], hidden[9], hidden.sum()) == (free, 65_435, 3 * 65_535)
    assert lost.tolist() == [free, 65_534]


def test_masks_wider_than_the_canvas_may_be() -> None:
    wide = np.ones((2, 70_000), bool)
    packed = mask_stack.pack_masks([wide], [(-69_990, 0)])
    assert mask_stack.count_inside(*packed, 5, 20).tolist() == [[140_000, 20]]
    hidden, lost = mask_stack.count_hidden(wide, -10, -1, np.zeros((5, 20), np.uint8), *packed)
    assert (hidden[0], lost.tolist()) == (20, [10])


def test_packing_keeps_the_order_and_takes_any_layout(rng: np.random.Generator) -> None:
    mask = rng.random((6, 8)) < 0.5
    frozen = mask.copy()
    frozen.flags.writeable = False
    layouts = [mask, np.asfortranarray(mask), mask[::-1, ::-1], np.zeros((0, 4), bool), frozen]
    pixels, table = mask_stack.pack_masks(layouts, [(n, -n) for n in range(5)])
    assert table[:, :4].tolist() == [[n, -n, *m.shape] for n, m in enumerate(layouts)]
    for row, layout in zip(table, layouts, strict=True):
        taken = pixels[row[4] : row[4] + layout.size].reshape(layout.shape)
        np.testing.assert_array_equal(taken != 0, layout)
    assert mask_stack.count_uncovered(*mask_stack.pack_masks([], []), mask).tolist() == []


def test_wrong_arguments_are_named() -> None:
    mask, owner = np.ones((3, 3), bool), np.zeros((5, 5), np.uint8)
    packed = mask_stack.pack_masks([mask], [(0, 0)])
    for wrong in (mask.astype(float), mask[0]):
        with pytest.raises(ArgumentError, match="masks: must be"):
            mask_stack.pack_masks([mask, wrong], [(0, 0), (1, 1)])
        with pytest.raises(ArgumentError, match="mask: must be"):
            mask_stack.count_hidden(wrong, 0, 0, owner, *packed)
    for cover in (owner.astype(np.int32), np.zeros((1, 65_536), bool)):
        with pytest.raises(ArgumentError, match="cover: "):
            mask_stack.count_uncovered(*packed, cover)
        with pytest.raises(ArgumentError, match="cover: "):
            mask_stack.count_hidden(mask, 0, 0, cover, *packed)
    with pytest.raises(TypeError):
        mask_stack.count_hidden(mask, 0.5, 0, owner, *packed)
    with pytest.raises(ValueError, match="zip"):
        mask_stack.pack_masks([mask], [])

"""Counting many cropped masks at once against a map of the whole canvas.

`visibility` has the operations on one mask. Here the masks below all pastes, those of the
originals, are packed into two arrays, so that one call counts them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._check import Mask, as_bytes, check_mask, check_writeable
from empaste_aug.kernels._jit import kernel
from empaste_aug.kernels.visibility import as_canvas, clip_span
from empaste_aug.types import ArgumentError


@kernel
def _count_inside(pixels: Any, table: Any, height: int, width: int, counts: Any) -> None:
    for k in range(table.shape[0]):
        x, y, h, w, start = table[k]
        upper, lower = clip_span(y, h, height)
        left, right = clip_span(x, w, width)
        total = inside = np.int64(0)
        mask = pixels[start : start + h * w]
        for j in range(mask.size):
            total += np.int64(mask[j] != 0)
        if (lower - upper) * (right - left) == mask.size:
            inside = total
        else:
            for i in range(upper, lower):
                row = mask[i * w + left : i * w + right]
                for j in range(row.size):
                    inside += np.int64(row[j] != 0)
        counts[k, 0], counts[k, 1] = total, inside


@kernel
def _count_uncovered(pixels: Any, table: Any, cover: Any, counts: Any) -> None:
    for k in range(table.shape[0]):
        x, y, h, w, start = table[k]
        upper, lower = clip_span(y, h, cover.shape[0])
        left, right = clip_span(x, w, cover.shape[1])
        count = np.int64(0)
        for i in range(upper, lower):
            row = pixels[start + i * w + left : start + i * w + right]
            over = cover[y + i, x + left : x + right]
            row_count = np.uint16(0)
            for j in range(row.size):
                row_count = np.uint16(row_count + np.uint16((row[j] != 0) & (over[j] == 0)))
            count += np.int64(row_count)
        counts[k] = count


@kernel
def _paint_stack(pixels: Any, table: Any, cover: Any) -> None:
    for k in range(table.shape[0]):
        x, y, h, w, start = table[k]
        upper, lower = clip_span(y, h, cover.shape[0])
        left, right = clip_span(x, w, cover.shape[1])
        for i in range(upper, lower):
            row = pixels[start + i * w + left : start + i * w + right]
            over = cover[y + i, x + left : x + right]
            for j in range(row.size):
                over[j] |= np.uint8(row[j] != 0)


@kernel
def _count_hidden(
    mask: Any, x: int, y: int, owner: Any, pixels: Any, table: Any, hidden: Any, lost: Any
) -> None:
    upper, lower = clip_span(y, mask.shape[0], owner.shape[0])
    left, right = clip_span(x, mask.shape[1], owner.shape[1])
    for i in range(upper, lower):
        row = mask[i, left:right]
        over = owner[y + i, x + left : x + right]
        any_owner = np.uint8(0)
        row_count = np.uint16(0)
        for j in range(row.size):
            any_owner |= over[j]
            row_count = np.uint16(row_count + np.uint16(row[j] != 0))
        if any_owner == 0:
            hidden[0] += np.int64(row_count)
            continue
        for j in range(row.size):
            if row[j] != 0:
                hidden[over[j]] += 1
    for k in range(table.shape[0]):
        ox, oy, h, w, start = table[k]
        x0, x1 = max(ox, x + left), min(ox + w, x + right)
        if x0 >= x1:
            continue
        count = np.int64(0)
        for i in range(max(oy, y + upper), min(oy + h, y + lower)):
            base = start + (i - oy) * w - ox
            original = pixels[base + x0 : base + x1]
            row = mask[i - y, x0 - x : x1 - x]
            over = owner[i, x0:x1]
            row_count = np.uint16(0)
            for j in range(row.size):
                taken = (original[j] != 0) & (row[j] != 0) & (over[j] == 0)
                row_count = np.uint16(row_count + np.uint16(taken))
            count += np.int64(row_count)
        lost[k] = count


def pack_masks(
    masks: Sequence[Mask], offsets: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Cropped masks in the form in which kernels take many at once.

    Args:
        masks: (h, w) bool or uint8 each, non-zero where it is set.
        offsets: (x, y) of each one's top-left pixel on the canvas; may be negative.

    Returns:
        (pixels, table): all masks' pixels, one after the other, (n,) uint8; and for each mask a
        row x, y, h, w, start of its first pixel in `pixels`, (len(masks), 5) int64.

    Raises:
        ArgumentError: a mask is not two-dimensional bool or uint8.
    """
    flat: list[Mask] = [np.zeros(0, np.bool_)]
    rows: list[int] = []
    start = 0
    for mask, (x, y) in zip(masks, offsets, strict=True):
        check_mask("masks", mask)
        flat.append(mask.reshape(-1))
        rows += (x, y, *mask.shape, start)
        start += mask.size
    return np.concatenate(flat).view(np.uint8), np.array(rows, np.int64).reshape(-1, 5)


def count_inside(
    pixels: NDArray[np.uint8], table: NDArray[np.int64], height: int, width: int
) -> NDArray[np.int64]:
    """How many pixels each mask has, and how many of them lie on a canvas of this size.

    Args:
        pixels, table: from `pack_masks`.
        height, width: the canvas's size.

    Returns:
        (len(table), 2) int64: all pixels, those on the canvas.
    """
    counts = np.zeros((len(table), 2), np.int64)
    _count_inside(pixels, table, index(height), index(width), counts)
    return counts


def count_uncovered(
    pixels: NDArray[np.uint8], table: NDArray[np.int64], cover: Mask
) -> NDArray[np.int64]:
    """How many of each mask's pixels lie on the canvas where `cover` is 0.

    Args:
        pixels, table: from `pack_masks`.
        cover: (H, W) bool or uint8, non-zero where the canvas is covered. Best C-contiguous.

    Returns:
        (len(table),) int64.

    Raises:
        ArgumentError: `cover` is not two-dimensional bool or uint8, or wider than
            `visibility.WIDEST`.
    """
    counts = np.zeros(len(table), np.int64)
    _count_uncovered(pixels, table, as_canvas(cover), counts)
    return counts


def paint_stack(
    pixels: NDArray[np.uint8], table: NDArray[np.int64], cover: NDArray[np.uint8]
) -> None:
    """Set `cover`, in place, under all masks; what lies off the canvas is ignored.

    Args:
        pixels, table: from `pack_masks`.
        cover: (H, W) uint8 of 0 and 1, C-contiguous.

    Raises:
        ArgumentError: `cover` is not such an array, is read-only, or wider than
            `visibility.WIDEST`.
    """
    over = as_canvas(cover)
    check_writeable("cover", cover)
    if cover.dtype != np.uint8 or not cover.flags.c_contiguous:
        raise ArgumentError("cover: must be C-contiguous uint8")
    _paint_stack(pixels, table, over)


def count_hidden(
    mask: Mask,
    x: int,
    y: int,
    owner: NDArray[np.uint8],
    pixels: NDArray[np.uint8],
    table: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What a mask that is laid on top would hide: of each owner, and of each mask below them all.

    Args:
        mask: (h, w) bool or uint8, non-zero where it is set.
        x: column of the canvas where the mask's left column lies; may be negative.
        y: row of the canvas where the mask's top row lies; may be negative.
        owner: (H, W) uint8: whose pixel it is, 0 for nobody's. Best C-contiguous.
        pixels, table: the masks below, from `pack_masks`.

    Returns:
        (hidden, lost): (256,) int64, the mask's pixels by their owner; (len(table),) int64, the
        pixels of each mask below that nobody owns and that it covers. What lies off the canvas is
        in neither.

    Raises:
        ArgumentError: an array is not two-dimensional bool or uint8, or `owner` is wider than
            `WIDEST`.
    """
    hidden, lost = np.zeros(256, np.int64), np.zeros(len(table), np.int64)
    shape, over = as_bytes("mask", mask), as_canvas(owner)
    _count_hidden(shape, index(x), index(y), over, pixels, table, hidden, lost)
    return hidden, lost

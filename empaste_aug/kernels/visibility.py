"""Trimming and painting cropped masks against a map of the whole canvas.

The label contract is decided with these: pastes are taken from the last to the first, each is
trimmed by the map of what lies over it, then painted into that map. A mask stays cropped: it is
a (h, w) array whose top-left pixel lies at (x, y) of the canvas, and may stick out on any side.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._check import Mask, as_bytes, check_writeable
from empaste_aug.kernels._jit import kernel
from empaste_aug.types import ArgumentError

WIDEST = 65535
"""Most columns of a canvas: a row's pixels are counted in 16 bits, which is twice as fast."""


@kernel
def clip_span(start: int, size: int, limit: int) -> tuple[int, int]:
    """The part of `size` pixels at `start` that lies in 0 to `limit`, counted from `start`."""
    first = min(max(0, -start), size)
    return first, max(first, min(size, limit - start))


@kernel
def widened(row: Any, left: int, right: int, x0: int, x1: int) -> tuple[int, int]:
    """The span x0 to x1, half-open, widened by what is set in a row from `left` to `right`."""
    for j in range(left, x0):
        if row[j]:
            x0 = j
            break
    for j in range(right - 1, x1 - 1, -1):
        if row[j]:
            x1 = j + 1
            break
    return x0, x1


@kernel
def _trim(mask: Any, x: int, y: int, cover: Any, value: int, visible: Any) -> Any:
    """Fill `visible`, zero at first; its count, x0, y0, x1, y1 in the mask's own coordinates."""
    upper, lower = clip_span(y, mask.shape[0], cover.shape[0])
    left, right = clip_span(x, mask.shape[1], cover.shape[1])
    count = np.int64(0)
    seen_as = np.uint8(value)
    x0, y0, x1, y1 = mask.shape[1], mask.shape[0], 0, 0
    for i in range(upper, lower):
        row = mask[i, left:right]
        over = cover[y + i, x + left : x + right]
        out = visible[i, left:right]
        row_count = np.uint16(0)
        for j in range(row.size):
            is_visible = (row[j] != 0) & (over[j] == seen_as)
            out[j] = is_visible
            row_count = np.uint16(row_count + np.uint16(is_visible))
        if row_count == 0:
            continue
        count += np.int64(row_count)
        y0, y1 = min(y0, i), i + 1
        x0, x1 = widened(visible[i], left, right, x0, x1)
    return count, x0, y0, x1, y1


@kernel
def paint_bytes(mask: Any, x: int, y: int, cover: Any, value: int) -> None:
    """`paint` without its checks, for C-contiguous uint8 arrays."""
    upper, lower = clip_span(y, mask.shape[0], cover.shape[0])
    left, right = clip_span(x, mask.shape[1], cover.shape[1])
    painted = np.uint8(value)
    for i in range(upper, lower):
        row = mask[i, left:right]
        over = cover[y + i, x + left : x + right]
        for j in range(row.size):
            before = over[j]
            over[j] = painted if row[j] else before


def trim(
    mask: Mask, x: int, y: int, cover: Mask, value: int = 0
) -> tuple[NDArray[np.bool_], tuple[int, int, int, int], int]:
    """A mask without its pixels that are covered or off the canvas, its box and its pixel count.

    Covered is where the canvas does not hold `value`.

    Args:
        mask: (h, w) bool or uint8, non-zero where it is set; left as it is.
        x: column of the canvas where the mask's left column lies; may be negative.
        y: row of the canvas where the mask's top row lies; may be negative.
        cover: (H, W) bool or uint8. Best C-contiguous.
        value: what the canvas holds where the mask is visible: 0 to 255, or 0 or 1 where `cover`
            is bool.

    Returns:
        (visible, (x0, y0, x1, y1), count): `visible` is (h, w) bool, still at (x, y); the box is
        its tight box, half-open and in canvas pixels, so that the cropped mask is
        ``visible[y0 - y : y1 - y, x0 - x : x1 - x]`` at (x0, y0); (0, 0, 0, 0) where count is 0.

    Raises:
        ArgumentError: an array is not two-dimensional bool or uint8, `cover` is wider than
            `WIDEST`, or `value` is out of range.
    """
    shape, over = as_bytes("mask", mask), as_canvas(cover)
    x, y = index(x), index(y)
    _check_value(value, cover)
    visible = np.zeros(shape.shape, np.uint8)
    count, x0, y0, x1, y1 = _trim(shape, x, y, over, index(value), visible)
    box = (x0 + x, y0 + y, x1 + x, y1 + y) if count else (0, 0, 0, 0)
    return visible.view(np.bool_), box, int(count)


def paint(mask: Mask, x: int, y: int, cover: Mask, value: int = 1) -> None:
    """Set `cover` to `value` under a mask, in place; mask pixels off the canvas are ignored.

    Args:
        mask: (h, w) bool or uint8, non-zero where it is set.
        x: column of the canvas where the mask's left column lies; may be negative.
        y: row of the canvas where the mask's top row lies; may be negative.
        cover: (H, W) bool or uint8, changed in place. Best C-contiguous, or it is copied twice.
        value: 0 to 255; 0 or 1 where `cover` is bool.

    Raises:
        ArgumentError: an array is not two-dimensional bool or uint8, `cover` is read-only, or
            `value` is out of range.
    """
    shape, over = as_bytes("mask", mask), as_bytes("cover", cover)
    check_writeable("cover", cover)
    _check_value(value, cover)
    paint_bytes(shape, index(x), index(y), over, index(value))
    if not cover.flags.c_contiguous:
        cover[...] = over.view(cover.dtype)


def _check_value(value: int, cover: Mask) -> None:
    highest = 1 if cover.dtype == np.bool_ else 255
    if not 0 <= index(value) <= highest:
        raise ArgumentError(
            f"value: must be 0 to {highest} where cover is {cover.dtype}, not {value}"
        )


def as_canvas(cover: Mask) -> NDArray[np.uint8]:
    """A canvas as bytes, no wider than `WIDEST`."""
    over = as_bytes("cover", cover)
    if over.shape[1] > WIDEST:
        raise ArgumentError(f"cover: has {over.shape[1]} columns; the most is {WIDEST}")
    return over

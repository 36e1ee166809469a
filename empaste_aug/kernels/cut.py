"""Where an image may change under a mask: inside it, on valid pixels, and on free ones."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._check import Mask, as_bytes, check_same_size
from empaste_aug.kernels._jit import kernel

_NOTHING = np.empty((0, 0), np.uint8)


@kernel
def _clear(row: Any) -> None:
    for i in range(row.size):
        row[i] = 0


@kernel
def _cut(
    mask: Any, x: int, y: int, size: Any, valid: Any, occupied: Any, keep: Any, shown: Any
) -> None:
    """`keep`: 1 on the image of this size where it is valid and free; `shown`: the mask there.

    `size` is (height, width), `mask` lies at (x, y); an empty `valid` or `occupied` bars nothing.
    """
    height, width = mask.shape
    left, right = min(max(-x, 0), width), max(min(size[1] - x, width), 0)
    for i in range(height):
        if not (0 <= y + i < size[0] and left < right):
            _clear(keep[i])
            _clear(shown[i])
            continue
        kept, seen, row = keep[i, left:right], shown[i, left:right], mask[i, left:right]
        _clear(keep[i, :left])
        _clear(keep[i, right:])
        _clear(shown[i, :left])
        _clear(shown[i, right:])
        if valid.size > 0:
            good = valid[y + i, x + left : x + right]
            for j in range(kept.size):
                kept[j] = np.uint8(good[j] != 0)
        else:
            for j in range(kept.size):
                kept[j] = np.uint8(1)
        if occupied.size > 0:
            taken = occupied[y + i, x + left : x + right]
            for j in range(kept.size):
                kept[j] &= np.uint8(taken[j] == 0)
        for j in range(kept.size):
            seen[j] = row[j] & kept[j]


def cut(
    mask: NDArray[np.bool_],
    x: int,
    y: int,
    height: int,
    width: int,
    *,
    valid: Mask | None = None,
    occupied: Mask | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Where an image may change under a mask, and what the mask shows there.

    Args:
        mask: (h, w) bool.
        x: column of the image where the mask's left column lies; may be negative.
        y: row of the image where the mask's top row lies; may be negative.
        height: of the image.
        width: of the image.
        valid: (height, width) bool or uint8, 0 where nothing may change; None: nowhere.
        occupied: (height, width) bool or uint8, not 0 where nothing may change; None: nowhere.

    Returns:
        (h, w) uint8, 1 inside the image where it is valid and not occupied; and (h, w) bool, the
        mask there.

    Raises:
        ArgumentError: an array has a wrong dtype or shape.
    """
    binary = as_bytes("mask", mask)
    x, y, image = index(x), index(y), (index(height), index(width))
    good = _NOTHING if valid is None else as_bytes("valid", valid)
    taken = _NOTHING if occupied is None else as_bytes("occupied", occupied)
    if valid is not None:
        check_same_size("valid", good, "the image", image)
    if occupied is not None:
        check_same_size("occupied", taken, "the image", image)
    keep = np.empty(binary.shape, np.uint8)
    shown = np.empty(binary.shape, np.bool_)
    _cut(binary, x, y, image, good, taken, keep, shown.view(np.uint8))
    return keep, shown

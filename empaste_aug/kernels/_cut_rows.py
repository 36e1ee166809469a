"""Where an image may change under a mask: inside it, on valid pixels, and on free ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel
from empaste_aug.kernels.visibility import widened


@kernel
def _clear(row: Any) -> None:
    for i in range(row.size):
        row[i] = 0


@kernel
def cut(
    mask: Any, x: int, y: int, size: Any, valid: Any, occupied: Any, keep: Any, shown: Any
) -> Any:
    """Fill `keep` and `shown`; the pixels of `shown` and their box in the image, zeros if none.

    `keep` is 1 on the image where it is valid and free, `shown` is the mask there. `size` is
    (height, width), `mask` lies at (x, y); an empty `valid` or `occupied` bars nothing.
    """
    height, width = mask.shape
    left, right = min(max(-x, 0), width), max(min(size[1] - x, width), 0)
    count = np.int64(0)
    x0, y0, x1, y1 = width, height, 0, 0
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
        row_count = np.uint32(0)
        for j in range(kept.size):
            seen[j] = row[j] & kept[j]
            row_count = np.uint32(row_count + np.uint32(seen[j]))
        if row_count == 0:
            continue
        count += np.int64(row_count)
        y0, y1 = min(y0, i), i + 1
        x0, x1 = widened(shown[i], left, right, x0, x1)
    if count == 0:
        return count, (0, 0, 0, 0)
    return count, (x0 + x, y0 + y, x1 + x, y1 + y)

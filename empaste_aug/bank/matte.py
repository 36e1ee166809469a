"""Flatten the colours of a crop that no paste shows, so that JPEG spends few bytes on them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MATTE_REACH = 8
"""How many pixels around the mask keep their colours. At scales down to a quarter, that is all that
soft edges and Poisson blending look at."""

_BLOCK = 8  # JPEG's


def flatten_outside(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of the crop whose colours far from the object are those of a flat surface.

    A pixel more than `MATTE_REACH` from every pixel that is not transparent, along rows and
    columns, takes the mean colour of the near pixels in its JPEG block; where there are none, of
    all near pixels.

    Args:
        rgb: (h, w, 3) uint8.
        alpha: (h, w) uint8.
    """
    height, width = alpha.shape
    rows, columns = -(-height // _BLOCK), -(-width // _BLOCK)
    near = np.zeros((rows * _BLOCK, columns * _BLOCK), np.uint8)
    near[:height, :width] = cv2.dilate(
        np.minimum(alpha, 1), np.ones((2 * MATTE_REACH + 1,) * 2, np.uint8)
    )
    if near[:height, :width].all():
        return rgb
    flat = np.zeros((*near.shape, 3), np.uint8)
    flat[:height, :width] = rgb
    flat *= near[..., None]
    blocks = flat.reshape(rows, _BLOCK, columns, _BLOCK, 3)
    counts = near.reshape(rows, _BLOCK, columns, _BLOCK).sum(axis=(1, 3), dtype=np.int64)
    sums = blocks.sum(axis=(1, 3), dtype=np.int64)
    total = max(int(counts.sum()), 1)
    overall = (2 * sums.sum(axis=(0, 1)) + total) // (2 * total)
    divisor = np.maximum(counts, 1)[..., None]
    means = np.where(counts[..., None] > 0, (2 * sums + divisor) // (2 * divisor), overall)
    blocks += (near == 0).reshape(rows, _BLOCK, columns, _BLOCK, 1) * means.astype(np.uint8)[
        :, None, :, None
    ]
    return np.ascontiguousarray(flat[:height, :width])

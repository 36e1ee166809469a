"""Cutting one object out of its photo, with a margin of the photo round it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError, tight_box

MARGIN = 4
"""Pixels of photo that a crop keeps round its mask, for soft edges."""


def margin_box(mask: NDArray[np.bool_], margin: int) -> tuple[int, int, int, int]:
    """A mask's tight box with a margin, clipped at the mask's array: (x0, y0, x1, y1), half-open.

    Args:
        mask: (H, W) bool, not empty.
        margin: in pixels, on every side.

    Raises:
        ArgumentError: the mask is empty.
    """
    box = tight_box(mask)
    if box is None:
        raise ArgumentError("mask: holds no pixel, so there is nothing to cut out")
    height, width = mask.shape
    return (
        max(int(box[0]) - margin, 0),
        max(int(box[1]) - margin, 0),
        min(int(box[2]) + margin, width),
        min(int(box[3]) + margin, height),
    )


def crop_with_margin(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], margin: int = MARGIN
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[int, int, int, int]]:
    """An object's crop, its alpha (255 inside the mask, else 0), and the crop's box.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, not empty.
        margin: pixels of photo to keep round the mask's tight box, clipped at the border.

    Returns:
        rgb (h, w, 3), alpha (h, w), and (x0, y0, x1, y1) in the photo, half-open.

    Raises:
        ArgumentError: the mask is empty.
    """
    x0, y0, x1, y1 = box = margin_box(mask, margin)
    alpha = mask[y0:y1, x0:x1].astype(np.uint8) * np.uint8(255)
    return np.ascontiguousarray(image[y0:y1, x0:x1]), alpha, box

"""Plane geometry of masks that more than one room needs."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError, Box, Circle

HALF_PIXEL_DIAGONAL = math.sqrt(2.0) / 2.0
"""How far a pixel's corner lies from its centre."""


def minimum_enclosing_circle(mask: NDArray[np.bool_]) -> Circle:
    """The smallest circle round a mask's pixel centres, enlarged by half a pixel's diagonal.

    It holds every pixel of the mask whole, corners included, so a cut-out that is rotated about
    the circle's centre stays inside the circle: this is r2 of Space-Maximize (paper, Alg. 2).
    The centre is OpenCV's (single precision); the radius is the exact distance from that centre
    to the farthest pixel centre, so that none is ever left outside.

    Args:
        mask: (h, w) bool, or any array whose nonzero pixels are the mask.

    Returns:
        (x, y, radius) in the mask's pixel coordinates, pixel centres being integers; one pixel
        has radius sqrt(2) / 2.

    Raises:
        ArgumentError: the mask is not two-dimensional, or holds no pixel.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ArgumentError(f"mask: shape (h, w) is wanted, not {mask.shape}")
    mask = mask.astype(bool, copy=False)
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        raise ArgumentError("mask: holds no pixel, so no circle encloses it")
    used = mask[rows]
    left = used.argmax(axis=1)
    right = mask.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    # The ends of each row are all the hull can touch.
    ends = np.stack([np.concatenate([left, right]), np.concatenate([rows, rows])], axis=1)
    (x, y), _ = cv2.minEnclosingCircle(ends.astype(np.float32))
    radius = float(np.hypot(ends[:, 0] - x, ends[:, 1] - y).max())
    return float(x), float(y), radius + HALF_PIXEL_DIAGONAL


def pixel_box(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """The pixels of an image that a box touches, half-open XYXY; (0, 0, 0, 0) where there are none.

    A box without extent touches none, wherever it lies.
    """
    x0, y0 = max(math.floor(box[0]), 0), max(math.floor(box[1]), 0)
    x1, y1 = min(math.ceil(box[2]), width), min(math.ceil(box[3]), height)
    has_extent = box[0] < box[2] and box[1] < box[3]
    return (x0, y0, x1, y1) if has_extent and x0 < x1 and y0 < y1 else (0, 0, 0, 0)

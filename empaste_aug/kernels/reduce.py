"""Shrinking a cut-out by a power of two, the step before a warp that shrinks it further.

A reduced pixel stands for a square of `factor` full-size pixels a side, so that the full-size x
lies at ``(x + 0.5) / factor - 0.5``. The last row and column may stand for squares that reach
beyond the array.
"""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._check import as_bytes, as_rgb
from empaste_aug.kernels._jit import kernel
from empaste_aug.types import ArgumentError

_LARGEST = 1 << 24  # the mean opacity is 0 already: no array has half as many pixels as the square

_U32 = np.uint32


def reduction_for(scale: float) -> int:
    """The power of two by which to reduce what is to be warped to `scale`, at least 1.

    What remains, ``scale * reduction_for(scale)``, is in [0.5, 1) for scales below 1.
    """
    return 1 << min(max(-math.frexp(scale)[1], 0), 1000)


@kernel
def _mean_row(sums: Any, channels: int, factor: int, rows: int, pads: bool, target: Any) -> None:
    """The means of the squares whose columns add up to `sums`, of which `rows` rows are there."""
    width = sums.size // channels
    inside = width // factor
    area = factor * (factor if pads else rows)
    for c in range(channels):
        column = sums[c:]
        if factor == 2:
            half, shift = _U32(area // 2), _U32(area // 2)  # an area of 2 or 4
            for x in range(inside):
                total = _U32(column[2 * channels * x] + column[2 * channels * x + channels])
                target[channels * x + c] = np.uint8(_U32(total + half) >> shift)
        else:
            for x in range(inside):
                brightness = np.int64(0)
                for i in range(x * factor, (x + 1) * factor):
                    brightness += np.int64(column[channels * i])
                target[channels * x + c] = np.uint8((2 * brightness + area) // (2 * area))
        if inside * factor < width:
            if not pads:
                area = rows * (width - inside * factor)
            brightness = np.int64(0)
            for i in range(inside * factor, width):
                brightness += np.int64(column[channels * i])
            target[channels * inside + c] = np.uint8((2 * brightness + area) // (2 * area))
            area = factor * (factor if pads else rows)


@kernel
def _reduce(source: Any, channels: int, factor: int, pads: bool, target: Any) -> None:
    """Rows of `channels` bytes a pixel. `pads`: what lies beyond the array counts as 0."""
    sums = np.empty(source.shape[1], np.uint32)
    for y in range(target.shape[0]):
        upper, lower = y * factor, min((y + 1) * factor, source.shape[0])
        row = source[upper]
        for i in range(sums.size):
            sums[i] = _U32(row[i])
        for other in range(upper + 1, lower):
            row = source[other]
            for i in range(sums.size):
                sums[i] = _U32(sums[i] + _U32(row[i]))
        _mean_row(sums, channels, factor, lower - upper, pads, target[y])


def _reduced(rows: NDArray[np.uint8], channels: int, factor: int, pads: bool) -> NDArray[np.uint8]:
    factor = min(index(factor), _LARGEST)
    if factor < 1:
        raise ArgumentError(f"factor: must be at least 1, not {factor}")
    if factor == 1:
        return rows
    height, width = -(-rows.shape[0] // factor), -(-(rows.shape[1] // channels) // factor)
    target = np.empty((height, channels * width), np.uint8)
    if target.size:
        _reduce(rows, channels, factor, pads, target)
    return target


def reduce_alpha(alpha: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """The mean opacity of every square; beyond the array it is 0. Halves are rounded up.

    Args:
        alpha: (h, w) uint8.
        factor: pixels a side of a square, at least 1.

    Returns:
        (ceil(h / factor), ceil(w / factor)) uint8; `alpha` itself if `factor` is 1.

    Raises:
        ArgumentError: `alpha` has another dtype or shape, or `factor` is below 1.
    """
    return _reduced(as_bytes("alpha", alpha), 1, factor, True)


def reduce_rgb(rgb: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """The mean colour of every square, of the part inside the array. Halves are rounded up.

    Args:
        rgb: (h, w, 3) uint8.
        factor: pixels a side of a square, at least 1.

    Returns:
        (ceil(h / factor), ceil(w / factor), 3) uint8; `rgb` itself if `factor` is 1.

    Raises:
        ArgumentError: `rgb` has another dtype or shape, or `factor` is below 1.
    """
    rgb = as_rgb("rgb", rgb)
    rows = rgb.reshape(rgb.shape[0], -1)
    reduced = _reduced(rows, 3, factor, False)
    return rgb if reduced is rows else reduced.reshape(reduced.shape[0], -1, 3)

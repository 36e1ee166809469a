"""The kernels that make a cut-out ready to be sampled by `_warp_rows`; `warp` calls them.

A packed pixel has 32 bits: opacity in the highest byte, then blue, green and red.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel

_U16, _U32 = np.uint16, np.uint32  # numba would widen arithmetic to 64 bits
_EIGHT, _SIXTEEN = _U32(8), _U32(16)
_COLOUR = _U32(0x00FFFFFF)


@kernel
def bound(alpha: Any, ux: float, uy: float, vx: float, vy: float) -> Any:
    """The octagon round the pixels that are not transparent, and their box in the image.

    Returns the least and the greatest x, y, x + y and x - y, then those of the column and the row
    of the image whose pixel comes from (x, y), if (0, 0) comes from (0, 0). The least x is above
    the greatest where there is no pixel.
    """
    height, width = alpha.shape
    scale = 1.0 / (ux * vy - uy * vx)
    low_x, high_x, low_y, high_y = width, -1, height, -1
    low_sum, high_sum, low_difference, high_difference = width + height, -1, width, -height
    left, right, top, bottom = math.inf, -math.inf, math.inf, -math.inf
    for y in range(height):
        row = alpha[y]
        first = 0
        while first < width and row[first] == 0:
            first += 1
        if first == width:
            continue
        last = width - 1
        while row[last] == 0:
            last -= 1
        low_x, high_x = min(low_x, first), max(high_x, last)
        low_y, high_y = min(low_y, y), y
        low_sum, high_sum = min(low_sum, first + y), max(high_sum, last + y)
        low_difference = min(low_difference, first - y)
        high_difference = max(high_difference, last - y)
        for x in (first, last):
            column, line = scale * (vy * x - uy * y), scale * (ux * y - vx * x)
            left, right = min(left, column), max(right, column)
            top, bottom = min(top, line), max(bottom, line)
    octagon = (
        (low_x, high_x),
        (low_y, high_y),
        (low_sum, high_sum),
        (low_difference, high_difference),
    )
    return octagon, (left, top, right, bottom)


@kernel
def frame(bounds: Any, inverse: Any, height: int, width: int, margin: int) -> Any:
    """(x0, y0, x1, y1) round the whole object and `margin`, and the window of it that is wanted.

    `bounds` are those in the image from `bound`. The window is the part of the box that lies in
    the image of this size or within `margin` of it.
    """
    left, top, right, bottom = bounds
    ux, uy, u0, vx, vy, v0 = inverse
    stretch = abs(ux * vy - uy * vx)
    sign = 1.0 if ux * vy > uy * vx else -1.0
    x, y = sign * (uy * v0 - vy * u0) / stretch, sign * (vx * u0 - ux * v0) / stretch
    across, down = (abs(vy) + abs(uy)) / stretch, (abs(vx) + abs(ux)) / stretch
    x0, y0 = math.floor(x + left - across) - margin, math.floor(y + top - down) - margin
    x1 = math.ceil(x + right + across) + margin + 1
    y1 = math.ceil(y + bottom + down) + margin + 1
    first, upper = min(max(x0, -margin), x1), min(max(y0, -margin), y1)
    last, lower = max(min(x1, width + margin), x0), max(min(y1, height + margin), y0)
    return (x0, y0, x1, y1), (first, upper, max(first, last), max(upper, lower))


@kernel
def _blur_rows(up: Any, middle: Any, down: Any, side: Any, centre: Any, target: Any) -> None:
    """(side, centre, side) / 256 across three rows of bytes."""
    for i in range(target.size):
        total = _U16(
            _U16(side * _U16(_U16(up[i]) + _U16(down[i]))) + _U16(centre * _U16(middle[i]))
        )
        target[i] = np.uint8(_U16(total + _U16(128)) >> _U16(8))


@kernel
def _pack_row(rgb: Any, alpha: Any, target: Any) -> None:
    for x in range(target.size):
        target[x] = (
            _U32(rgb[3 * x])
            | (_U32(rgb[3 * x + 1]) << _EIGHT)
            | (_U32(rgb[3 * x + 2]) << _SIXTEEN)
            | (_U32(alpha[x]) << _U32(24))
        )


@kernel
def _pad_row(row: Any, pad: int) -> None:
    """Repeat the colour of the outermost pixels inside the padding, with opacity 0."""
    left, right = row[pad] & _COLOUR, row[row.size - 1 - pad] & _COLOUR
    for x in range(pad):
        row[x] = left
        row[row.size - 1 - x] = right


@kernel
def pack(rgb: Any, alpha: Any, side: int, pad: int, packed: Any) -> None:
    """Fill `packed`: the cut-out, blurred by (side, 256 - 2 side, side) / 256.

    `rgb` (h, 3 w) and `alpha` (h, w) go to (h + 2 pad, w + 2 pad) uint32; round them colours repeat
    and the opacity is 0. `pad` >= 2.
    """
    height, width = alpha.shape
    if side == 0:
        for y in range(height):
            row = packed[y + pad]
            _pack_row(rgb[y], alpha[y], row[pad : pad + width])
            _pad_row(row, pad)
        first, last = pad, pad + height - 1
    else:
        # The blur carries the opacity one pixel beyond the cut-out.
        _pack_blurred(rgb, alpha, side, pad, packed)
        first, last = pad - 1, pad + height
    for y in range(packed.shape[0]):
        if y < first or y > last:
            row, edge = packed[y], packed[first if y < first else last]
            for x in range(row.size):
                row[x] = edge[x] & _COLOUR


@kernel
def _pack_blurred(rgb: Any, alpha: Any, side: int, pad: int, packed: Any) -> None:
    height, width = alpha.shape
    outer, centre = _U16(side), _U16(256 - 2 * side)
    none = np.zeros(width, np.uint8)
    colours = np.empty(3 * (width + 4), np.uint8)  # a row with two more pixels on either side
    opacities = np.zeros(width + 4, np.uint8)
    blurred = np.empty(3 * (width + 2), np.uint8)
    faded = np.empty(width + 2, np.uint8)
    for y in range(-1, height + 1):
        above, here, below = max(y - 1, 0), min(max(y, 0), height - 1), min(y + 1, height - 1)
        _blur_rows(rgb[above], rgb[here], rgb[below], outer, centre, colours[6 : 6 + 3 * width])
        for c in range(3):
            colours[c] = colours[3 + c] = colours[6 + c]
            last = colours[3 * (width + 1) + c]
            colours[3 * (width + 2) + c] = colours[3 * (width + 3) + c] = last
        _blur_rows(
            alpha[y - 1] if y >= 1 else none,
            alpha[y] if 0 <= y < height else none,
            alpha[y + 1] if y + 1 < height else none,
            outer,
            centre,
            opacities[2 : 2 + width],
        )
        _blur_rows(colours, colours[3:], colours[6:], outer, centre, blurred)
        _blur_rows(opacities, opacities[1:], opacities[2:], outer, centre, faded)
        row = packed[y + pad]
        _pack_row(blurred, faded, row[pad - 1 : pad + width + 1])
        _pad_row(row, pad - 1)


@kernel
def measure(packed: Any) -> Any:
    """(rows - 1, columns - 1) uint8: how far every cell of four neighbours is from a mixed one.

    0 where some of the four belong to the mask and some do not; else the number of steps, diagonal
    ones included, to the nearest such cell, at most 255. All cells nearer than that are alike.
    """
    rows, columns = packed.shape[0] - 1, packed.shape[1] - 1
    steps = np.empty((rows, columns), np.uint8)
    for y in range(rows):
        above, below = packed[y], packed[y + 1]
        for x in range(columns):
            some = (above[x] | above[x + 1] | below[x] | below[x + 1]) >> _U32(31)
            every = (above[x] & above[x + 1] & below[x] & below[x + 1]) >> _U32(31)
            steps[y, x] = 255 if some == every else 0
    for y in range(1, rows):
        for x in range(columns):
            least = min(steps[y, x], steps[y - 1, x] + 1)
            if x > 0:
                least = min(least, steps[y - 1, x - 1] + 1, steps[y, x - 1] + 1)
            if x + 1 < columns:
                least = min(least, steps[y - 1, x + 1] + 1)
            steps[y, x] = least
    for y in range(rows - 2, -1, -1):
        for x in range(columns - 1, -1, -1):
            least = min(steps[y, x], steps[y + 1, x] + 1)
            if x > 0:
                least = min(least, steps[y + 1, x - 1] + 1)
            if x + 1 < columns:
                least = min(least, steps[y + 1, x + 1] + 1, steps[y, x + 1] + 1)
            steps[y, x] = least
    return steps

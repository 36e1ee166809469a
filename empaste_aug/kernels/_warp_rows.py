"""The kernels of warping, row by row; `warp` holds their public wrapper.

Colour and opacity travel together, a pixel in 32 bits: opacity in the highest byte, then blue,
green and red. Two bytes at a time are mixed in one 32-bit multiplication, eight pixels side by side
in a vector register; only the fetching of the four neighbours cannot be vectorised, so it has a
loop of its own.

All in one file: numba's cache on disk is renewed for the file that changed, not for its callers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel

_U32, _U64 = np.uint32, np.uint64  # numba would widen arithmetic to 64 bits
_EIGHT, _SIXTEEN, _BYTE = _U32(8), _U32(16), _U32(255)
_LOW, _HIGH, _HALF = _U32(0x00FF00FF), _U32(0xFF00FF00), _U32(0x00800080)
_ONE = 65536.0  # coordinates are in 65536ths within a chunk
_CHUNK = 256  # pixels whose neighbours are fetched together; longer ones would round more
_FIELDS = 7
_ACROSS, _DOWN, _UPPER_LEFT, _UPPER_RIGHT, _LOWER_LEFT, _LOWER_RIGHT = (
    _U64(_CHUNK * field) for field in range(1, _FIELDS)
)
_GRAIN = 32  # arithmetic on whole vectors is cheaper than on the rest of one
_SLACK = 0.01  # pixels by which spans keep off the source's border; rounding is below 0.003


@kernel
def _clear(row: Any) -> None:
    for i in range(row.size):
        row[i] = 0


@kernel
def _narrow(start: float, step: float, low: float, high: float, first: int, last: int) -> Any:
    """The part of the columns first..last where start + step * x is in [low, high]."""
    if abs(step) < 1e-9:
        return (first, last) if low <= start <= high else (first, first)
    one, other = (low - start) / step, (high - start) / step
    if one > other:
        one, other = other, one
    # Clamped before they become integers: they may be large.
    left = math.ceil(min(max(one, float(first)), float(last)))
    return left, max(left, math.floor(min(max(other, first - 1.0), last - 1.0)) + 1)


@kernel
def _span(slabs: Any, u: float, ux: float, v: float, vx: float, width: int) -> Any:
    """The columns of a row, up to `width`, where (u + ux x, v + vx x) is between the slabs."""
    left, right = _narrow(u, ux, slabs[0][0], slabs[0][1], 0, width)
    left, right = _narrow(v, vx, slabs[1][0], slabs[1][1], left, right)
    left, right = _narrow(u + v, ux + vx, slabs[2][0], slabs[2][1], left, right)
    return _narrow(u - v, ux - vx, slabs[3][0], slabs[3][1], left, right)


@kernel
def _slabs(octagon: Any, pad: int, reach: float, inverse: Any, shape: Any) -> Any:
    """Where the samples of the object and of what is within `reach` pixels of it lie.

    In coordinates of the packed cut-out of this shape: bounds of x, y, x + y and x - y, wider by
    the pixel in which opacity fades, and inside by what coordinates are rounded by.
    """
    ux, uy, _, vx, vy, _ = inverse
    across, down = 1.0 + reach * (abs(ux) + abs(uy)), 1.0 + reach * (abs(vx) + abs(vy))
    total = 1.0 + reach * (abs(ux + vx) + abs(uy + vy))
    difference = 1.0 + reach * (abs(ux - vx) + abs(uy - vy))
    return (
        (
            max(octagon[0][0] + pad - across, _SLACK),
            min(octagon[0][1] + pad + across, shape[1] - 1 - _SLACK),
        ),
        (
            max(octagon[1][0] + pad - down, _SLACK),
            min(octagon[1][1] + pad + down, shape[0] - 1 - _SLACK),
        ),
        (octagon[2][0] + 2 * pad - total, octagon[2][1] + 2 * pad + total),
        (octagon[3][0] - difference, octagon[3][1] + difference),
    )


@kernel
def _locate(size: int, u: Any, v: Any, du: Any, dv: Any, stride: Any, work: Any) -> None:
    """Where the samples' upper left neighbours lie, and the weights."""
    for i in range(size):
        x, y, k = _U32(u + _U32(_U32(i) * du)), _U32(v + _U32(_U32(i) * dv)), _U64(i)
        work[k] = _U32(_U32(_U32(y >> _SIXTEEN) * stride) + _U32(x >> _SIXTEEN))
        work[_ACROSS + k] = (x >> _EIGHT) & _BYTE
        work[_DOWN + k] = (y >> _EIGHT) & _BYTE


@kernel
def _fetch(source: Any, base: Any, stride: Any, size: int, work: Any) -> None:
    """The four neighbours of every sample."""
    for i in range(size):
        k = _U64(i)
        at = base + _U64(work[k])
        work[_UPPER_LEFT + k] = source[at]
        work[_UPPER_RIGHT + k] = source[at + _U64(1)]
        work[_LOWER_LEFT + k] = source[at + stride]
        work[_LOWER_RIGHT + k] = source[at + stride + _U64(1)]


@kernel
def _mix(low: Any, high: Any, weight: Any) -> Any:
    """Two bytes of 16 bits each: low + (high - low) * weight / 256, rounded, before the shift."""
    return _U32(_U32(_U32(low << _EIGHT) + _U32(weight * _U32(high - low))) + _HALF)


@kernel
def _interpolate(size: int, work: Any) -> None:
    """The bilinear mixtures of what `_fetch` brought."""
    for i in range(size):
        k = _U64(i)
        p, q = work[_UPPER_LEFT + k], work[_UPPER_RIGHT + k]
        r, s = work[_LOWER_LEFT + k], work[_LOWER_RIGHT + k]
        fx, fy = work[_ACROSS + k], work[_DOWN + k]
        top = (_mix(p & _LOW, q & _LOW, fx) >> _EIGHT) & _LOW
        bottom = (_mix(r & _LOW, s & _LOW, fx) >> _EIGHT) & _LOW
        even = (_mix(top, bottom, fy) >> _EIGHT) & _LOW
        top = (_mix((p >> _EIGHT) & _LOW, (q >> _EIGHT) & _LOW, fx) >> _EIGHT) & _LOW
        bottom = (_mix((r >> _EIGHT) & _LOW, (s >> _EIGHT) & _LOW, fx) >> _EIGHT) & _LOW
        work[k] = even | (_mix(top, bottom, fy) & _HIGH)


@kernel
def _sample(
    source: Any, stride: int, u: float, ux: float, v: float, vx: float, size: int, work: Any
) -> Any:
    """Bilinear samples at (u + i ux, v + i vx), i < size <= _CHUNK, into work[:size].

    Returns how many of them belong to the mask.
    """
    column = math.floor(min(u, u + ux * (size - 1)) - _SLACK / 2)
    line = math.floor(min(v, v + vx * (size - 1)) - _SLACK / 2)
    whole = (size + _GRAIN - 1) // _GRAIN * _GRAIN
    _locate(
        whole,
        _U32(np.int64((u - column) * _ONE + 0.5)),
        _U32(np.int64((v - line) * _ONE + 0.5)),
        _U32(np.int64(np.rint(ux * _ONE))),
        _U32(np.int64(np.rint(vx * _ONE))),
        _U32(stride),
        work,
    )
    _fetch(source, _U64(line * stride + column), _U64(stride), size, work)
    _interpolate(whole, work)
    total = _U32(0)
    for i in range(size):
        total = _U32(total + _U32(work[_U64(i)] >> _U32(31)))
    return np.int64(total)


@kernel
def _store(work: Any, rgb: Any, mask: Any) -> None:
    for i in range(mask.size):
        pixel = work[i]
        rgb[3 * i] = np.uint8(pixel)
        rgb[3 * i + 1] = np.uint8(pixel >> _EIGHT)
        rgb[3 * i + 2] = np.uint8(pixel >> _SIXTEEN)
        mask[i] = np.uint8(pixel >> _U32(31))


@kernel
def _fill(packed: Any, slabs: Any, inverse: Any, rgb: Any, mask: Any) -> int:
    """Fill `rgb` (h, 3 w) and the 0/1 `mask` (h, w); the number of the mask's pixels.

    Column x of row y shows packed[vx x + vy y + v0, ux x + uy y + u0], and black with an empty mask
    where that is outside the slabs.
    """
    ux, uy, u0, vx, vy, v0 = inverse
    height, width = mask.shape
    source, stride = packed.reshape(packed.size), packed.shape[1]
    work = np.zeros(_FIELDS * _CHUNK, np.uint32)
    total = 0
    for y in range(height):
        u, v = uy * y + u0, vy * y + v0
        left, right = _span(slabs, u, ux, v, vx, width)
        colours, row = rgb[y], mask[y]
        _clear(colours[: 3 * left])
        _clear(row[:left])
        for x in range(left, right, _CHUNK):
            size = min(_CHUNK, right - x)
            total += _sample(source, stride, ux * x + u, ux, vx * x + v, vx, size, work)
            _store(work, colours[3 * x : 3 * (x + size)], row[x : x + size])
        _clear(colours[3 * right :])
        _clear(row[right:])
    return total


@kernel
def _stay(place: float, step: float, cell: Any, radius: Any) -> Any:
    """How many steps lead out of the cells that are less than `radius` away."""
    if step > 0.0:
        return (cell + radius - place) / step
    if step < 0.0:
        return (place - (cell + 1 - radius)) / -step
    return math.inf


@kernel
def _walk(
    packed: Any, steps: Any, u: float, ux: float, v: float, vx: float, size: int, work: Any
) -> int:
    """The mask's pixels among the samples at (u + i ux, v + i vx), i < size.

    `steps` is what `measure` returns, to sample only where the mask may change; or empty.
    """
    source, stride = packed.reshape(packed.size), packed.shape[1]
    total = 0
    i = 0
    while i < size:
        x, y = u + ux * i, v + vx * i
        few = min(_CHUNK, size - i)
        if steps.size > 0:
            column, line = np.int64(x), np.int64(y)
            away = np.int64(steps[line, column])
            radius = max(away, 1)
            stay = min(_stay(x, ux, column, radius), _stay(y, vx, line, radius), float(size - i))
            alike = max(1, math.ceil(stay))
            if away > 0:
                total += alike * np.int64(packed[line, column] >> _U32(31))
                i += alike
                continue
            few = min(few, alike)
        total += _sample(source, stride, x, ux, y, vx, few, work)
        i += few
    return total


@kernel
def _count_outside(
    packed: Any, slabs: Any, steps: Any, inverse: Any, width: int, height: int, hole: Any
) -> int:
    """The mask's pixels in a canvas of this size but for `hole` (x0, y0, x1, y1); see `_fill`."""
    ux, uy, u0, vx, vy, v0 = inverse
    x0, y0, x1, y1 = hole
    work = np.zeros(_FIELDS * _CHUNK, np.uint32)
    total = 0
    for y in range(height):
        u, v = uy * y + u0, vy * y + v0
        left, right = _span(slabs, u, ux, v, vx, width)
        inside = y0 <= y < y1
        end = min(right, x0) if inside else right
        total += _walk(packed, steps, ux * left + u, ux, vx * left + v, vx, end - left, work)
        if inside:
            left = max(left, x1)
            total += _walk(packed, steps, ux * left + u, ux, vx * left + v, vx, right - left, work)
    return total


@kernel
def _moved(inverse: Any, x: int, y: int, pad: int) -> Any:
    """The map for a canvas whose top left pixel is (x, y), to the packed cut-out."""
    ux, uy, u0, vx, vy, v0 = inverse
    return ux, uy, ux * x + uy * y + u0 + pad, vx, vy, vx * x + vy * y + v0 + pad


@kernel
def warp(
    packed: Any,
    pad: int,
    octagon: Any,
    reach: float,
    steps: Any,
    inverse: Any,
    box: Any,
    window: Any,
    rgb: Any,
    mask: Any,
) -> int:
    """Fill `rgb` (h, 3 w) and the 0/1 `mask` (h, w) for `window`; the mask's pixels in `box`.

    `inverse` leads to coordinates of the cut-out without the padding; see `_slabs` and `_walk`.
    """
    left, top, right, bottom = window
    x0, y0, x1, y1 = box
    slabs = _slabs(octagon, pad, reach, inverse, packed.shape)
    total = _fill(packed, slabs, _moved(inverse, left, top, pad), rgb, mask)
    if left > x0 or top > y0 or right < x1 or bottom < y1:
        hole = left - x0, top - y0, right - x0, bottom - y0
        whole = _moved(inverse, x0, y0, pad)
        slabs = _slabs(octagon, pad, 0.0, inverse, packed.shape)
        total += _count_outside(packed, slabs, steps, whole, x1 - x0, y1 - y0, hole)
    return total

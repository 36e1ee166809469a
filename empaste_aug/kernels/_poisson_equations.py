"""Poisson blending, step 3: the equation of every rim cell.

A cell's equation is a balance of flows: conductances to its four neighbours, and to the known
pixels, here called its leak. A plain cell has four conductances of 1 and no leak. A cell of the
next level is twice as wide and twice as far from its neighbour, so that in the plain the equation
is the same at every level, and the residual is handed on as a sum over 2x2 cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel
from empaste_aug.kernels._poisson_layout import (
    HEIGHT,
    MARGIN,
    ROW_OFFSET,
    WIDTH,
    byte_map,
)

_F32 = np.float32
_FLAT_RESISTANCE = _F32(0.2)
_POINT_RESISTANCE = _F32(np.log(2) / (2 * np.pi))
"""What a level adds between a cell's centre and the known pixels: along a straight outline, and
around a single known pixel, where the flow is radial. The former is tuned: 0.5 by geometry, less
because a cell at the outline may be unknown by a corner only; too little converges more slowly, too
much not at all."""


@kernel
def _fix_pixels(
    region: Any,
    fixed: Any,
    image: Any,
    rgb: Any,
    left: int,
    top: int,
    x0: int,
    y0: int,
    rim_start: Any,
    rim: Any,
    leak: Any,
    source: Any,
) -> None:
    """Level 0: count each rim pixel's boundary values and add up their image - rgb."""
    last_y, last_x = rgb.shape[0] - 1, rgb.shape[1] // 3 - 1
    for y in range(region.shape[0] - 2):
        for k in range(rim_start[2 * y], rim_start[2 * y + 2]):
            for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                if fixed[y + 1 + dy, rim[k] + MARGIN + dx] != 0:
                    leak[k] += _F32(1)
                    px, py = left + rim[k] + dx, top + y + dy
                    near_x, near_y = min(max(px, 0), last_x), min(max(py, 0), last_y)
                    for c in range(3):
                        source[k, c] += _F32(image[y0 + py, 3 * (x0 + px) + c])
                        source[k, c] -= _F32(rgb[near_y, 3 * near_x + c])


@kernel
def _connect_pixels(region: Any, east: Any, south: Any) -> None:
    """Conductances to the right and down at level 0; these maps have a margin of one cell."""
    width = east.shape[1] - 2
    for y in range(1, east.shape[0] - 1):
        here, down = region[y, MARGIN:], region[y + 1, MARGIN:]
        to_east, to_south = east[y, 1:], south[y, 1:]
        for x in range(width):
            to_east[x] = _F32(here[x] & here[x + 1])
            to_south[x] = _F32(here[x] & down[x])


@kernel
def _connect_cells(
    entry: Any, plain: Any, rim_start: Any, rim: Any, fine: Any, east: Any, south: Any
) -> None:
    """The next level's conductances from those of the one below, `fine` (east, south)."""
    fine_east, fine_south = fine
    half = _F32(0.5)  # two side by side, each twice as long
    for y in range(entry[HEIGHT]):
        marks, to_east, to_south = plain[y + 1, MARGIN:], east[y + 1, 1:], south[y + 1, 1:]
        for x in range(entry[WIDTH]):
            to_east[x] = to_south[x] = _F32(marks[x])
        row = 2 * (entry[ROW_OFFSET] + y)
        for k in range(rim_start[row], rim_start[row + 2]):
            x, yy = rim[k], 2 * y + 1
            xx = 2 * x + 1
            to_east[x] = half * (fine_east[yy, xx + 1] + fine_east[yy + 1, xx + 1])
            to_south[x] = half * (fine_south[yy + 1, xx] + fine_south[yy + 1, xx + 1])


@kernel
def _pass_leaks(
    fine: Any,
    entry: Any,
    fine_plain: Any,
    plain: Any,
    rim_start: Any,
    rim: Any,
    filled: Any,
    leak: Any,
    source: Any,
) -> None:
    """Hand leaks and boundary values on from a level to the next.

    A cell's centre lies farther from the known pixels than its parts' centres; the more, the more
    of the cell is unknown (`filled`, a share). That lowers the conductance.
    """
    where = np.empty((entry[HEIGHT], entry[WIDTH]), np.int32)
    for y in range(entry[HEIGHT]):
        row = 2 * (entry[ROW_OFFSET] + y)
        for k in range(rim_start[row], rim_start[row + 2]):
            where[y, rim[k]] = k
    leaking = np.zeros(rim.size, np.uint8)
    quarter = _F32(0.25)
    for y in range(fine[HEIGHT]):
        row = 2 * (fine[ROW_OFFSET] + y)
        for k in range(rim_start[row], rim_start[row + 2]):
            if plain[(y >> 1) + 1, (rim[k] >> 1) + MARGIN] == 0:
                cell = where[y >> 1, rim[k] >> 1]
                filled[cell] += quarter * filled[k]
                leaking[cell] += np.uint8(leak[k] > 0)
    for y in range(entry[HEIGHT]):
        row = 2 * (entry[ROW_OFFSET] + y)
        for k in range(rim_start[row], rim_start[row + 2]):
            a, b, x = fine_plain[2 * y + 1], fine_plain[2 * y + 2], 2 * rim[k] + MARGIN
            filled[k] += quarter * _F32(a[x] + a[x + 1] + b[x] + b[x + 1])
    for y in range(fine[HEIGHT]):
        row = 2 * (fine[ROW_OFFSET] + y)
        for k in range(rim_start[row], rim_start[row + 2]):
            if leak[k] > 0:
                cell = where[y >> 1, rim[k] >> 1]
                more = min(max(_F32(2) * filled[cell] - filled[k], _F32(0)), _F32(1))
                resistance = _FLAT_RESISTANCE * more
                if leaking[cell] == 1:
                    resistance = min(resistance, _POINT_RESISTANCE)
                share = _F32(1) / (_F32(1) + resistance * leak[k])
                leak[cell] += share * leak[k]
                for c in range(3):
                    source[cell, c] += share * source[k, c]


@kernel
def _set_level(
    entry: Any, rim_start: Any, rim: Any, east: Any, south: Any, leak: Any, equations: Any
) -> None:
    """Each rim cell's conductances east, west, south, north, their sum with the leak, 1 / sum."""
    for y in range(entry[HEIGHT]):
        row = 2 * (entry[ROW_OFFSET] + y)
        for k in range(rim_start[row], rim_start[row + 2]):
            x, line = rim[k], equations[k]
            line[0], line[1] = east[y + 1, x + 1], east[y + 1, x]
            line[2], line[3] = south[y + 1, x + 1], south[y, x + 1]
            line[4] = line[0] + line[1] + line[2] + line[3] + leak[k]
            line[5] = _F32(1) / line[4]


@kernel
def set_equations(
    region: Any,
    fixed: Any,
    image: Any,
    rgb: Any,
    left: int,
    top: int,
    x0: int,
    y0: int,
    table: Any,
    plain: Any,
    rim_start: Any,
    rim: Any,
) -> Any:
    """(equations, source) of all rim cells.

    `equations` (n, 6) float32 are the conductances east, west, south, north, their sum with the
    leak, and 1 / that sum; `source` (n, 3) the leaks' conductances times image - rgb.
    """
    equations, source = np.zeros((rim.size, 6), np.float32), np.zeros((rim.size, 3), np.float32)
    leak, filled = np.zeros(rim.size, np.float32), np.ones(rim.size, np.float32)
    pixels = rim_start[2 * table[0, HEIGHT]]
    filled[pixels:] = _F32(0)
    _fix_pixels(region, fixed, image, rgb, left, top, x0, y0, rim_start, rim, leak, source)
    size = table[0, HEIGHT] + 2, table[0, WIDTH] + 2
    east, south = np.zeros(size, np.float32), np.zeros(size, np.float32)
    _connect_pixels(region, east, south)
    _set_level(table[0], rim_start, rim, east, south, leak, equations)
    for level in range(1, len(table)):
        entry, below = table[level], table[level - 1]
        here_plain, below_plain = byte_map(plain, entry), byte_map(plain, below)
        fine = east, south
        size = entry[HEIGHT] + 2, entry[WIDTH] + 2
        east, south = np.zeros(size, np.float32), np.zeros(size, np.float32)
        _connect_cells(entry, here_plain, rim_start, rim, fine, east, south)
        _pass_leaks(below, entry, below_plain, here_plain, rim_start, rim, filled, leak, source)
        _set_level(entry, rim_start, rim, east, south, leak, equations)
    return equations, source

"""Poisson blending, step 4: solve the equations by full multigrid.

The coarsest level, one cell, is solved; each finer level starts from the one before and runs a V
cycle; the finest runs another one, and more while they change much. A cycle relaxes once on the
way down and once on the way up, red cells, then black ones; it hands residuals down as sums over
2x2 cells, and corrections up by bilinear interpolation.
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
    values,
    weave,
)

_F32 = np.float32
_QUARTER, _THREE_QUARTERS, _FOUR = _F32(0.25), _F32(0.75), _F32(4)
_SMALL_CHANGE = _F32(1.5)  # grey levels on the rim, of which about a tenth is left to do
_SMALL_REST = _F32(0.25)  # grey levels left to do, as far as two changes tell
_MOST_CYCLES = 100


@kernel
def _average(out: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    for i in range(out.size):
        out[i] = _QUARTER * ((a[i] + b[i]) + (c[i] + d[i]))


@kernel
def _average_with(out: Any, a: Any, b: Any, c: Any, d: Any, load: Any) -> None:
    for i in range(out.size):
        out[i] = _QUARTER * ((a[i] + b[i]) + (c[i] + d[i]) + load[i])


@kernel
def _relax_half_row(y: int, parity: int, grid: Any, load: Any, entry: Any, cells: Any) -> None:
    """Solve the equations of a row's even or odd columns; their neighbours have other colours."""
    run_start, runs, rim_start, rim, equations, source = cells
    own, other = grid[y + 1, parity], grid[y + 1, 1 - parity]
    up, down = grid[y, parity], grid[y + 2, parity]
    row = entry[ROW_OFFSET] + y
    west = 3 * parity - 3
    for k in range(run_start[row], run_start[row + 1]):
        i = 3 * ((runs[k, 0] - parity + 1) // 2) + 3
        j = 3 * ((runs[k, 1] - parity + 1) // 2) + 3
        left, right = other[i + west : j + west], other[i + west + 3 : j + west + 3]
        if load.size > 0:
            _average_with(own[i:j], up[i:j], down[i:j], left, right, load[y + 1, parity, i:j])
        else:
            _average(own[i:j], up[i:j], down[i:j], left, right)
    for k in range(rim_start[2 * row + parity], rim_start[2 * row + parity + 1]):
        i = 3 * (rim[k] >> 1) + 3
        e, w, s, n, scale = (
            equations[k, 0],
            equations[k, 1],
            equations[k, 2],
            equations[k, 3],
            equations[k, 5],
        )
        for c in range(i, i + 3):
            total = load[y + 1, parity, c] if load.size > 0 else source[k, c - i]
            total += e * other[c + west + 3] + w * other[c + west] + s * down[c] + n * up[c]
            own[c] = scale * total


@kernel
def _relax(grid: Any, load: Any, entry: Any, cells: Any) -> None:
    """One red-black sweep; the black half follows a row behind, while the rows are in cache."""
    height = entry[HEIGHT]
    for y in range(height + 1):
        if y < height:
            _relax_half_row(y, y & 1, grid, load, entry, cells)
        if y > 0:
            _relax_half_row(y - 1, y & 1, grid, load, entry, cells)


@kernel
def _add_residual(out: Any, own: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    for i in range(out.size):
        out[i] += ((a[i] + b[i]) + (c[i] + d[i])) - _FOUR * own[i]


@kernel
def _add_residual_with(out: Any, own: Any, a: Any, b: Any, c: Any, d: Any, load: Any) -> None:
    for i in range(out.size):
        out[i] += (((a[i] + b[i]) + (c[i] + d[i])) - _FOUR * own[i]) + load[i]


@kernel
def _restrict(grid: Any, load: Any, entry: Any, cells: Any, coarse_load: Any, coarse: Any) -> None:
    """Sum the residuals over 2x2 cells; after a sweep only those of red cells are not 0."""
    run_start, runs, rim_start, rim, equations, source = cells
    sums = np.empty(grid.shape[2], np.float32)
    for coarse_y in range(coarse[HEIGHT]):
        sums[:] = _F32(0)
        for y in range(2 * coarse_y, min(2 * coarse_y + 2, entry[HEIGHT])):
            parity = y & 1
            own, other = grid[y + 1, parity], grid[y + 1, 1 - parity]
            up, down = grid[y, parity], grid[y + 2, parity]
            row = entry[ROW_OFFSET] + y
            west = 3 * parity - 3
            for k in range(run_start[row], run_start[row + 1]):
                i = 3 * ((runs[k, 0] - parity + 1) // 2) + 3
                j = 3 * ((runs[k, 1] - parity + 1) // 2) + 3
                left, right = other[i + west : j + west], other[i + west + 3 : j + west + 3]
                out, here, above, under = sums[i:j], own[i:j], up[i:j], down[i:j]
                if load.size > 0:
                    loads = load[y + 1, parity, i:j]
                    _add_residual_with(out, here, above, under, left, right, loads)
                else:
                    _add_residual(out, here, above, under, left, right)
            for k in range(rim_start[2 * row + parity], rim_start[2 * row + parity + 1]):
                i = 3 * (rim[k] >> 1) + 3
                line = equations[k]
                for c in range(i, i + 3):
                    total = load[y + 1, parity, c] if load.size > 0 else source[k, c - i]
                    total += line[0] * other[c + west + 3] + line[1] * other[c + west]
                    total += line[2] * down[c] + line[3] * up[c]
                    sums[c] += total - line[4] * own[c]
        for parity in range(2):
            out = coarse_load[coarse_y + 1, parity]
            for x in range((coarse[WIDTH] + 1 - parity) // 2):
                for c in range(3, 6):
                    out[3 * x + c] = sums[6 * x + 3 * parity + c]


@kernel
def _extend(grid: Any, unknown: Any, entry: Any, cells: Any) -> None:
    """Copy the rim's values to the cells around it, for the interpolation; the nearest come last.

    No flow leaves the region there, or to known pixels so near that the next sweep mends it.
    """
    _, _, rim_start, rim, _, _ = cells
    for y in range(entry[HEIGHT]):
        row = 2 * (entry[ROW_OFFSET] + y)
        for k in range(rim_start[row], rim_start[row + 2]):
            x = rim[k]
            own, i = grid[y + 1, x & 1], 3 * (x >> 1) + 3
            for dy, dx in ((-1, -1), (-1, 1), (1, -1), (1, 1), (-1, 0), (1, 0), (0, -1), (0, 1)):
                if unknown[y + 1 + dy, x + dx + MARGIN] == 0:
                    out, j = grid[y + 1 + dy, (x + dx) & 1], 3 * ((x + dx) >> 1) + 3
                    for c in range(3):
                        out[j + c] = own[i + c]


@kernel
def _interpolate(out: Any, near: Any, far: Any) -> None:
    for i in range(out.size):
        out[i] = _THREE_QUARTERS * near[i] + _QUARTER * far[i]


@kernel
def _add_interpolated(out: Any, near: Any, far: Any) -> None:
    for i in range(out.size):
        out[i] += _THREE_QUARTERS * near[i] + _QUARTER * far[i]


@kernel
def _prolong(
    grid: Any, entry: Any, cells: Any, coarse_grid: Any, coarse_height: int, add: bool
) -> None:
    """Set the values of a level, or correct them, by those of the next one."""
    _, _, rim_start, rim, _, _ = cells
    stride = 2 * coarse_grid.shape[2]
    rows = np.empty((3, stride), np.float32)
    mixed = np.empty(stride, np.float32)
    weave(coarse_grid[0], rows[0])
    weave(coarse_grid[1], rows[1])
    for coarse_y in range(coarse_height):
        above, here = rows[coarse_y % 3], rows[(coarse_y + 1) % 3]
        below = rows[(coarse_y + 2) % 3]
        weave(coarse_grid[coarse_y + 2], below)
        for y in range(2 * coarse_y, min(2 * coarse_y + 2, entry[HEIGHT])):
            row = entry[ROW_OFFSET] + y
            first, middle = rim_start[2 * row], rim_start[2 * row + 1]
            last = rim_start[2 * row + 2]
            if first == last:
                continue
            start, stop = entry[WIDTH], 0  # a row of unknown cells begins and ends with the rim
            if first < middle:
                start, stop = rim[first], rim[middle - 1] + 1
            if middle < last:
                start, stop = min(start, rim[middle]), max(stop, rim[last - 1] + 1)
            i, j = 3 * (start >> 1) + 3, 3 * ((stop + 1) >> 1) + 3
            other = above if y & 1 == 0 else below
            _interpolate(mixed[i - 3 : j + 3], here[i - 3 : j + 3], other[i - 3 : j + 3])
            for parity in range(2):
                shift = 6 * parity - 3
                out, far = grid[y + 1, parity, i:j], mixed[i + shift : j + shift]
                if add:
                    _add_interpolated(out, mixed[i:j], far)
                else:
                    _interpolate(out, mixed[i:j], far)


@kernel
def _cycle(top: int, grids: Any, loads: Any, table: Any, unknown: Any, cells: Any) -> None:
    """One V cycle from level `top`, the loads of which are the sources of its rim."""
    last = len(table) - 1
    for level in range(top, last + 1):
        entry, grid, load = table[level], values(grids, table[level]), values(loads, table[level])
        if level == top:
            load = load[:0]
        else:
            grid[:] = _F32(0)
        _relax(grid, load, entry, cells)
        if level < last:
            below = table[level + 1]
            _restrict(grid, load, entry, cells, values(loads, below), below)
    for level in range(last - 1, top - 1, -1):
        entry, grid, load = table[level], values(grids, table[level]), values(loads, table[level])
        if level == top:
            load = load[:0]
        _correct(grid, entry, cells, grids, unknown, table[level + 1], True)
        _relax(grid, load, entry, cells)


@kernel
def _correct(
    grid: Any, entry: Any, cells: Any, grids: Any, unknown: Any, coarse: Any, add: bool
) -> None:
    coarse_grid = values(grids, coarse)
    _extend(coarse_grid, byte_map(unknown, coarse), coarse, cells)
    _prolong(grid, entry, cells, coarse_grid, coarse[HEIGHT], add)


@kernel
def _rim_change(before: Any, grids: Any, entry: Any, cells: Any) -> Any:
    """The largest difference of a rim pixel's value from `before`, which is renewed."""
    _, _, rim_start, rim, _, _ = cells
    grid = values(grids, entry)
    largest = _F32(0)
    for y in range(entry[HEIGHT]):
        for parity in range(2):
            own = grid[y + 1, parity]
            for k in range(rim_start[2 * y + parity], rim_start[2 * y + parity + 1]):
                for c in range(3):
                    value = own[3 * (rim[k] >> 1) + 3 + c]
                    largest = max(largest, abs(value - before[k, c]))
                    before[k, c] = value
    return largest


@kernel
def solve(
    table: Any,
    unknown: Any,
    run_start: Any,
    runs: Any,
    rim_start: Any,
    rim: Any,
    equations: Any,
    source: Any,
    value_count: int,
) -> Any:
    """The values of all levels, flat; those of level 0 are the membrane."""
    cells = run_start, runs, rim_start, rim, equations, source
    grids, loads = np.zeros(value_count, np.float32), np.empty(value_count, np.float32)
    for level in range(len(table) - 1, -1, -1):
        if level < len(table) - 1:
            grid = values(grids, table[level])
            _correct(grid, table[level], cells, grids, unknown, table[level + 1], False)
        _cycle(level, grids, loads, table, unknown, cells)
    before = np.empty((rim_start[2 * table[0, HEIGHT]], 3), np.float32)
    _rim_change(before, grids, table[0], cells)
    last_change = _F32(0)
    for number in range(_MOST_CYCLES):
        _cycle(0, grids, loads, table, unknown, cells)
        change = _rim_change(before, grids, table[0], cells)
        if number == 0:
            if change <= _SMALL_CHANGE:
                break
        elif change * change <= _SMALL_REST * (last_change - change):  # a geometric series
            break
        last_change = change
    return grids

"""Poisson blending, step 2: the pyramid of grids, and the cells of every level.

Level 0 are the pixels; a cell of the next level is 2x2 cells and unknown if one of them is. Plain
cells, those made of pixels with four unknown neighbours, are kept as runs of a row; the others, the
rim, one by one, in each row those of even columns first. Beyond a few byte operations a pixel, the
work follows the length of the outline.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel
from empaste_aug.kernels._poisson_layout import (
    CELL_OFFSET,
    CELL_STRIDE,
    HEIGHT,
    MARGIN,
    ROW_OFFSET,
    VALUE_OFFSET,
    VALUE_STRIDE,
    WIDTH,
    byte_map,
)

_FULL_WORD = np.uint64(0x0101010101010101)


@kernel
def _make_table(height: int, width: int) -> Any:
    """(table, elements of the levels' values, of their byte maps, of their row indices)."""
    levels, h, w = 1, height, width
    while h > 1 or w > 1:
        h, w, levels = (h + 1) // 2, (w + 1) // 2, levels + 1
    table = np.zeros((levels, 7), np.int64)
    values = cells = rows = 0
    for level in range(levels):
        entry = table[level]
        entry[HEIGHT], entry[WIDTH] = height, width
        entry[VALUE_OFFSET], entry[VALUE_STRIDE] = values, 3 * ((width + 1) // 2 + 2)
        entry[CELL_OFFSET], entry[CELL_STRIDE] = cells, MARGIN + (width + 8) // 8 * 8
        entry[ROW_OFFSET] = rows
        values += (height + 2) * 2 * entry[VALUE_STRIDE]
        cells += (height + 2) * entry[CELL_STRIDE]
        rows += height + 1
        height, width = (height + 1) // 2, (width + 1) // 2
    return table, values, cells, rows


@kernel
def _mark_surrounded(unknown: Any, surrounded: Any) -> int:
    """Set `surrounded` where a pixel and its four neighbours are unknown; count the other ones."""
    end = unknown.shape[1]
    rim = 0
    for y in range(1, unknown.shape[0] - 1):
        here, marks = unknown[y, 1 : end - 1], surrounded[y, 1 : end - 1]
        up, down = unknown[y - 1, 1 : end - 1], unknown[y + 1, 1 : end - 1]
        west, east = unknown[y, : end - 2], unknown[y, 2:]
        for x in range(here.size):
            all_ = here[x] & up[x] & down[x] & west[x] & east[x]
            marks[x] = all_
            rim += int(here[x] ^ all_)
    return rim


@kernel
def _merge(fine_unknown: Any, fine_plain: Any, unknown: Any, plain: Any, entry: Any) -> None:
    """The byte maps of the next level: unknown if one of 2x2 is, plain if all are."""
    width = entry[WIDTH]
    for y in range(entry[HEIGHT]):
        a, b = fine_unknown[2 * y + 1, MARGIN:], fine_unknown[2 * y + 2, MARGIN:]
        c, d = fine_plain[2 * y + 1, MARGIN:], fine_plain[2 * y + 2, MARGIN:]
        to_unknown = unknown[y + 1, MARGIN : MARGIN + width]
        to_plain = plain[y + 1, MARGIN : MARGIN + width]
        for x in range(width):
            to_unknown[x] = a[2 * x] | a[2 * x + 1] | b[2 * x] | b[2 * x + 1]
            to_plain[x] = c[2 * x] & c[2 * x + 1] & d[2 * x] & d[2 * x + 1]


@kernel
def _list_level(
    unknown: Any,
    plain: Any,
    entry: Any,
    run_start: Any,
    runs: Any,
    run_count: int,
    rim_start: Any,
    rim: Any,
    rim_count: int,
) -> Any:
    """Append a level's runs of plain cells and its rim cells; the counts after it."""
    found = np.empty(entry[WIDTH] + 1, np.int32)
    for y in range(entry[HEIGHT]):
        row = entry[ROW_OFFSET] + y
        row_unknown, row_plain = unknown[y + 1], plain[y + 1]
        words, plain_words = row_unknown.view(np.uint64), row_plain.view(np.uint64)
        run_start[row] = run_count
        count, start = 0, -1
        for k in range(MARGIN // 8, words.size):
            if plain_words[k] == _FULL_WORD:
                if start < 0:
                    start = 8 * k - MARGIN
                continue
            if words[k] == np.uint64(0) and start < 0:
                continue
            for x in range(8 * k - MARGIN, 8 * k - MARGIN + 8):
                if row_plain[x + MARGIN] != 0:
                    if start < 0:
                        start = x
                    continue
                if start >= 0:
                    runs[run_count, 0], runs[run_count, 1] = start, x
                    run_count += 1
                    start = -1
                if row_unknown[x + MARGIN] != 0:
                    found[count] = x
                    count += 1
        for parity in range(2):
            rim_start[2 * row + parity] = rim_count
            for k in range(count):
                if found[k] & 1 == parity:
                    rim[rim_count] = found[k]
                    rim_count += 1
    row = entry[ROW_OFFSET] + entry[HEIGHT]
    run_start[row], rim_start[2 * row] = run_count, rim_count
    return run_count, rim_count


@kernel
def list_cells(region: Any, width: int) -> Any:
    """(table, unknown, plain, run_start, runs, rim_start, rim, value count) of all levels.

    `region` is the byte map of the unknown pixels, `width` its columns. `table` has a line per
    level, see `_poisson_layout`. `unknown` and `plain` hold the levels' byte maps, `runs` (n, 2)
    the columns where runs start and stop, `rim` the rim cells' columns; those of row r go from
    entry r of the start array to entry r + 1, the rim having two such entries a row.
    """
    table, value_count, cell_count, row_count = _make_table(region.shape[0] - 2, width)
    unknown, plain = np.zeros(cell_count, np.uint8), np.zeros(cell_count, np.uint8)
    byte_map(unknown, table[0])[:] = region
    outline = _mark_surrounded(region, byte_map(plain, table[0]))
    bound = 0  # a level has no more rim cells, and no more runs, than the one below it
    for level in range(len(table)):
        bound += min(outline, table[level, HEIGHT] * table[level, WIDTH])
    run_start = np.zeros(row_count, np.int64)
    rim_start = np.zeros(2 * row_count, np.int64)
    runs, rim = np.empty((bound, 2), np.int32), np.empty(bound, np.int32)
    run_count = rim_count = 0
    for level in range(len(table)):
        entry = table[level]
        here, here_plain = byte_map(unknown, entry), byte_map(plain, entry)
        if level > 0:
            below = table[level - 1]
            _merge(byte_map(unknown, below), byte_map(plain, below), here, here_plain, entry)
        run_count, rim_count = _list_level(
            here, here_plain, entry, run_start, runs, run_count, rim_start, rim, rim_count
        )
    rim = rim[:rim_count].copy()
    return table, unknown, plain, run_start, runs, rim_start, rim, value_count

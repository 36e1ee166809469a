"""Poisson blending: how the levels of the pyramid lie in flat arrays.

A line of the level table has the entries below. A level's byte maps have `MARGIN` columns and a row
to spare around them. Its values are float32 (height + 2, 2, 3 * (ceil(width / 2) + 2)): per row,
first the pixels of even columns, then those of odd ones, each with one pixel to spare at both ends
and three channels. A pixel's left and right neighbours then lie side by side in the row's other
half, and red-black relaxation, interpolation and restriction run over contiguous floats.

Numba's cache on disk does not notice a change here: touch the files that import this one, too.
"""

from __future__ import annotations

from typing import Any

from empaste_aug.kernels._jit import kernel

MARGIN = 8
"""Columns to the left of a byte map's column 0."""

HEIGHT = 0
WIDTH = 1
VALUE_OFFSET = 2
VALUE_STRIDE = 3
CELL_OFFSET = 4
CELL_STRIDE = 5
ROW_OFFSET = 6
"""Index of the level's first row in the arrays with one entry per row (two in those of the rim)."""


@kernel
def byte_map(flat: Any, entry: Any) -> Any:
    """A level's byte map, (height + 2, stride), by its line of the table."""
    rows, stride, start = entry[HEIGHT] + 2, entry[CELL_STRIDE], entry[CELL_OFFSET]
    return flat[start : start + rows * stride].reshape((rows, stride))


@kernel
def values(flat: Any, entry: Any) -> Any:
    """A level's values, (height + 2, 2, stride), by its line of the table."""
    rows, stride, start = entry[HEIGHT] + 2, entry[VALUE_STRIDE], entry[VALUE_OFFSET]
    return flat[start : start + rows * 2 * stride].reshape((rows, 2, stride))


@kernel
def weave(halves: Any, out: Any) -> None:
    """A row's pixels in their order, from column -1 on; `out` has room for all of both halves."""
    even, odd = halves[0], halves[1]
    for i in range(0, even.size - 3, 3):
        for c in range(3):
            out[2 * i + c] = odd[i + c]
            out[2 * i + 3 + c] = even[i + 3 + c]

"""The largest empty circle of an obstacle map, exact, without a full distance transform.

This is the circle of Space-Maximize (the paper's Algorithm 2). The distance of a free pixel is
measured from its centre to the nearest occupied pixel's centre, or to the nearest centre in the
ring of pixels just outside the map: what ``cv2.distanceTransform(..., DIST_L2,
DIST_MASK_PRECISE)`` gives on a map padded by one. It is found in two steps:

1. `column_distances`: each pixel's distance to the nearest obstacle in its own column. Only those
   above and under a new obstacle change: `update_column_distances`.
2. `search_circle`: the exact distance at one pixel is a scan along its row of column distances,
   outward as far as the best distance found so far. That distance is 1-Lipschitz, so a quadtree
   of cells (64, 32, ... 1 pixels) drops each cell whose centre's distance plus the reach from
   there to the cell's farthest pixel cannot beat the best.

Squared distances are integers, so ties are exact.
"""

from __future__ import annotations

from math import ceil, sqrt
from operator import index
from typing import Any

import numpy as np

from empaste_aug.kernels._check import Mask
from empaste_aug.kernels._jit import kernel
from empaste_aug.kernels.columns import (
    Distances,
    check_distances,
    column_distances,
    update_column_distances,
)
from empaste_aug.types import ArgumentError

__all__ = [
    "Distances",
    "column_distances",
    "max_inscribed_circle",
    "search_circle",
    "update_column_distances",
]

CELL = 64
"""Side of the quadtree's coarsest cells in pixels, a power of two."""

LEAF = 4
"""Side of the finest cells, whose pixels are measured one by one."""

_STACK = 64  # >= 3 * log2(CELL / LEAF) + 1 rows
_KEY_STEP = 1 << 31  # > any side: one step along the major axis outweighs all along the minor
_LATEST = 1 << 62  # no pixel's key is as large
_EPSILON = 1e-6  # > rounding of a square root, < the gap between sqrt(n) and sqrt(n + 1)


@kernel
def _squared_distance(row: Any, x: int, limit: int) -> Any:
    """The squared distance at column `x` of a row of column distances.

    Where it is below `limit` the scan ends early, with any value below `limit`.
    """
    edge = min(x + 1, row.size - x)
    squared: Any = min(edge * edge, np.int64(row[x]) * np.int64(row[x]))
    step = 1
    while step * step < squared and squared >= limit:  # step < edge, so both sides exist
        nearer = np.int64(min(row[x - step], row[x + step]))
        squared = min(squared, nearer * nearer + step * step)
        step += 1
    return squared


@kernel
def _prune_limit(best: Any, first_key: int, reach: float) -> int:
    """The squared distance below which a cell's centre shows that the cell cannot win.

    `first_key` is the least key in the cell: a cell that lies wholly behind the best pixel in the
    order of ties must beat it, any other need only equal it.
    """
    bound = sqrt(best[0]) - reach
    bound += _EPSILON if first_key > best[1] else -_EPSILON
    return ceil(bound * bound) if bound > 0.0 else 0


@kernel
def _first_key(key_x: int, key_y: int, x0: int, y0: int, x1: int, y1: int) -> int:
    x = x0 if key_x > 0 else x1 - 1
    y = y0 if key_y > 0 else y1 - 1
    return key_x * x + key_y * y


@kernel
def _visit(distances: Any, key_x: int, key_y: int, x0: int, y0: int, size: int, best: Any) -> Any:
    """Measure a cell's centre, note it in `best` if it wins; -1 where the cell is ruled out."""
    height, width = distances.shape
    x1, y1 = min(x0 + size, width), min(y0 + size, height)
    x, y = (x0 + x1) // 2, (y0 + y1) // 2
    reach = sqrt((x - x0) ** 2 + (y - y0) ** 2)
    limit = _prune_limit(best, _first_key(key_x, key_y, x0, y0, x1, y1), reach)
    squared = _squared_distance(distances[y], x, limit)
    if squared < limit:
        return -1
    key = key_x * x + key_y * y
    if squared > best[0] or (squared == best[0] and key < best[1]):
        best[0], best[1], best[2], best[3] = squared, key, x, y
    return squared


@kernel
def _scan_cell(distances: Any, key_x: int, key_y: int, x0: int, y0: int, best: Any) -> None:
    """Measure every pixel of one of the finest cells."""
    height, width = distances.shape
    for y in range(y0, min(y0 + LEAF, height)):
        row = distances[y]
        for x in range(x0, min(x0 + LEAF, width)):
            key = key_x * x + key_y * y
            limit = best[0] + 1 if key >= best[1] else best[0]
            squared = _squared_distance(row, x, limit)
            if squared >= limit:
                best[0], best[1], best[2], best[3] = squared, key, x, y


@kernel
def _descend(distances: Any, key_x: int, key_y: int, x0: int, y0: int, best: Any) -> None:
    """Search one coarsest cell, whose centre has been visited, down to its pixels."""
    height, width = distances.shape
    stack = np.empty((_STACK, 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = x0, y0, CELL
    top = 1
    while top > 0:
        top -= 1
        left, upper, size = stack[top, 0], stack[top, 1], stack[top, 2]
        if size == LEAF:
            _scan_cell(distances, key_x, key_y, left, upper, best)
            continue
        half = size // 2
        for y in range(upper, min(upper + size, height), half):
            for x in range(left, min(left + size, width), half):
                if _visit(distances, key_x, key_y, x, y, half, best) >= 0:
                    stack[top, 0], stack[top, 1], stack[top, 2] = x, y, half
                    top += 1


@kernel
def _search(distances: Any, key_x: int, key_y: int) -> tuple[int, int, int]:
    """(x, y, squared distance) of the best pixel, the one with the least key among equals."""
    height, width = distances.shape
    best = np.empty(4, np.int64)  # squared distance, key, x, y
    best[0], best[1], best[2], best[3] = 0, -_LATEST, -1, -1
    rows, columns = (height + CELL - 1) // CELL, (width + CELL - 1) // CELL
    centres = np.empty((rows, columns), np.int64)
    for i in range(rows):
        for j in range(columns):
            centres[i, j] = _visit(distances, key_x, key_y, j * CELL, i * CELL, CELL, best)
    # The cell of the best centre first: a high best drops most of the others at once.
    first = (best[3] // CELL) * columns + best[2] // CELL if best[2] >= 0 else -1
    if first >= 0:
        _descend(distances, key_x, key_y, (first % columns) * CELL, (first // columns) * CELL, best)
    for i in range(rows):
        for j in range(columns):
            if centres[i, j] < 0 or i * columns + j == first:
                continue
            x0, y0 = j * CELL, i * CELL
            x1, y1 = min(x0 + CELL, width), min(y0 + CELL, height)
            reach = sqrt(((x0 + x1) // 2 - x0) ** 2 + ((y0 + y1) // 2 - y0) ** 2)
            key = _first_key(key_x, key_y, x0, y0, x1, y1)
            if centres[i, j] >= _prune_limit(best, key, reach):
                _descend(distances, key_x, key_y, x0, y0, best)
    return best[2], best[3], best[0]


def search_circle(distances: Distances, *, tie_order: int = 0) -> tuple[int, int, float]:
    """The pixel farthest from all obstacles, from column distances.

    Args:
        distances: (H, W), from `column_distances`.
        tie_order: which of equally good pixels is taken, 0 to 7. 0: topmost, then leftmost. The
            bits turn the order round, as if the map were mirrored or transposed for the search
            and the result mapped back: 1 right before left, 2 bottom before top, 4 columns before
            rows (leftmost, then topmost).

    Returns:
        (x, y, radius) as `max_inscribed_circle`.

    Raises:
        ArgumentError: `distances` is not what `column_distances` returns, or `tie_order` is out of
            range.
    """
    check_distances(distances)
    order = index(tie_order)
    if not 0 <= order <= 7:
        raise ArgumentError(f"tie_order: must be 0 to 7, not {tie_order}")
    if distances.size == 0:
        return -1, -1, 0.0
    key_x, key_y = (_KEY_STEP, 1) if order & 4 else (1, _KEY_STEP)
    plain = distances if distances.flags.writeable else distances.copy()
    x, y, squared = _search(plain, -key_x if order & 1 else key_x, -key_y if order & 2 else key_y)
    return int(x), int(y), sqrt(squared)


def max_inscribed_circle(occupied: Mask, *, tie_order: int = 0) -> tuple[int, int, float]:
    """The free pixel centre farthest from every obstacle (paper, Algorithm 2: the circle of r1).

    Obstacles are the centres of the occupied pixels and of the ring of pixels just outside the
    map, so that a circle never crosses the border.

    Args:
        occupied: (H, W) bool or uint8, non-zero where a pixel is occupied.
        tie_order: which of equally good pixels is taken, see `search_circle`; by default the
            topmost, then the leftmost.

    Returns:
        (x, y, radius): the pixel and its distance to the nearest obstacle, exact;
        (-1, -1, 0.0) where nothing is free.

    Raises:
        ArgumentError: `occupied` has another dtype or number of dimensions, or `tie_order` is out
            of range.
    """
    return search_circle(column_distances(occupied), tie_order=tie_order)

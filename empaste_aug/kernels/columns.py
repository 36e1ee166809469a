"""Each pixel's distance to the nearest obstacle in its own column: the first half of `circle`."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._check import Mask, as_bytes, check_writeable, describe
from empaste_aug.kernels._jit import kernel
from empaste_aug.types import ArgumentError

Distances = NDArray[np.int16] | NDArray[np.int32]

TALLEST_INT16 = 32766
"""Most rows of a map whose column distances are kept as int16."""


@kernel
def _update_columns(occupied: Any, distances: Any, x0: int, x1: int) -> None:
    # Both values are read before they are chosen from: a conditional load is not vectorised.
    height = occupied.shape[0]
    row = distances[0, x0:x1]
    blocked = occupied[0, x0:x1]
    for i in range(row.size):
        row[i] = 0 if blocked[i] else 1
    for y in range(1, height):
        above = distances[y - 1, x0:x1]
        row = distances[y, x0:x1]
        blocked = occupied[y, x0:x1]
        for i in range(row.size):
            further = above[i] + 1
            row[i] = 0 if blocked[i] else further
    row = distances[height - 1, x0:x1]
    for i in range(row.size):
        row[i] = min(row[i], 1)
    for y in range(height - 2, -1, -1):
        below = distances[y + 1, x0:x1]
        row = distances[y, x0:x1]
        for i in range(row.size):
            there = below[i]
            here = row[i]
            further = there + 1
            row[i] = further if there < here else here


def column_distances(occupied: Mask) -> Distances:
    """Each pixel's distance to the nearest obstacle in its own column.

    The rows just above and just below the map count as obstacles.

    Args:
        occupied: (H, W) bool or uint8, non-zero where a pixel is occupied.

    Returns:
        (H, W) int16 (int32 for maps of more than 32,766 rows), 0 where a pixel is occupied.

    Raises:
        ArgumentError: `occupied` has another dtype or number of dimensions.
    """
    blocked = as_bytes("occupied", occupied)
    dtype = np.int16 if blocked.shape[0] <= TALLEST_INT16 else np.int32
    distances: Distances = np.empty(blocked.shape, dtype)
    if blocked.size:
        _update_columns(blocked, distances, 0, blocked.shape[1])
    return distances


def update_column_distances(occupied: Mask, distances: Distances, x0: int, x1: int) -> None:
    """Redo columns x0 to x1 - 1 of `column_distances(occupied)` in place.

    After pixels of these columns alone were occupied or freed, this makes `distances` what
    `column_distances` would give, at the cost of the columns changed. Columns outside the map are
    ignored.

    Args:
        occupied: (H, W) bool or uint8; best C-contiguous, or it is copied at each call.
        distances: (H, W), from `column_distances`; changed in place.
        x0: first column to redo.
        x1: one past the last column to redo.

    Raises:
        ArgumentError: an array has a wrong dtype or shape, or `distances` cannot be written.
    """
    blocked = as_bytes("occupied", occupied)
    check_distances(distances)
    check_writeable("distances", distances)
    if distances.shape != blocked.shape:
        raise ArgumentError(
            f"distances: its shape {distances.shape} differs from that of occupied, {blocked.shape}"
        )
    x0, x1 = max(index(x0), 0), min(index(x1), blocked.shape[1])
    if blocked.size and x0 < x1:
        _update_columns(blocked, distances, x0, x1)


def check_distances(distances: Distances) -> None:
    """Refuse what `column_distances` cannot have returned.

    Raises:
        ArgumentError: another dtype, number of dimensions or memory layout.
    """
    if (
        not isinstance(distances, np.ndarray)
        or distances.ndim != 2
        or distances.dtype not in (np.int16, np.int32)
        or not distances.flags.c_contiguous
    ):
        raise ArgumentError(
            "distances: must be the C-contiguous (H, W) int16 or int32 array that column_distances "
            f"returns, not {describe(distances)}"
        )

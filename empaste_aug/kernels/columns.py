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
def _column_distances(occupied: Any, distances: Any) -> None:
    # Both values are read before they are chosen from: a conditional load is not vectorised.
    height = occupied.shape[0]
    row, blocked = distances[0], occupied[0]
    for i in range(row.size):
        row[i] = 0 if blocked[i] else 1
    for y in range(1, height):
        above, row, blocked = distances[y - 1], distances[y], occupied[y]
        for i in range(row.size):
            further = above[i] + 1
            row[i] = 0 if blocked[i] else further
    row = distances[height - 1]
    for i in range(row.size):
        row[i] = min(row[i], 1)
    for y in range(height - 2, -1, -1):
        below, row = distances[y + 1], distances[y]
        for i in range(row.size):
            there, here = below[i], row[i]
            further = there + 1
            row[i] = further if there < here else here


@kernel
def _lower(nearer: Any, row: Any) -> bool:
    """Bring a row down to one more than the row `nearer` an obstacle; whether that changed it."""
    changed = False
    for i in range(row.size):
        there, here = nearer[i], row[i]
        further = there + 1
        row[i] = further if there < here else here
        changed |= further < here
    return changed


@kernel
def _update_columns(occupied: Any, distances: Any, x0: int, y0: int, x1: int, y1: int) -> None:
    # Distances only become less, and where a whole row stays as it is, so do those behind it.
    for y in range(y0, y1):
        row, blocked = distances[y, x0:x1], occupied[y, x0:x1]
        for i in range(row.size):
            here = row[i]
            row[i] = 0 if blocked[i] else here
    for y in range(max(y0, 1), distances.shape[0]):
        if not _lower(distances[y - 1, x0:x1], distances[y, x0:x1]) and y >= y1:
            break
    for y in range(min(y1, distances.shape[0] - 1) - 1, -1, -1):
        if not _lower(distances[y + 1, x0:x1], distances[y, x0:x1]) and y < y0:
            break


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
        _column_distances(blocked, distances)
    return distances


def update_column_distances(
    occupied: Mask, distances: Distances, box: tuple[int, int, int, int]
) -> None:
    """Make `distances` what `column_distances(occupied)` gives, after pixels were occupied.

    None may have been freed. It costs the columns of the box, and of these the rows that are now
    nearer to an obstacle.

    Args:
        occupied: (H, W) bool or uint8; best C-contiguous, or it is copied at each call.
        distances: (H, W), from `column_distances` before; changed in place.
        box: (x0, y0, x1, y1), half-open: where pixels were occupied; what of it lies outside the
            map is ignored.

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
    height, width = blocked.shape
    x0, y0, x1, y1 = map(index, box)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 < x1 and y0 < y1:
        _update_columns(blocked, distances, x0, y0, x1, y1)


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

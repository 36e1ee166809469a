"""Slow numpy oracles, written from the definitions and sharing no code with the package."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# --- Kernels -------------------------------------------------------------------------------------


def column_distances(occupied: NDArray) -> NDArray[np.int64]:
    """(H, W): distance to the nearest obstacle in the pixel's column, rows -1 and H included."""
    height, width = occupied.shape
    distances = np.zeros((height, width), np.int64)
    for x in range(width):
        obstacles = np.array([-1, height, *np.flatnonzero(occupied[:, x])])
        for y in range(height):
            distances[y, x] = np.abs(obstacles - y).min()
    return distances


def squared_distances(occupied: NDArray) -> NDArray[np.int64]:
    """(H, W): squared distance from each pixel to the nearest occupied one or the ring outside."""
    padded = np.pad(np.asarray(occupied) != 0, 1, constant_values=True)
    ys, xs = np.nonzero(padded)
    height, width = occupied.shape
    result = np.zeros((height, width), np.int64)
    for y in range(height):
        for x in range(width):
            result[y, x] = ((ys - 1 - y) ** 2 + (xs - 1 - x) ** 2).min()
    return result


def inscribed_circle(occupied: NDArray, tie_order: int = 0) -> tuple[int, int, float]:
    """(x, y, radius) of the pixel farthest from all obstacles, (-1, -1, 0.0) if none is free.

    `tie_order` as a transformation: the map is transposed (4), turned upside down (2) and mirrored
    (1) so that the preferred pixel comes first in reading order, and the result is mapped back.
    """
    if occupied.size == 0:
        return -1, -1, 0.0
    squared = squared_distances(occupied)
    height, width = squared.shape
    if tie_order & 1:
        squared = squared[:, ::-1]
    if tie_order & 2:
        squared = squared[::-1]
    if tie_order & 4:
        squared = squared.T
    first = int(np.argmax(squared))  # the first of equals
    largest = int(squared.max())
    if largest == 0:
        return -1, -1, 0.0
    row, column = divmod(first, squared.shape[1])
    y, x = (column, row) if tie_order & 4 else (row, column)
    if tie_order & 1:
        x = width - 1 - x
    if tie_order & 2:
        y = height - 1 - y
    return x, y, float(np.sqrt(largest))


def feather(mask: NDArray) -> NDArray[np.uint8]:
    """255 * mask under the 5x5 window of 256ths (39, 57, 64, 57, 39), halves rounded up."""
    weights = np.outer((39, 57, 64, 57, 39), (39, 57, 64, 57, 39))
    height, width = mask.shape
    padded = np.pad((np.asarray(mask) != 0).astype(np.int64), 2)
    total = np.zeros((height, width), np.int64)
    for dy in range(5):
        for dx in range(5):
            total += weights[dy, dx] * padded[dy : dy + height, dx : dx + width]
    return ((2 * 255 * total + 65536) // (2 * 65536)).astype(np.uint8)


def composite(
    image: NDArray[np.uint8], rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], x0: int, y0: int
) -> NDArray[np.uint8]:
    """A new image with `rgb` laid over it, clipped: round((a * f + (255 - a) * b) / 255)."""
    result = image.copy()
    for i in range(alpha.shape[0]):
        for j in range(alpha.shape[1]):
            y, x = y0 + i, x0 + j
            if not (0 <= y < image.shape[0] and 0 <= x < image.shape[1]):
                continue
            a = int(alpha[i, j])
            for c in range(3):
                numerator = a * int(rgb[i, j, c]) + (255 - a) * int(image[y, x, c])
                result[y, x, c] = (2 * numerator + 255) // 510
    return result


def gaussian_paste(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    mask: NDArray,
    x0: int,
    y0: int,
    keep: NDArray | None = None,
) -> NDArray[np.uint8]:
    """A new image: feather, cleared where `keep` is 0, then composite."""
    alpha = feather(mask)
    if keep is not None:
        alpha[np.asarray(keep) == 0] = 0
    return composite(image, rgb, alpha, x0, y0)


def widen(mask: NDArray, x: int, y: int, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool: a cropped mask at its place on the canvas, clipped."""
    full = np.zeros((height, width), bool)
    for i, j in np.argwhere(mask):
        if 0 <= y + i < height and 0 <= x + j < width:
            full[y + i, x + j] = True
    return full


def box_of(full: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The tight half-open XYXY box of a full-size mask, (0, 0, 0, 0) where it is empty."""
    ys, xs = np.nonzero(full)
    if ys.size == 0:
        return 0, 0, 0, 0
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


# ------------------------------------------------------------------- the label contract
#
# Brute force on full-size masks. A paste is (kind, shape): its pixels on an endless plane, given as
# an (H, W) bool map of those in the image and the count of all of them.


@dataclass
class PlainObject:
    """An original: its full-size mask (the whole box for box-only data), or a paste's."""

    mask: np.ndarray
    crowd: bool = False


@dataclass
class PlainPaste:
    """A paste as drawn: the pixels in the image, all its pixels, and whether it avoids objects."""

    mask: np.ndarray
    full_area: int
    trim: bool = False


@dataclass
class PlainLabels:
    """What the contract demands after all pastes were tried in order."""

    originals: list[np.ndarray]
    pastes: dict[int, np.ndarray]
    reasons: dict[int, str]


def label_contract(originals, pastes, *, valid, min_visible):
    """The visible masks of originals and rendered pastes, and why the other pastes are not there.

    Every paste is tried in order; one that breaks the contract changes nothing. After each, all is
    computed anew from the full stack, from the last paste backwards.
    """
    stack: list[tuple[int, np.ndarray, int]] = []
    reasons: dict[int, str] = {}
    for number, paste in enumerate(pastes):
        mask = paste.mask & valid
        if paste.trim:
            for original in originals:
                mask = mask & ~original.mask
            for _, other, _ in stack:
                mask = mask & ~other
        if paste.full_area == 0:
            reasons[number] = "too_small"
            continue
        if not mask.any() or mask.sum() / paste.full_area < min_visible:
            reasons[number] = "occluded"
            continue
        trial = [*stack, (number, mask, paste.full_area)]
        cover = np.zeros_like(valid)
        for visible in _visible_pastes(trial, min_visible).values():
            cover |= visible
        remnant = False
        for original in originals:
            before, after = int(original.mask.sum()), int((original.mask & ~cover).sum())
            if not original.crowd and 0 < after < before and after / before < min_visible:
                remnant = True
        if remnant:
            reasons[number] = "remnant"
        else:
            stack = trial
    shown = _visible_pastes(stack, min_visible)
    cover = np.zeros_like(valid)
    for visible in shown.values():
        cover |= visible
    for number, _, _ in stack:
        if number not in shown:
            reasons[number] = "occluded"
    return PlainLabels([o.mask & ~cover for o in originals], shown, reasons)


def _visible_pastes(stack, min_visible):
    """Number -> visible mask of each paste that is rendered, in paste order."""
    shown: dict[int, np.ndarray] = {}
    for position in reversed(range(len(stack))):
        number, mask, full_area = stack[position]
        visible = mask.copy()
        for later in shown.values():
            visible &= ~later
        if visible.any() and visible.sum() / full_area >= min_visible:
            shown[number] = visible
    return dict(sorted(shown.items()))


def shrunk_box(box, visible):
    """A box-only original's box: each side that is covered whole moves to the first free pixel."""
    x0, y0, x1, y1 = box
    rows, columns = np.nonzero(visible)
    return (
        x0 if columns.min() == math.floor(x0) else float(columns.min()),
        y0 if rows.min() == math.floor(y0) else float(rows.min()),
        x1 if columns.max() + 1 == math.ceil(x1) else float(columns.max() + 1),
        y1 if rows.max() + 1 == math.ceil(y1) else float(rows.max() + 1),
    )

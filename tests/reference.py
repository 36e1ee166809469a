"""Slow numpy oracles, written from the definitions and sharing no code with the package."""

from __future__ import annotations

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
# Brute force on full-size masks. Everything is a (H, W) map: an original is its pixels in the
# image, a paste its pixels in the image before anything trims it, with the number of all of them.


@dataclass
class PlainObject:
    """An original: its pixels in the image; `box` is its box where it has nothing else."""

    mask: np.ndarray
    crowd: bool = False
    box: tuple[float, float, float, float] | None = None
    keypoints: np.ndarray | None = None


@dataclass
class PlainPaste:
    """A paste as drawn: the pixels in the image, how many there are in all, and what it is."""

    mask: np.ndarray
    full_area: int
    trim: bool = False
    category: int = 0
    cutout_id: int = 0


@dataclass
class PlainLabels:
    """What the contract demands.

    Attributes:
        originals: the visible pixels of each original; without any, it is gone.
        pastes: number of the paste -> its visible pixels, for those that are rendered, in order.
        reasons: number -> why it is not rendered.
        chosen: number -> the paste that counted, of all that were tried for this number.
        cover: (H, W) bool: the pixels that show a pasted object.
    """

    originals: list[np.ndarray]
    pastes: dict[int, np.ndarray]
    reasons: dict[int, str]
    chosen: dict[int, PlainPaste]
    cover: np.ndarray


def label_contract(originals, pastes, *, valid, min_visible):
    """What `EMPaste.render` owes: all pastes at once if that can be, else one by one."""
    joint = PlainStack(originals, valid, min_visible)
    for number, paste in enumerate(pastes):
        joint.add(number, paste)
    if len(joint.visible()) == len(pastes) and not joint.has_remnant():
        return joint.labels({})
    single = PlainStack(originals, valid, min_visible)
    reasons = {}
    for number, paste in enumerate(pastes):
        reason = single.try_to_add(number, paste)
        if reason is not None:
            reasons[number] = reason
    return single.labels(reasons)


def label_contract_of_tries(originals, tries, *, count, valid, min_visible, most_tries):
    """What `EMPaste.__call__` owes, given the placements that it drew (None: no space).

    Returns the labels and how many of the tries were used.
    """
    stack = PlainStack(originals, valid, min_visible)
    reasons, used = {}, 0
    for number in range(count):
        for _ in range(most_tries):
            paste = tries[used]
            used += 1
            reason = "no_space" if paste is None else stack.try_to_add(number, paste)
            if reason != "remnant":
                break
        if reason is not None:
            reasons[number] = reason
    return stack.labels(reasons), used


class PlainStack:
    """Pastes in order, on originals; everything is counted anew from the whole stack each time."""

    def __init__(self, originals, valid, min_visible):
        self.masks = np.array([o.mask for o in originals], dtype=bool).reshape(-1, *valid.shape)
        self.crowd = np.array([o.crowd for o in originals], dtype=bool)
        self.valid, self.min_visible = valid, min_visible
        self.stack = []

    def add(self, number, paste):
        """Put it on top; returns how many pixels it has there."""
        mask = paste.mask & self.valid
        if paste.trim:
            mask = mask & ~self.masks.any(axis=0)
            for _, _, other in self.stack:
                mask = mask & ~other
        self.stack.append((number, paste, mask))
        return int(mask.sum())

    def try_to_add(self, number, paste):
        """Add it if that keeps the contract, else say why not."""
        if paste.full_area == 0:
            return "too_small"
        shown = self.add(number, paste)
        if shown == 0 or shown / paste.full_area < self.min_visible:
            reason = "occluded"
        elif self.has_remnant():
            reason = "remnant"
        else:
            return None
        self.stack.pop()
        return reason

    def visible(self):
        """Number -> visible pixels of what is rendered, decided from the last backwards."""
        shown, cover = {}, np.zeros_like(self.valid)
        for number, paste, mask in reversed(self.stack):
            seen = mask & ~cover
            count = int(seen.sum())
            if count > 0 and count / paste.full_area >= self.min_visible:
                shown[number] = seen
                cover = cover | seen
        return dict(sorted(shown.items()))

    def has_remnant(self):
        """An original that is no crowd would keep some pixels, but too few."""
        cover = np.any([*self.visible().values(), np.zeros_like(self.valid)], axis=0)
        before = self.masks.sum(axis=(1, 2))
        after = (self.masks & ~cover).sum(axis=(1, 2))
        for is_crowd, had, has in zip(self.crowd, before, after, strict=True):
            if not is_crowd and 0 < has < had and has / had < self.min_visible:
                return True
        return False

    def labels(self, reasons):
        shown = self.visible()
        cover = np.any([*shown.values(), np.zeros_like(self.valid)], axis=0)
        hidden = {number: "occluded" for number, _, _ in self.stack if number not in shown}
        chosen = {number: paste for number, paste, _ in self.stack}
        left = [mask & ~cover for mask in self.masks]
        ordered = dict(sorted({**reasons, **hidden}.items()))
        return PlainLabels(left, shown, ordered, chosen, cover)


def box_pixels(box, height, width):
    """(height, width) bool: the pixels that a box touches; a box without extent touches none."""
    x0, y0, x1, y1 = box
    ys, xs = np.mgrid[:height, :width]
    touched = (xs + 1 > x0) & (xs < x1) & (ys + 1 > y0) & (ys < y1)
    return touched & (x1 > x0) & (y1 > y0)


def shrunk_box(box, before, visible):
    """A box-only original's box: each side that is covered whole moves to the first free pixel."""
    wide, narrow = box_of(before), box_of(visible)
    return tuple(
        float(new) if new != old else given
        for given, old, new in zip(box, wide, narrow, strict=True)
    )


def hidden_keypoints(keypoints, cover):
    """Keypoints with v = 1 for those that were visible and lie on a covered pixel."""
    rows, columns = np.nonzero(cover)
    result = []
    for x, y, v in keypoints.tolist():
        across = (columns - 0.5 <= x) & (x < columns + 0.5)
        down = (rows - 0.5 <= y) & (y < rows + 0.5)
        result.append((x, y, 1.0 if v == 2 and (across & down).any() else v))
    return np.array(result, dtype=float).reshape(-1, 3)


def semantic_map(semantic, labels, values):
    """The class map with each rendered paste's class at its visible pixels."""
    result = np.array(semantic)
    for number, seen in labels.pastes.items():
        result[seen] = values[labels.chosen[number].category]
    return result


def panoptic_map(panoptic, segments, labels):
    """The id map with each rendered paste's own id, and (id, category, cut-out) of all segments.

    `segments` are (id, category). New ids follow the largest in the map or among the segments.
    """
    result = np.array(panoptic)
    rows = [(number, category, None) for number, category in segments]
    if not labels.pastes:
        return result, rows
    next_id = max([0, *result.ravel().tolist(), *(number for number, _ in segments)]) + 1
    added = []
    for number, seen in labels.pastes.items():
        paste = labels.chosen[number]
        result[seen] = next_id
        added.append((next_id, paste.category, paste.cutout_id))
        next_id += 1
    return result, [row for row in rows if (result == row[0]).any()] + added


def free_distance(occupied):
    """(H, W) float: distance of each pixel to the nearest occupied one or the ring outside.

    Along rows first, then the least over rows of the sum of squares.
    """
    padded = np.pad(np.asarray(occupied) != 0, 1, constant_values=True)
    columns, rows = np.arange(padded.shape[1]), np.arange(padded.shape[0])
    gaps = np.abs(columns[:, None] - columns)  # (x, x')
    along = np.where(padded[:, None, :], gaps, padded.size).min(axis=2)  # (y', x)
    squares = (rows[:, None] - rows)[:, :, None] ** 2 + along[None] ** 2  # (y, y', x)
    return np.sqrt(squares.min(axis=1)[1:-1, 1:-1])


# ------------------------------------------------------------------- Poisson blending


def poisson(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    mask: NDArray,
    x0: int,
    y0: int,
    keep: NDArray | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The exact float result, unrounded and not clamped, and where the image may change.

    One linear equation per pixel, solved densely: the sum over the neighbours that are unknown or
    known of u(neighbour) - u(pixel) is 0, where u = result - rgb.
    """
    height, width = image.shape[:2]
    h, w = np.asarray(mask).shape

    def kept(y: int, x: int) -> bool:
        inside = 0 <= y - y0 < h and 0 <= x - x0 < w
        return keep is None or not inside or bool(keep[y - y0, x - x0])

    unknown: dict[tuple[int, int], int] = {}
    for i, j in np.argwhere(mask):
        y, x = int(i) + y0, int(j) + x0
        if 0 <= y < height and 0 <= x < width and kept(y, x):
            unknown[y, x] = len(unknown)
    matrix, right = np.zeros((len(unknown), len(unknown))), np.zeros((len(unknown), 3))
    reached = []
    for (y, x), row in unknown.items():
        for yy, xx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if (yy, xx) in unknown:
                matrix[row, row] += 1
                matrix[row, unknown[yy, xx]] -= 1
                continue
            within = 0 <= yy - y0 < h and 0 <= xx - x0 < w and bool(mask[yy - y0, xx - x0])
            if 0 <= yy < height and 0 <= xx < width and not within and kept(yy, xx):
                source = rgb[min(max(yy - y0, 0), h - 1), min(max(xx - x0, 0), w - 1)]
                matrix[row, row] += 1
                right[row] += image[yy, xx].astype(float) - source
                reached.append((y, x))
    tied = set(reached)
    while reached:
        y, x = reached.pop()
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if place in unknown and place not in tied:
                tied.add(place)
                reached.append(place)
    rows = np.array(sorted(unknown[place] for place in tied), int)
    membrane = np.zeros((len(unknown), 3))
    if rows.size:
        membrane[rows] = np.linalg.solve(matrix[np.ix_(rows, rows)], right[rows])
    result, drawn = image.astype(float), np.zeros((height, width), bool)
    for (y, x), row in unknown.items():
        result[y, x] = rgb[y - y0, x - x0] + membrane[row]
        drawn[y, x] = True
    return result, drawn


# ------------------------------------------------------------------------------------- the warp


def area_mean(array: NDArray[np.uint8], factor: int, beyond: str) -> NDArray[np.uint8]:
    """The mean of each square of `factor` pixels a side, halves rounded up.

    What lies beyond the array counts as 0 (`beyond` "zero") or not at all ("ignored").
    """
    height, width = (-(-side // factor) for side in array.shape[:2])
    result = np.empty((height, width, *array.shape[2:]), np.uint8)
    for y in range(height):
        for x in range(width):
            square = array[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
            total = square.sum(axis=(0, 1), dtype=np.int64)
            area = factor**2 if beyond == "zero" else square.shape[0] * square.shape[1]
            result[y, x] = (2 * total + area) // (2 * area)
    return result


def _pixel(array: NDArray, x: NDArray, y: NDArray, repeats: bool) -> NDArray[np.float64]:
    """The pixels at whole (x, y); beyond the array the border repeats, or they are 0."""
    height, width = array.shape[:2]
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    values = array[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float64)
    if not repeats:
        values[~inside] = 0
    return values


def bilinear(array: NDArray, u: NDArray, v: NDArray, repeats: bool) -> NDArray[np.float64]:
    """The values at (u, v) between the pixels."""
    x, y = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    total = 0.0
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dx - (u - x)) * np.abs(1 - dy - (v - y))
            values = _pixel(array, x + dx, y + dy, repeats)
            total = total + values * weight.reshape(weight.shape + (1,) * (array.ndim - 2))
    return total


def blur(array: NDArray, share: float, repeats: bool) -> NDArray[np.float64]:
    """(share, 1 - 2 share, share) along both axes, with a ring of one more pixel round it."""
    height, width = array.shape[:2]
    y, x = np.mgrid[-1 : height + 1, -1 : width + 1]
    total = 0.0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            weight = (1 - 2 * share if dy == 0 else share) * (1 - 2 * share if dx == 0 else share)
            total = total + weight * _pixel(array, x + dx, y + dy, repeats)
    return total


def warp(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    inverse: tuple[float, ...],
    share: float,
    box: tuple[int, int, int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unrounded colours (h, w, 3) and opacities (h, w) of the box x0, y0, x1, y1 of a plane.

    The pixel (x, y) comes from column ux x + uy y + u0 and row vx x + vy y + v0 of the cut-out,
    blurred by (share, 1 - 2 share, share).
    """
    ux, uy, u0, vx, vy, v0 = inverse
    y, x = np.mgrid[box[1] : box[3], box[0] : box[2]].astype(np.float64)
    u, v = ux * x + uy * y + u0 + 1, vx * x + vy * y + v0 + 1
    return (
        bilinear(blur(rgb, share, True), u, v, True),
        bilinear(blur(alpha, share, False), u, v, False),
    )


def supersampled_warp(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    inverse: tuple[float, ...],
    box: tuple[int, int, int, int],
    side: int = 8,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `warp` without a blur, the mean of side x side samples spread evenly over each pixel."""
    ux, uy, u0, vx, vy, v0 = inverse
    colours, opacities = 0.0, 0.0
    for j in range(side):
        for i in range(side):
            dx, dy = (i + 0.5) / side - 0.5, (j + 0.5) / side - 0.5
            moved = (ux, uy, u0 + ux * dx + uy * dy, vx, vy, v0 + vx * dx + vy * dy)
            part = warp(rgb, alpha, moved, 0.0, box)
            colours, opacities = colours + part[0], opacities + part[1]
    return colours / side**2, opacities / side**2

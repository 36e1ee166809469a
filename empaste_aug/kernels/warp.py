"""Turning, scaling and mirroring a cut-out, colour and opacity in one pass.

Every pixel looks up where it comes from in the cut-out and mixes the four pixels there, with
weights in 256ths. Where the cut-out shrinks, by at most two (`reduce` comes first), it is blurred
before, so that edges do not shimmer.
"""

from __future__ import annotations

from math import ceil, floor, isfinite
from operator import index
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels import _pack_rows, _warp_rows
from empaste_aug.kernels._check import as_bytes, as_rgb, check_same_size
from empaste_aug.types import ArgumentError

Affine = tuple[float, float, float, float, float, float]

BLUR = 1 / 16
"""The share of either neighbour in the blur (c, 1 - 2c, c), along both axes, is BLUR (b^2 - 1).

b is the distance, in pixels of the cut-out, between neighbours in the image. Of the values tried
it came closest, over scales from 0.2 to 1, to the mean over 8x8 samples a pixel.
"""

LARGEST_SIDE = 32_000
"""The longest side of a warped object, in pixels."""

_MANY = 4  # so many times the cut-out's pixels are better skipped than sampled
_NOTHING = np.empty((0, 0), np.uint8)


class Warped(NamedTuple):
    """A warped cut-out, the part in the image and round it.

    Attributes:
        rgb: (h, w, 3) uint8, black where neither the object nor its surroundings can lie.
        mask: (h, w) bool, true where the opacity is at least 128.
        x: column of the image where its left column lies; may be negative.
        y: row of the image where its top row lies; may be negative.
        total: the pixels of the whole object's mask.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    x: int
    y: int
    total: int


def warp(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    inverse: Affine,
    *,
    height: int,
    width: int,
    margin: int,
) -> Warped:
    """A cut-out under an affine map, clipped to the image and a margin round it.

    Colours repeat beyond the cut-out's border, opacity is 0 there. Same arguments, same bytes.

    Args:
        rgb: (h, w, 3) uint8.
        alpha: (h, w) uint8.
        inverse: (ux, uy, u0, vx, vy, v0): the pixel (x, y) comes from column ux x + uy y + u0 and
            row vx x + vy y + v0 of the cut-out. It shrinks by at most 2 a side.
        height: of the image.
        width: of the image.
        margin: how many pixels beyond the image, and beyond the object's mask, are wanted.

    Raises:
        ArgumentError: an array has a wrong dtype or shape, `inverse` cannot be inverted, is not
            finite or shrinks too much, or the object has a side of more than `LARGEST_SIDE`.
    """
    rgb = as_rgb("rgb", rgb)
    opacity = as_bytes("alpha", alpha)
    check_same_size("alpha", opacity, "rgb", rgb.shape)
    inverse = ux, uy, u0, vx, vy, v0 = tuple(map(float, inverse))  # type: ignore[assignment]
    height, width, margin = index(height), index(width), index(margin)
    stretch = abs(ux * vy - uy * vx)  # pixels of the cut-out for one of the image
    if not (0 < stretch < 4.001 and isfinite(u0) and isfinite(v0)):
        raise ArgumentError(f"inverse: {inverse} is singular or shrinks by more than 2 a side")
    octagon, (left, top, right, bottom) = _pack_rows.bound(opacity, ux, uy, vx, vy)
    if octagon[0][0] > octagon[0][1]:
        return Warped(np.empty((0, 0, 3), np.uint8), np.empty((0, 0), np.bool_), 0, 0, 0)
    # A pixel of the cut-out reaches to its neighbours.
    across, down = (abs(vy) + abs(uy)) / stretch, (abs(vx) + abs(ux)) / stretch
    if not max(right - left + 2 * across, bottom - top + 2 * down) < LARGEST_SIDE:
        raise ArgumentError(
            f"inverse: makes an object of {right - left:.0f} x {bottom - top:.0f} pixels; "
            f"at most {LARGEST_SIDE} a side"
        )
    sign = 1.0 if ux * vy > uy * vx else -1.0
    x = sign * (uy * v0 - vy * u0) / stretch
    y = sign * (vx * u0 - ux * v0) / stretch
    x0, y0 = floor(x + left - across) - margin, floor(y + top - down) - margin
    x1, y1 = ceil(x + right + across) + margin + 1, ceil(y + bottom + down) + margin + 1
    window = (
        min(max(x0, -margin), x1),
        min(max(y0, -margin), y1),
        max(min(x1, width + margin), x0),
        max(min(y1, height + margin), y0),
    )
    window = window[0], window[1], max(window[0], window[2]), max(window[1], window[3])
    colours = np.empty((window[3] - window[1], window[2] - window[0], 3), np.uint8)
    mask = np.empty(colours.shape[:2], np.bool_)
    pad = int(0.5 + margin * max(abs(ux) + abs(uy), abs(vx) + abs(vy))) + 3
    packed = _pack_rows.pack(
        rgb.reshape(rgb.shape[0], -1), opacity, max(round(256 * BLUR * (stretch - 1)), 0), pad
    )
    outside = (x1 - x0) * (y1 - y0) - mask.size
    total = _warp_rows.warp(
        packed,
        pad,
        octagon,
        float(margin),
        _pack_rows.measure(packed) if outside > _MANY * packed.size else _NOTHING,
        inverse,
        (x0, y0, x1, y1),
        window,
        colours.reshape(mask.shape[0], 3 * mask.shape[1]),
        mask.view(np.uint8),
    )
    return Warped(colours, mask, window[0], window[1], total)

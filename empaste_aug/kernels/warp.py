"""Turning, scaling and mirroring a cut-out, colour and opacity in one pass, and clipping it.

Every pixel looks up where it comes from in the cut-out and mixes the four pixels there, with
weights in 256ths. Where the cut-out shrinks, by at most two (`reduce` comes first), it is blurred
before, so that edges do not shimmer.

It is one call from the cut-out to the patch: between kernels, with the caches full of pixels, a
line of Python takes as long as a thousand of them.
"""

from __future__ import annotations

from math import isfinite
from operator import index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels import _pack_rows, _warp_rows
from empaste_aug.kernels._check import Mask, as_bytes, as_rgb, as_rows, check_same_size
from empaste_aug.kernels._cut_rows import cut
from empaste_aug.kernels._jit import kernel
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
        keep: (h, w) uint8, 1 inside the image where it is valid and not occupied.
        shown: (h, w) bool, `mask` where `keep`.
        x: column of the image where its left column lies; may be negative.
        y: row of the image where its top row lies; may be negative.
        total: the pixels of the whole object's mask.
        area: the pixels of `shown`.
        box: the tight box of `shown` (x0, y0, x1, y1), half-open, in the image's pixels; zeros if
            it is empty.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    keep: NDArray[np.uint8]
    shown: NDArray[np.bool_]
    x: int
    y: int
    total: int
    area: int
    box: tuple[int, int, int, int]


@kernel
def _warp(
    rgb: Any,
    alpha: Any,
    inverse: Any,
    octagon: Any,
    bounds: Any,
    size: Any,
    margin: int,
    valid: Any,
    occupied: Any,
) -> Any:
    """`Warped`, with the colours as (h, 3 w) and 0/1 masks."""
    ux, uy, _, vx, vy, _ = inverse
    box, window = _pack_rows.frame(bounds, inverse, size[0], size[1], margin)
    height, width = window[3] - window[1], window[2] - window[0]
    colours = np.empty((height, 3 * width), np.uint8)
    mask = np.empty((height, width), np.uint8)
    keep, shown = np.empty_like(mask), np.empty_like(mask)
    stretch = abs(ux * vy - uy * vx)
    side = max(int(np.rint(256 * BLUR * (stretch - 1))), 0)
    pad = int(0.5 + margin * max(abs(ux) + abs(uy), abs(vx) + abs(vy))) + 3
    packed = np.empty((alpha.shape[0] + 2 * pad, alpha.shape[1] + 2 * pad), np.uint32)
    _pack_rows.pack(rgb, alpha, side, pad, packed)
    steps = np.empty((0, 0), np.uint8)
    if (box[2] - box[0]) * (box[3] - box[1]) - mask.size > _MANY * packed.size:
        steps = _pack_rows.measure(packed)
    total = _warp_rows.warp(
        packed, pad, octagon, float(margin), steps, inverse, box, window, colours, mask
    )
    x, y = window[0], window[1]
    area, tight = cut(mask, x, y, size, valid, occupied, keep, shown)
    return colours, mask, keep, shown, x, y, total, area, tight


def warp(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    inverse: Affine,
    *,
    height: int,
    width: int,
    margin: int,
    valid: Mask | None = None,
    occupied: Mask | None = None,
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
        valid: (height, width) bool or uint8, 0 where nothing may change; None: nowhere.
        occupied: (height, width) bool or uint8, not 0 where nothing may change; None: nowhere.

    Raises:
        ArgumentError: an array has a wrong dtype or shape, `inverse` cannot be inverted, is not
            finite or shrinks too much, or the object has a side of more than `LARGEST_SIDE`.
    """
    rgb = as_rgb("rgb", rgb)
    opacity = as_bytes("alpha", alpha)
    check_same_size("alpha", opacity, "rgb", rgb.shape)
    size = index(height), index(width)
    good = _map_of("valid", valid, size)
    taken = _map_of("occupied", occupied, size)
    inverse = ux, uy, u0, vx, vy, v0 = tuple(map(float, inverse))  # type: ignore[assignment]
    stretch = abs(ux * vy - uy * vx)  # pixels of the cut-out for one of the image
    if not (0 < stretch < 4.001 and isfinite(u0) and isfinite(v0)):
        raise ArgumentError(f"inverse: {inverse} is singular or shrinks by more than 2 a side")
    octagon, bounds = _pack_rows.bound(opacity, ux, uy, vx, vy)
    if octagon[0][0] > octagon[0][1]:
        return _nothing()
    # A pixel of the cut-out reaches to its neighbours.
    across, down = (abs(vy) + abs(uy)) / stretch, (abs(vx) + abs(ux)) / stretch
    wide, high = bounds[2] - bounds[0], bounds[3] - bounds[1]
    if not (wide + 2 * across < LARGEST_SIDE and high + 2 * down < LARGEST_SIDE):
        raise ArgumentError(
            f"inverse: makes an object of {wide:.0f} x {high:.0f} pixels; "
            f"at most {LARGEST_SIDE} a side"
        )
    colours, mask, keep, shown, *rest = _warp(
        as_rows(rgb), opacity, inverse, octagon, bounds, size, index(margin), good, taken
    )
    rows = colours.reshape(*mask.shape, 3)
    return Warped(rows, mask.view(np.bool_), keep, shown.view(np.bool_), *rest)


def _map_of(name: str, values: Mask | None, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A map of the image as bytes; without elements where there is none."""
    if values is None:
        return _NOTHING
    plain = as_bytes(name, values)
    check_same_size(name, plain, "the image", size)
    return plain


def _nothing() -> Warped:
    """A cut-out without a pixel."""
    none = np.empty((0, 0), np.bool_)
    rgb, keep = np.empty((0, 0, 3), np.uint8), np.empty((0, 0), np.uint8)
    return Warped(rgb, none, keep, none.copy(), 0, 0, 0, 0, (0, 0, 0, 0))

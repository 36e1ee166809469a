"""A cut-out under a placement becomes a patch of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos as cosine
from math import inf, radians
from math import sin as sine

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels.blend import FEATHER_REACH
from empaste_aug.kernels.reduce import reduce_alpha, reduce_rgb, reduction_for
from empaste_aug.kernels.warp import Affine, warp
from empaste_aug.types import ArgumentError, Circle, Cutout, Placement

_MARGIN = FEATHER_REACH + 1


@dataclass(slots=True, eq=False)
class Patch:
    """A placed cut-out, clipped to the image but for a margin that the feather needs.

    Attributes:
        placement: what it was made from.
        category_id: the bank's category id.
        rgb: (h, w, 3) uint8.
        shape: (h, w) bool: the object's own pixels.
        keep: (h, w) uint8: 1 where the image may change, 0 outside the image, on padding and, for
            `trim_to_free`, where another object lies.
        mask: (h, w) bool, `shape` where `keep`: what it shows if nothing is laid over it. The
            feather softens the edge of `shape`, and a cut by `keep` stays sharp.
        x, y: where the patch's top-left pixel lies in the image; may be negative.
        full_area: the pixels that the whole object would have, off-image ones included.
        area: the pixels of `mask`.
        box: the tight box of `mask`, (x0, y0, x1, y1), half-open, in the image's pixels.
        covers_nothing: `keep` leaves out every object that was there.
    """

    placement: Placement
    category_id: int
    rgb: NDArray[np.uint8]
    shape: NDArray[np.bool_]
    keep: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    x: int
    y: int
    full_area: int
    area: int
    box: tuple[int, int, int, int]
    covers_nothing: bool

    def window(self, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The slices (rows, columns) of the image and of the patch where they overlap."""
        h, w = self.mask.shape
        x0, y0 = max(self.x, 0), max(self.y, 0)
        x1, y1 = max(min(self.x + w, width), x0), max(min(self.y + h, height), y0)
        return (
            (slice(y0, y1), slice(x0, x1)),
            (slice(y0 - self.y, y1 - self.y), slice(x0 - self.x, x1 - self.x)),
        )


def make_patch(
    cutout: Cutout,
    placement: Placement,
    *,
    height: int,
    width: int,
    occupied: NDArray[np.uint8] | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> Patch:
    """Warp a cut-out to its place.

    Shrinking averages before it samples, so that edges do not shimmer (see `kernels.warp`); the
    mask is the warped alpha >= 128.

    Args:
        cutout: what to paste; reduced beforehand or not, the mask is the same.
        placement: where and how.
        height, width: the image's size in pixels.
        occupied: (height, width) uint8, not 0 where an object lies; used if the placement says
            `trim_to_free`.
        valid: (height, width) bool, False on padding, which is never pasted on; None: all valid.

    Raises:
        ArgumentError: the scale is not above 0 or not finite, or the object would have a side of
            more than 32,000 pixels.
    """
    if not 0 < placement.scale < inf:
        raise ArgumentError(f"scale: must be above 0 and finite, not {placement.scale}")
    reduction = max(reduction_for(placement.scale), cutout.reduction)
    rgb, alpha, factor = cutout.rgb, cutout.alpha, reduction // cutout.reduction
    if factor > 1:
        rgb, alpha = reduce_rgb(rgb, factor), reduce_alpha(alpha, factor)
    free = occupied if placement.trim_to_free else None
    try:
        warped = warp(
            rgb,
            alpha,
            _inverse(cutout.circle, placement, reduction),
            height=height,
            width=width,
            margin=_MARGIN,
            valid=valid,
            occupied=free,
        )
    except ArgumentError as error:
        raise ArgumentError(
            f"scale: {placement.scale:.3g} of cut-out {placement.cutout_id}: {error}"
        ) from error
    return Patch(
        placement=placement,
        category_id=cutout.category_id,
        rgb=warped.rgb,
        shape=warped.mask,
        keep=warped.keep,
        mask=warped.shown,
        x=warped.x,
        y=warped.y,
        full_area=warped.total,
        area=warped.area,
        box=warped.box,
        covers_nothing=free is not None,
    )


def _inverse(circle: Circle, placement: Placement, reduction: int) -> Affine:
    """The map from the image's pixel coordinates to those of the crop, reduced so often.

    The crop is mirrored if `flip`, then rotated counter-clockwise (y points down) and scaled about
    the centre of its enclosing circle, which comes to lie on `placement.center`.
    """
    angle, shrink = radians(placement.angle), 1 / (placement.scale * reduction)
    cos, sin = shrink * cosine(angle), shrink * sine(angle)
    mirror = -1.0 if placement.flip else 1.0
    ux, uy, vx, vy = cos * mirror, -sin * mirror, sin, cos
    x, y = placement.center
    u = (circle[0] + 0.5) / reduction - 0.5
    v = (circle[1] + 0.5) / reduction - 0.5
    return ux, uy, u - ux * x - uy * y, vx, vy, v - vx * x - vy * y

"""A cut-out under a placement becomes a patch of pixels, and patches become the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels.blend import FEATHER_REACH, gaussian_paste
from empaste_aug.types import ALPHA_THRESHOLD, ArgumentError, Cutout, Placement

BLENDS = ("gaussian", "none")
_MARGIN = FEATHER_REACH + 1
_LARGEST_SIDE = 32_000  # cv2.warpAffine addresses pixels with 16 bits


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

    def window(self, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The slices (rows, columns) of the image and of the patch where they overlap."""
        h, w = self.mask.shape
        x0, y0 = max(self.x, 0), max(self.y, 0)
        x1, y1 = max(min(self.x + w, width), x0), max(min(self.y + h, height), y0)
        return (
            (slice(y0, y1), slice(x0, x1)),
            (slice(y0 - self.y, y1 - self.y), slice(x0 - self.x, x1 - self.x)),
        )


def affine(cutout: Cutout, placement: Placement) -> NDArray[np.float64]:
    """The (2, 3) matrix from the crop's pixel coordinates (x, y, 1) to the image's.

    Mirrored if `flip`, rotated counter-clockwise (y points down) and scaled about the centre of
    the enclosing circle, which comes to lie on `placement.center`.
    """
    angle = np.deg2rad(placement.angle)
    cos, sin = placement.scale * np.cos(angle), placement.scale * np.sin(angle)
    mirror = -1.0 if placement.flip else 1.0
    linear = np.array([[cos * mirror, sin], [-sin * mirror, cos]])
    shift = np.asarray(placement.center) - linear @ np.asarray(cutout.circle[:2])
    return np.column_stack((linear, shift))


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

    Shrinking averages over areas (`cv2.INTER_AREA`) before the rotation, so that edges do not
    shimmer; the mask is the warped alpha >= 128.

    Args:
        cutout: what to paste.
        placement: where and how.
        height, width: the image's size in pixels.
        occupied: (height, width) uint8, not 0 where an object lies; used if the placement says
            `trim_to_free`.
        valid: (height, width) bool, False on padding, which is never pasted on; None: all valid.

    Raises:
        ArgumentError: the object would have a side of more than 32,000 pixels.
    """
    matrix = affine(cutout, placement)
    x0, y0, x1, y1 = _extent(cutout, placement, matrix)
    if max(x1 - x0, y1 - y0) > _LARGEST_SIDE:
        raise ArgumentError(
            f"scale: {placement.scale:.3g} makes an object of {x1 - x0} x {y1 - y0} pixels "
            f"(cut-out {placement.cutout_id}); at most {_LARGEST_SIDE} a side"
        )
    rgb, alpha, matrix = _shrink(cutout, placement.scale, matrix)
    warped = _warp(alpha, matrix, x0, y0, x1, y1, cv2.BORDER_CONSTANT)
    full = warped >= ALPHA_THRESHOLD
    full_area = int(np.count_nonzero(full))

    left, top = max(x0, -_MARGIN), max(y0, -_MARGIN)
    right = max(min(x1, width + _MARGIN), left)
    bottom = max(min(y1, height + _MARGIN), top)
    shape = np.ascontiguousarray(full[top - y0 : bottom - y0, left - x0 : right - x0])
    patch = Patch(
        placement=placement,
        category_id=cutout.category_id,
        rgb=_warp(rgb, matrix, left, top, right, bottom, cv2.BORDER_REPLICATE),
        shape=shape,
        keep=np.zeros(shape.shape, dtype=np.uint8),
        mask=np.zeros_like(shape),
        x=left,
        y=top,
        full_area=full_area,
    )
    image_window, patch_window = patch.window(height, width)
    keep = patch.keep[patch_window]
    keep[:] = 1 if valid is None else valid[image_window]
    if placement.trim_to_free and occupied is not None:
        keep[occupied[image_window] != 0] = 0
    np.logical_and(shape, patch.keep, out=patch.mask)
    return patch


def paint(image: NDArray[np.uint8], patch: Patch) -> None:
    """Blend a patch into the image, in place.

    Args:
        image: (H, W, 3) uint8 RGB, C-contiguous.
        patch: what to paint. Blending "none" is a hard edge; "gaussian" takes its shape blurred by
            5x5, sigma 2, as opacity (the constants of the paper's predecessor).
    """
    if patch.placement.blend == "none":
        image_window, patch_window = patch.window(*image.shape[:2])
        hit = patch.mask[patch_window]
        image[image_window][hit] = patch.rgb[patch_window][hit]
    else:
        gaussian_paste(image, patch.rgb, patch.shape, patch.x, patch.y, patch.keep)


def _extent(
    cutout: Cutout, placement: Placement, matrix: NDArray[np.float64]
) -> tuple[int, int, int, int]:
    """The box (x0, y0, x1, y1) that holds every pixel of the object and the feather's margin."""
    h, w = cutout.alpha.shape
    corners = np.array([[-0.5, -0.5], [w - 0.5, -0.5], [-0.5, h - 0.5], [w - 0.5, h - 0.5]])
    placed = corners @ matrix[:, :2].T + matrix[:, 2]
    reach = cutout.circle[2] * placement.scale
    center = np.asarray(placement.center)
    low = np.maximum(placed.min(axis=0), center - reach)
    high = np.minimum(placed.max(axis=0), center + reach)
    x0, y0 = (int(v) for v in np.floor(low) - _MARGIN)
    x1, y1 = (int(v) for v in np.ceil(high) + _MARGIN + 1)
    return x0, y0, x1, y1


def _shrink(
    cutout: Cutout, scale: float, matrix: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]:
    """The cut-out at the size that is needed, if that is smaller, and the matrix to match."""
    if scale >= 1.0:
        return cutout.rgb, cutout.alpha, matrix
    h, w = cutout.alpha.shape
    size = max(round(w * scale), 1), max(round(h * scale), 1)
    rgb = cv2.resize(cutout.rgb, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(cutout.alpha, size, interpolation=cv2.INTER_AREA)
    step_x, step_y = w / size[0], h / size[1]
    back = np.array([[step_x, 0.0, (step_x - 1) / 2], [0.0, step_y, (step_y - 1) / 2], [0, 0, 1]])
    return rgb, alpha, matrix @ back


def _warp(
    source: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    x0: int,
    y0: int,
    x1: int,
    y1: int,
    border: int,
) -> NDArray[np.uint8]:
    """Bilinear warp of `source` into the box; `matrix` maps source to image coordinates."""
    shape = (y1 - y0, x1 - x0, *source.shape[2:])
    if 0 in shape:
        return np.zeros(shape, dtype=np.uint8)
    local = matrix.copy()
    local[:, 2] -= (x0, y0)
    warped = cv2.warpAffine(
        source, local, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=0
    )
    return np.asarray(warped, dtype=np.uint8)

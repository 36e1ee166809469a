"""Feathering a mask and laying a cut-out over a photo, in place.

The paper's Gaussian blending takes as opacity the mask blurred by a 5x5 Gaussian of sigma 2. Here
the blur is exact in integers: the five coefficients, those of ``cv2.getGaussianKernel(5, 2)``,
are (39, 57, 64, 57, 39) / 256, so that

    alpha = round(255 * S / 65536),  S = sum over the 5x5 window of weight_y * weight_x * mask

with halves rounded up. Opacity 255 is thus exactly the mask eroded by a 5x5 square, 0 everything
outside the mask dilated by it; only the band between them costs arithmetic. Compositing is exact
too: out = round((alpha * foreground + (255 - alpha) * background) / 255).
"""

from __future__ import annotations

from operator import index

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels import _blend_rows
from empaste_aug.kernels._blend_rows import FEATHER_REACH, FEATHER_WEIGHTS
from empaste_aug.kernels._check import (
    Mask,
    as_binary,
    as_bytes,
    as_rgb,
    as_rows,
    check_paste,
    check_rgb,
    check_same_size,
    check_writeable,
)
from empaste_aug.types import ArgumentError

__all__ = ["FEATHER_REACH", "FEATHER_WEIGHTS", "composite", "feather", "gaussian_paste"]


def feather(mask: Mask) -> NDArray[np.uint8]:
    """A mask's opacity for Gaussian blending (paper 3, blending): 5x5, sigma 2.

    Equal to ``cv2.GaussianBlur(255 * mask, (5, 5), 2, borderType=cv2.BORDER_CONSTANT)``.

    Args:
        mask: (h, w) bool or uint8, non-zero where it is set. Outside it counts as 0, so leave a
            margin of `FEATHER_REACH` pixels where the soft edge shall not be cut.

    Returns:
        (h, w) uint8.

    Raises:
        ArgumentError: `mask` has another dtype or number of dimensions.
    """
    binary = as_binary("mask", mask)
    alpha = np.empty(binary.shape, np.uint8)
    if binary.size:
        _blend_rows.feather(binary, alpha)
    return alpha


def composite(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    x0: int,
    y0: int,
) -> None:
    """Lay `rgb` over `image` in place with opacity `alpha`, rounded exactly.

    Each channel becomes round((alpha * rgb + (255 - alpha) * image) / 255).

    Args:
        image: (H, W, 3) uint8, changed in place. Best C-contiguous, or the patch is copied twice.
        rgb: (h, w, 3) uint8.
        alpha: (h, w) uint8.
        x0: column of the image where the patch's left column lies.
        y0: row of the image where the patch's top row lies.

    Raises:
        ArgumentError: an array has a wrong dtype or shape, `image` is read-only, or the patch is
            not inside the image.
    """
    check_rgb("image", image)
    check_writeable("image", image)
    rgb = as_rgb("rgb", rgb)
    opacity = as_bytes("alpha", alpha)
    if alpha.dtype != np.uint8:
        raise ArgumentError(f"alpha: must be uint8, not {alpha.dtype}")
    check_same_size("alpha", opacity, "rgb", rgb.shape)
    x0, y0 = index(x0), index(y0)
    height, width = opacity.shape
    if x0 < 0 or y0 < 0 or x0 + width > image.shape[1] or y0 + height > image.shape[0]:
        raise ArgumentError(
            f"x0, y0: a patch of {width} x {height} pixels at ({x0}, {y0}) is not inside the image "
            f"of {image.shape[1]} x {image.shape[0]}"
        )
    if opacity.size == 0:
        return
    if image.flags.c_contiguous:
        _blend_rows.composite(as_rows(image), as_rows(rgb), opacity, x0, y0)
    else:
        patch = image[y0 : y0 + height, x0 : x0 + width].copy()
        _blend_rows.composite(as_rows(patch), as_rows(rgb), opacity, 0, 0)
        image[y0 : y0 + height, x0 : x0 + width] = patch


def gaussian_paste(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    mask: Mask,
    x0: int,
    y0: int,
    keep: Mask | None = None,
) -> None:
    """Paste an object with Gaussian blending, in place: `feather` and `composite` in one pass.

    The patch may stick out of the image on any side. Its pixels outside are not drawn, but they
    count in the feather: an object that is cut by the border has no soft edge there.

    Args:
        image: (H, W, 3) uint8, changed in place. Best C-contiguous, or it is copied twice.
        rgb: (h, w, 3) uint8, the patch. Its pixels up to `FEATHER_REACH` beyond the mask are seen
            through the soft edge.
        mask: (h, w) bool or uint8, the object's pixels; see `feather` on the margin.
        x0: column of the image where the patch's left column lies; may be negative.
        y0: row of the image where the patch's top row lies; may be negative.
        keep: (h, w) bool or uint8; where it is 0 the image is left untouched whatever the opacity
            (Space-Maximize: no other object is ever touched). None: paste everywhere.

    Raises:
        ArgumentError: an array has a wrong dtype or shape, or `image` is read-only.
    """
    pixels, binary, kept = check_paste(image, rgb, mask, keep)
    x0, y0 = index(x0), index(y0)
    if binary.size == 0 or image.size == 0:
        return
    target = np.ascontiguousarray(image)
    _blend_rows.gaussian_paste(as_rows(target), pixels, binary, x0, y0, kept)
    if target is not image:
        image[...] = target

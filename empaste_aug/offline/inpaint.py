"""Backgrounds from originals: their objects removed, the pixels around them left as they are.

What is filled in is a guess. OpenCV's methods continue the surroundings smoothly: good for small
or thin regions, a blur for large ones. A diffusion model paints structure, and sometimes another
object (`inpaint_model`): look for target classes in the result (`visible`).
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.pretrained import check_count
from empaste_aug.types import ArgumentError

METHODS = ("telea", "ns")
DEFAULT_DILATE = 5


def inpaint_opencv(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    *,
    radius: float = 5.0,
    method: Literal["telea", "ns"] = "telea",
    dilate: int = DEFAULT_DILATE,
) -> NDArray[np.uint8]:
    """Fill a mask's pixels from their surroundings, by `cv2.inpaint`.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, what is removed.
        radius: in pixels, how far around a pixel is looked at; time grows with its square.
        method: "telea" (Telea, 2004: fast marching) or "ns" (Bertalmio et al., CVPR 2001:
            Navier-Stokes).
        dilate: pixels by which the mask grows first, so that no seam of the object is left.

    Returns:
        (H, W, 3) uint8 RGB, a new array; pixels outside of the grown mask are the image's.

    Raises:
        ArgumentError: shapes or types do not fit, an argument is out of range, or nothing of the
            image is left to fill from.
    """
    if method not in METHODS:
        raise ArgumentError(f"method: must be one of {METHODS}, got {method!r}")
    if not 0 < radius < np.inf:
        raise ArgumentError(f"radius: must be above 0, got {radius}")
    region = grown_mask(image, mask, dilate)
    if not region.any():
        return image.copy()
    flag = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS
    filled = cv2.inpaint(image, region.astype(np.uint8), float(radius), flag)
    return np.where(region[..., None], filled, image).astype(np.uint8)


def grown_mask(image: NDArray[np.uint8], mask: NDArray[np.bool_], dilate: int) -> NDArray[np.bool_]:
    """The (H, W) bool region that is replaced: the mask, grown by a disc of radius `dilate`.

    Raises:
        ArgumentError: shapes or types do not fit, `dilate` is negative, or the region is the whole
            image.
    """
    check_count("dilate", dilate, 0)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ArgumentError(f"image: must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
        raise ArgumentError(
            f"mask: must be {image.shape[:2]} bool as the image, got {mask.shape} {mask.dtype}"
        )
    region = mask
    if dilate and mask.any():
        distance = cv2.distanceTransform(
            (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        region = np.asarray(distance <= dilate)
    if region.all():
        raise ArgumentError(
            f"mask: grown by {dilate} pixels it is the whole image; nothing is left to fill from"
        )
    return region

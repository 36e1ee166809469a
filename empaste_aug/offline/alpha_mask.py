"""Clean-up of a binary mask, and what of it is sure: the trimap of its rim."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
"""The values of a trimap."""


def clean_mask(
    mask: NDArray[np.bool_], *, min_component: float, max_hole: float
) -> NDArray[np.bool_]:
    """The mask without its small components, then without its small holes.

    Pixels are connected over edges and corners inside the mask, over edges only outside it. What
    reaches the array's border is no hole.

    Args:
        mask: (H, W) bool.
        min_component: components below this share of the largest one's area go; at 1 all but the
            largest do (of several largest, the one whose box begins highest). At 0 all stay.
        max_hole: holes up to this share of the remaining area are filled.

    Returns:
        (H, W) bool; empty only if `mask` is.
    """
    cleaned = _drop_components(mask, min_component)
    return _fill_holes(cleaned, max_hole)


def band_width(area: int, *, share: float, limit: int) -> int:
    """Pixels on either side of the edge that are unsure: a share of the square root of the area.

    At least 1, at most `limit`; 0 where `limit` is 0.
    """
    return min(max(round(share * math.sqrt(area)), 1), limit)


def make_trimap(mask: NDArray[np.bool_], width: int) -> NDArray[np.uint8]:
    """What of a mask is sure: all that lies more than `width` pixels from its edge.

    A part thinner than twice the width would have nothing sure, and could vanish whole. So a pixel
    is sure as well if its distance to the edge is more than half of the greatest such distance
    within `width` pixels along rows and columns: the middle half of a thin part, and all of a line
    one or two pixels thick. The same holds for gaps in the mask. For an edge between wide sides the
    two rules are one. The array's border is no edge.

    Args:
        mask: (H, W) bool.
        width: in pixels; 0: all is sure.

    Returns:
        (H, W) uint8 of `FOREGROUND`, `BACKGROUND` and `UNKNOWN`. A mask that is not empty keeps at
        least one pixel of foreground.
    """
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_core(mask, width)] = FOREGROUND
    trimap[_core(~mask, width)] = BACKGROUND
    return trimap


def settle(
    mask: NDArray[np.bool_], trimap: NDArray[np.uint8], *, max_hole: float
) -> NDArray[np.bool_]:
    """A matted mask without specks and pinholes.

    Components that hold nothing of the trimap's foreground go, and holes up to `max_hole` of the
    area are filled but for what the trimap calls background.

    Args:
        mask: (h, w) bool, it holds all of the trimap's foreground.
        trimap: (h, w) uint8.
        max_hole: as in `clean_mask`.
    """
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    anchored = np.zeros(count, dtype=bool)
    anchored[labels[trimap == FOREGROUND]] = True
    settled: NDArray[np.bool_] = anchored[labels]
    filled: NDArray[np.bool_] = _fill_holes(settled, max_hole) & (trimap != BACKGROUND)
    filled |= settled
    return filled


def _core(region: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    if width == 0 or region.all():
        return region
    distance = cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    highest = cv2.dilate(distance, np.ones((2 * width + 1,) * 2, np.uint8))
    core: NDArray[np.bool_] = region & ((2 * distance > highest) | (distance > width))
    return core


def _drop_components(mask: NDArray[np.bool_], min_component: float) -> NDArray[np.bool_]:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask).view(np.uint8), connectivity=8
    )
    if count <= 2 or min_component == 0:
        return mask
    areas, top, left = (
        statistics[1:, column] for column in (cv2.CC_STAT_AREA, cv2.CC_STAT_TOP, cv2.CC_STAT_LEFT)
    )
    keep = np.zeros(count, dtype=bool)
    if min_component < 1:
        keep[1:] = areas >= min_component * areas.max()
    keep[1 + np.lexsort((left, top, -areas))[0]] = True
    kept: NDArray[np.bool_] = keep[labels]
    return kept


def _fill_holes(mask: NDArray[np.bool_], max_hole: float) -> NDArray[np.bool_]:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(~mask).view(np.uint8), connectivity=4
    )
    fill = statistics[:, cv2.CC_STAT_AREA] <= max_hole * np.count_nonzero(mask)
    fill[0] = False
    height, width = mask.shape
    left, top = statistics[:, cv2.CC_STAT_LEFT], statistics[:, cv2.CC_STAT_TOP]
    fill &= (left > 0) & (left + statistics[:, cv2.CC_STAT_WIDTH] < width)
    fill &= (top > 0) & (top + statistics[:, cv2.CC_STAT_HEIGHT] < height)
    if count == 1 or not fill.any():
        return mask
    filled: NDArray[np.bool_] = mask | fill[labels]
    return filled

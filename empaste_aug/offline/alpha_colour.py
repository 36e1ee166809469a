"""The object's own colours on its rim and beyond, so that no old background is pasted with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._jit import kernel
from empaste_aug.offline.alpha_mask import BACKGROUND, FOREGROUND


def foreground_colours(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.float64],
    trimap: NDArray[np.uint8],
    *,
    reach: int,
) -> NDArray[np.uint8]:
    """The photo with the object's colours where the background shines through or lies beside it.

    The colours of the sure foreground, and those of the sure background, are carried into the rim
    ring by ring. A pixel of the photo is alpha F + (1 - alpha) B; its F is the carried one plus
    alpha times what the two carried ones leave unexplained. So an opaque pixel keeps its colour, a
    transparent one takes the carried one.

    Args:
        rgb: (h, w, 3) uint8.
        alpha: (h, w) float64 in [0, 1].
        trimap: (h, w) uint8; the sure foreground keeps its colours.
        reach: how many pixels from the sure foreground, along rows, columns and diagonals, colours
            are changed, 0 or more; farther ones stay the photo's.

    Returns:
        (h, w, 3) uint8, new.
    """
    front, front_known = carry(rgb, trimap == FOREGROUND, reach)
    back, back_known = carry(rgb, trimap == BACKGROUND, reach)
    opacity = alpha[..., None]
    mixed = np.where(back_known[..., None], opacity * front + (1 - opacity) * back, front)
    colours = np.clip(front + opacity * (rgb - mixed), 0, 255)
    change = front_known & (trimap != FOREGROUND)
    cleaned = rgb.copy()
    cleaned[change] = np.rint(colours[change]).astype(np.uint8)
    return cleaned


def carry(
    rgb: NDArray[np.uint8], sure: NDArray[np.bool_], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Colours carried out of the pixels that are sure, ring by ring.

    Each ring takes the mean of its neighbours, corners included, in the rings before.

    Args:
        rgb: (h, w, 3) uint8.
        sure: (h, w) bool.
        reach: the number of rings.

    Returns:
        (h, w, 3) float64, 0 where no ring came, and (h, w) bool, where one did.
    """
    colours = np.where(sure[..., None], rgb, 0).astype(np.float64)
    ring = np.where(sure, 0, -1)
    _carry_rings(colours, ring, reach)
    return colours, ring >= 0


@kernel
def _carry_rings(colours: Any, ring: Any, reach: int) -> None:
    """Give each pixel of ring n, where `ring` is -1, the mean of its neighbours in earlier rings.

    `ring` holds 0 where colours are known; n is written to it.
    """
    height, width = ring.shape
    for n in range(1, reach + 1):
        for y in range(height):
            for x in range(width):
                if ring[y, x] >= 0:
                    continue
                count = 0
                red = green = blue = 0.0
                for v in range(max(y - 1, 0), min(y + 2, height)):
                    for u in range(max(x - 1, 0), min(x + 2, width)):
                        if 0 <= ring[v, u] < n:
                            count += 1
                            red += colours[v, u, 0]
                            green += colours[v, u, 1]
                            blue += colours[v, u, 2]
                if count > 0:
                    ring[y, x] = n
                    colours[y, x, 0] = red / count
                    colours[y, x, 1] = green / count
                    colours[y, x, 2] = blue / count

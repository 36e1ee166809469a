"""Parts of an image for networks that see one square, or only what is large in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def views(image: NDArray[np.uint8], tiles: int) -> list[NDArray[np.uint8]]:
    """The image itself and, for `tiles` > 1, tiles x tiles equal parts that overlap by half."""
    result = [image]
    if tiles > 1:
        height, width = image.shape[:2]
        for top, bottom in _spans(height, tiles):
            for left, right in _spans(width, tiles):
                result.append(image[top:bottom, left:right])
    return result


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """`count` intervals of one length that cover [0, length) and overlap by half."""
    size = max(1, -(-2 * length // (count + 1)))
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    return [(start, start + size) for start in starts]


def squares(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Squares that cover the image, since CLIP sees only the middle one of what it is given."""
    height, width = image.shape[:2]
    side = min(height, width)
    count = -(-max(height, width) // side)
    if count == 1:
        return [image]
    starts = [round(i * (max(height, width) - side) / (count - 1)) for i in range(count)]
    if height > width:
        return [image[start : start + side] for start in starts]
    return [image[:, start : start + side] for start in starts]

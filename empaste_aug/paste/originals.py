"""The pixels of a scene's originals, packed for the kernels that look at all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from empaste_aug.geometry import pixel_box
from empaste_aug.kernels.mask_stack import pack_masks
from empaste_aug.types import Scene

PackedMasks = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""(pixels, table), see `kernels.mask_stack.pack_masks`."""


def pack_originals(scene: Scene) -> PackedMasks:
    """The masks of the scene's instances; a box-only one's is its box, clipped to the image."""
    masks, offsets = [], []
    for instance in scene.instances:
        if instance.mask is None:
            x0, y0, x1, y1 = pixel_box(instance.bbox, scene.height, scene.width)
            masks.append(np.ones((y1 - y0, x1 - x0), dtype=bool))
            offsets.append((x0, y0))
        else:
            masks.append(instance.mask)
            offsets.append(instance.mask_offset)
    return pack_masks(masks, offsets)

"""Masks that are another class's: where F-EM took one object of a photo for two classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.alpha_mask import clean_mask
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.proposals.base import RLE, encode
from empaste_aug.offline.stages.choices import Choice
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import SegmentPool


def anothers_masks(
    photos: Sequence[Photo],
    choices: Sequence[Choice],
    worth: NDArray[np.float64],
    pool: SegmentPool,
    *,
    max_overlap: float,
    alpha: AlphaConfig,
    progress: bool = True,
) -> NDArray[np.bool_]:
    """(len(choices),) bool: first masks that nearly are a better one of another class.

    F-EM looks at one class at a time, so that two classes of a photo may choose the same segment.
    The best mask of a photo stands; a later one stands if its IoU with those that stand is at most
    `max_overlap`. Masks are compared cleaned up, as they are cut out. Further instances overlap no
    other mask anyway.

    Args:
        photos: those that the choices are on.
        choices: of each photo and class at most one with `instance` 0.
        worth: (len(choices),) comparable within a photo; of equal ones the earlier choice is
            better.
        pool: where the masks come from.
        max_overlap: IoU; from 1 on every mask stands.
        alpha: how masks are cleaned up.
        progress: show a bar on stderr.
    """
    result = np.zeros(len(choices), dtype=bool)
    if max_overlap >= 1:
        return result
    on_photo: dict[str, list[int]] = defaultdict(list)
    for row, choice in enumerate(choices):
        if choice.instance == 0:
            on_photo[choice.photo].append(row)
    here = [photo for photo in photos if len(on_photo[photo.name]) > 1]
    for photo in progress_bar(here, description="classes", unit="photo", show=progress):
        rows = on_photo[photo.name]
        found = pool.segments(photo)
        standing: list[RLE] = []
        for row in sorted(rows, key=lambda row: (-worth[row], row)):
            mask = clean_mask(
                found[choices[row].segment].mask(),
                min_component=alpha.min_component,
                max_hole=alpha.max_hole,
            )
            rle = encode(mask)
            if standing and coco_mask.iou([rle], standing, [0] * len(standing)).max() > max_overlap:
                result[row] = True
            else:
                standing.append(rle)
    return result

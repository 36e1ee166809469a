"""One-to-one matching of masks with instances by intersection over union."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class PlacedMask(NamedTuple):
    """A mask at its place: (h, w) bool, and the (x, y) of its top-left pixel in the photo."""

    mask: NDArray[np.bool_]
    offset: tuple[int, int]


def match(
    masks: Sequence[PlacedMask],
    truths: Sequence[NDArray[np.bool_]],
    ignored: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """The IoU of each mask with the instance assigned to it, 0 where none is.

    The assignment is one-to-one and has the greatest sum of IoUs.

    Args:
        masks: of one class in one photo.
        truths: (H, W) bool, the instances of that class.
        ignored: (H, W) bool, pixels that count on neither side.

    Returns:
        (len(masks),) float64 in [0, 1].
    """
    from scipy.optimize import linear_sum_assignment

    found = np.zeros(len(masks))
    if not truths:
        return found
    counted = list(truths) if ignored is None else [truth & ~ignored for truth in truths]
    areas = [int(np.count_nonzero(truth)) for truth in counted]
    ious = np.array([_ious(mask, counted, areas, ignored) for mask in masks])
    chosen, assigned = linear_sum_assignment(ious, maximize=True)
    found[chosen] = ious[chosen, assigned]
    return found


def share_on(mask: PlacedMask, region: NDArray[np.bool_]) -> float:
    """The share of a mask's pixels that lie on an (H, W) bool region."""
    x, y = mask.offset
    h, w = mask.mask.shape
    inside = np.count_nonzero(mask.mask & region[y : y + h, x : x + w])
    return inside / np.count_nonzero(mask.mask)


def _ious(
    mask: PlacedMask,
    truths: Sequence[NDArray[np.bool_]],
    areas: Sequence[int],
    ignored: NDArray[np.bool_] | None,
) -> list[float]:
    """The mask's IoU with each of the instances, from which ignored pixels are gone already."""
    x, y = mask.offset
    h, w = mask.mask.shape
    window = slice(y, y + h), slice(x, x + w)
    own = mask.mask if ignored is None else mask.mask & ~ignored[window]
    own_area = np.count_nonzero(own)
    found = []
    for truth, area in zip(truths, areas, strict=True):
        shared = np.count_nonzero(own & truth[window])
        found.append(float(shared / (own_area + area - shared)) if shared else 0.0)
    return found

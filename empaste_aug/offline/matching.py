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

    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the photo that the mask's array lies on."""
        x, y = self.offset
        h, w = self.mask.shape
        return slice(y, y + h), slice(x, x + w)


class Overlap(NamedTuple):
    """How a mask lies on the instances, all in pixels that are not ignored.

    Attributes:
        area: of the mask.
        areas: (T,) int64, of the instances.
        shared: (T,) int64, of the mask's intersection with each.
    """

    area: int
    areas: NDArray[np.int64]
    shared: NDArray[np.int64]

    @property
    def ious(self) -> NDArray[np.float64]:
        """(T,) float64: the intersections over the unions; 0 where both are empty."""
        union = self.area + self.areas - self.shared
        found: NDArray[np.float64] = self.shared / np.maximum(union, 1)
        return found


def overlap(
    mask: PlacedMask,
    truths: Sequence[NDArray[np.bool_]],
    ignored: NDArray[np.bool_] | None = None,
) -> Overlap:
    """How a mask lies on (H, W) bool instances; `ignored` pixels, (H, W), count on neither side."""
    counted = _without(truths, ignored)
    return _overlap(mask, counted, _areas(counted), ignored)


def iou_matrix(
    masks: Sequence[PlacedMask],
    truths: Sequence[NDArray[np.bool_]],
    ignored: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """(len(masks), len(truths)) float64: every mask's IoU with every instance, as `overlap`."""
    counted = _without(truths, ignored)
    areas = _areas(counted)
    rows = [_overlap(mask, counted, areas, ignored).ious for mask in masks]
    return np.array(rows, dtype=np.float64).reshape(len(masks), len(truths))


def assign(ious: NDArray[np.float64]) -> NDArray[np.int64]:
    """The instance of each mask in the one-to-one assignment with the greatest sum of IoUs.

    Args:
        ious: (M, T) in [0, 1].

    Returns:
        (M,) int64, -1 for a mask without an instance, or with one that it does not touch.
    """
    from scipy.optimize import linear_sum_assignment

    found = np.full(len(ious), -1, dtype=np.int64)
    if ious.size:
        chosen, assigned = linear_sum_assignment(ious, maximize=True)
        touching = ious[chosen, assigned] > 0
        found[chosen[touching]] = assigned[touching]
    return found


def assigned_ious(ious: NDArray[np.float64], assigned: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) float64: each mask's IoU with its instance of `assign`, 0 where it has none."""
    found = np.zeros(len(ious))
    has = assigned >= 0
    found[has] = ious[has, assigned[has]]
    return found


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
    ious = iou_matrix(masks, truths, ignored)
    return assigned_ious(ious, assign(ious))


def share_on(mask: PlacedMask, region: NDArray[np.bool_]) -> float:
    """The share of a mask's pixels that lie on an (H, W) bool region."""
    inside = np.count_nonzero(mask.mask & region[mask.window()])
    return inside / np.count_nonzero(mask.mask)


def _without(
    truths: Sequence[NDArray[np.bool_]], ignored: NDArray[np.bool_] | None
) -> list[NDArray[np.bool_]]:
    return list(truths) if ignored is None else [truth & ~ignored for truth in truths]


def _areas(truths: Sequence[NDArray[np.bool_]]) -> NDArray[np.int64]:
    return np.array([np.count_nonzero(truth) for truth in truths], dtype=np.int64)


def _overlap(
    mask: PlacedMask,
    truths: Sequence[NDArray[np.bool_]],
    areas: NDArray[np.int64],
    ignored: NDArray[np.bool_] | None,
) -> Overlap:
    """As `overlap`, of instances from which ignored pixels are gone already."""
    window = mask.window()
    own = mask.mask if ignored is None else mask.mask & ~ignored[window]
    shared = [np.count_nonzero(own & truth[window]) for truth in truths]
    return Overlap(int(np.count_nonzero(own)), areas, np.array(shared, dtype=np.int64))

"""What detectron2's transforms do to masks, label maps and annotations, without full-size masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T  # noqa: N812
from detectron2.structures import BoxMode
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_annotations import Annotation, xyxy_box
from empaste_aug.adapters._detectron2_masks import CroppedMask, as_polygons, decode_segmentation
from empaste_aug.adapters._detectron2_polygons import (
    KEEP_PLACES,
    Outline,
    transform_outlines,
)
from empaste_aug.types import ArgumentError

_Axes = tuple[NDArray[np.int64], NDArray[np.int64]]
_OUTSIDE = -1


class Geometry:
    """Transforms of one image, as they act on what is drawn in its pixels.

    Resizing, flipping, cropping and padding take each row and each column of the result from one
    of the input, or from none. These rows and columns are found once, by detectron2's own
    resizing; each mask then costs the pixels of its own box. For other transforms, masks go through
    `apply_segmentation` at full size, one by one. Both give the same pixels. Padding is never part
    of an object, whatever the value that the transforms fill it with.

    Args:
        transforms: what was applied to the image.
        height, width: the image's size before.

    Attributes:
        shape: (height, width) of the image after.
    """

    def __init__(self, transforms: T.TransformList, height: int, width: int) -> None:
        self.transforms = transforms
        self.input_shape = (height, width)
        self._axes = _axis_maps(transforms, height, width)
        self.shape: tuple[int, int] = (
            self._of_nothing.shape[:2]
            if self._axes is None
            else (len(self._axes[0]), len(self._axes[1]))
        )

    def mask(self, crop: CroppedMask) -> CroppedMask | None:
        """A mask after the transforms; None where no pixel of it is left."""
        if self._axes is not None:
            x, y = crop.offset
            rows, top = _hits(self._axes[0], y, crop.mask.shape[0])
            columns, left = _hits(self._axes[1], x, crop.mask.shape[1])
            if len(rows) == 0 or len(columns) == 0:
                return None
            if len(rows) >= crop.mask.shape[0]:
                moved = crop.mask.take(columns, axis=1).take(rows, axis=0)
            else:
                moved = crop.mask.take(rows, axis=0).take(columns, axis=1)
            return CroppedMask.tight(moved, (left, top))
        full = np.zeros(self.input_shape, dtype=np.uint8)
        (x, y), (h, w) = crop.offset, crop.mask.shape
        full[y : y + h, x : x + w] = crop.mask
        return CroppedMask.tight(self.transforms.apply_segmentation(full) != self._of_nothing)

    def ids(self, labels: NDArray[np.integer]) -> NDArray[np.int32]:
        """A (H, W) map of ids below 2^24 after the transforms, 0 on padding."""
        if self._axes is not None:
            rows, columns = self._axes
            moved = labels.astype(np.int32).take(rows, axis=0).take(columns, axis=1)
        else:
            shifts = np.array([0, 8, 16])
            channels = (labels[:, :, None] >> shifts).astype(np.uint8)
            there = self.transforms.apply_segmentation(channels).astype(np.int32)
            moved = (there << shifts).sum(axis=2, dtype=np.int32)
        if self.valid is not None:
            moved[~self.valid] = 0
        return moved

    @cached_property
    def valid(self) -> NDArray[np.bool_] | None:
        """(H, W) bool: False on padding; None where there is none."""
        if self._axes is not None:
            rows, columns = (axis != _OUTSIDE for axis in self._axes)
            return None if rows.all() and columns.all() else rows[:, None] & columns
        ones = np.ones(self.input_shape, dtype=np.uint8)
        valid = self.transforms.apply_segmentation(ones) != self._of_nothing
        return None if valid.all() else valid

    @cached_property
    def resize(self) -> float:
        """The factor on lengths at the image's centre: the root of the factor on areas there.

        Raises:
            ArgumentError: an augmentation cannot map points.
        """
        height, width = self.input_shape
        x, y, step = width / 2, height / 2, max(1.0, min(height, width) / 16)
        corners = np.array([[x, y], [x + step, y], [x, y + step]])
        try:
            origin, right, down = np.asarray(self.transforms.apply_coords(corners), dtype=float)
        except NotImplementedError as error:
            raise ArgumentError(
                f"paste_after_augmentations: {self.transforms} cannot map points (apply_coords), "
                "so how much they resize the image is unknown"
            ) from error
        (a, b), (c, d) = right - origin, down - origin
        return float(np.sqrt(abs(a * d - b * c)) / step)

    @cached_property
    def _of_nothing(self) -> NDArray[np.uint8]:
        """What the transforms make of a map of zeros: not 0 where they fill in something else."""
        empty = np.zeros(self.input_shape, dtype=np.uint8)
        filled: NDArray[np.uint8] = self.transforms.apply_segmentation(empty)
        return filled


def transform_annotations(
    annotations: Sequence[Annotation],
    geometry: Geometry,
    *,
    use_mask: bool,
    use_keypoint: bool,
    keypoint_hflip_indices: Any,
    file_name: str,
) -> list[Annotation]:
    """The annotations of the transformed image, crowd regions included; what left it is gone.

    Polygons stay polygons, as DatasetMapper transforms them; other segmentations become
    `CroppedMask`. Keypoints become (K, 3) arrays. Boxes are clipped to the image.

    Raises:
        DatasetError: a segmentation is malformed, or of another size than the image.
    """
    if not annotations:
        return []
    height, width = geometry.shape
    transforms, result = geometry.transforms, []
    boxes = transforms.apply_box(np.array([xyxy_box(annotation) for annotation in annotations]))
    boxes = boxes.clip(0, (width, height, width, height))
    moved = _segmentations(annotations, geometry, file_name) if use_mask else {}
    for position, (annotation, box) in enumerate(zip(annotations, boxes, strict=True)):
        annotation = {**annotation, "bbox": box, "bbox_mode": BoxMode.XYXY_ABS}
        annotation.pop("segmentation", None)
        if position in moved:
            if not moved[position]:
                continue
            annotation["segmentation"] = moved[position]
        elif (box[2:] - box[:2] <= 1e-5).any():
            continue
        keypoints = annotation.pop("keypoints", None)
        if use_keypoint and keypoints is not None:
            annotation["keypoints"] = utils.transform_keypoint_annotations(
                np.array(keypoints, dtype=np.float64),
                transforms,
                geometry.shape,
                keypoint_hflip_indices,
            )
        result.append(annotation)
    return result


def _segmentations(
    annotations: Sequence[Annotation], geometry: Geometry, file_name: str
) -> dict[int, CroppedMask | Outline | None]:
    """What becomes of the annotations' segmentations, by position; falsy where nothing is left."""
    moved: dict[int, CroppedMask | Outline | None] = {}
    outlines = {}
    for position, annotation in enumerate(annotations):
        segmentation = annotation.get("segmentation")
        if segmentation is None or len(segmentation) == 0:
            continue
        where = f"{file_name}: annotations[{position}]"
        if isinstance(segmentation, list):
            outlines[position] = as_polygons(segmentation, where)
        else:
            crop = decode_segmentation(segmentation, *geometry.input_shape, where=where)
            moved[position] = None if crop is None else geometry.mask(crop)
    moved |= zip(
        outlines, transform_outlines(list(outlines.values()), geometry.transforms), strict=True
    )
    return moved


def _hits(axis: NDArray[np.int64], first: int, count: int) -> tuple[NDArray[np.int64], int]:
    """Where `count` input rows from `first` come to lie: offsets in them, and the first place."""
    places = np.flatnonzero((axis >= first) & (axis < first + count))
    if len(places) == 0:
        return places, 0
    return axis[places[0] : places[-1] + 1] - first, int(places[0])


def _axis_maps(transforms: T.TransformList, height: int, width: int) -> _Axes | None:
    """The input row and column of each row and column, `_OUTSIDE` on padding; None if unknown."""
    rows, columns = np.arange(height), np.arange(width)
    for transform in transforms.transforms:
        kind = type(transform)
        if kind is T.HFlipTransform:
            columns = columns[::-1]
        elif kind is T.VFlipTransform:
            rows = rows[::-1]
        elif kind is T.CropTransform:
            rows = rows[transform.y0 : transform.y0 + transform.h]
            columns = columns[transform.x0 : transform.x0 + transform.w]
        elif kind is T.PadTransform:
            rows = np.pad(rows, (transform.y0, transform.y1), constant_values=_OUTSIDE)
            columns = np.pad(columns, (transform.x0, transform.x1), constant_values=_OUTSIDE)
        elif kind is T.ResizeTransform:
            rows = rows[_nearest(transform.h, transform.new_h)]
            columns = columns[_nearest(transform.w, transform.new_w)]
        elif kind not in KEEP_PLACES:
            return None
    return rows, columns


@lru_cache(maxsize=64)
def _nearest(old: int, new: int) -> NDArray[np.int64]:
    """(new,) the pixels of `old` that detectron2's ResizeTransform takes for segmentations."""
    numbers = np.arange(old)[:, None, None]
    channels = (numbers >> np.array([0, 8, 16])).astype(np.uint8)
    taken = T.ResizeTransform(old, 1, new, 1).apply_segmentation(channels)[:, 0].astype(np.int64)
    pixels: NDArray[np.int64] = taken[:, 0] + (taken[:, 1] << 8) + (taken[:, 2] << 16)
    return pixels

"""Training samples drawn for people, as TensorBoard shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.draw import draw_scene
from empaste_aug.types import Instance, Scene

_READABLE = 384
"""Pixels of the longer side from which names can be read."""


def draw_sample(
    sample: Mapping[str, Any], class_names: Sequence[str], *, image_format: str
) -> NDArray[np.uint8]:
    """One mapped sample with its masks and boxes; pasted objects are the ones in colour.

    Args:
        sample: "image", (3, H, W) uint8, and "instances", with `gt_cutout_ids` if objects were
            pasted (EMPasteMapper's ``keep_record=True``).
        class_names: contiguous, of the data set.
        image_format: "RGB" or "BGR".

    Returns:
        (f * H, f * W, 3) uint8 RGB; f is 1, or what makes a small image large enough for letters.
    """
    planes = sample["image"].cpu().numpy()
    if image_format == "BGR":
        planes = planes[::-1]
    factor = max(1, _READABLE // max(planes.shape[1:]))
    image = _enlarged(planes.transpose(1, 2, 0), factor)
    return draw_scene(Scene(image, _instances(sample["instances"], factor)), class_names)


def _enlarged(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    return np.ascontiguousarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


def _instances(instances: Any, factor: int) -> list[Instance]:
    fields = instances.get_fields()
    count = len(instances)
    boxes = fields["gt_boxes"].tensor.cpu().numpy()
    rows = fields["gt_cutout_ids"].tolist() if "gt_cutout_ids" in fields else [-1] * count
    masks = _masks(fields.get("gt_masks"), instances.image_size)
    result = []
    for number, category in enumerate(fields["gt_classes"].tolist()):
        row = None if rows[number] < 0 else rows[number]
        if masks is not None and masks[number].any():
            mask = _enlarged(masks[number], factor)
            result.append(Instance.from_mask(category, mask, cutout_id=row))
        else:
            x0, y0, x1, y1 = (factor * float(value) for value in boxes[number])
            result.append(Instance(category, (x0, y0, x1, y1), cutout_id=row))
    return result


def _masks(masks: Any, image_size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """(N, H, W), of bit masks, cropped masks or polygons."""
    from detectron2.structures import BitMasks, polygons_to_bitmask

    if masks is None:
        return None
    if hasattr(masks, "to_bitmasks"):
        masks = masks.to_bitmasks()
    if isinstance(masks, BitMasks):
        return np.asarray(masks.tensor.cpu().numpy(), dtype=bool)
    drawn = [polygons_to_bitmask(polygons, *image_size) for polygons in masks.polygons]
    return np.asarray(drawn, dtype=bool).reshape(-1, *image_size)

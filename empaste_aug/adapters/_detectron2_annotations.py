"""Annotations of detectron2's dataset dicts to a scene's instances, and back after pasting."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from detectron2.structures import BoxMode
from detectron2.utils.logger import log_first_n
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_masks import decode_segmentation, mask_to_polygons
from empaste_aug.types import Box, DatasetError, Instance, Scene

Annotation = dict[str, Any]
MaskFormat = Literal["polygon", "bitmask"]


def instances_from_annotations(
    annotations: Sequence[Annotation],
    height: int,
    width: int,
    *,
    masks_required: bool,
    file_name: str,
) -> list[Instance]:
    """The instances of one image; each one's `source_index` is its position in `annotations`.

    Objects without segmentation become box-only. With `masks_required`, an object whose
    segmentation holds no pixel of the image is left out: it has no mask to train on.

    Args:
        annotations: detectron2's standard annotation dicts; crowd regions included.
        height, width: the image's size.
        masks_required: whether every object but crowd regions must have a segmentation.
        file_name: for error messages.

    Raises:
        DatasetError: a segmentation is missing though required, malformed, or of another size.
    """
    instances = []
    for index, annotation in enumerate(annotations):
        crowd = bool(annotation.get("iscrowd", 0))
        instance = Instance(
            category_id=int(annotation["category_id"]),
            bbox=_box(annotation),
            crowd=crowd,
            keypoints=_keypoints(annotation),
            source_index=index,
        )
        if _has_segmentation(annotation):
            decoded = decode_segmentation(
                annotation["segmentation"],
                height,
                width,
                where=f"{file_name}: annotations[{index}]",
            )
            if decoded is not None:
                instance.mask, instance.mask_offset = decoded
                instance.bbox = _mask_box(instance.mask, instance.mask_offset)
            elif masks_required:
                continue
        elif masks_required and not crowd:
            raise DatasetError(
                f"{file_name}: annotations[{index}] has no segmentation, but use_instance_mask "
                "(MODEL.MASK_ON) is on; train on this data with masks off, or give it masks"
            )
        instances.append(instance)
    return instances


def annotations_from_scene(
    scene: Scene,
    originals: Sequence[Instance],
    annotations: Sequence[Annotation],
    *,
    mask_format: MaskFormat | None,
    num_keypoints: int | None,
) -> list[Annotation]:
    """The annotations of a pasted scene, in the order of its instances, crowd regions left out.

    Where pasting changed nothing, bbox, polygons and keypoints are the original's own, and so is
    everything that this package does not know of. Changed and pasted masks, and originals that do
    not come as polygons, become polygons or (H, W) uint8 arrays.

    Args:
        scene: after pasting.
        originals: the instances that went in.
        annotations: what `originals` were made from.
        mask_format: how masks are written; None: they are not.
        num_keypoints: how many unlabelled keypoints a pasted object has; None: it has no keypoints.
    """
    before = {instance.source_index: instance for instance in originals}
    result = []
    for instance in scene.instances:
        if instance.crowd:
            continue
        if instance.source_index is None:
            annotation: Annotation = {
                "category_id": instance.category_id,
                "bbox": list(instance.bbox),
                "bbox_mode": BoxMode.XYXY_ABS,
                "iscrowd": 0,
            }
            if num_keypoints is not None:
                annotation["keypoints"] = np.zeros(3 * num_keypoints)
            is_new = True
        else:
            annotation = dict(annotations[instance.source_index])
            original = before[instance.source_index]
            if instance.bbox != original.bbox:
                annotation["bbox"] = list(instance.bbox)
                annotation["bbox_mode"] = BoxMode.XYXY_ABS
            if instance.keypoints is not None and instance.keypoints is not original.keypoints:
                annotation["keypoints"] = instance.keypoints.reshape(-1)
            is_new = instance.mask is not original.mask
        if mask_format is None:
            annotation.pop("segmentation", None)
        elif is_new or not isinstance(annotation["segmentation"], list):
            annotation["segmentation"] = _encode(instance, scene, mask_format)
        result.append(annotation)
    return result


def _encode(
    instance: Instance, scene: Scene, mask_format: MaskFormat
) -> list[NDArray[np.float64]] | NDArray[np.uint8]:
    assert instance.mask is not None
    if mask_format == "bitmask":
        return instance.full_mask(scene.height, scene.width).view(np.uint8)
    polygons, filled = mask_to_polygons(instance.mask, instance.mask_offset)
    if filled:
        log_first_n(
            logging.WARNING,
            "Polygons cannot hold the holes that pasted objects leave in masks: the holes are "
            "filled. Use instance_mask_format='bitmask' (INPUT.MASK_FORMAT) to keep them.",
            name=__name__,
            key="message",
        )
    return polygons


def _has_segmentation(annotation: Annotation) -> bool:
    segmentation = annotation.get("segmentation")
    return segmentation is not None and len(segmentation) > 0


def _box(annotation: Annotation) -> Box:
    x0, y0, x1, y1 = BoxMode.convert(
        [float(v) for v in annotation["bbox"]], annotation["bbox_mode"], BoxMode.XYXY_ABS
    )
    return x0, y0, x1, y1


def _mask_box(mask: NDArray[np.bool_], offset: tuple[int, int]) -> Box:
    x, y = offset
    return float(x), float(y), float(x + mask.shape[1]), float(y + mask.shape[0])


def _keypoints(annotation: Annotation) -> NDArray[np.float64] | None:
    keypoints = annotation.get("keypoints")
    if keypoints is None:
        return None
    return np.array(keypoints, dtype=np.float64).reshape(-1, 3)

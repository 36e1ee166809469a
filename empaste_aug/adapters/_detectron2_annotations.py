"""Annotations of detectron2's dataset dicts to a scene's instances, and back after pasting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.structures import BoxMode
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_masks import CroppedMask, decode_segmentation
from empaste_aug.types import Box, DatasetError, Instance, Scene

Annotation = dict[str, Any]

CUTOUT_KEY = "empaste_cutout_id"
"""The bank's row in the annotation of a pasted object; originals have no such key."""


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
        annotations: detectron2's standard annotation dicts, crowd regions included; segmentations
            may be decoded already, as `CroppedMask`.
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
            bbox=xyxy_box(annotation),
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
                instance.bbox = decoded.box
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
    use_mask: bool,
    keep_polygons: bool,
    num_keypoints: int | None,
) -> list[Annotation]:
    """The annotations of a pasted scene, in the order of its instances, crowd regions left out.

    Where pasting changed nothing, bbox and keypoints are the original's own, and so is everything
    that this package does not know of.

    Args:
        scene: after pasting.
        originals: the instances that went in.
        annotations: what `originals` were made from.
        use_mask: whether to write segmentations, as `CroppedMask`.
        keep_polygons: leave the polygons of what pasting did not change as they are.
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
                CUTOUT_KEY: instance.cutout_id,
            }
            if num_keypoints is not None:
                annotation["keypoints"] = np.zeros((num_keypoints, 3))
            is_new = True
        else:
            annotation = dict(annotations[instance.source_index])
            original = before[instance.source_index]
            if instance.bbox != original.bbox:
                annotation["bbox"] = list(instance.bbox)
                annotation["bbox_mode"] = BoxMode.XYXY_ABS
            if instance.keypoints is not None and instance.keypoints is not original.keypoints:
                annotation["keypoints"] = instance.keypoints
            is_new = instance.mask is not original.mask
        if not use_mask:
            annotation.pop("segmentation", None)
        elif is_new or not (keep_polygons and isinstance(annotation["segmentation"], list)):
            assert instance.mask is not None
            annotation["segmentation"] = CroppedMask(instance.mask, instance.mask_offset)
        result.append(annotation)
    return result


def _has_segmentation(annotation: Annotation) -> bool:
    segmentation = annotation.get("segmentation")
    return segmentation is not None and len(segmentation) > 0


def xyxy_box(annotation: Annotation) -> Box:
    """The annotation's box as XYXY; BoxMode.convert makes tensors, which takes a hundred times."""
    x, y, *rest = (float(v) for v in annotation["bbox"])
    if annotation["bbox_mode"] == BoxMode.XYXY_ABS:
        return x, y, rest[0], rest[1]
    if annotation["bbox_mode"] == BoxMode.XYWH_ABS:
        return x, y, x + rest[0], y + rest[1]
    x0, y0, x1, y1 = BoxMode.convert([x, y, *rest], annotation["bbox_mode"], BoxMode.XYXY_ABS)
    return x0, y0, x1, y1


def _keypoints(annotation: Annotation) -> NDArray[np.float64] | None:
    keypoints = annotation.get("keypoints")
    if keypoints is None:
        return None
    return np.array(keypoints, dtype=np.float64).reshape(-1, 3)

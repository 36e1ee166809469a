"""Transformed annotations to detectron2's Instances, with masks in any of three formats."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes, Instances, Keypoints, PolygonMasks
from detectron2.utils.logger import log_first_n
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_annotations import Annotation
from empaste_aug.adapters._detectron2_masks import (
    CroppedMask,
    decode_segmentation,
    mask_to_polygons,
    polygon_area,
)
from empaste_aug.adapters._detectron2_structures import CroppedMasks
from empaste_aug.types import Box

MaskFormat = Literal["polygon", "bitmask", "cropped"]
MASK_FORMATS = ("polygon", "bitmask", "cropped")


def to_instances(
    annotations: Sequence[Annotation],
    image_size: tuple[int, int],
    *,
    mask_format: MaskFormat | None,
    use_keypoint: bool,
    file_name: str,
) -> Instances:
    """The objects that models train on, in the order of `annotations`, less those without a pixel.

    Args:
        annotations: with XYXY boxes inside the image, segmentations that are `CroppedMask` or
            polygons, and (K, 3) keypoints; no crowd regions.
        image_size: (height, width).
        mask_format: how `gt_masks` holds the masks, round which the boxes are then tight; None:
            there is no `gt_masks`, and boxes stay as they are.
        use_keypoint: whether to make `gt_keypoints`, where there are objects.
        file_name: for error messages.
    """
    if mask_format is None:
        kept = list(annotations)
        boxes = [tuple(annotation["bbox"]) for annotation in kept]
        masks = None
    elif mask_format == "polygon":
        kept, boxes, polygons = [], [], []
        for annotation in annotations:
            outline = _polygons(annotation["segmentation"], image_size)
            box = _vertex_box(outline, image_size) if outline else (0.0, 0.0, 0.0, 0.0)
            if box[0] < box[2] and box[1] < box[3]:
                kept.append(annotation)
                boxes.append(box)
                polygons.append(outline)
        masks = PolygonMasks(polygons)
    else:
        kept, crops = [], []
        for annotation in annotations:
            crop = decode_segmentation(annotation["segmentation"], *image_size, where=file_name)
            if crop is not None:
                kept.append(annotation)
                crops.append(crop)
        boxes = [crop.box for crop in crops]
        masks = (
            CroppedMasks.from_crops(crops, image_size)
            if mask_format == "cropped"
            else _widened(crops, image_size)
        )
    instances = Instances(image_size)
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.tensor([int(a["category_id"]) for a in kept], dtype=torch.int64)
    if masks is not None:
        instances.gt_masks = masks
    if use_keypoint and kept and "keypoints" in kept[0]:
        instances.gt_keypoints = Keypoints(np.stack([a["keypoints"] for a in kept]))
    return instances


def _widened(crops: Sequence[CroppedMask], image_size: tuple[int, int]) -> BitMasks:
    full = torch.zeros((len(crops), *image_size), dtype=torch.bool)
    for target, (mask, (x, y)) in zip(full.numpy(), crops, strict=True):
        target[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return BitMasks(full)


def _polygons(
    segmentation: CroppedMask | list[NDArray[np.float64]], image_size: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """The polygons, or those round a mask's pixels; none where they hold no pixel."""
    if not isinstance(segmentation, CroppedMask):
        return segmentation if polygon_area(segmentation, *image_size) > 0 else []
    polygons, filled = mask_to_polygons(*segmentation)
    if filled:
        log_first_n(
            logging.WARNING,
            "Polygons cannot hold the holes that pasted objects leave in masks: the holes are "
            "filled. Use instance_mask_format='bitmask' or 'cropped' (INPUT.MASK_FORMAT) to keep "
            "them.",
            name=__name__,
            key="message",
        )
    return polygons


def _vertex_box(polygons: Sequence[NDArray[np.float64]], image_size: tuple[int, int]) -> Box:
    """The box round the vertices, clipped to the image."""
    height, width = image_size
    vertices = np.concatenate(polygons).reshape(-1, 2).clip(0, (width, height))
    (x0, y0), (x1, y1) = vertices.min(axis=0), vertices.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)

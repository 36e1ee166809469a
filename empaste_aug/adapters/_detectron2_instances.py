"""Transformed annotations to detectron2's Instances, with masks in any of three formats."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes, Instances, Keypoints, PolygonMasks
from detectron2.utils.logger import log_first_n
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_annotations import CUTOUT_KEY, Annotation
from empaste_aug.adapters._detectron2_masks import (
    CroppedMask,
    decode_segmentation,
    hold_pixels,
    mask_to_polygons,
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
    with_cutout_ids: bool = False,
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
        with_cutout_ids: whether to make `gt_cutout_ids`, int64: the bank's row of each pasted
            object, -1 for originals.
    """
    if mask_format is None:
        kept = list(annotations)
        boxes = [tuple(annotation["bbox"]) for annotation in kept]
        masks = None
    elif mask_format == "polygon":
        outlines = _outlines([a["segmentation"] for a in annotations], image_size)
        found = _vertex_boxes(outlines, image_size)
        left = [k for k, box in enumerate(found) if box[0] < box[2] and box[1] < box[3]]
        kept, boxes = [annotations[k] for k in left], [found[k] for k in left]
        masks = PolygonMasks([outlines[k] for k in left])
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
    if with_cutout_ids:
        rows = [a.get(CUTOUT_KEY, -1) for a in kept]
        instances.gt_cutout_ids = torch.tensor(rows, dtype=torch.int64)
    if use_keypoint and kept and "keypoints" in kept[0]:
        instances.gt_keypoints = Keypoints(np.stack([a["keypoints"] for a in kept]))
    return instances


def _widened(crops: Sequence[CroppedMask], image_size: tuple[int, int]) -> BitMasks:
    full = _zeros((len(crops), *image_size))
    for target, (mask, (x, y)) in zip(full.numpy(), crops, strict=True):
        target[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return BitMasks(full)


def _zeros(shape: tuple[int, int, int]) -> torch.Tensor:
    """A bool tensor of zeros that goes back to the system when it is let go of.

    It is mapped, not taken from malloc: glibc's malloc answers the release of a large block by
    keeping all further ones of that size on its heap, which fragments and grows by 100 MB and more
    in a worker.
    """
    size = shape[0] * shape[1] * shape[2]
    if size == 0:
        return torch.zeros(shape, dtype=torch.bool)
    pages = mmap.mmap(-1, size, access=mmap.ACCESS_COPY)
    return torch.frombuffer(pages, dtype=torch.bool).view(shape)


def _outlines(
    segmentations: Sequence[CroppedMask | list[NDArray[np.float64]]], image_size: tuple[int, int]
) -> list[list[NDArray[np.float64]]]:
    """The polygons, or those round masks' pixels; none for an object that holds no pixel."""
    outlines = [
        _polygons(s) if isinstance(s, CroppedMask) else [np.asarray(p, np.float64) for p in s]
        for s in segmentations
    ]
    drawn = [k for k, s in enumerate(segmentations) if not isinstance(s, CroppedMask)]
    seen = hold_pixels([outlines[k] for k in drawn], *image_size)
    for k, is_seen in zip(drawn, seen, strict=True):
        if not is_seen:
            outlines[k] = []
    return outlines


def _polygons(crop: CroppedMask) -> list[NDArray[np.float64]]:
    polygons, filled = mask_to_polygons(*crop)
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


def _vertex_boxes(
    outlines: Sequence[Sequence[NDArray[np.float64]]], image_size: tuple[int, int]
) -> list[Box]:
    """The box round each object's vertices, clipped to the image; all zero where it has none."""
    boxes: list[Box] = [(0.0, 0.0, 0.0, 0.0)] * len(outlines)
    drawn = [k for k, outline in enumerate(outlines) if outline]
    if not drawn:
        return boxes
    height, width = image_size
    vertices = np.concatenate([p for k in drawn for p in outlines[k]]).reshape(-1, 2)
    counts = [sum(p.size for p in outlines[k]) // 2 for k in drawn]
    starts = np.cumsum([0, *counts[:-1]])
    low = np.minimum.reduceat(vertices, starts).clip(0, (width, height))
    high = np.maximum.reduceat(vertices, starts).clip(0, (width, height))
    for k, (x0, y0), (x1, y1) in zip(drawn, low.tolist(), high.tolist(), strict=True):
        boxes[k] = x0, y0, x1, y1
    return boxes

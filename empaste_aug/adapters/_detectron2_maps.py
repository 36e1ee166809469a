"""Semantic and panoptic ground truth of detectron2's dataset dicts, in and out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.data import detection_utils as utils
from detectron2.structures import BoxMode
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_checks import category_fault
from empaste_aug.adapters._detectron2_masks import CroppedMask
from empaste_aug.paste.maps import map_values
from empaste_aug.paste.select import some
from empaste_aug.types import DatasetError, Segment

SegmentInfo = dict[str, Any]


def read_semantic(file_name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A (H, W) uint8 map of class ids, from a single-channel image file.

    Raises:
        DatasetError: it is not as large as the photo.
    """
    values: NDArray[np.uint8] = utils.read_image(file_name, "L").squeeze(2)
    return _checked(values, file_name, shape)


def read_panoptic(file_name: str, shape: tuple[int, int]) -> NDArray[np.int32]:
    """A (H, W) int32 map of segment ids, from an RGB file: id = R + 256 G + 65536 B (COCO).

    Raises:
        DatasetError: it is not as large as the photo.
    """
    channels = _checked(utils.read_image(file_name, "RGB"), file_name, shape).astype(np.int32)
    ids: NDArray[np.int32] = (
        channels[:, :, 0] + (channels[:, :, 1] << 8) + (channels[:, :, 2] << 16)
    )
    return ids


def read_segments(
    segments_info: Sequence[SegmentInfo],
    thing_ids: Sequence[int] | None,
    num_classes: int | None,
    where: str,
) -> tuple[Segment, ...]:
    """The segments; each one's `source_index` is its position in `segments_info`.

    Args:
        segments_info: id, category_id, and where they are known isthing and iscrowd.
        thing_ids: the category ids of things, for data sets without isthing; None: not known.
        num_classes: how many classes of things there are; None: not known.
        where: for error messages.

    Raises:
        DatasetError: whether a segment is a thing is not known, a category id is no integer >= 0
            or, of a thing, not below `num_classes`, or an id is 0 or occurs twice.
    """
    segments = []
    for position, info in enumerate(segments_info):
        if "isthing" in info:
            is_thing = bool(info["isthing"])
        elif thing_ids is not None:
            is_thing = info.get("category_id") in thing_ids
        else:
            raise DatasetError(
                f"{where}: segments_info[{position}] has no 'isthing', and the metadata of the "
                "data set no thing_dataset_id_to_contiguous_id: what is a thing is not known"
            )
        fault = category_fault(info.get("category_id"), num_classes if is_thing else None)
        if fault is not None:
            raise DatasetError(f"{where}: segments_info[{position}]: {fault}")
        segments.append(
            Segment(
                id=int(info["id"]),
                category_id=int(info["category_id"]),
                is_thing=is_thing,
                crowd=bool(info.get("iscrowd", 0)),
                source_index=position,
            )
        )
    ids = [segment.id for segment in segments]
    if 0 in ids or len(set(ids)) < len(ids):
        raise DatasetError(f"{where}: segments_info: an id is 0 or occurs twice in {ids}")
    return tuple(segments)


def check_ids(panoptic: NDArray[np.integer], segments: Sequence[Segment], where: str) -> None:
    """Every id of the map but 0 must be a segment's. Segments without a pixel are allowed.

    Raises:
        DatasetError: an id has no segment.
    """
    unknown = sorted(map_values(panoptic) - {0, *(segment.id for segment in segments)})
    if unknown:
        raise DatasetError(
            f"{where}: {len(unknown)} of its ids have no entry in 'segments_info': "
            f"{some(unknown)}; pixels without a segment are 0"
        )


def annotations_of_things(
    panoptic: NDArray[np.integer], segments: Sequence[Segment]
) -> list[dict[str, Any]]:
    """Instance annotations of the thing segments that have a pixel, crowd regions included."""
    annotations = []
    for segment in segments:
        mask = CroppedMask.tight(panoptic == segment.id) if segment.is_thing else None
        if mask is not None:
            annotations.append(
                {
                    "category_id": segment.category_id,
                    "bbox": list(mask.box),
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "segmentation": mask,
                    "iscrowd": int(segment.crowd),
                }
            )
    return annotations


def panoptic_output(
    panoptic: NDArray[np.integer], segments: Sequence[Segment], infos: Sequence[SegmentInfo]
) -> tuple[torch.Tensor, list[SegmentInfo]]:
    """The map as tensor, and what is left in it in the form of COCO's panoptic json.

    Args:
        panoptic: (H, W) ids, 0 where there is no segment.
        segments: what they stand for.
        infos: what `read_segments` was given.

    Returns:
        (H, W) int32, and a dict for each segment with a pixel: id, category_id (contiguous),
        iscrowd, isthing, area in pixels, and bbox, tight, as [x, y, width, height] like COCO's;
        originals keep their other keys.
    """
    left = []
    for segment in segments:
        pixels = (panoptic == segment.id).view(np.uint8)
        area = cv2.countNonZero(pixels)
        if area == 0:
            continue
        known = {} if segment.source_index is None else deepcopy(infos[segment.source_index])
        left.append(
            {
                **known,
                "id": segment.id,
                "category_id": segment.category_id,
                "iscrowd": int(segment.crowd),
                "isthing": segment.is_thing,
                "area": area,
                "bbox": list(cv2.boundingRect(pixels)),
            }
        )
    return torch.from_numpy(np.ascontiguousarray(panoptic)), left


def _checked(values: NDArray[Any], file_name: str, shape: tuple[int, int]) -> NDArray[Any]:
    if values.shape[:2] != shape:
        raise DatasetError(
            f"{file_name}: {values.shape[0]} x {values.shape[1]} (height x width), but its photo "
            f"is {shape[0]} x {shape[1]}"
        )
    return values

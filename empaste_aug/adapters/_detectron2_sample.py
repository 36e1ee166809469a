"""One image of detectron2's standard format while it is mapped: read, and handed out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.data import detection_utils as utils
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_annotations import Annotation
from empaste_aug.adapters._detectron2_checks import check_annotations
from empaste_aug.adapters._detectron2_maps import (
    SegmentInfo,
    annotations_of_things,
    check_ids,
    panoptic_output,
    read_panoptic,
    read_segments,
    read_semantic,
)
from empaste_aug.adapters._detectron2_transform import Geometry
from empaste_aug.types import Background, DatasetError, Record, Segment

_LABEL_KEYS = ("annotations", "sem_seg_file_name", "pan_seg_file_name", "segments_info")


@dataclass(slots=True, eq=False)
class Sample:
    """One image with all its ground truth, at some stage of the mapping.

    Attributes:
        file_name: the photo's.
        image: (H, W, 3) RGB; it may be a view, see `contiguous`.
        annotations: in detectron2's standard format, but segmentations may be `CroppedMask`.
        semantic: (H, W) uint8 class map, or None.
        panoptic: (H, W) int32 map of segment ids, or None.
        segments: what the ids of `panoptic` stand for.
        infos: the data set's dicts of them.
        geometry: what the augmentations did, or None before them.
        record: what was pasted, or None before that.
        background: what took the photo's place, or None where it did not.
    """

    file_name: str
    image: NDArray[np.uint8]
    annotations: list[Annotation]
    semantic: NDArray[np.integer] | None = None
    panoptic: NDArray[np.integer] | None = None
    segments: Sequence[Segment] = ()
    infos: Sequence[SegmentInfo] = ()
    geometry: Geometry | None = None
    record: Record | None = None
    background: Background | None = None


def read_sample(
    dataset_dict: dict[str, Any], thing_ids: Sequence[int] | None, num_classes: int | None
) -> tuple[Sample, dict[str, Any]]:
    """The image and its labels from the files, and a copy of the other keys, sizes filled in.

    Where there are panoptic segments but no annotations, these are made from the things' segments.

    Raises:
        DatasetError: a map is not as large as the photo, a category id or box is malformed, or the
            segments are, or a panoptic map's id has none.
    """
    rest = deepcopy({k: v for k, v in dataset_dict.items() if k not in _LABEL_KEYS})
    file_name = rest["file_name"]
    image = utils.read_image(file_name, format="RGB")
    utils.check_image_size(rest, image)
    sample = Sample(file_name, image, list(dataset_dict.get("annotations", ())))
    check_annotations(sample.annotations, num_classes, file_name)
    if "sem_seg_file_name" in dataset_dict:
        sample.semantic = read_semantic(dataset_dict["sem_seg_file_name"], image.shape[:2])
    if "pan_seg_file_name" in dataset_dict:
        if "segments_info" not in dataset_dict:
            raise DatasetError(f"{file_name}: has 'pan_seg_file_name', but no 'segments_info'")
        sample.infos = dataset_dict["segments_info"]
        sample.panoptic = read_panoptic(dataset_dict["pan_seg_file_name"], image.shape[:2])
        sample.segments = read_segments(sample.infos, thing_ids, num_classes, file_name)
        check_ids(
            sample.panoptic, sample.segments, f"{file_name}: {dataset_dict['pan_seg_file_name']}"
        )
        if "annotations" not in dataset_dict:
            sample.annotations = annotations_of_things(sample.panoptic, sample.segments)
    return sample, rest


def write_sample(sample: Sample, image_format: str) -> dict[str, Any]:
    """The image and the maps as the tensors that models take: image, sem_seg, pan_seg."""
    output: dict[str, Any] = {"image": _to_planes(swap_rgb(sample.image, image_format))}
    if sample.semantic is not None:
        output["sem_seg"] = torch.as_tensor(sample.semantic.astype(np.int64))
    if sample.panoptic is not None:
        output["pan_seg"], output["segments_info"] = panoptic_output(
            sample.panoptic, sample.segments, sample.infos
        )
    return output


def swap_rgb(image: NDArray[Any], image_format: str) -> NDArray[Any]:
    """From RGB to `image_format`, or back: the same step. "BGR" turns the channels round.

    The result is a view, which may be slow to copy: see `contiguous`.
    """
    return image[:, :, ::-1] if image_format == "BGR" else image


def contiguous(image: NDArray[Any]) -> NDArray[Any]:
    """An image (H, W, 3), C-contiguous: itself, or a copy."""
    if image.flags.c_contiguous or image.dtype != np.uint8:
        return np.ascontiguousarray(image)
    base, swapped, turn = _unturned(image)
    copied: NDArray[np.uint8] = cv2.cvtColor(base, cv2.COLOR_RGB2BGR) if swapped else base.copy()
    return copied if turn is None else cv2.flip(copied, turn)


def _to_planes(image: NDArray[Any]) -> torch.Tensor:
    """(3, H, W), of (H, W, 3)."""
    planes = np.empty((3, *image.shape[:2]), dtype=image.dtype)
    if image.dtype == np.uint8:
        base, swapped, turn = _unturned(image)
        cv2.split(base, list(planes[::-1] if swapped else planes))
        if turn is not None:
            for plane in planes:
                cv2.flip(plane, turn, dst=plane)
    else:
        np.copyto(planes, image.transpose(2, 0, 1))
    return torch.from_numpy(planes)


def _unturned(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool, int | None]:
    """The image that one was flipped from, by views: such are slow to copy, pixel by pixel.

    Returns:
        The image before; whether the channels are the other way round in it; OpenCV's code of the
        flip, or None.
    """
    upside_down, mirrored, swapped = (stride < 0 for stride in image.strides)
    steps = (-1 if turned else 1 for turned in (upside_down, mirrored, swapped))
    base = image[tuple(slice(None, None, step) for step in steps)]
    turn = {(1, 1): -1, (1, 0): 0, (0, 1): 1}.get((upside_down, mirrored))
    return base, swapped, turn

"""Checks of the mapper's arguments, and of what a data set says of each image's objects."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.structures import BoxMode

from empaste_aug.types import ArgumentError, DatasetError

_BOX_MODES = (BoxMode.XYXY_ABS, BoxMode.XYWH_ABS, BoxMode.XYWHA_ABS)


def check_pasting(image_format: str, proposal_topk: int | None) -> None:
    """Refuse settings of DatasetMapper under which nothing can be pasted.

    Raises:
        ArgumentError: precomputed proposals, or an image format other than RGB and BGR.
    """
    if proposal_topk is not None:
        raise ArgumentError(
            "precomputed_proposal_topk (MODEL.LOAD_PROPOSALS): precomputed proposals do not "
            "know pasted objects; switch them off, or pass paste=None"
        )
    if image_format not in ("RGB", "BGR"):
        raise ArgumentError(f"image_format: {image_format!r}; pasting works on 'RGB' and 'BGR'")


def check_annotations(
    annotations: Sequence[Mapping[str, Any]], num_classes: int | None, file_name: str
) -> None:
    """Refuse what would only spoil the training: see `Raises`. Segmentations are not looked at.

    Args:
        annotations: in detectron2's standard format, crowd regions included.
        num_classes: how many classes the data set has; None: not known.
        file_name: for error messages.

    Raises:
        DatasetError: a category id is no integer in [0, num_classes), or a box is missing, not
            finite, of an unknown mode or of negative width or height.
    """
    for position, annotation in enumerate(annotations):
        fault = category_fault(annotation.get("category_id"), num_classes) or _box_fault(annotation)
        if fault is not None:
            raise DatasetError(f"{file_name}: annotations[{position}]: {fault}")


def category_fault(category: Any, num_classes: int | None) -> str | None:
    """What is wrong with a category id; None where nothing is."""
    try:
        number = operator.index(category)
    except TypeError:
        if not (isinstance(category, float) and category.is_integer()):
            return f"category_id: {category!r} is no integer"
        number = int(category)
    if number < 0:
        return f"category_id: {category!r} is negative"
    if num_classes is not None and number >= num_classes:
        return f"category_id: {category!r}, but there are {num_classes} classes (thing_classes)"
    return None


def _box_fault(annotation: Mapping[str, Any]) -> str | None:
    """What is wrong with an annotation's box; None where nothing is."""
    box, mode = annotation.get("bbox"), annotation.get("bbox_mode")
    if mode not in _BOX_MODES:
        return f"bbox_mode: {mode!r} is none of {', '.join(known.name for known in _BOX_MODES)}"
    length = 5 if mode == BoxMode.XYWHA_ABS else 4
    try:
        numbers = [float(number) for number in box]  # type: ignore[union-attr]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != length:
        return f"bbox: {box!r} is not {length} numbers"
    if not math.isfinite(sum(numbers)):
        return f"bbox: {box!r} is not finite"
    if mode == BoxMode.XYXY_ABS:
        width, height = numbers[2] - numbers[0], numbers[3] - numbers[1]
    else:
        width, height = numbers[2], numbers[3]
    if width < 0 or height < 0:
        return f"bbox: {box!r} in {BoxMode(mode).name} has the negative size {width:g} x {height:g}"
    return None

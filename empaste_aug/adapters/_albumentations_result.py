"""A pasted Scene as the sample of an Albumentations pipeline that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.adapters._albumentations_hooks import IS_SUCCESSOR
from empaste_aug.adapters._albumentations_labels import BOXES
from empaste_aug.adapters._albumentations_sample import Sample
from empaste_aug.types import ArgumentError, Instance, Scene

_INSTANCE_ID = "_kp_instance_id"


def annotate(sample: Sample, pasted: Scene, keypoint_processor: Any) -> dict[str, Any]:
    """The sample's entries with the pasted scene's image and objects.

    Raises:
        ArgumentError: keypoints without a processor, or a label that does not fit its field.
    """
    result = {**sample.data, "image": pasted.image}
    if sample.scene.semantic is not None:
        semantic = np.asarray(pasted.semantic)
        result["mask"] = semantic.reshape(*semantic.shape, *sample.data["mask"].shape[2:])
    added = [i for i in pasted.instances if i.cutout_id is not None]
    if sample.data.get("keypoints") is not None:
        result["keypoints"] = _visible_keypoints(sample, added, keypoint_processor)
    if sample.boxes is None and sample.masks is None:
        return result
    kept = [(_row(i), i) for i in pasted.instances if i.cutout_id is None]
    values = _values_of(sample, added)
    for field in values.keys() - set(sample.labels.encoded):
        rows = [row for row, _ in kept]
        result[field] = sample.labels.extended(field, rows, values[field])
    if sample.masks is not None:
        result["masks"] = _write_masks(sample, sample.masks, kept, added)
    if sample.boxes is not None:
        result[BOXES] = _write_boxes(sample, sample.boxes, kept, added, values)
    return result


def _row(instance: Instance) -> int:
    assert instance.source_index is not None
    return instance.source_index


def _place(instance: Instance) -> tuple[slice, slice]:
    """Where in the image its mask lies."""
    assert instance.mask is not None
    x, y = instance.mask_offset
    h, w = instance.mask.shape
    return slice(y, y + h), slice(x, x + w)


def _values_of(sample: Sample, added: Sequence[Instance]) -> dict[str, list[Any]]:
    """What the pasted objects have in each label field that the sample has."""
    fields = sample.fields
    values = {name: [value] * len(added) for name, value in fields.fill.items()}
    values.setdefault(fields.crowd, [0] * len(added))
    if fields.label is not None:
        values[fields.label] = [fields.classes[i.category_id] for i in added]
    return {name: value for name, value in values.items() if name in sample.labels}


def _write_masks(
    sample: Sample,
    masks: NDArray[Any],
    kept: Sequence[tuple[int, Instance]],
    added: Sequence[Instance],
) -> Any:
    """An array or a list, as the sample's own are; where that is empty, what transforms can take.

    In 2.0.8 these are filled arrays and empty lists; in AlbumentationsX, arrays.
    """
    stack = np.zeros((len(kept) + len(added), sample.height, sample.width), masks.dtype)
    for target, (row, instance) in zip(stack, kept, strict=False):
        source = masks[sample.mask_rows[row]]
        if instance is sample.originals[row]:
            target[:] = source
        else:
            place = _place(instance)
            np.copyto(target[place], source[place], where=instance.mask)
    for target, instance in zip(stack[len(kept) :], added, strict=True):
        target[_place(instance)][instance.mask] = sample.fields.mask_value
    if not len(stack) and not IS_SUCCESSOR:
        return []
    like = sample.data["masks"]
    if isinstance(like, np.ndarray):
        return stack.reshape(*stack.shape, *like.shape[3:])
    if not len(like):
        return stack
    return [mask.reshape(*mask.shape, *np.shape(like[0])[2:]) for mask in stack]


def _write_boxes(
    sample: Sample,
    boxes: NDArray[np.floating],
    kept: Sequence[tuple[int, Instance]],
    added: Sequence[Instance],
    values: dict[str, list[Any]],
) -> NDArray[np.floating]:
    """(len(kept) + len(added), 4 + label fields); sides that did not move keep their values."""
    if not kept and not added:
        return boxes[:0]
    encoded, fields = sample.labels.encoded, sample.fields
    rows = np.zeros((len(kept) + len(added), 4 + len(encoded)), boxes.dtype)
    size = np.array((sample.width, sample.height) * 2, np.float64)
    for target, (row, instance) in zip(rows, kept, strict=False):
        target[:] = boxes[row]
        if instance is not sample.originals[row]:
            moved = np.not_equal(instance.bbox, sample.pixels_of(row))
            target[:4][moved] = (instance.bbox / size)[moved]
    for target, instance in zip(rows[len(kept) :], added, strict=True):
        target[:4] = instance.bbox / size
    for column, field in enumerate(encoded, 4):
        if field == fields.index:
            rows[:, column] = sample.labels.encode(field, list(range(len(rows))))
        elif added:
            rows[len(kept) :, column] = sample.labels.encode(field, values[field])
    return rows


def _visible_keypoints(sample: Sample, added: Sequence[Instance], processor: Any) -> Any:
    """The keypoints that no pasted object covers; all where invisible ones are kept."""
    keypoints = sample.data["keypoints"]
    if processor is None:
        raise ArgumentError("keypoints: need A.Compose with keypoint_params")
    if _INSTANCE_ID in (processor.params.label_fields or ()):
        raise ArgumentError("keypoints: cannot be pasted on where instance_binding names them")
    if not processor.params.remove_invisible or not len(keypoints):
        return keypoints
    height, width = sample.height, sample.width
    cover = np.zeros((height, width), bool)
    for instance in added:
        cover[_place(instance)] |= instance.mask
    x, y = np.floor(keypoints[:, :2] + 0.5).astype(np.int64).T
    return keypoints[~cover[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]]

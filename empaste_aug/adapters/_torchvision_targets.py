"""The entries of a target: to instances before pasting, and back for the pasted scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F  # noqa: N812

from empaste_aug.adapters._torchvision_keypoints import KeypointEntries
from empaste_aug.adapters._torchvision_labels import LabelValues
from empaste_aug.adapters._torchvision_values import (
    box_format,
    check_boxes,
    check_masks,
    check_semantic,
    complete_empty,
    constant_like,
    corners,
    crop_mask,
    empty_target,
    instance_area,
    is_rows,
    kind_of,
    map_like,
    may_be_rows,
    on_canvas,
    take_rows,
    write_mask,
)
from empaste_aug.types import ArgumentError, Instance, Scene

OF_THE_IMAGE = ("image_id", "orig_size")
"""Entries that are known to belong to the image."""


class TargetEntries:
    """Which entries of a target are what; see EMPasteTransform.

    Raises:
        ArgumentError: `carry` or `keep` is a string or names an entry that is handled already.
    """

    def __init__(
        self,
        *,
        boxes_key: str,
        labels_key: str,
        masks_key: str | None,
        semantic_key: str | None,
        keypoints: KeypointEntries,
        label_values: LabelValues,
        carry: Mapping[str, float] | Sequence[str],
        keep: Sequence[str],
    ) -> None:
        for name, keys in (("carry", carry), ("keep", keep)):
            if isinstance(keys, str):
                raise ArgumentError(f"{name}: {keys!r} is a string, not a sequence of keys")
        self.boxes_key, self.labels_key, self.masks_key = boxes_key, labels_key, masks_key
        self.semantic_key = semantic_key
        self.keypoints = keypoints
        self.label_values = label_values
        self._known = (boxes_key, labels_key, masks_key, semantic_key, *keypoints.keys)
        fills = carry if isinstance(carry, Mapping) else dict.fromkeys(carry, 0)
        handled = [key for key in fills if key in self._known]
        if handled:
            raise ArgumentError(f"carry: {handled} have keys of their own")
        self.carry = {"iscrowd": 0, "area": 0, **fills}
        handled = [key for key in keep if key in self._known or key in self.carry]
        if handled:
            raise ArgumentError(f"keep: {handled} have rows of objects, which follow them")
        self.keep = {*OF_THE_IMAGE, *keep} - set(fills)

    def complete(self, target: dict[Any, Any], height: int, width: int) -> dict[Any, Any]:
        """A copy of the target, checked; with boxes, labels and masks where it has none at all."""
        target, size = dict(target), (height, width)
        objects = (self.boxes_key, self.labels_key, self.masks_key)
        if not any(key in target for key in objects):
            empty = zip(objects, empty_target(size), strict=True)
            target.update((key, value) for key, value in empty if key is not None)
        for key, value in target.items():
            if key not in self._known and key not in self.carry and key not in self.keep:
                self._check_other(key, value)
        boxes: Any = complete_empty(target.get(self.boxes_key), (0, 4))
        check_boxes(f"target[{self.boxes_key!r}]", boxes, size)
        target[self.boxes_key] = boxes
        if not len(boxes):
            for key, shape, dtype in (
                (self.labels_key, (0,), torch.int64),
                (self.masks_key, (0, *size), torch.uint8),
            ):
                if key in target:
                    target[key] = complete_empty(target[key], shape, dtype)
        labels = target.get(self.labels_key)
        self.label_values.check(f"target[{self.labels_key!r}]", labels, len(boxes))
        if self.masks_key in target:
            shape = (len(boxes), *size)
            check_masks(f"target[{self.masks_key!r}]", target[self.masks_key], shape)
        if self.semantic_key is not None:
            semantic = target.get(self.semantic_key)
            check_semantic(f"target[{self.semantic_key!r}]", semantic, size)
        self.keypoints.complete(target, len(boxes), size)
        for key in self.carry.keys() & target.keys():
            if not is_rows(target[key], len(boxes)):
                raise ArgumentError(
                    f"target[{key!r}]: {kind_of(target[key])}; expected a tensor or list of one "
                    f"row for each of the {len(boxes)} boxes"
                )
        return target

    def _check_other(self, key: Any, value: Any) -> None:
        """ArgumentError where an entry that nothing explains may be about objects or pixels."""
        if isinstance(value, tv_tensors.TVTensor):
            raise ArgumentError(
                f"target[{key!r}]: pasting does not change this {type(value).__name__}; name it in "
                "carry if it has a row for each object, in semantic_key if it is a semantic map, "
                "in keep if it shall stay as it is"
            )
        if may_be_rows(value):
            raise ArgumentError(
                f"target[{key!r}]: {kind_of(value)}; nothing says whether it has a row for each "
                "object: name it in carry if it has, in keep if it belongs to the image"
            )

    def instances(self, target: Mapping[Any, Any]) -> list[Instance]:
        """The originals, without those whose mask is empty; `source_index` is their row."""
        boxes = corners(target[self.boxes_key]).tolist()
        categories = self.label_values.categories(target[self.labels_key])
        crowd = target.get("iscrowd", [False] * len(categories))
        masks, keypoints = target.get(self.masks_key), self.keypoints.arrays(target)
        instances = []
        for row, (box, category) in enumerate(zip(boxes, categories, strict=True)):
            instance = Instance(category, tuple(box), crowd=bool(crowd[row]), source_index=row)
            instance.keypoints = None if keypoints is None else keypoints[row]
            if masks is not None:
                cropped = crop_mask(masks[row])
                if cropped is None:
                    continue
                instance.mask, (x, y) = cropped
                instance.mask_offset = x, y
                h, w = instance.mask.shape
                instance.bbox = float(x), float(y), float(x + w), float(y + h)
            instances.append(instance)
        return instances

    def semantic(self, target: Mapping[Any, Any]) -> NDArray[np.integer] | None:
        """(H, W), sharing the target's memory; None where there is no such entry."""
        if self.semantic_key is None:
            return None
        values: NDArray[np.integer] = target[self.semantic_key].numpy()
        return values

    def emptied(
        self, target: Mapping[Any, Any], size: tuple[int, int], semantic_value: int
    ) -> dict[Any, Any]:
        """A completed target without objects, on an image of this (height, width).

        Entries keep type, dtype, box format and further dimensions. Every pixel of a semantic map
        has `semantic_value`. What belongs to the image stays.

        Raises:
            ArgumentError: the semantic map's dtype does not hold `semantic_value`.
        """
        result = dict(target)
        rows = {self.boxes_key, self.labels_key, *self.carry, *self.keypoints.keys}
        for key in rows & target.keys():
            result[key] = on_canvas(take_rows(target[key], [], 0, 0), size)
        if self.masks_key in target:
            result[self.masks_key] = constant_like(target[self.masks_key], (0, *size), 0)
        if self.semantic_key is not None:
            semantic = target[self.semantic_key]
            limits = torch.iinfo(semantic.dtype)
            if not limits.min <= semantic_value <= limits.max:
                raise ArgumentError(
                    f"semantic_value of backgrounds: {semantic_value} does not fit {semantic.dtype}"
                    f", the dtype of target[{self.semantic_key!r}]"
                )
            result[self.semantic_key] = constant_like(semantic, size, semantic_value)
        return result

    def annotate(
        self, target: dict[Any, Any], scene: Scene, originals: Sequence[Instance]
    ) -> dict[Any, Any]:
        """The target of the pasted scene; rows of untouched originals are copied as they are."""
        boxes, labels = target[self.boxes_key], target[self.labels_key]
        xyxy = corners(boxes)
        proper = set((xyxy[:, 2:] > xyxy[:, :2]).all(dim=1).nonzero()[:, 0].tolist())
        kept = {(i.source_index, id(i.mask), i.bbox) for i in originals if i.source_index in proper}
        fresh = [
            row
            for row, instance in enumerate(scene.instances)
            if (instance.source_index, id(instance.mask), instance.bbox) not in kept
        ]
        sources = [i.source_index for i in scene.instances if i.source_index is not None]

        def take(value: Any, fill: float = 0) -> Any:
            return take_rows(value, sources, len(scene.instances), fill)

        result = dict(target)
        for key, fill in {**self.carry, **dict.fromkeys(self.keypoints.keys, 0)}.items():
            if key in target:
                result[key] = take(target[key], fill)
        self.keypoints.write(result, scene.instances, originals)
        result[self.labels_key] = take(labels)
        for row in range(len(sources), len(scene.instances)):
            category = scene.instances[row].category_id
            result[self.labels_key][row] = self.label_values.values[category]
        result[self.boxes_key] = take(boxes)
        changed = [scene.instances[row].bbox for row in fresh]
        result[self.boxes_key][fresh] = F.convert_bounding_box_format(
            torch.tensor(changed, dtype=torch.float64).reshape(-1, 4), "XYXY", box_format(boxes)
        ).to(boxes.dtype)
        masks = target.get(self.masks_key)
        if masks is not None:
            result[self.masks_key] = take(masks)
        for row in fresh:
            instance = scene.instances[row]
            if masks is not None:
                write_mask(result[self.masks_key][row], instance)
            if "area" in target:
                result["area"][row] = instance_area(instance)
        if scene.semantic is not None and len(scene.instances) > len(sources):
            result[self.semantic_key] = map_like(scene.semantic, target[self.semantic_key])
        return result

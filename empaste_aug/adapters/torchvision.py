"""Copy-paste in torchvision: a transforms.v2 transform for images and detection targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from empaste_aug.kernels import warmup
from empaste_aug.paste.compose import EMPaste
from empaste_aug.types import ArgumentError, Instance, MissingDependencyError, Scene

try:
    import torch
    from torchvision import tv_tensors
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as F  # noqa: N812
except ImportError as error:
    raise MissingDependencyError("torchvision", "torchvision", "the torchvision adapter") from error

from empaste_aug.adapters._torchvision_values import (
    INTEGERS,
    array_from_image,
    check_boxes,
    check_masks,
    corners,
    crop_mask,
    image_like,
    instance_area,
    is_rows,
    take_rows,
    write_mask,
)

__all__ = ["EMPasteTransform"]


class EMPasteTransform(v2.Transform):  # type: ignore[misc]
    """A torchvision.transforms.v2 transform that pastes cut-outs into an image and its target.

    Call it with ``(image, target)``, as two arguments or as one pair, alone or in ``v2.Compose``,
    before ``v2.ToDtype``. The image is a PIL image in mode RGB, or a uint8 tensor (3, H, W), best
    a ``tv_tensors.Image``; it comes back as the same type. The target is a dict; N is the number
    of its objects, and the result holds the originals that are left, in their order, then the
    pasted objects in paste order:

    - boxes: ``tv_tensors.BoundingBoxes`` (N, 4), XYXY, XYWH or CXCYWH. Format and dtype stay.
    - labels: integer tensor (N,): positions in the class names of `paste` (without class names:
      the bank's), plus `label_offset`.
    - masks: ``tv_tensors.Mask`` (N, H, W) of 0 and 1. Without them the boxes are the objects, and
      no masks are handed out. An original whose mask is empty is left out.
    - "iscrowd" (0 for pasted objects) and "area" (visible pixels; of an original that has only a
      box, the box's area), tensors or lists of length N, where the target has them. Crowd regions
      stay in the target: filter them afterwards where the model should not see them.
    - Further entries with a row for each object, tensors or lists, must be named in `carry`; else
      they keep their N rows. All other entries, such as "image_id", pass through.

    Boxes, masks and areas of originals that no paste touches keep their values. The inputs are
    never changed. A target without boxes, labels and masks, as torchvision's dataset wrapper makes
    for an image without objects, gets XYXY float32 boxes, int64 labels and uint8 masks.

    Each call draws from a generator that is seeded from torch's global one, as those of
    torchvision's transforms: ``torch.manual_seed`` repeats it, and so does a DataLoader's seed for
    a fixed number of workers.

    Args:
        paste: what pastes.
        boxes_key, labels_key: where the target holds boxes and labels.
        masks_key: where it holds masks; None: all data is box-only, even images without objects.
        label_offset: the label of the first class. torchvision's detection models, whose label 0
            is the background, need 1, unless the class names begin with one for the background.
        carry: further entries with one row for each object, which follow the originals; of a
            mapping, the values fill the rows of pasted objects, else 0 does.
        keep_record: whether to hand out the `Record` of what was pasted, as "empaste_record". Its
            `seed_key` makes the sample's generator again: ``np.random.default_rng(seed_key)``.

    Raises:
        ArgumentError: `label_offset` is negative; from a call: the image, or an entry of the
            target, is missing or malformed, or a tensor that pasting does not change.

    Example:
        >>> transform = v2.Compose(
        ...     [
        ...         EMPasteTransform(EMPaste("out/bank", class_names=["cat", "dog", "cow"])),
        ...         v2.RandomHorizontalFlip(),
        ...         v2.ToDtype(torch.float32, scale=True),
        ...     ]
        ... )
        >>> boxes = torch.tensor([[10, 20, 30, 60]])
        >>> target = {
        ...     "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(96, 128)),
        ...     "labels": torch.tensor([1]),
        ... }
        >>> image = tv_tensors.Image(torch.zeros((3, 96, 128), dtype=torch.uint8))
        >>> image, target = transform(image, target)
        >>> len(target["boxes"]) == len(target["labels"])
        True
    """

    def __init__(
        self,
        paste: EMPaste,
        *,
        boxes_key: str = "boxes",
        labels_key: str = "labels",
        masks_key: str | None = "masks",
        label_offset: int = 0,
        carry: Mapping[str, float] | Sequence[str] = (),
        keep_record: bool = False,
    ) -> None:
        super().__init__()
        if label_offset < 0:
            raise ArgumentError(f"label_offset: {label_offset} is negative")
        if isinstance(carry, str):
            raise ArgumentError(f"carry: {carry!r} is a string, not a sequence of keys")
        self.paste = paste
        self.boxes_key, self.labels_key, self.masks_key = boxes_key, labels_key, masks_key
        self.label_offset = label_offset
        fills = carry if isinstance(carry, Mapping) else dict.fromkeys(carry, 0)
        self.carry = {"iscrowd": 0, "area": 0, **fills}
        self.keep_record = keep_record
        warmup()

    def forward(self, *inputs: Any) -> tuple[Any, dict[Any, Any]]:
        """The pasted image and its target."""
        pair = inputs[0] if len(inputs) == 1 else inputs
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[1], dict)):
            raise ArgumentError("inputs: expected (image, target) with a dict as target")
        image = array_from_image(pair[0])
        target = self._complete(pair[1], *image.shape[:2])
        originals = self._instances(target)
        seed_key = tuple(torch.randint(2**32, (4,)).tolist())
        scene = self.paste(Scene(image, originals), np.random.default_rng(seed_key))
        assert scene.record is not None
        result = self._annotate(target, scene, originals)
        if self.keep_record:
            result["empaste_record"] = replace(scene.record, seed_key=seed_key)
        return (pair[0] if scene.image is image else image_like(scene.image, pair[0])), result

    def extra_repr(self) -> str:
        """What the module's repr shows."""
        return f"{self.paste!r}, label_offset={self.label_offset}"

    def _complete(self, target: dict[Any, Any], height: int, width: int) -> dict[Any, Any]:
        """A copy of the target, checked; with boxes, labels and masks where it has none at all."""
        target, size = dict(target), (height, width)
        known = (self.boxes_key, self.labels_key, self.masks_key)
        if not any(key in target for key in known):
            target[self.boxes_key] = tv_tensors.BoundingBoxes(
                torch.zeros((0, 4)), format="XYXY", canvas_size=size
            )
            target[self.labels_key] = torch.zeros(0, dtype=torch.int64)
            if self.masks_key is not None:
                empty = torch.zeros((0, *size), dtype=torch.uint8)
                target[self.masks_key] = tv_tensors.Mask(empty)
        for key, value in target.items():
            if isinstance(value, tv_tensors.TVTensor) and key not in known + tuple(self.carry):
                raise ArgumentError(
                    f"target[{key!r}]: pasting does not change this {type(value).__name__}; take "
                    "it out, or name it in carry if it has a row for each object"
                )
        boxes: Any = target.get(self.boxes_key)
        check_boxes(f"target[{self.boxes_key!r}]", boxes, size)
        self._check_labels(target.get(self.labels_key), len(boxes))
        if self.masks_key in target:
            shape = (len(boxes), *size)
            check_masks(f"target[{self.masks_key!r}]", target[self.masks_key], shape)
        for key in self.carry.keys() & target.keys():
            if not is_rows(target[key], len(boxes)):
                raise ArgumentError(
                    f"target[{key!r}]: expected a tensor or list of one row for each of the "
                    f"{len(boxes)} boxes"
                )
        return target

    def _check_labels(self, labels: Any, count: int) -> None:
        where = f"target[{self.labels_key!r}]"
        integral = isinstance(labels, torch.Tensor) and labels.dtype in INTEGERS
        if not integral or labels.shape != (count,):
            raise ArgumentError(f"{where}: expected an integer tensor of shape ({count},)")
        low = self.label_offset
        end = low + len(self.paste.class_names or self.paste.bank.categories)
        if count and not (low <= int(labels.min()) and int(labels.max()) < end):
            raise ArgumentError(
                f"{where}: {labels.tolist()} are not all in [{low}, {end - 1}]: the positions in "
                f"the class names of paste, plus label_offset={low}"
            )

    def _instances(self, target: Mapping[Any, Any]) -> list[Instance]:
        """The originals, without those whose mask is empty; `source_index` is their row."""
        boxes = corners(target[self.boxes_key]).tolist()
        labels = (target[self.labels_key] - self.label_offset).tolist()
        crowd = target.get("iscrowd", [False] * len(labels))
        masks = target.get(self.masks_key)
        instances = []
        for row, (box, label) in enumerate(zip(boxes, labels, strict=True)):
            instance = Instance(label, tuple(box), crowd=bool(crowd[row]), source_index=row)
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

    def _annotate(
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
        for key, fill in self.carry.items():
            if key in target:
                result[key] = take(target[key], fill)
        result[self.labels_key] = take(labels)
        for row in range(len(sources), len(scene.instances)):
            result[self.labels_key][row] = scene.instances[row].category_id + self.label_offset
        result[self.boxes_key] = take(boxes)
        changed = [scene.instances[row].bbox for row in fresh]
        result[self.boxes_key][fresh] = F.convert_bounding_box_format(
            torch.tensor(changed, dtype=torch.float64).reshape(-1, 4), "XYXY", boxes.format
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
        return result

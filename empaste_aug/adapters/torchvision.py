"""Copy-paste in torchvision: a transforms.v2 transform for images and detection targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from empaste_aug.paste.compose import EMPaste
from empaste_aug.stream import take_key
from empaste_aug.types import ArgumentError, MissingDependencyError, Scene

try:
    import torch
    from torchvision.transforms import v2
except ImportError as error:
    raise MissingDependencyError("torchvision", "torchvision", "the torchvision adapter") from error

from empaste_aug.adapters._torchvision_keypoints import KeypointEntries
from empaste_aug.adapters._torchvision_targets import TargetEntries
from empaste_aug.adapters._torchvision_values import array_from_image, image_like

__all__ = ["EMPasteTransform"]


class EMPasteTransform(v2.Transform):  # type: ignore[misc]
    """A torchvision.transforms.v2 transform that pastes cut-outs into an image and its target.

    Call it with ``(image, target)``, as two arguments or as one pair, alone or in ``v2.Compose``,
    before ``v2.ToDtype``. The image is a PIL image in mode RGB, or a uint8 tensor (3, H, W), best
    a ``tv_tensors.Image``; it comes back as the same type. Greyscale and RGBA images are refused:
    convert them first. The target is a dict; N is the number of its objects, and the result holds
    the originals that are left, in their order, then the pasted objects in paste order:

    - boxes: ``tv_tensors.BoundingBoxes`` (N, 4), XYXY, XYWH or CXCYWH, or a plain tensor, XYXY, as
      torchvision's detection models take it. Type, format and dtype stay.
    - labels: integer tensor (N,): positions in the class names of `paste` (without class names:
      the bank's), plus `label_offset`.
    - masks: ``tv_tensors.Mask`` or a plain tensor (N, H, W) of 0 and 1. Without them the boxes are
      the objects, and no masks are handed out. An original whose mask is empty is left out.
    - keypoints: tensor (N, K, 3) of x, y and COCO's visibility, or, with `visibility_key`,
      ``tv_tensors.KeyPoints`` (N, K, 2), which later transforms move too, and their visibility
      (N, K), made of 2s where the target has none. Covered ones turn from 2 to 1; pasted objects
      have zeros.
    - a semantic map (`semantic_key`): ``tv_tensors.Mask`` or a plain tensor (H, W) of integers.
      Pasted pixels get their class's value, `semantic_labels` of `paste`, or else its position in
      the class names, without `label_offset`.
    - "iscrowd" (0 for pasted objects) and "area" (visible pixels; of an original that has only a
      box, the box's area), tensors or lists of length N, where the target has them. Crowd regions
      stay in the target: filter them afterwards where the model should not see them.
    - Further entries with a row for each object, tensors or lists, must be named in `carry`; else
      they keep their N rows. All other entries, such as "image_id", pass through.

    Boxes, masks, areas and keypoints of originals that no paste touches keep their values. The
    inputs are never changed. A target without boxes, labels and masks, as torchvision's dataset
    wrapper makes for an image without objects, gets XYXY float32 boxes, int64 labels and uint8
    masks.

    Within `empaste_aug.adapters.loader.build_stream_loader` a sample's generator follows from the
    run's seed and the sample's position in the stream, for any number of workers. Elsewhere each
    call's generator is seeded from torch's global one, as those of torchvision's transforms:
    ``torch.manual_seed`` repeats it, and so does a DataLoader's seed for a fixed number of workers.

    Args:
        paste: what pastes.
        boxes_key, labels_key: where the target holds boxes and labels.
        masks_key: where it holds masks; None: all data is box-only, even images without objects.
        keypoints_key: where it holds keypoints, if it has any; None: nowhere.
        visibility_key: where it holds the visibility of ``tv_tensors.KeyPoints``.
        num_keypoints: K of targets that have no keypoints, such as those of images without
            objects: they get them, with zeros. None: they are left without.
        semantic_key: where every target holds a semantic map; None: there is none.
        label_offset: the label of the first class. torchvision's detection models, whose label 0
            is the background, need 1, unless the class names begin with one for the background.
            For COCO's ids with gaps, give `paste` class names that fill the gaps.
        carry: further entries with one row for each object, which follow the originals; of a
            mapping, the values fill the rows of pasted objects, else 0 does.
        keep_record: whether to hand out the `Record` of what was pasted, as "empaste_record". Its
            `seed_key` makes the sample's generator again: ``np.random.default_rng(seed_key)``.

    Raises:
        ArgumentError: `label_offset` is negative, or an argument contradicts another; from a call:
            the image, or an entry of the target, is missing or malformed, or a tensor that pasting
            does not change.

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
        keypoints_key: str | None = "keypoints",
        visibility_key: str | None = None,
        num_keypoints: int | None = None,
        semantic_key: str | None = None,
        label_offset: int = 0,
        carry: Mapping[str, float] | Sequence[str] = (),
        keep_record: bool = False,
    ) -> None:
        super().__init__()
        self.paste = paste
        self.entries = TargetEntries(
            boxes_key=boxes_key,
            labels_key=labels_key,
            masks_key=masks_key,
            semantic_key=semantic_key,
            keypoints=KeypointEntries(keypoints_key, visibility_key, num_keypoints),
            label_offset=label_offset,
            num_classes=len(paste.class_names or paste.bank.categories),
            carry=carry,
        )
        self.keep_record = keep_record
        paste.warmup()

    def forward(self, *inputs: Any) -> tuple[Any, dict[Any, Any]]:
        """The pasted image and its target."""
        pair = inputs[0] if len(inputs) == 1 else inputs
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[1], dict)):
            raise ArgumentError("inputs: expected (image, target) with a dict as target")
        image = array_from_image(pair[0])
        target = self.entries.complete(pair[1], *image.shape[:2])
        originals = self.entries.instances(target)
        semantic = self.entries.semantic(target)
        seed_key = take_key() or tuple(torch.randint(2**32, (4,)).tolist())
        rng = np.random.default_rng(seed_key)
        scene = self.paste(Scene(image, originals, semantic=semantic), rng)
        assert scene.record is not None
        result = self.entries.annotate(target, scene, originals)
        if self.keep_record:
            result["empaste_record"] = replace(scene.record, seed_key=seed_key)
        return (pair[0] if scene.image is image else image_like(scene.image, pair[0])), result

    def extra_repr(self) -> str:
        """What the module's repr shows."""
        return f"{self.paste!r}, label_offset={self.entries.label_offset}"

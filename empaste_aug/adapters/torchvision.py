"""Copy-paste in torchvision: a transforms.v2 transform for images and detection targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

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
from empaste_aug.adapters._torchvision_labels import LabelValues
from empaste_aug.adapters._torchvision_targets import TargetEntries
from empaste_aug.adapters._torchvision_values import array_from_image, image_like
from empaste_aug.paste.labels import checked_paste, class_names_of, with_semantic_labels
from empaste_aug.pool.mix import Backgrounds, checked_backgrounds

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
      the bank's), plus `label_offset`; or the values of `label_as`, which COCO's ids need.
    - masks: ``tv_tensors.Mask`` or a plain tensor (N, H, W) of 0 and 1. Without them the boxes are
      the objects, and no masks are handed out. An original whose mask is empty is left out.
    - keypoints: tensor (N, K, 3) of x, y and COCO's visibility, or, with `visibility_key`,
      ``tv_tensors.KeyPoints`` (N, K, 2), which later transforms move too, and their visibility
      (N, K), made of 2s where the target has none. Covered ones turn from 2 to 1; pasted objects
      have zeros.
    - a semantic map (`semantic_key`): ``tv_tensors.Mask`` or a plain tensor (H, W) of integers.
      Pasted pixels get their class's value in `semantic_labels` of `paste`, without them its label.
      So a map whose 0 is the background, beside labels that begin at 0, needs EMPaste's
      ``semantic_labels={name: i + 1 for i, name in enumerate(names)}``.
    - "iscrowd" (0 for pasted objects) and "area" (visible pixels; of an original that has only a
      box, the box's area), tensors or lists of length N, where the target has them. Crowd regions
      stay in the target: filter them afterwards where the model should not see them.
    - Further tensors, arrays, lists and tuples have to be named: in `carry` those with a row for
      each object, in `keep` those of the image, as "image_id" and "orig_size" are known to be.
      Their length decides nothing: it may equal N by chance, late in training. Numbers, strings,
      dicts and tensors without dimensions pass through.

    With `backgrounds`, some photos give their place to images of a pool, before anything is pasted.
    Nothing is left of the photo's objects: all entries with a row for each of them are empty, with
    their type, dtype and further dimensions, and a semantic map is `semantic_value` everywhere.
    Entries of the image ("image_id", "orig_size", `keep`, numbers, strings) stay the photo's.

    Boxes, masks, areas and keypoints of originals that no paste touches keep their values. The
    inputs are never changed. A target without boxes, labels and masks, as torchvision's dataset
    wrapper makes for an image without objects, gets XYXY float32 boxes, int64 labels and uint8
    masks; ``torch.tensor([])`` is taken for no boxes, labels or masks.

    Within `empaste_aug.adapters.loader.build_stream_loader` a sample's generator follows from the
    run's seed and the sample's position in the stream, for any number of workers. Elsewhere each
    call's generator is seeded from torch's global one, as those of torchvision's transforms:
    ``torch.manual_seed`` repeats it, and so does a DataLoader's seed for a fixed number of workers.

    Args:
        paste: what pastes.
        backgrounds: what takes the place of photos, and how often; None: all stay. For the paper's
            mix it needs the number of photos: ``Backgrounds(pool, num_originals=len(dataset))``.
        boxes_key, labels_key: where the target holds boxes and labels.
        masks_key: where it holds masks; None: all data is box-only, even images without objects.
        keypoints_key: where it holds keypoints, if it has any; None: nowhere.
        visibility_key: where it holds the visibility of ``tv_tensors.KeyPoints``.
        num_keypoints: K of targets that have no keypoints, such as those of images without
            objects: they get them, with zeros. None: they are left without.
        semantic_key: where every target holds a semantic map; None: there is none.
        label_as: what a class is called in labels: "id" (its position in the class names), or
            class name -> integer for every class. ``wrap_dataset_for_transforms_v2`` hands out the
            category ids of the json, and COCO's have gaps: see the second example. Wrong positions
            cannot be told from right ones.
        label_offset: with "id", the label of the first class. torchvision's detection models, whose
            label 0 is the background, need 1, unless the class names begin with one for the
            background.
        carry: further entries with one row for each object, which follow the originals; of a
            mapping, the values fill the rows of pasted objects, else 0 does.
        keep: further entries that pass through as they are.
        keep_record: whether to hand out the `Record` of what was pasted, and of the background, as
            "empaste_record". Its `seed_key` makes the generator of the pastes again:
            ``np.random.default_rng(seed_key)``.

    Raises:
        ArgumentError: an argument is unusable or contradicts another; from a call: the image, or
            an entry of the target, is missing or malformed, a label is of no class, or nothing
            says what an entry is.
        PoolError: from a call: a background cannot be read.

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

        COCO's category ids, the labels of torchvision's wrapped CocoDetection:

        >>> coco = CocoDetection("photos", "instances.json").coco
        >>> ids = {c["name"]: c["id"] for c in coco.loadCats(coco.getCatIds())}
        >>> paste = EMPaste("out/bank", class_names=list(ids))
        >>> transform = EMPasteTransform(paste, label_as=ids)
        >>> data = wrap_dataset_for_transforms_v2(
        ...     CocoDetection("photos", "instances.json", transforms=transform),
        ...     target_keys=["image_id", "boxes", "labels", "masks", "iscrowd", "area"],
        ... )
        >>> image, target = data[0]
        >>> set(target["labels"].tolist()) <= set(ids.values())
        True
    """

    def __init__(
        self,
        paste: EMPaste,
        *,
        backgrounds: Backgrounds | None = None,
        boxes_key: str = "boxes",
        labels_key: str = "labels",
        masks_key: str | None = "masks",
        keypoints_key: str | None = "keypoints",
        visibility_key: str | None = None,
        num_keypoints: int | None = None,
        semantic_key: str | None = None,
        label_as: Literal["id"] | Mapping[str, int] = "id",
        label_offset: int = 0,
        carry: Mapping[str, float] | Sequence[str] = (),
        keep: Sequence[str] = (),
        keep_record: bool = False,
    ) -> None:
        super().__init__()
        names = class_names_of(checked_paste(paste))
        label_values = LabelValues(names, label_as, label_offset)
        if semantic_key is not None and paste.semantic_labels is None:
            labels = dict(zip(names, label_values.values, strict=True))
            paste = with_semantic_labels(paste, labels)
        self.paste = paste
        self.backgrounds = checked_backgrounds(backgrounds)
        if self.backgrounds is not None:
            self.backgrounds.check_chance()
        self.entries = TargetEntries(
            boxes_key=boxes_key,
            labels_key=labels_key,
            masks_key=masks_key,
            semantic_key=semantic_key,
            keypoints=KeypointEntries(keypoints_key, visibility_key, num_keypoints),
            label_values=label_values,
            carry=carry,
            keep=keep,
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
        seed_key = take_key() or tuple(torch.randint(2**32, (4,)).tolist())
        background = None
        if self.backgrounds is not None:
            background = self.backgrounds.draw_for(seed_key)
            if background is not None:
                image = self.backgrounds.render(background, *image.shape[:2])
                value = self.backgrounds.semantic_value
                target = self.entries.emptied(target, image.shape[:2], value)
        originals = self.entries.instances(target)
        semantic = self.entries.semantic(target)
        rng = np.random.default_rng(seed_key)
        scene = self.paste(Scene(image, originals, semantic=semantic), rng)
        assert scene.record is not None
        result = self.entries.annotate(target, scene, originals)
        if self.keep_record:
            record = replace(scene.record, seed_key=seed_key, background=background)
            result["empaste_record"] = record
        is_input = background is None and scene.image is image
        return (pair[0] if is_input else image_like(scene.image, pair[0])), result

    def extra_repr(self) -> str:
        """What the module's repr shows."""
        backgrounds = "" if self.backgrounds is None else f", {self.backgrounds!r}"
        return f"{self.paste!r}{backgrounds}, {self.entries.label_values!r}"

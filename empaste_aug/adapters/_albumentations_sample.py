"""A sample inside an Albumentations pipeline, as a Scene and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.adapters._albumentations_labels import BOXES, LabelFields
from empaste_aug.paste.select import some
from empaste_aug.types import ArgumentError, Box, Instance, Scene

_INSTANCE_ID, _BOUND = "_bbox_instance_id", "_ibl_bbox_"
UNSUPPORTED = ("images", "volume", "volumes", "mask3d", "masks3d")


@dataclass(frozen=True, slots=True)
class Fields:
    """Which entry of a sample holds what; see EMPasteTransform.

    Attributes:
        label, crowd, index: the label fields' names.
        classes: what each class is called in the label field.
        fill: what pasted objects get in the other fields.
        mask_value: what an object's pixels are in `masks`.
    """

    label: str | None
    crowd: str
    index: str | None
    classes: Sequence[Any]
    fill: Mapping[str, Any]
    mask_value: int


def _as_bound(fields: Fields, encoded: Sequence[str]) -> Fields:
    """The names of the label fields where AlbumentationsX's ``instance_binding`` is on.

    It renames the fields of boxes, and adds one that holds each box's position in masks.
    """
    if _INSTANCE_ID not in encoded:
        return fields
    return Fields(
        label=None if fields.label is None else _BOUND + fields.label,
        crowd=_BOUND + fields.crowd,
        index=_INSTANCE_ID,
        classes=fields.classes,
        fill={_BOUND + name: value for name, value in fields.fill.items()},
        mask_value=fields.mask_value,
    )


class Sample:
    """One sample, read and checked.

    Attributes:
        data: as passed.
        fields: as passed, but for the names that instance binding gives them.
        height, width: of the image.
        labels: its label fields.
        boxes: (N, 4 + label fields) normalised XYXY and encoded labels, or None.
        masks: (M, H, W), or None; an object's mask is the one at its position in `mask_rows`.
        originals: its objects by their row, but for those whose mask is empty.
        scene: its Scene, of those originals; an original's `source_index` is its row.

    Args:
        data: the sample, its boxes normalised and their labels encoded.
        fields: which entry holds what.
        processor: the pipeline's bounding box processor, or None.

    Raises:
        ArgumentError: an entry is malformed, or cannot be pasted on.
    """

    def __init__(self, data: dict[str, Any], fields: Fields, processor: Any) -> None:
        self.data = data
        image = _checked_image(data)
        self.height, self.width = image.shape[:2]
        self.labels = LabelFields(data, processor)
        self.fields = _as_bound(fields, self.labels.encoded)
        self.boxes = data.get(BOXES)
        self.masks = self._read_masks(data.get("masks"))
        self._count = self._count_objects()
        self.mask_rows = self._read_mask_rows()
        categories, crowd = self._read_categories(), self._read_crowd()
        self.originals: dict[int, Instance] = {}
        for row, (category, is_crowd) in enumerate(zip(categories, crowd, strict=True)):
            instance = Instance(category, self.pixels_of(row), crowd=is_crowd, source_index=row)
            if self.masks is None or self._add_mask(instance, row):
                self.originals[row] = instance
        self.scene = Scene(image, list(self.originals.values()), semantic=self._read_semantic())

    def _count_objects(self) -> int:
        """How many objects the sample has; ArgumentError where its entries do not agree."""
        fields, masks = self.fields, self.masks
        if self.boxes is None and masks is None:
            return 0
        if fields.label is not None and fields.label not in self.labels:
            raise ArgumentError(
                f"{fields.label}: the sample has no such labels, only {list(self.labels.encoded)} "
                f"with its {BOXES}; name them in label_field, None if objects have no labels"
            )
        known: set[Any] = {fields.label, fields.crowd, fields.index, *fields.fill}
        for name in self.labels.encoded:
            if name not in known:
                raise ArgumentError(
                    f"{name}: nothing says what pasted objects have in this label field; give "
                    f"fill={{{name!r}: ...}}, or label_field={name!r} if it holds the classes"
                )
        if fields.index is not None and (masks is None or fields.index not in self.labels.encoded):
            raise ArgumentError(
                f"index_field: {fields.index!r} has to be a label field of bbox_params in a sample "
                "with masks"
            )
        count = 0 if masks is None else len(masks)
        if self.boxes is not None:
            if masks is not None and fields.index is None and len(masks) != len(self.boxes):
                raise ArgumentError(
                    f"masks: {len(masks)} for {len(self.boxes)} boxes. Boxes that A.Compose "
                    "filters out leave their masks behind: name the label field that holds each "
                    "box's position in masks as index_field, or paste before what filters"
                )
            count = len(self.boxes)
        for name in known - {None} - set(self.labels.encoded):
            if name in self.labels and len(self.labels.read(name)) != count:
                raise ArgumentError(
                    f"{name}: {len(self.labels.read(name))} values for {count} objects"
                )
        return count

    def _read_masks(self, masks: Any) -> NDArray[Any] | None:
        """(N, H, W), or None."""
        if masks is None:
            return None
        size = self.height, self.width
        if isinstance(masks, np.ndarray):
            stack = masks
        else:
            stack = np.stack(masks) if len(masks) else np.zeros((0, *size), np.uint8)
        if stack.ndim == 4 and stack.shape[3] == 1:
            stack = stack[..., 0]
        if stack.ndim != 3 or stack.shape[1:] != size:
            raise ArgumentError(
                f"masks: shape {np.shape(masks)}; expected one (H, W) mask for each object, with "
                f"the image's size {size}"
            )
        return stack

    def _read_mask_rows(self) -> list[int]:
        """Each object's position in masks."""
        field = self.fields.index
        if field is None or self.masks is None:
            return list(range(self._count))
        rows = self.labels.read(field)
        if not set(rows) <= set(range(len(self.masks))) or len(set(rows)) != len(rows):
            raise ArgumentError(
                f"{field}: {rows} are not different positions in the {len(self.masks)} masks"
            )
        return [int(row) for row in rows]

    def _read_categories(self) -> list[int]:
        field, classes = self.fields.label, self.fields.classes
        if field is None or not self._count:
            return [0] * self._count
        positions = {value: position for position, value in enumerate(classes)}
        labels = self.labels.read(field)
        for row, label in enumerate(labels):
            if label not in positions:
                hint = "what classes are called follows from paste's class names and label_as"
                if isinstance(label, Real) and all(isinstance(name, str) for name in classes):
                    hint = (
                        "ids of your own, such as COCO's, need label_as={class name: id}, "
                        'positions in the class names label_as="id"'
                    )
                raise ArgumentError(f"{field}[{row}]: {label!r} is none of {some(classes)}; {hint}")
        return [positions[label] for label in labels]

    def _read_crowd(self) -> list[bool]:
        if not self._count or self.fields.crowd not in self.labels:
            return [False] * self._count
        return [bool(value) for value in self.labels.read(self.fields.crowd)]

    def _read_semantic(self) -> NDArray[np.integer] | None:
        mask = self.data.get("mask")
        if mask is None:
            return None
        if mask.size != self.height * self.width or mask.dtype.kind not in "iu":
            raise ArgumentError(
                f"mask: shape {mask.shape}, {mask.dtype}; expected an (H, W) map of integer "
                "classes; masks of single objects go to masks"
            )
        semantic: NDArray[np.integer] = mask.reshape(self.height, self.width)
        return semantic

    def pixels_of(self, row: int) -> Box:
        """The row's box in pixels; without the noise of float32, which would cost whole pixels."""
        if self.boxes is None:
            return 0.0, 0.0, 0.0, 0.0
        size = self.width, self.height, self.width, self.height
        x0, y0, x1, y1 = np.round(self.boxes[row, :4].astype(np.float64) * size, 2).tolist()
        return x0, y0, x1, y1

    def _add_mask(self, instance: Instance, row: int) -> bool:
        """Give the original its mask and the mask's box; False where the mask is empty."""
        assert self.masks is not None
        mask = self.masks[self.mask_rows[row]]
        pixels = mask if mask.dtype in (np.uint8, np.bool_) else mask != 0
        x, y, w, h = cv2.boundingRect(pixels.view(np.uint8))
        if not w:
            return False
        cropped = mask[y : y + h, x : x + w]
        if cropped.max() != self.fields.mask_value:
            raise ArgumentError(
                f"masks[{self.mask_rows[row]}]: its largest value is {cropped.max()}, but that of "
                f"pasted objects' masks would be mask_value={self.fields.mask_value}"
            )
        instance.mask, instance.mask_offset = cropped != 0, (x, y)
        instance.bbox = float(x), float(y), float(x + w), float(y + h)
        return True


def _checked_image(data: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The image; ArgumentError where it is not RGB, or the sample has what has no objects."""
    for name in UNSUPPORTED:
        if data.get(name) is not None:
            raise ArgumentError(f"{name}: cannot be pasted on; only a single image can")
    image = data.get("image")
    if not isinstance(image, np.ndarray):
        raise ArgumentError(f"image: {type(image).__name__}; expected an (H, W, 3) uint8 RGB array")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ArgumentError(
            f"image: shape {image.shape}, {image.dtype}; expected (H, W, 3) uint8 RGB: paste "
            "before A.Normalize and A.ToFloat"
        )
    return np.ascontiguousarray(image)

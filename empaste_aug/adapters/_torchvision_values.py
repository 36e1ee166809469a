"""Images, boxes and per-object entries of torchvision, to numpy and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F  # noqa: N812

from empaste_aug.types import ArgumentError, Instance

FORMATS = ("XYXY", "XYWH", "CXCYWH")
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def array_from_image(image: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a PIL image or a (3, H, W) tensor, whose memory it may share.

    Raises:
        ArgumentError: the image has another mode, shape, dtype or device, or is no image.
    """
    if isinstance(image, PIL.Image.Image):
        if image.mode != "RGB":
            raise ArgumentError(f"image: mode {image.mode}; expected RGB: image.convert('RGB')")
        return np.asarray(image)
    if not isinstance(image, torch.Tensor):
        raise ArgumentError(
            f"image: {type(image).__name__}; expected a tv_tensors.Image, a uint8 tensor or a PIL "
            "image"
        )
    if image.dtype != torch.uint8:
        raise ArgumentError(f"image: {image.dtype}; expected torch.uint8: paste before v2.ToDtype")
    if image.ndim != 3 or image.shape[0] != 3 or image.device.type != "cpu":
        raise ArgumentError(
            f"image: shape {tuple(image.shape)} on {image.device}; expected RGB, (3, H, W), on the "
            "CPU: decode greyscale and RGBA files with ImageReadMode.RGB"
        )
    array: NDArray[np.uint8] = image.permute(1, 2, 0).numpy()
    return array


def image_like(array: NDArray[np.uint8], image: Any) -> Any:
    """The (H, W, 3) array as the type that `image` has."""
    if isinstance(image, PIL.Image.Image):
        return PIL.Image.fromarray(array)
    tensor = torch.from_numpy(array).permute(2, 0, 1).contiguous()
    is_wrapped = isinstance(image, tv_tensors.TVTensor)
    return tv_tensors.wrap(tensor, like=image) if is_wrapped else tensor


def empty_target(size: tuple[int, int]) -> tuple[Any, torch.Tensor, Any]:
    """Boxes, labels and masks of no objects on an image of this (height, width)."""
    return (
        tv_tensors.BoundingBoxes(torch.zeros((0, 4)), format="XYXY", canvas_size=size),
        torch.zeros(0, dtype=torch.int64),
        tv_tensors.Mask(torch.zeros((0, *size), dtype=torch.uint8)),
    )


def kind_of(value: Any) -> str:
    """Its type, with dtype and shape where it has them, for messages."""
    name = type(value).__name__
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{name} of shape {tuple(value.shape)}, {value.dtype}"
    return f"{name} of length {len(value)}" if isinstance(value, (list, tuple)) else name


def complete_empty(value: Any, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Any:
    """An empty tensor, as ``torch.tensor([])`` makes it, in the shape that no objects have.

    Args:
        value: what is not such a tensor stays as it is.
        shape: that of no rows.
        dtype: what a floating dtype, torch's default, becomes; None: it stays.
    """
    # BoundingBoxes make one row of an empty list
    shapes = ((0,), (1, 0)) if isinstance(value, tv_tensors.BoundingBoxes) else ((0,),)
    if not isinstance(value, torch.Tensor) or tuple(value.shape) not in shapes:
        return value
    plain = value.as_subclass(torch.Tensor).reshape(shape)
    if dtype is not None and plain.is_floating_point():
        plain = plain.to(dtype)
    return tv_tensors.wrap(plain, like=value) if isinstance(value, tv_tensors.TVTensor) else plain


def check_boxes(where: str, boxes: Any, size: tuple[int, int]) -> None:
    """ArgumentError unless they are (N, 4) boxes on an image of this (height, width).

    Either `tv_tensors.BoundingBoxes` or a plain tensor, which is XYXY.
    """
    is_plain = isinstance(boxes, torch.Tensor) and not isinstance(boxes, tv_tensors.TVTensor)
    if not is_plain and (
        not isinstance(boxes, tv_tensors.BoundingBoxes) or boxes.format.name not in FORMATS
    ):
        kind = getattr(boxes, "format", type(boxes).__name__)
        raise ArgumentError(
            f"{where}: {kind}; expected tv_tensors.BoundingBoxes in one of the formats {FORMATS}, "
            "or a tensor, XYXY"
        )
    canvas_size = size if is_plain else tuple(boxes.canvas_size)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or canvas_size != size:
        raise ArgumentError(
            f"{where}: {kind_of(boxes)}, canvas_size {canvas_size}; "
            f"expected (N, 4) on the image's (height, width) {size}"
        )
    finite = torch.isfinite(boxes).all(dim=1).tolist()
    if not all(finite):
        row = finite.index(False)
        raise ArgumentError(f"{where}: {boxes[row].tolist()}, in row {row}, is not finite")


def check_masks(where: str, masks: Any, shape: tuple[int, int, int]) -> None:
    """ArgumentError unless they are a Mask or plain tensor of this (N, H, W) shape."""
    is_other = isinstance(masks, tv_tensors.TVTensor) and not isinstance(masks, tv_tensors.Mask)
    if not isinstance(masks, torch.Tensor) or is_other or masks.shape != shape:
        raise ArgumentError(
            f"{where}: {kind_of(masks)}; expected tv_tensors.Mask or a tensor, of shape {shape}"
        )


def check_semantic(where: str, semantic: Any, size: tuple[int, int]) -> None:
    """ArgumentError unless it is an integer tensor, or Mask, of this (height, width)."""
    if not isinstance(semantic, torch.Tensor):
        raise ArgumentError(f"{where}: {type(semantic).__name__}; expected tv_tensors.Mask")
    if tuple(semantic.shape) != size or semantic.dtype not in INTEGERS:
        raise ArgumentError(
            f"{where}: shape {tuple(semantic.shape)}, {semantic.dtype}; expected integers of the "
            f"image's (height, width) {size}"
        )


def box_format(boxes: Any) -> Any:
    """The format of `tv_tensors.BoundingBoxes`; XYXY for a plain tensor."""
    return getattr(boxes, "format", tv_tensors.BoundingBoxFormat.XYXY)


def corners(boxes: Any) -> torch.Tensor:
    """(N, 4) float64 XYXY of boxes that `check_boxes` accepts."""
    plain = boxes.as_subclass(torch.Tensor).double()
    xyxy: torch.Tensor = F.convert_bounding_box_format(plain, box_format(boxes), "XYXY")
    return xyxy


def crop_mask(mask: torch.Tensor) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
    """The (h, w) bool mask in its tight box, and the box's (x, y); None where it is empty."""
    pixels = mask.numpy()
    if pixels.dtype not in (np.uint8, np.bool_):
        pixels = pixels != 0
    x, y, w, h = cv2.boundingRect(pixels.view(np.uint8))
    return None if w == 0 else (pixels[y : y + h, x : x + w] != 0, (x, y))


def write_mask(row: torch.Tensor, instance: Instance) -> None:
    """Overwrite a mask of the image's size with that of an instance, which lies inside."""
    assert instance.mask is not None
    x, y = instance.mask_offset
    h, w = instance.mask.shape
    pixels = row.numpy()
    pixels[:] = 0
    pixels[y : y + h, x : x + w] = instance.mask


def map_like(array: NDArray[np.integer], value: torch.Tensor) -> torch.Tensor:
    """The (H, W) array as the type that `value` has, a Mask or a plain tensor."""
    tensor = torch.from_numpy(array)
    is_wrapped = isinstance(value, tv_tensors.TVTensor)
    return tv_tensors.wrap(tensor, like=value) if is_wrapped else tensor  # type: ignore[no-any-return]


def constant_like(value: torch.Tensor, shape: tuple[int, ...], fill: int) -> torch.Tensor:
    """A Mask or plain tensor, as `value` is, of its dtype and this shape."""
    plain = torch.full(shape, fill, dtype=value.dtype)
    is_wrapped = isinstance(value, tv_tensors.TVTensor)
    return tv_tensors.wrap(plain, like=value) if is_wrapped else plain  # type: ignore[no-any-return]


def on_canvas(value: Any, size: tuple[int, int]) -> Any:
    """Boxes or keypoints on an image of this (height, width); anything else stays as it is."""
    if not hasattr(value, "canvas_size"):
        return value
    return tv_tensors.wrap(value.as_subclass(torch.Tensor), like=value, canvas_size=size)


def may_be_rows(value: Any) -> bool:
    """Whether it is anything that could hold a row for each object."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.ndim > 0
    return isinstance(value, (list, tuple))


def is_rows(value: Any, count: int) -> bool:
    """Whether it is a tensor or list with `count` rows."""
    if isinstance(value, torch.Tensor):
        return value.ndim > 0 and len(value) == count
    return isinstance(value, (list, tuple)) and len(value) == count


def take_rows(value: Any, sources: Sequence[int], count: int, fill: float) -> Any:
    """A copy with `count` rows: those of `sources`, then rows of `fill`.

    A tensor keeps its type and dtype; a list or tuple becomes a list.
    """
    if not isinstance(value, torch.Tensor):
        return [value[row] for row in sources] + [fill] * (count - len(sources))
    plain = value.as_subclass(torch.Tensor)
    rows = torch.full((count, *plain.shape[1:]), fill, dtype=plain.dtype)
    for row, source in enumerate(sources):
        rows[row] = plain[source]
    return tv_tensors.wrap(rows, like=value) if isinstance(value, tv_tensors.TVTensor) else rows


def instance_area(instance: Instance) -> float:
    """The visible pixels; of an object that has only a box, the box's area."""
    if instance.mask is not None:
        return float(np.count_nonzero(instance.mask))
    x0, y0, x1, y1 = instance.bbox
    return (x1 - x0) * (y1 - y0)

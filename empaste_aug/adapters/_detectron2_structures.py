"""CroppedMasks: detectron2's BitMasks, kept as the packed bits of each mask's own box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import cv2
import numpy as np
import torch
from detectron2.layers import ROIAlign
from detectron2.structures import BitMasks, Boxes
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError

_PIXELS_ON_CPU = 1 << 22
"""How many pixels of widened masks `crop_and_resize` holds at a time: so many fit into caches."""
_PIXELS_ELSEWHERE = 1 << 26

Crop = tuple[NDArray[np.bool_], tuple[int, int]]


class CroppedMasks:
    """The masks of one image's objects, for `Instances.gt_masks` in place of BitMasks.

    It has BitMasks' methods and gives the same results, but holds a bit for each pixel of a mask's
    tight box instead of a byte for each pixel of the image. A worker hands them to the main
    process in one small tensor. Indexing copies no bits: 500 proposals that match 20 objects share
    the 20 masks. There is no ``tensor``: code that reads it, such as PointRend, takes what
    `to_bitmasks` gives, and so does detectron2's Visualizer:
    ``overlay_instances(masks=masks.to_bitmasks())``.

    Make one with `from_crops`, `from_bitmasks`, or EMPasteMapper's
    ``instance_mask_format="cropped"``.

    Args:
        bits: (B,) uint8: the bits of each stored mask's box, rows first, the first pixel highest,
            each mask filled up to whole bytes.
        boxes: (M, 4) int64: the stored masks' XYXY tight half-open boxes; empty masks have no area.
        image_size: (height, width) of the image.
        index: (N,) int64, on the device of `bits`: which stored mask each one is; None: each once.

    Raises:
        ArgumentError: a box is not inside the image, or `bits` is not as long as the boxes say.

    Example:
        >>> import numpy as np, torch
        >>> from empaste_aug.adapters.detectron2 import CroppedMasks
        >>> masks = CroppedMasks.from_crops([(np.ones((2, 3), bool), (10, 20))], (480, 640))
        >>> masks.get_bounding_boxes().tensor.tolist()
        [[10.0, 20.0, 13.0, 22.0]]
        >>> masks.crop_and_resize(torch.tensor([[10.0, 20.0, 16.0, 22.0]]), 2).tolist()
        [[[True, False], [True, False]]]
        >>> masks.to_bitmasks().tensor.shape
        torch.Size([1, 480, 640])
    """

    def __init__(
        self,
        bits: torch.Tensor,
        boxes: NDArray[np.int64],
        image_size: tuple[int, int],
        index: torch.Tensor | None = None,
    ) -> None:
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self._bits = bits
        self._boxes = np.asarray(boxes, dtype=np.int64).reshape(-1, 4)
        height, width = self.image_size
        if not (
            (self._boxes >= 0).all()
            and (self._boxes <= (width, height, width, height)).all()
            and (self._boxes[:, :2] <= self._boxes[:, 2:]).all()
        ):
            raise ArgumentError(f"boxes: not inside an image of {height} x {width}")
        sizes = self._boxes[:, 2:] - self._boxes[:, :2]
        self._ends = np.cumsum((sizes[:, 0] * sizes[:, 1] + 7) // 8)
        stored = int(self._ends[-1]) if len(self._ends) else 0
        if bits.dtype != torch.uint8 or bits.shape != (stored,):
            raise ArgumentError(
                f"bits: shape {tuple(bits.shape)}, {bits.dtype}; the boxes need ({stored},) uint8"
            )
        self._index = torch.arange(len(boxes), device=bits.device) if index is None else index

    @classmethod
    def from_crops(cls, crops: Sequence[Crop], image_size: tuple[int, int]) -> CroppedMasks:
        """From (h, w) bool masks, each with the (x, y) of its top-left pixel, on the CPU.

        Raises:
            ArgumentError: a mask has a pixel outside the image.
        """
        boxes = np.zeros((len(crops), 4), dtype=np.int64)
        packed = [np.zeros(0, dtype=np.uint8)]
        for box, (mask, (x, y)) in zip(boxes, crops, strict=True):
            left, top, w, h = cv2.boundingRect(np.ascontiguousarray(mask, bool).view(np.uint8))
            if w:
                box[:] = x + left, y + top, x + left + w, y + top + h
            packed.append(np.packbits(mask[top : top + h, left : left + w]))
        return cls(torch.from_numpy(np.concatenate(packed)), boxes, image_size)

    @classmethod
    def from_bitmasks(cls, bitmasks: BitMasks) -> CroppedMasks:
        """From (N, H, W) masks; the result lies on their device."""
        masks = bitmasks.tensor.cpu().numpy()
        height, width = masks.shape[1:]
        return cls.from_crops([(mask, (0, 0)) for mask in masks], (height, width)).to(
            bitmasks.device
        )

    @staticmethod
    def cat(masks_list: Sequence[CroppedMasks]) -> CroppedMasks:
        """Several images' masks, or parts of one image's, as one.

        Raises:
            ArgumentError: there is none, or the image sizes differ.
        """
        if not masks_list or any(m.image_size != masks_list[0].image_size for m in masks_list):
            sizes = [m.image_size for m in masks_list]
            raise ArgumentError(f"masks_list: needs masks of one image size, not {sizes}")
        counts = np.cumsum([0, *(len(m._boxes) for m in masks_list)]).tolist()
        return CroppedMasks(
            torch.cat([m._bits for m in masks_list]),
            np.concatenate([m._boxes for m in masks_list]),
            masks_list[0].image_size,
            torch.cat([m._index + first for m, first in zip(masks_list, counts, strict=False)]),
        )

    def to_bitmasks(self) -> BitMasks:
        """(N, H, W) bool masks, on the same device."""
        full = torch.zeros((len(self._boxes), *self.image_size), dtype=torch.bool).to(self.device)
        self._widen(full, range(len(self._boxes)))
        return BitMasks(full[self._index])

    def crop_and_resize(self, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        """Each mask inside its box, resized: the targets of Mask R-CNN's mask loss.

        The result is that of `BitMasks.crop_and_resize` to the bit: the same operator reads the
        same pixels, of which only those right of and below all masks are left out.

        Args:
            boxes: (N, 4) XYXY, one for each mask.
            mask_size: side of the result.

        Returns:
            (N, mask_size, mask_size) bool, on the masks' device.
        """
        if len(boxes) != len(self):
            raise ArgumentError(f"boxes: {len(boxes)} for {len(self)} masks")
        boxes = boxes.to(self.device)
        align = ROIAlign((mask_size, mask_size), 1.0, 0, aligned=True)
        result = torch.zeros(
            (len(self), mask_size, mask_size), dtype=torch.bool, device=self.device
        )
        for group in self._groups():
            height = min(int(self._boxes[group, 3].max(initial=0)) + 1, self.image_size[0])
            width = min(int(self._boxes[group, 2].max(initial=0)) + 1, self.image_size[1])
            canvas = torch.zeros((len(group), height, width), device=self.device)
            self._widen(canvas, group)
            position = self._index - group.start
            if len(group) == len(self._boxes):
                rois = torch.cat([position.to(boxes.dtype)[:, None], boxes], dim=1)
                aligned: torch.Tensor = align(canvas[:, None], rois).squeeze(1)
                return aligned >= 0.5
            chosen = ((position >= 0) & (position < len(group))).nonzero()[:, 0]
            rois = torch.cat([position[chosen].to(boxes.dtype)[:, None], boxes[chosen]], dim=1)
            result[chosen] = align(canvas[:, None], rois).squeeze(1) >= 0.5
        return result

    def get_bounding_boxes(self) -> Boxes:
        """The masks' tight half-open boxes, on their device; all zero where a mask is empty."""
        return Boxes(self._per_mask(self._boxes.astype(np.float32)))

    def nonempty(self) -> torch.Tensor:
        """(N,) bool, on the masks' device: whether each has a pixel."""
        return self._per_mask(self._boxes[:, 0] < self._boxes[:, 2])

    def to(self, *args: Any, **kwargs: Any) -> CroppedMasks:
        """The masks on another device; takes what `torch.Tensor.to` takes, ignoring dtypes."""
        device = torch.empty(0, device=self.device).to(*args, **kwargs).device
        wait = {"non_blocking": kwargs.get("non_blocking", False)}
        index = self._index.to(device, **wait)
        return CroppedMasks(self._bits.to(device, **wait), self._boxes, self.image_size, index)

    @property
    def tensor(self) -> NoReturn:
        """BitMasks' attribute, which these masks do not have: AttributeError says what does."""
        raise AttributeError(
            f"{type(self).__name__} holds no (N, H, W) tensor; .to_bitmasks().tensor makes one"
        )

    @property
    def device(self) -> torch.device:
        """Where the bits lie."""
        return self._bits.device

    def __getitem__(self, item: int | slice | list[int] | torch.Tensor) -> CroppedMasks:
        """Some of the masks, by int (one of them), slice, list, bool or index tensor."""
        index = self._index[item]
        if index.dim() > 1:
            raise ArgumentError(f"index: {index.dim()} dimensions; masks have one")
        return CroppedMasks(self._bits, self._boxes, self.image_size, index.reshape(-1))

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Each mask widened, (H, W) bool."""
        for position in self._index.tolist():
            full = torch.zeros((1, *self.image_size), dtype=torch.bool, device=self.device)
            self._widen(full, range(position, position + 1))
            yield full[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_instances={len(self)}, image_size={self.image_size})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Only bits that are in use are sent to another process."""
        used, index = torch.unique(self._index, return_inverse=True)
        if len(used) == len(self._boxes):
            return type(self), (self._bits, self._boxes, self.image_size, self._index_or_none())
        parts = [self._bits[slice(*self._bytes(m))] for m in used.tolist()]
        bits = torch.cat([self._bits[:0], *parts])
        return type(self), (bits, self._boxes[used.cpu().numpy()], self.image_size, index)

    def _index_or_none(self) -> torch.Tensor | None:
        in_order = torch.arange(len(self._boxes), device=self.device)
        return None if torch.equal(self._index, in_order) else self._index

    def _bytes(self, stored: int) -> tuple[int, int]:
        """Where the bits of a stored mask begin and end."""
        return int(self._ends[stored - 1]) if stored else 0, int(self._ends[stored])

    def _groups(self) -> Iterator[range]:
        """The stored masks in groups that are widened together."""
        limit = _PIXELS_ON_CPU if self.device.type == "cpu" else _PIXELS_ELSEWHERE
        count = max(1, limit // max(1, self.image_size[0] * self.image_size[1]))
        for first in range(0, len(self._boxes), count):
            yield range(first, min(first + count, len(self._boxes)))

    def _widen(self, canvas: torch.Tensor, stored: range) -> None:
        """Set the pixels of stored masks in `canvas`, (len(stored), H, W) of zeros."""
        if len(stored) == 0:
            return
        first, last = self._bytes(stored.start)[0], self._bytes(stored.stop - 1)[1]
        shifts = 7 - torch.arange(8, dtype=torch.uint8, device=self.device)
        pixels = ((self._bits[first:last, None] >> shifts) & 1).reshape(-1)
        for target, mask in zip(canvas, stored, strict=True):
            x0, y0, x1, y1 = self._boxes[mask].tolist()
            start = 8 * (self._bytes(mask)[0] - first)
            size = (y1 - y0) * (x1 - x0)
            target[y0:y1, x0:x1] = pixels[start : start + size].view(y1 - y0, x1 - x0)

    def _per_mask(self, values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)[self._index]

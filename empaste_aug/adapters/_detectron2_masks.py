"""Segmentations of detectron2's dataset dicts to cropped masks, and cropped masks to polygons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as coco
from numpy.typing import NDArray

from empaste_aug.types import DatasetError, tight_box

CroppedMask = tuple[NDArray[np.bool_], tuple[int, int]]
"""A (h, w) bool mask, tight round its pixels, and the (x, y) of its top-left pixel."""


def decode_segmentation(
    segmentation: Any, height: int, width: int, *, where: str
) -> CroppedMask | None:
    """The pixels of one segmentation, cropped; None where it holds no pixel of the image.

    The pixels are those that pycocotools gives for the whole image, but only the columns that hold
    any are ever decoded.

    Args:
        segmentation: polygons (a list of flat x, y lists), an RLE dict (compressed or not), or a
            (height, width) array.
        height, width: the image's size.
        where: the file, for error messages.

    Raises:
        DatasetError: the segmentation is none of these, or of another size than the image.
    """
    if isinstance(segmentation, np.ndarray):
        if segmentation.shape != (height, width):
            raise DatasetError(
                f"{where}: segmentation of shape {segmentation.shape} in an image of "
                f"{height} x {width} (height x width)"
            )
        box = tight_box(segmentation != 0)
        if box is None:
            return None
        x0, y0, x1, y1 = (int(v) for v in box)
        return segmentation[y0:y1, x0:x1] != 0, (x0, y0)
    rle = _to_rle(segmentation, height, width, where)
    x, y, w, h = (int(v) for v in coco.toBbox(rle))
    if w == 0 or h == 0:
        return None
    ends = np.clip(np.cumsum(_run_lengths(rle["counts"])), x * height, (x + w) * height)
    runs = np.diff(ends, prepend=x * height)
    columns = np.repeat((np.arange(len(runs)) & 1).astype(bool), runs).reshape(w, height)
    return np.ascontiguousarray(columns[:, y : y + h].T), (x, y)


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A (H, W) bool mask as compressed RLE, in the form that COCO's tools read."""
    encoded: dict[str, Any] = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return encoded


def mask_to_polygons(
    mask: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)
) -> tuple[list[NDArray[np.float64]], bool]:
    """Polygons round the pixels of a mask, and whether holes had to be filled.

    The vertices are corners of pixels, so the polygons' box is the mask's tight half-open box, a
    single pixel is a square, and rasterising them gives the mask again, its holes filled: polygons
    in this format cannot have any.

    Args:
        mask: (h, w) bool.
        offset: (x, y) of its top-left pixel.
    """
    h, w = mask.shape
    # Pixel i covers the nodes 2i, 2i + 1 and 2i + 2, of which the even ones are pixel corners.
    nodes = np.zeros((2 * h + 1, 2 * w + 1), dtype=np.uint8)
    for dy in range(3):
        for dx in range(3):
            nodes[dy : dy + 2 * h : 2, dx : dx + 2 * w : 2] |= mask
    contours, hierarchy = cv2.findContours(nodes, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return [], False
    is_hole = hierarchy[0, :, 3] >= 0
    polygons = [
        (contour.reshape(-1, 2) / 2.0 + offset).reshape(-1)
        for contour, hole in zip(contours, is_hole, strict=True)
        if not hole
    ]
    return polygons, bool(is_hole.any())


def mask_boxes(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N, 4) tight XYXY half-open boxes of (N, H, W) masks; an empty mask's has no area."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        box[:] = x, y, x + w, y + h
    return boxes


def polygon_area(polygons: Sequence[NDArray[np.float64]], height: int, width: int) -> int:
    """How many pixels of a (height, width) image the polygons hold, by COCO's rules."""
    if not polygons:
        return 0
    rles = coco.frPyObjects([np.asarray(p, dtype=np.float64) for p in polygons], height, width)
    return int(coco.area(coco.merge(rles)))


def _to_rle(segmentation: Any, height: int, width: int, where: str) -> Mapping[str, Any]:
    if isinstance(segmentation, Mapping):
        if list(segmentation["size"]) != [height, width]:
            raise DatasetError(
                f"{where}: RLE of size {list(segmentation['size'])} in an image of "
                f"{[height, width]} (height, width)"
            )
        if isinstance(segmentation["counts"], (bytes, str)):
            return segmentation
        rle: Mapping[str, Any] = coco.frPyObjects(dict(segmentation), height, width)
        return rle
    if not isinstance(segmentation, (list, tuple)):
        raise DatasetError(
            f"{where}: segmentation of type {type(segmentation).__name__}; expected polygons, an "
            "RLE dict or a (height, width) array"
        )
    polygons = [np.asarray(polygon, dtype=np.float64).reshape(-1) for polygon in segmentation]
    for polygon in polygons:
        if polygon.size < 6 or polygon.size % 2:
            raise DatasetError(
                f"{where}: a polygon of {polygon.size} numbers; expected x, y of at least 3 points"
            )
    merged: Mapping[str, Any] = coco.merge(coco.frPyObjects(polygons, height, width))
    return merged


def _run_lengths(counts: bytes | str) -> NDArray[np.int64]:
    """The run lengths of a compressed RLE.

    Each number is written in groups of five bits, lowest first, one per character from "0" on; the
    sixth bit says that more follow, the last group's fifth bit is the sign. From the fourth number
    on, it is the difference to the number two before.
    """
    text = counts.encode() if isinstance(counts, str) else counts
    codes = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    last = (codes & 0x20) == 0
    starts = np.flatnonzero(np.concatenate(([True], last[:-1])))
    group = np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
    numbers = np.add.reduceat((codes & 0x1F) << (5 * group), starts)
    negative = (codes[last] & 0x10) != 0
    numbers[negative] -= 1 << (5 * (group[last][negative] + 1))
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers

"""Segmentations of detectron2's dataset dicts to cropped masks, and cropped masks to polygons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import pycocotools.mask as coco
from numpy.typing import NDArray

from empaste_aug.kernels.runs import decode_runs
from empaste_aug.types import Box, DatasetError


class CroppedMask(NamedTuple):
    """A (h, w) bool mask, tight round its pixels, and the (x, y) of its top-left pixel."""

    mask: NDArray[np.bool_]
    offset: tuple[int, int]

    @property
    def box(self) -> Box:
        """XYXY, half-open."""
        (h, w), (x, y) = self.mask.shape, self.offset
        return float(x), float(y), float(x + w), float(y + h)

    @classmethod
    def tight(cls, mask: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)) -> CroppedMask | None:
        """A mask cut to its pixels; None where it has none."""
        mask = np.ascontiguousarray(mask)
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        if w == 0:
            return None
        return cls(mask[y : y + h, x : x + w], (offset[0] + x, offset[1] + y))


def decode_segmentation(
    segmentation: Any, height: int, width: int, *, where: str
) -> CroppedMask | None:
    """The pixels of one segmentation, cropped; None where it holds no pixel of the image.

    The pixels are those that pycocotools gives for the whole image, but only the columns that hold
    any are ever decoded.

    Args:
        segmentation: polygons (a list of flat x, y lists), an RLE dict (compressed or not), a
            (height, width) array, or a mask that is decoded already.
        height, width: the image's size.
        where: the file, for error messages.

    Raises:
        DatasetError: the segmentation is none of these, or of another size than the image.
    """
    if isinstance(segmentation, CroppedMask):
        return segmentation
    if isinstance(segmentation, np.ndarray):
        if segmentation.shape != (height, width):
            raise DatasetError(
                f"{where}: segmentation of shape {segmentation.shape} in an image of "
                f"{height} x {width} (height x width)"
            )
        return CroppedMask.tight(segmentation != 0)
    rle = _to_rle(segmentation, height, width, where)
    x, y, w, h = (int(v) for v in coco.toBbox(rle))
    if w == 0 or h == 0:
        return None
    return CroppedMask(decode_runs(rle["counts"], height, (x, y, w, h)), (x, y))


def as_polygons(segmentation: Any, where: str) -> list[NDArray[np.float64]]:
    """Copies of the polygons, flat float64.

    Raises:
        DatasetError: it is no list of polygons, or one of them has less than three points or holds
            something else than finite numbers.
    """
    if not isinstance(segmentation, (list, tuple)):
        raise DatasetError(
            f"{where}: segmentation of type {type(segmentation).__name__}; expected polygons, an "
            "RLE dict or a (height, width) array"
        )
    try:
        polygons = [np.array(polygon, dtype=np.float64).reshape(-1) for polygon in segmentation]
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where}: a polygon is no flat list of numbers ({error})") from None
    for polygon in polygons:
        if polygon.size < 6 or polygon.size % 2:
            raise DatasetError(
                f"{where}: a polygon of {polygon.size} numbers; expected x, y of at least 3 points"
            )
        if not math.isfinite(polygon.sum()):
            raise DatasetError(f"{where}: a polygon holds a number that is not finite")
    return polygons


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
    centres = np.zeros((2 * h + 1, 2 * w + 1), dtype=np.uint8)
    centres[1::2, 1::2] = mask
    nodes = cv2.dilate(centres, np.ones((3, 3), dtype=np.uint8))
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


def hold_pixels(
    outlines: Sequence[Sequence[NDArray[np.float64]]], height: int, width: int
) -> list[bool]:
    """Whether each object's polygons hold any pixel of a (height, width) image, by COCO's rules.

    Args:
        outlines: for each object its polygons, flat x, y arrays.
    """
    polygons = [polygon for outline in outlines for polygon in outline]
    if not polygons:
        return [False] * len(outlines)
    areas = iter(coco.area(coco.frPyObjects(polygons, height, width)).tolist())
    return [sum([next(areas) for _ in outline]) > 0 for outline in outlines]


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
    rles = coco.frPyObjects(as_polygons(segmentation, where), height, width)
    merged: Mapping[str, Any] = rles[0] if len(rles) == 1 else coco.merge(rles)
    return merged

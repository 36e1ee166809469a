"""A segment of a photo as the classifier sees it, and its distance to the Grad-CAM anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from empaste_aug.types import ArgumentError, tight_box

if TYPE_CHECKING:
    from empaste_aug.offline.classify import Classifier

Features = Literal["crops", "pooled"]

GREY = (128, 128, 128)
"""The padding's colour where no classifier is at hand to give its own mean colour."""


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """Which segments are eligible, and how one is shown to the classifier (paper, appendix 6).

    Attributes:
        min_area: the least area of a segment, as a share of the image (the paper's 1 %).
        max_span: a segment whose box spans this share of the image's width or height is dropped
            ("almost the same size" in the paper, .95 in its mode); above 1 none is.
        erosion: how much of the mask's rim is taken off before the segment is cut out: below 1, a
            radius as a share of the square root of the mask's area; from 1 on, a radius in pixels.
            The paper does not give it.
        max_overlap: of segments whose IoU reaches this only that with the strongest contour stays;
            None keeps them all, as the paper does.
        crop_size: the side in pixels of what the classifier is shown; None for its own input size,
            as in the paper. At 128 a segment costs a third of what it costs at 224.
        features: "crops": phi of each segment's crop, as in the paper; "pooled": the photo is seen
            once, and phi is the mean of the map after the last convolution over the segment.
        pooled_size: the side in pixels of the photo where features are pooled.
    """

    min_area: float = 0.01
    max_span: float = 2.0
    erosion: float = 0.02
    max_overlap: float | None = 0.95
    crop_size: int | None = None
    features: Features = "crops"
    pooled_size: int = 512

    def shown(self, classifier: Classifier) -> dict[str, Any]:
        """How this classifier sees a segment, as JSON values."""
        if self.features == "pooled":
            return {"pooled_size": self.pooled_size}
        return {"erosion": self.erosion, "crop_size": self.crop_size or classifier.input_size}

    def __post_init__(self) -> None:
        """Raise ArgumentError for a constant out of its range."""
        if not 0 <= self.min_area < 1:
            raise ArgumentError(f"min_area: must be in [0, 1), not {self.min_area}")
        if not self.max_span > 0:
            raise ArgumentError(f"max_span: must be positive, not {self.max_span}")
        if self.erosion < 0:
            raise ArgumentError(f"erosion: must not be negative, not {self.erosion}")
        if self.max_overlap is not None and not 0 < self.max_overlap <= 1:
            raise ArgumentError(f"max_overlap: must be in (0, 1], not {self.max_overlap}")
        if self.crop_size is not None and self.crop_size < 32:
            raise ArgumentError(f"crop_size: must be at least 32 px, not {self.crop_size}")
        if self.features not in get_args(Features):
            raise ArgumentError(
                f"features: must be one of {', '.join(get_args(Features))}, not {self.features!r}"
            )
        if self.pooled_size < 32:
            raise ArgumentError(f"pooled_size: must be at least 32 px, not {self.pooled_size}")


def distances_to_anchors(
    masks: Sequence[NDArray[np.bool_]], anchors: ArrayLike
) -> NDArray[np.float32]:
    """The mean Euclidean distance of each mask's pixel centres to each anchor (paper, 3.1).

    Args:
        masks: M masks (H, W) bool, all of one size.
        anchors: (K, 2) of x, y, the centres of gravity of thresholded Grad-CAM maps.

    Returns:
        (M, K) float32, pixels; inf in the rows of empty masks, which are far from everything.
    """
    points = np.asarray(anchors, dtype=np.float64).reshape(-1, 2)
    result = np.full((len(masks), len(points)), np.inf, dtype=np.float32)
    if not masks or not len(points):
        return result
    height, width = masks[0].shape
    y, x = np.mgrid[:height, :width]
    maps = np.stack([np.hypot(x - px, y - py).ravel() for px, py in points])
    for row, mask in enumerate(masks):
        inside = np.flatnonzero(mask)
        if inside.size:
            result[row] = maps[:, inside].mean(axis=1)
    return result


def erode(mask: NDArray[np.bool_], size: float) -> NDArray[np.bool_]:
    """Take off a mask's rim, where proposals hold artifacts and pixels of the background.

    The image's border takes nothing off: an object that leaves the photo keeps its cut side.

    Args:
        mask: (H, W) bool.
        size: the radius of the round structuring element: below 1, a share of the square root of
            the mask's area; from 1 on, pixels. It is rounded to whole pixels; 0 erodes nothing.

    Returns:
        (H, W) bool; the mask itself where erosion would leave nothing of it.

    Raises:
        ArgumentError: `size` is negative.
    """
    if size < 0:
        raise ArgumentError(f"size: an erosion must not be negative, not {size}")
    radius = round(size if size >= 1 else size * float(np.count_nonzero(mask)) ** 0.5)
    box = tight_box(mask)
    if radius == 0 or box is None:
        return mask
    height, width = mask.shape
    x0, y0 = max(int(box[0]) - radius, 0), max(int(box[1]) - radius, 0)
    x1, y1 = min(int(box[2]) + radius, width), min(int(box[3]) + radius, height)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inner = cv2.erode(mask[y0:y1, x0:x1].astype(np.uint8), disc).astype(bool)
    if not inner.any():
        return mask
    result = np.zeros_like(mask)
    result[y0:y1, x0:x1] = inner
    return result


def segment_crop(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    *,
    size: int,
    erosion: float = 0.0,
    grey: Sequence[int] = GREY,
) -> NDArray[np.uint8]:
    """A segment on grey, made square and resized: what the classifier is shown (appendix 6).

    The eroded mask's minimum bounding box is cut out, its background and the padding to a centred
    square are grey, and the square is resized.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, not empty.
        size: side of the result in pixels.
        erosion: see `erode`.
        grey: RGB of the padding; a classifier's own mean colour becomes zero in its input.

    Returns:
        (size, size, 3) uint8 RGB.

    Raises:
        ArgumentError: the mask is empty, or not of the image's size.
    """
    if mask.shape != image.shape[:2]:
        raise ArgumentError(f"mask: its shape {mask.shape} is not the image's {image.shape[:2]}")
    mask = erode(mask, erosion)
    box = tight_box(mask)
    if box is None:
        raise ArgumentError("mask: holds no pixel, so there is no segment to cut out")
    x0, y0, x1, y1 = (int(v) for v in box)
    height, width = y1 - y0, x1 - x0
    side = max(height, width)
    square = np.empty((side, side, 3), dtype=np.uint8)
    square[:] = np.asarray(grey, dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    place = square[top : top + height, left : left + width]
    inside = mask[y0:y1, x0:x1].view(np.uint8)
    place[:] = cv2.copyTo(image[y0:y1, x0:x1], inside, np.ascontiguousarray(place))
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=interpolation), np.uint8)


def classifier_grey(mean: Sequence[float]) -> tuple[int, int, int]:
    """The mean colour that a classifier subtracts ([0, 1] per channel), as RGB uint8 values."""
    r, g, b = (round(255 * float(value)) for value in mean)
    return r, g, b

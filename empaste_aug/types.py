"""The values that travel between the rooms of the package, and the errors it raises.

Conventions, everywhere: images are RGB ``uint8`` of shape (H, W, 3); boxes are XYXY in absolute
pixels, half-open, so the tight box of a mask is ``(xmin, ymin, xmax + 1, ymax + 1)``; points are
``(x, y)`` and pixel centres have integer coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
Circle = tuple[float, float, float]

ALPHA_THRESHOLD = 128
"""A cut-out's mask is ``alpha >= ALPHA_THRESHOLD``."""


class EMPasteError(Exception):
    """Base class of every error that this package raises on purpose."""


class ArgumentError(EMPasteError, ValueError):
    """An argument, option or config value is out of range or contradicts another one."""


class BankError(EMPasteError):
    """A bank on disk is unfinished, damaged, or of another version."""


class PoolError(EMPasteError):
    """A pool of backgrounds on disk is unfinished, damaged, of another version or not writable."""


class DatasetError(EMPasteError):
    """A data set is missing files, or its files are not what they should be."""


class MissingDependencyError(EMPasteError, ImportError):
    """An optional package is not installed; the message says which extra brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}': pip install 'empaste_aug[{extra}]'"
        )
        self.package = package
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as its arguments, so that a worker can hand the error to its parent."""
        return type(self), (self.package, self.extra, self.purpose)


def tight_box(mask: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)) -> Box | None:
    """The tight XYXY half-open box of a (h, w) bool mask whose top-left pixel is at `offset`.

    Returns None where the mask is empty.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    x, y = offset
    return (
        float(columns[0] + x),
        float(rows[0] + y),
        float(columns[-1] + 1 + x),
        float(rows[-1] + 1 + y),
    )


@dataclass(slots=True, eq=False)
class Cutout:
    """One foreground object, cut out of its photo.

    Attributes:
        rgb: (h, w, 3) uint8 RGB crop. It may reach a few pixels beyond the mask.
        alpha: (h, w) uint8 opacity; the mask is ``alpha >= 128``.
        category_id: index into the *bank's* categories.
        score: the classifier's probability for the category, in [0, 1].
        quality: how good the mask is believed to be, higher is better (NaN where unknown).
        row: the cut-out's row in its bank (-1 for one that is in no bank).
        circle: (x, y, radius) of the minimum enclosing circle of the mask's pixel centres, in the
            crop's full-size pixel coordinates, the radius enlarged by half a pixel's diagonal.
        reduction: a power of two: each pixel of `rgb` and `alpha` stands for a square of so many
            full-size pixels a side. The full-size x lies at ``(x + 0.5) / reduction - 0.5``.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    category_id: int
    score: float = float("nan")
    quality: float = float("nan")
    row: int = -1
    circle: Circle = (0.0, 0.0, 0.0)
    reduction: int = 1

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) bool, ``alpha >= 128``."""
        return self.alpha >= ALPHA_THRESHOLD


@dataclass(slots=True, eq=False)
class Instance:
    """One labelled object of a scene.

    Attributes:
        category_id: the *scene's* contiguous category id.
        bbox: XYXY, absolute pixels, half-open.
        mask: (h, w) bool, cropped, its top-left pixel at `mask_offset`; None for box-only data.
        mask_offset: (x, y) of the mask's top-left pixel in the image.
        crowd: a crowd region (COCO's ``iscrowd``).
        keypoints: (K, 3) float of x, y and COCO's visibility (0 unlabelled, 1 hidden, 2 visible).
        cutout_id: the bank's row for a pasted object, None for an original.
        source_index: the position of the original in the list that the scene was made from, None
            for a pasted object; adapters carry custom annotations along with it.
    """

    category_id: int
    bbox: Box
    mask: NDArray[np.bool_] | None = None
    mask_offset: tuple[int, int] = (0, 0)
    crowd: bool = False
    keypoints: NDArray[np.float64] | None = None
    cutout_id: int | None = None
    source_index: int | None = None

    @classmethod
    def from_mask(
        cls,
        category_id: int,
        mask: NDArray[np.bool_],
        offset: tuple[int, int] = (0, 0),
        **rest: Any,
    ) -> Instance:
        """An instance from a (h, w) mask at `offset`, cropped to its tight box, its `bbox`.

        Raises:
            ArgumentError: the mask is empty.
        """
        mask = np.asarray(mask, dtype=bool)
        box = tight_box(mask)
        if box is None:
            raise ArgumentError("mask: holds no pixel, so it has no box")
        x0, y0, x1, y1 = (int(v) for v in box)
        x, y = offset
        return cls(
            category_id=category_id,
            bbox=(float(x0 + x), float(y0 + y), float(x1 + x), float(y1 + y)),
            mask=np.ascontiguousarray(mask[y0:y1, x0:x1]),
            mask_offset=(x0 + x, y0 + y),
            **rest,
        )

    def full_mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """(height, width) bool: the mask at its place; pixels outside the image are cut off.

        Raises:
            ArgumentError: the instance has no mask.
        """
        if self.mask is None:
            raise ArgumentError("mask: this instance is box-only; it has no mask to widen")
        full = np.zeros((height, width), dtype=bool)
        x, y = self.mask_offset
        h, w = self.mask.shape
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
        if x0 < x1 and y0 < y1:
            full[y0:y1, x0:x1] = self.mask[y0 - y : y1 - y, x0 - x : x1 - x]
        return full


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how one cut-out is pasted. All randomness ends here: rendering is deterministic.

    Attributes:
        cutout_id: the bank's row.
        center: (x, y) in the scene where the centre of the cut-out's enclosing circle comes to lie.
        scale: factor on the cut-out's own size, > 0.
        angle: rotation about that centre in degrees, counter-clockwise as seen.
        flip: mirrored left to right, before the rotation.
        blend: "gaussian", "none", "poisson", or a weighted mean of them, such as
            "0.3*gaussian+0.7*poisson".
        trim_to_free: cut to the pixels that no object occupies at its turn (Space-Maximize), so
            that it covers nothing.
    """

    cutout_id: int
    center: tuple[float, float]
    scale: float
    angle: float = 0.0
    flip: bool = False
    blend: str = "gaussian"
    trim_to_free: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """A paste that did not happen, and why.

    Attributes:
        cutout_id: the bank's row.
        reason: "occluded" (less than `min_visible` of it would be seen), "remnant" (wherever it was
            tried, it would have left less than `min_visible` of an original), "no_space" (no pixel
            is free), "too_small" (it shrinks to nothing).
    """

    cutout_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """An original that is not in the pasted scene, and why.

    Attributes:
        position: its position in the input scene's instances.
        reason: "hidden" (pastes cover it whole) or "empty" (it had no pixel in the image).
    """

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Background:
    """Which image of a pool takes a photo's place, and which part of it is shown.

    Attributes:
        row: the image's row in the pool.
        offset: (x, y), each in [0, 1), of the crop where the image is larger than what it has to
            cover: 0 is the left or top end of what the crop may move, 1 the other.
    """

    row: int
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Record:
    """What was done to a scene: enough, with the bank and the input, to make it again.

    Attributes:
        placements: the pastes that were rendered, in paste order.
        skipped: the pastes that were not, with their reasons, in the order they were drawn.
        dropped: the originals that are gone.
        seed_key: what the sample's generator was made from, where an adapter made it.
        background: what took the photo's place, where an adapter replaced it by one of a pool.
    """

    placements: tuple[Placement, ...] = ()
    skipped: tuple[Skip, ...] = ()
    dropped: tuple[Drop, ...] = ()
    seed_key: tuple[int, ...] | None = None
    background: Background | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        id: its value in the map, not 0.
        category_id: a thing's contiguous category id; what stuff has is up to the data set.
        is_thing: a countable object, not stuff.
        crowd: a group of objects (COCO's ``iscrowd``).
        cutout_id: the bank's row for a pasted object, None for an original.
        source_index: the position of the original in the list that the scene was made from, None
            for a pasted object.
    """

    id: int
    category_id: int
    is_thing: bool = True
    crowd: bool = False
    cutout_id: int | None = None
    source_index: int | None = None


@dataclass(slots=True, eq=False)
class Scene:
    """A photo with its labelled objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        instances: originals first, then pasted objects in paste order.
        valid: (H, W) bool, False on padding, or None where every pixel is photo.
        semantic: (H, W) integer class map, or None where there is none.
        panoptic: (H, W) integer map of segment ids, 0 where there is no segment, or None.
        segments: what the ids of `panoptic` stand for.
        record: what was pasted, or None for a scene that was not pasted on.
    """

    image: NDArray[np.uint8]
    instances: Sequence[Instance] = field(default_factory=list)
    valid: NDArray[np.bool_] | None = None
    semantic: NDArray[np.integer] | None = None
    panoptic: NDArray[np.integer] | None = None
    segments: Sequence[Segment] = ()
    record: Record | None = None

    @property
    def height(self) -> int:
        """The image's height in pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """The image's width in pixels."""
        return int(self.image.shape[1])

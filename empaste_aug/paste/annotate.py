"""What is visible of every object, and the annotations that follow from it: the label contract.

Later pastes hide earlier ones and the originals. All counts are of pixels in the image; an
object's *share* is what is visible of it over what would be unoccluded: off-image pixels included
for pastes, the pixels at input for originals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from empaste_aug.geometry import pixel_box
from empaste_aug.kernels.visibility import count_overlap, paint, trim
from empaste_aug.paste.render import Patch
from empaste_aug.types import ArgumentError, Drop, Instance, Scene, tight_box

MAX_PASTES = 254
"""The map of owners holds a byte a pixel."""


class Layers:
    """The stack of patches over one scene's originals, and who owns each pixel.

    Args:
        scene: the originals.
        min_visible: the least share; see the module's docstring.

    Attributes:
        patches: every patch that was accepted, in paste order.
        rendered: whether each of them is visible enough to be rendered; later pastes can change it.
        owner: (H, W) uint8: 1 + the position of the topmost rendered patch, 0 where there is none.
    """

    def __init__(self, scene: Scene, *, min_visible: float) -> None:
        self._height, self._width = scene.height, scene.width
        self._min_visible = min_visible
        self._visible: list[int] = []
        self.patches: list[Patch] = []
        self.rendered: list[bool] = []
        self.owner = np.zeros((self._height, self._width), dtype=np.uint8)
        self._originals = [_Original(instance, self.owner) for instance in scene.instances]

    def push(self, patch: Patch) -> str | None:
        """Lay a patch on top, unless that breaks the contract.

        Returns None, or the reason why nothing was changed: "too_small" (the object has no pixel
        at this scale), "occluded" (too little of it lies on the image's free pixels) or "remnant"
        (an original would keep some pixels, but less than `min_visible` of its own).
        """
        if len(self.patches) == MAX_PASTES:
            raise ArgumentError(f"count: at most {MAX_PASTES} pastes in one image")
        if patch.full_area == 0:
            return "too_small"
        shown = int(np.count_nonzero(patch.mask))
        if shown == 0 or shown < self._min_visible * patch.full_area:
            return "occluded"
        image_window, patch_window = patch.window(self._height, self._width)
        mask = patch.mask[patch_window]
        under = self.owner[image_window]
        hidden = np.bincount(under[mask], minlength=len(self.patches) + 1)[1:]
        visible = [have - int(lost) for have, lost in zip(self._visible, hidden, strict=True)]
        if all(
            self._is_enough(count, other)
            for count, other, drawn in zip(visible, self.patches, self.rendered, strict=True)
            if drawn
        ):
            rendered = self.rendered.copy()
            newly_covered = mask & (under == 0)
            lost = [
                original.count(newly_covered, image_window[1].start, image_window[0].start)
                for original in self._originals
            ]
            remaining = [o.visible - n for o, n in zip(self._originals, lost, strict=True)]
            owner = None
        else:
            owner, visible, rendered = self._sweep([*self.patches, patch])
            visible.pop()
            rendered.pop()
            remaining = [original.uncovered(owner) for original in self._originals]
        if any(self._is_remnant(n, o) for n, o in zip(remaining, self._originals, strict=True)):
            return "remnant"
        self.patches.append(patch)
        self.rendered = [*rendered, True]
        self._visible = [*visible, shown]
        for original, count in zip(self._originals, remaining, strict=True):
            original.visible = count
        if owner is None:
            paint(patch.mask, patch.x, patch.y, self.owner, len(self.patches))
        else:
            self.owner = owner
        return None

    def instances(self, scene: Scene, categories: NDArray[np.int64]) -> list[Instance]:
        """The annotations: originals first, then the rendered pastes in paste order.

        Args:
            scene: what the layers were made from.
            categories: the scene's category id of each of the bank's classes.
        """
        annotated = []
        for instance, original in zip(scene.instances, self._originals, strict=True):
            if original.visible == original.pixels > 0 and not original.sticks_out:
                kept: Instance | None = instance
            elif instance.mask is None:
                kept = _shrink_box(instance, self.owner)
            else:
                kept = _trim_mask(instance, self.owner)
            if kept is not None:
                annotated.append(_hide_keypoints(kept, self.owner))
        for position, patch in enumerate(self.patches):
            if not self.rendered[position]:
                continue
            image_window, patch_window = patch.window(self._height, self._width)
            mask = patch.mask[patch_window] & (self.owner[image_window] == position + 1)
            annotated.append(
                Instance.from_mask(
                    int(categories[patch.category_id]),
                    mask,
                    (image_window[1].start, image_window[0].start),
                    cutout_id=patch.placement.cutout_id,
                )
            )
        return annotated

    def dropped(self) -> tuple[Drop, ...]:
        """The originals that `instances` leaves out."""
        return tuple(
            Drop(position, "hidden" if original.pixels else "empty")
            for position, original in enumerate(self._originals)
            if original.visible == 0
        )

    def _is_enough(self, visible: int, patch: Patch) -> bool:
        return visible > 0 and visible >= self._min_visible * patch.full_area

    def _is_remnant(self, visible: int, original: _Original) -> bool:
        """Too little is left, and it is a paste that took it. Crowd regions are only trimmed."""
        return (
            not original.crowd
            and 0 < visible < original.pixels
            and visible < self._min_visible * original.pixels
        )

    def _sweep(self, patches: Sequence[Patch]) -> tuple[NDArray[np.uint8], list[int], list[bool]]:
        """Owners, visible pixels and rendered flags, decided from the last patch backwards."""
        owner = np.zeros_like(self.owner)
        visible, rendered = [0] * len(patches), [False] * len(patches)
        for position in reversed(range(len(patches))):
            patch = patches[position]
            seen, _, visible[position] = trim(patch.mask, patch.x, patch.y, owner)
            rendered[position] = self._is_enough(visible[position], patch)
            if rendered[position]:
                paint(seen, patch.x, patch.y, owner, position + 1)
        return owner, visible, rendered


class _Original:
    """How many pixels of an original lie in the image, and how many no paste covers.

    A mask that sticks out of the image is cut to it, even if no paste touches it.
    """

    __slots__ = ("crowd", "mask", "pixels", "sticks_out", "visible", "x", "y")

    def __init__(self, instance: Instance, owner: NDArray[np.uint8]) -> None:
        self.crowd = instance.crowd
        self.sticks_out = False
        if instance.mask is None:
            self.x, self.y, x1, y1 = pixel_box(instance.bbox, *owner.shape)
            self.mask = np.ones((y1 - self.y, x1 - self.x), dtype=bool)
            self.pixels = self.mask.size
        else:
            self.mask = instance.mask
            self.x, self.y = instance.mask_offset
            self.pixels = count_overlap(self.mask, self.x, self.y, owner)[0]
            self.sticks_out = self.pixels < int(np.count_nonzero(self.mask))
        self.visible = self.pixels

    def count(self, cover: NDArray[np.bool_], x: int, y: int) -> int:
        """How many of its pixels lie under `cover`, a map whose top-left pixel is at (x, y)."""
        left, top = self.x - x, self.y - y
        (h, w), (height, width) = self.mask.shape, cover.shape
        if left >= width or top >= height or left + w <= 0 or top + h <= 0:
            return 0  # most originals are not near the paste
        return count_overlap(self.mask, left, top, cover)[1]

    def uncovered(self, owner: NDArray[np.uint8]) -> int:
        """How many of its pixels nobody owns."""
        inside, covered = count_overlap(self.mask, self.x, self.y, owner)
        return inside - covered


def _trim_mask(instance: Instance, owner: NDArray[np.uint8]) -> Instance | None:
    """The instance without its covered pixels; None where all are covered."""
    assert instance.mask is not None
    x, y = instance.mask_offset
    visible, (x0, y0, x1, y1), count = trim(instance.mask, x, y, owner)
    if count == 0:
        return None
    return replace(
        instance,
        bbox=(float(x0), float(y0), float(x1), float(y1)),
        mask=np.ascontiguousarray(visible[y0 - y : y1 - y, x0 - x : x1 - x]),
        mask_offset=(x0, y0),
    )


def _shrink_box(instance: Instance, owner: NDArray[np.uint8]) -> Instance | None:
    """A box-only instance: each side that is covered whole moves in; None if nothing is left."""
    outer = pixel_box(instance.bbox, *owner.shape)
    x0, y0, x1, y1 = outer
    seen = tight_box(owner[y0:y1, x0:x1] == 0, (x0, y0))
    if seen is None:
        return None
    sides = [
        old if new == edge else new
        for old, new, edge in zip(instance.bbox, seen, outer, strict=True)
    ]
    return replace(instance, bbox=(sides[0], sides[1], sides[2], sides[3]))


def _hide_keypoints(instance: Instance, owner: NDArray[np.uint8]) -> Instance:
    """Visible keypoints (v = 2) on covered pixels become labelled-not-visible (v = 1)."""
    if instance.keypoints is None:
        return instance
    height, width = owner.shape
    x, y = (np.floor(instance.keypoints[:, i] + 0.5).astype(np.int64) for i in (0, 1))
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    covered = np.zeros(len(x), dtype=bool)
    covered[inside] = owner[y[inside], x[inside]] != 0
    hidden = covered & (instance.keypoints[:, 2] == 2)
    if not hidden.any():
        return instance
    keypoints = instance.keypoints.copy()
    keypoints[hidden, 2] = 1
    return replace(instance, keypoints=keypoints)

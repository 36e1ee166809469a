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
from empaste_aug.kernels.mask_stack import (
    count_hidden,
    count_inside,
    count_uncovered,
)
from empaste_aug.kernels.visibility import paint, paint_bytes, trim
from empaste_aug.paste.originals import pack_originals
from empaste_aug.paste.render import Patch
from empaste_aug.types import ArgumentError, Box, Drop, Instance, Scene, tight_box

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
        below: the originals' masks, packed.
    """

    def __init__(self, scene: Scene, *, min_visible: float) -> None:
        self._height, self._width = scene.height, scene.width
        self._min_visible = min_visible
        self._visible: list[int] = []
        self.patches: list[Patch] = []
        self.rendered: list[bool] = []
        self.owner = np.zeros((self._height, self._width), dtype=np.uint8)
        self.below = pack_originals(scene)
        counts = count_inside(*self.below, self._height, self._width)
        self._pixels = counts[:, 1]
        # A mask that sticks out of the image is cut to it even if no paste touches it, and one
        # whose box has no extent gets its tight box.
        has_extent = np.array([_has_extent(i.bbox) for i in scene.instances], dtype=bool)
        self._needs_trim = (counts[:, 1] < counts[:, 0]) | ~has_extent
        self._is_crowd = np.array([i.crowd for i in scene.instances], dtype=bool)
        self._remaining = self._pixels

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
        if not self._is_enough(patch.area, patch):
            return "occluded"
        if patch.covers_nothing:
            self._accept(patch)
            return None
        hidden, lost = count_hidden(patch.mask, patch.x, patch.y, self.owner, *self.below)
        if patch.area == hidden[0] and not lost.any():
            self._accept(patch)
            return None
        visible = [have - int(taken) for have, taken in zip(self._visible, hidden[1:])]  # noqa: B905
        if all(
            self._is_enough(count, other)
            for count, other, drawn in zip(visible, self.patches, self.rendered, strict=True)
            if drawn
        ):
            rendered, owner = self.rendered.copy(), None
            remaining = self._remaining - lost
        else:
            owner, visible, rendered = self._sweep([*self.patches, patch])
            visible.pop()
            rendered.pop()
            remaining = count_uncovered(*self.below, owner)
        if self._leaves_remnant(remaining):
            return "remnant"
        self.rendered, self._visible, self._remaining = rendered, visible, remaining
        self._accept(patch, owner)
        return None

    def _accept(self, patch: Patch, owner: NDArray[np.uint8] | None = None) -> None:
        """Take a patch; `owner` is the new map, where it is known."""
        self.patches.append(patch)
        self.rendered.append(True)
        self._visible.append(patch.area)
        if owner is None:
            mask = patch.mask.view(np.uint8)
            paint_bytes(mask, patch.x, patch.y, self.owner, len(self.patches))
        else:
            self.owner = owner

    def push_all(self, patches: Sequence[Patch]) -> bool:
        """Lay these on the bare originals at once, if every one of them can then be rendered.

        `push` judges each patch by what lies below it at its turn. A record names what was left in
        the end, where a patch may lie that was accepted only because of one that is gone.
        Returns False, with nothing changed, where the contract would not hold.
        """
        owner, visible, rendered = self._sweep(patches)
        remaining = count_uncovered(*self.below, owner)
        if not all(rendered) or self._leaves_remnant(remaining):
            return False
        self.patches, self.rendered, self._visible = list(patches), rendered, visible
        self._remaining, self.owner = remaining, owner
        return True

    def instances(self, scene: Scene, categories: NDArray[np.int64]) -> list[Instance]:
        """The annotations: originals first, then the rendered pastes in paste order.

        Args:
            scene: what the layers were made from.
            categories: the scene's category id of each of the bank's classes.
        """
        annotated = []
        whole = (self._remaining == self._pixels) & (self._pixels > 0) & ~self._needs_trim
        for instance, is_whole in zip(scene.instances, whole.tolist(), strict=True):
            if is_whole:
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
            if self._visible[position] == patch.area:
                mask, box = _crop(patch.mask, patch.x, patch.y, patch.box), patch.box
            else:
                mask, box, _ = _crop_visible(patch.mask, patch.x, patch.y, self.owner, position + 1)
            annotated.append(
                Instance(
                    category_id=int(categories[patch.category_id]),
                    bbox=_as_floats(box),
                    mask=mask,
                    mask_offset=box[:2],
                    cutout_id=patch.placement.cutout_id,
                )
            )
        return annotated

    def dropped(self) -> tuple[Drop, ...]:
        """The originals that `instances` leaves out."""
        counts = zip(self._remaining.tolist(), self._pixels.tolist(), strict=True)
        return tuple(
            Drop(position, "hidden" if had else "empty")
            for position, (left, had) in enumerate(counts)
            if left == 0
        )

    def _is_enough(self, visible: int, patch: Patch) -> bool:
        return visible > 0 and visible / patch.full_area >= self._min_visible

    def _leaves_remnant(self, remaining: NDArray[np.int64]) -> bool:
        """Of an original, too little is left by a paste. Crowd regions are only trimmed."""
        touched = (remaining > 0) & (remaining < self._pixels) & ~self._is_crowd
        shares = remaining[touched] / self._pixels[touched]
        return bool((shares < self._min_visible).any())

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


def _has_extent(box: Box) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def _crop(
    mask: NDArray[np.bool_], x: int, y: int, box: tuple[int, int, int, int]
) -> NDArray[np.bool_]:
    """A copy of the part in `box` of a mask that lies at (x, y)."""
    x0, y0, x1, y1 = box
    return mask[y0 - y : y1 - y, x0 - x : x1 - x].copy()


def _crop_visible(
    mask: NDArray[np.bool_], x: int, y: int, owner: NDArray[np.uint8], value: int
) -> tuple[NDArray[np.bool_], tuple[int, int, int, int], int]:
    """The pixels of a mask that `value` owns, cropped to their tight box; the box, their count."""
    visible, box, count = trim(mask, x, y, owner, value)
    return _crop(visible, x, y, box), box, count


def _as_floats(box: tuple[int, int, int, int]) -> Box:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _trim_mask(instance: Instance, owner: NDArray[np.uint8]) -> Instance | None:
    """The instance without its covered pixels; None where all are covered."""
    assert instance.mask is not None
    mask, box, count = _crop_visible(instance.mask, *instance.mask_offset, owner, 0)
    if count == 0:
        return None
    return replace(instance, bbox=_as_floats(box), mask=mask, mask_offset=box[:2])


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
    x, y = (np.floor(instance.keypoints[:, i] + 0.5) for i in (0, 1))
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    covered = np.zeros(len(x), dtype=bool)
    covered[inside] = owner[y[inside].astype(np.intp), x[inside].astype(np.intp)] != 0
    hidden = covered & (instance.keypoints[:, 2] == 2)
    if not hidden.any():
        return instance
    keypoints = instance.keypoints.copy()
    keypoints[hidden, 2] = 1
    return replace(instance, keypoints=keypoints)

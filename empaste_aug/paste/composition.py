"""A scene while it is pasted on: cut-outs are laid on it one by one, then it is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.kernels.reduce import reduction_for
from empaste_aug.paste.annotate import MAX_PASTES, Layers
from empaste_aug.paste.blending import paint
from empaste_aug.paste.maps import paint_maps
from empaste_aug.paste.place import FreeSpace
from empaste_aug.paste.render import Patch, make_patch
from empaste_aug.types import ArgumentError, Cutout, Placement, Record, Scene, Skip


class Labels(NamedTuple):
    """What the pasted objects are called in the scene.

    Attributes:
        categories: the scene's category id of each of the bank's classes.
        semantic: the semantic map's value of each of the scene's categories.
    """

    categories: NDArray[np.int64]
    semantic: NDArray[np.int64]


class Composition:
    """A scene while it is pasted on.

    Args:
        scene: the originals.
        min_visible: see `EMPaste`.
        trims: whether placements with `trim_to_free` will come.
    """

    def __init__(self, scene: Scene, *, min_visible: float, trims: bool) -> None:
        self._scene = scene
        self._layers = Layers(scene, min_visible=min_visible)
        self._outcomes: list[tuple[int, str | None]] = []
        self.free = FreeSpace(scene, self._layers.below) if trims else None
        self._cutout: tuple[tuple[int, int], Cutout] | None = None

    def lay(self, bank: MaskBank, placement: Placement) -> str | None:
        """Put a placed cut-out on top; the reason if that cannot be."""
        patch = self._patch(bank, placement)
        reason = self._layers.push(patch)
        if reason is None and self.free is not None:
            self.free.occupy(patch)
        return reason

    def lay_all(self, bank: MaskBank, placements: Sequence[Placement]) -> bool:
        """Put these on the bare scene, all or none; whether the contract lets all be rendered."""
        if len(placements) > MAX_PASTES:
            return False
        patches = []
        for placement in placements:
            patches.append(self._patch(bank, placement))
            if self.free is not None:
                self.free.occupy(patches[-1])
        if not self._layers.push_all(patches):
            return False
        self._outcomes = [(placement.cutout_id, None) for placement in placements]
        return True

    def note(self, row: int, reason: str | None) -> None:
        """Keep what became of a drawn cut-out."""
        self._outcomes.append((row, reason))

    def _read(self, bank: MaskBank, row: int, scale: float) -> Cutout:
        """The cut-out; the last one again where it is placed anew."""
        key = row, reduction_for(scale)
        if self._cutout is None or self._cutout[0] != key:
            self._cutout = key, bank.read(row, scale=scale, reuse=True)
        return self._cutout[1]

    def _patch(self, bank: MaskBank, placement: Placement) -> Patch:
        return make_patch(
            self._read(bank, placement.cutout_id, placement.scale),
            placement,
            height=self._scene.height,
            width=self._scene.width,
            occupied=None if self.free is None else self.free.occupied,
            valid=self._scene.valid,
        )

    def finish(self, labels: Labels) -> Scene:
        """The pasted scene; what later pastes hid is skipped as occluded.

        Raises:
            ArgumentError: a paste's class is excluded, or `paint_maps` refuses.
        """
        scene, layers = self._scene, self._layers
        accepted = iter(layers.rendered)
        skipped = []
        for row, reason in self._outcomes:
            if reason is None and not next(accepted):
                reason = "occluded"
            if reason is not None:
                skipped.append(Skip(row, reason))
        rendered = [p for p, is_on in zip(layers.patches, layers.rendered, strict=True) if is_on]
        for patch in rendered:
            if labels.categories[patch.category_id] < 0:
                raise ArgumentError(
                    f"placements: cut-out {patch.placement.cutout_id} is of an excluded class"
                )
        instances = layers.instances(scene, labels.categories)
        pasted = instances[len(instances) - len(rendered) :]
        return Scene(
            image=paint_all(scene.image, rendered) if rendered else scene.image,
            instances=instances,
            valid=scene.valid,
            **paint_maps(scene, pasted, labels.semantic),
            record=Record(
                placements=tuple(patch.placement for patch in rendered),
                skipped=tuple(skipped),
                dropped=layers.dropped(),
            ),
        )


def paint_all(image: NDArray[np.uint8], patches: Sequence[Patch]) -> NDArray[np.uint8]:
    """A copy of the image with the patches painted in order."""
    painted = np.array(image, order="C", copy=True)
    for patch in patches:
        paint(painted, patch)
    return painted

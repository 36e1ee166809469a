"""EMPaste: select, place, render, annotate. All that the adapters call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.paste.annotate import Layers
from empaste_aug.paste.arguments import (
    Blend,
    check_generator,
    check_scene,
    names,
    placement_config,
    probability,
    range_of_counts,
)
from empaste_aug.paste.place import FreeSpace, Placer
from empaste_aug.paste.render import BLENDS, Patch, make_patch, paint
from empaste_aug.paste.select import Selection, Selector, map_categories
from empaste_aug.types import ArgumentError, Cutout, Placement, Record, Scene, Skip

ATTEMPTS = 10
"""How often a paste that would leave a remnant of an original is placed before it is skipped."""


class EMPaste:
    """Pastes cut-outs of a bank onto scenes (paper 3.3), with labels that stay right.

    Calling it gives a new scene; the one that is passed in stays as it is. The label contract:
    masks are the visible parts, boxes are tight round them, no object is left with less than
    `min_visible` of its pixels, and untouched originals pass through as the same objects.

    Args:
        bank: an open bank, or its folder.
        placement: "random": anywhere, at a random scale; "space_maximize": in the largest free
            circle, as large as it fits, covering nothing (Algorithm 2).
        count: how many to paste: a number, or (lowest, highest), both inclusive; at most 254.
        selection: "uniform" over cut-outs, "balanced" over classes, or class name -> weight (names
            that are not given are not drawn).
        scale: (low, high): uniform factor on the cut-out's own size; Random only.
        max_angle: rotation is uniform in [-max_angle, max_angle], degrees in [0, 180].
        max_scale: the most that Space-Maximize enlarges a cut-out; None: no limit (the paper).
        blend: "gaussian", "none" (hard edge at alpha >= 128), or mode -> weight, drawn per paste.
        flip: probability of mirroring a cut-out left to right; the paper does not.
        min_visible: the least visible share, in [0, 1]. A paste that ends below it is not
            rendered; one that would leave an original below it is placed anew, up to 10 times.
        class_names: the data set's class names, contiguous; None: the scene's ids are the bank's.
        category_map: bank class name -> data set class name, where they differ.
        exclude: bank classes that are never pasted.

    Raises:
        ArgumentError: an argument is out of range, or the classes do not match.
        BankError: the bank cannot be opened.

    Example:
        >>> paste = EMPaste("out/bank", placement="space_maximize", count=(1, 4))  # doctest: +SKIP
        >>> scene = paste(Scene(image, instances), np.random.default_rng(0))  # doctest: +SKIP
        >>> scene.instances[-1].cutout_id, scene.record.skipped  # doctest: +SKIP
    """

    def __init__(
        self,
        bank: MaskBank | str | Path,
        *,
        placement: Literal["random", "space_maximize"] = "random",
        count: int | tuple[int, int] = 4,
        selection: Selection = "uniform",
        scale: tuple[float, float] = (0.3, 1.0),
        max_angle: float = 30.0,
        max_scale: float | None = None,
        blend: Blend = "gaussian",
        flip: float = 0.0,
        min_visible: float = 0.1,
        class_names: Sequence[str] | None = None,
        category_map: Mapping[str, str] | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        self.count = range_of_counts(count)
        self.min_visible = probability("min_visible", min_visible)
        self.exclude = names("exclude", exclude)
        self.category_map = dict(category_map or {})
        self.class_names = None if class_names is None else names("class_names", class_names)
        self.selection = selection
        self.placement = placement_config(
            placement=placement,
            scale=scale,
            max_angle=max_angle,
            max_scale=max_scale,
            flip=flip,
            blend=blend,
        )
        self.bank = bank if isinstance(bank, MaskBank) else MaskBank(bank)
        self._selector = Selector(
            np.asarray(self.bank.index["category_id"]),
            self.bank.categories,
            selection=selection,
            exclude=self.exclude,
        )
        self._categories: NDArray[np.int64] | None = None
        if self.class_names is not None or not self.category_map:
            self._categories = self._map_categories()

    def with_class_names(self, class_names: Sequence[str]) -> EMPaste:
        """The same augmentation for a data set with these class names.

        Raises:
            ArgumentError: a class of the bank that is not excluded has no partner in the data set.
        """
        other = copy(self)
        other.class_names = names("class_names", class_names)
        other._categories = other._map_categories()
        return other

    def __call__(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """Paste onto a scene.

        Args:
            scene: image (H, W, 3) uint8 RGB and its instances, with category ids of
                `class_names`.
            rng: the only source of randomness; the same state gives the same scene.

        Returns:
            A new scene: originals first (trimmed, or the same objects), then pasted instances in
            paste order; `record` tells what was done. Its image is the input's own array where
            nothing was pasted.

        Raises:
            ArgumentError: the image is not (H, W, 3) uint8, `valid` not (H, W) bool, or an
                instance's box, mask or keypoints are malformed, or `rng` is no Generator.
        """
        check_scene(scene)
        check_generator(rng)
        categories = self._resolved_categories()
        composition = _Composition(
            scene,
            min_visible=self.min_visible,
            trims=self.placement.placement == "space_maximize",
        )
        placer = Placer(self.placement, scene, composition.free)
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            row = self._selector.draw(rng)
            composition.note(row, self._paste_one(row, composition, placer, rng))
        return composition.finish(categories)

    def render(self, scene: Scene, placements: Sequence[Placement]) -> Scene:
        """Paste these placements, with nothing left to chance: the same bytes every time.

        What a record names as rendered gives the recorded scene again. A placement that breaks the
        label contract is skipped and recorded, as in `__call__`.
        """
        check_scene(scene)
        categories = self._resolved_categories()
        composition = _Composition(
            scene,
            min_visible=self.min_visible,
            trims=any(placement.trim_to_free for placement in placements),
        )
        for placement in placements:
            if placement.blend not in BLENDS:
                raise ArgumentError(f"blend: {placement.blend!r} is none of {BLENDS}")
            row = placement.cutout_id
            composition.note(row, composition.lay(self.bank[row], placement))
        return composition.finish(categories)

    def __repr__(self) -> str:
        """The bank and what is pasted from it."""
        low, high = self.count
        count = str(low) if low == high else f"({low}, {high})"
        return f"EMPaste({self.bank!r}, placement={self.placement.placement!r}, count={count})"

    def _paste_one(
        self, row: int, composition: _Composition, placer: Placer, rng: np.random.Generator
    ) -> str | None:
        """Place one cut-out, again if it leaves remnants; the reason if it could not be done."""
        cutout = self.bank[row]
        reason: str | None = None
        for _ in range(ATTEMPTS):
            placement = placer.draw(row, cutout.circle, rng)
            if placement is None:
                return "no_space"
            reason = composition.lay(cutout, placement)
            if reason != "remnant":
                break
        return reason

    def _resolved_categories(self) -> NDArray[np.int64]:
        if self._categories is None:
            self._categories = self._map_categories()
        return self._categories

    def _map_categories(self) -> NDArray[np.int64]:
        return map_categories(
            self.bank.categories, self.class_names, self.category_map, self.exclude
        )


class _Composition:
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
        self.free = FreeSpace(scene) if trims else None

    def lay(self, cutout: Cutout, placement: Placement) -> str | None:
        """Put a placed cut-out on top; the reason if that cannot be."""
        patch = make_patch(
            cutout,
            placement,
            height=self._scene.height,
            width=self._scene.width,
            occupied=None if self.free is None else self.free.occupied,
            valid=self._scene.valid,
        )
        reason = self._layers.push(patch)
        if reason is None and self.free is not None:
            self.free.occupy(patch.mask, patch.x, patch.y)
        return reason

    def note(self, row: int, reason: str | None) -> None:
        """Keep what became of a drawn cut-out."""
        self._outcomes.append((row, reason))

    def finish(self, categories: NDArray[np.int64]) -> Scene:
        """The pasted scene; what later pastes hid is skipped as occluded."""
        scene, layers = self._scene, self._layers
        accepted = iter(layers.rendered)
        skipped = []
        for row, reason in self._outcomes:
            if reason is None and not next(accepted):
                reason = "occluded"
            if reason is not None:
                skipped.append(Skip(row, reason))
        rendered = [p for p, is_on in zip(layers.patches, layers.rendered, strict=True) if is_on]
        return Scene(
            image=_paint_all(scene.image, rendered) if rendered else scene.image,
            instances=layers.instances(scene, categories),
            valid=scene.valid,
            record=Record(
                placements=tuple(patch.placement for patch in rendered),
                skipped=tuple(skipped),
                dropped=layers.dropped(),
            ),
        )


def _paint_all(image: NDArray[np.uint8], patches: Sequence[Patch]) -> NDArray[np.uint8]:
    """A copy of the image with the patches painted in order."""
    painted = np.array(image, order="C", copy=True)
    for patch in patches:
        paint(painted, patch)
    return painted

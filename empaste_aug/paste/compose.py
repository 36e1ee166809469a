"""EMPaste: select, place, render, annotate. All that the adapters call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Literal

import numpy as np

from empaste_aug.bank import MaskBank
from empaste_aug.kernels import warmup
from empaste_aug.kernels.poisson import compile_poisson
from empaste_aug.paste.arguments import (
    Blend,
    check_generator,
    check_placement,
    check_resize,
    check_scene,
    names,
    placement_config,
    probability,
    range_of_counts,
)
from empaste_aug.paste.blending import parse_blend
from empaste_aug.paste.composition import Composition, Labels
from empaste_aug.paste.maps import semantic_values
from empaste_aug.paste.place import Placer
from empaste_aug.paste.select import Selection, Selector, check_known, map_categories
from empaste_aug.types import ArgumentError, Placement, Scene

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
        selection: "uniform" over cut-outs, "balanced" over classes, class name -> weight (names
            that are not given are not drawn; `paste.rarity` makes those of a data set's rare
            classes), or a callable ``selection(scene, rng) -> row``: see `Selector`.
        scale: a factor on the cut-out's own size, or (low, high), uniform; Random only.
        max_angle: rotation is uniform in [-max_angle, max_angle], degrees in [0, 180].
        max_scale: the most that Space-Maximize enlarges a cut-out; None: no limit (the paper).
        blend: "gaussian", "none" (hard edge at alpha >= 128), "poisson", a weighted mean of them
            as "0.3*gaussian+0.7*poisson", or a mapping from any of these to the chance with which
            it is drawn for each paste.
        flip: probability of mirroring a cut-out left to right; the paper does not.
        min_visible: the least visible share, in [0, 1]. A paste that ends below it is not
            rendered; one that would leave an original below it is placed anew, up to 10 times.
        class_names: the data set's class names, contiguous; None: the scene's ids are the bank's.
            Every class of the bank that may be pasted must be among them.
        category_map: bank class name -> data set class name, where they differ.
        exclude: bank classes that are never pasted.
        semantic_labels: class name of the data set -> value in `Scene.semantic`, where pasted
            pixels get it; None: the value is the class's position.

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
        scale: float | tuple[float, float] = (0.3, 1.0),
        max_angle: float = 30.0,
        max_scale: float | None = None,
        blend: Blend = "gaussian",
        flip: float = 0.0,
        min_visible: float = 0.1,
        class_names: Sequence[str] | None = None,
        category_map: Mapping[str, str] | None = None,
        exclude: Sequence[str] = (),
        semantic_labels: Mapping[str, int] | None = None,
    ) -> None:
        self.count = range_of_counts(count)
        self.min_visible = probability("min_visible", min_visible)
        self.exclude = names("exclude", exclude)
        self.category_map = dict(category_map or {})
        self.class_names = None if class_names is None else names("class_names", class_names)
        self.semantic_labels = None if semantic_labels is None else dict(semantic_labels)
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
        check_known("exclude", self.exclude, self.bank.categories)
        check_known("category_map", self.category_map, self.bank.categories)
        self._selector = Selector(
            np.asarray(self.bank.index["category_id"]),
            self.bank.categories,
            selection=selection,
            exclude=self.exclude,
        )
        self._labels: Labels | None = None
        names_follow = self.category_map or self.semantic_labels
        if self.class_names is not None or not names_follow:
            self._labels = self._map_labels()

    def with_class_names(self, class_names: Sequence[str]) -> EMPaste:
        """The same augmentation for a data set with these class names.

        Raises:
            ArgumentError: a class of the bank that is not excluded has no partner in the data set.
        """
        other = copy(self)
        other.class_names = names("class_names", class_names)
        other._labels = other._map_labels()
        return other

    def __call__(self, scene: Scene, rng: np.random.Generator, *, resize: float = 1.0) -> Scene:
        """Paste onto a scene.

        Args:
            scene: image (H, W, 3) uint8 RGB and its instances, with category ids of
                `class_names`.
            rng: the only source of randomness; the same state gives the same scene.
            resize: the factor by which the photo was resized before; `scale` and `max_scale`
                are multiplied by it, so that cut-outs keep their size relative to the photo.

        Returns:
            A new scene: originals first (trimmed, or the same objects), then pasted instances in
            paste order; `record` tells what was done. Its image and maps are the input's own
            arrays where nothing was pasted.

        Raises:
            ArgumentError: the image is not (H, W, 3) uint8, `valid` not (H, W) bool, `semantic` or
                `panoptic` not (H, W) integers, or an instance's box, mask or keypoints are
                malformed, `rng` is no Generator, or `resize` not positive.
        """
        check_scene(scene)
        check_generator(rng)
        config = self.placement.resized(check_resize(resize))
        labels = self._resolved_labels()
        composition = Composition(
            scene,
            min_visible=self.min_visible,
            trims=self.placement.placement == "space_maximize",
        )
        placer = Placer(config, scene, composition.free)
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            row = self._selector.draw(rng, scene)
            composition.note(row, self._paste_one(row, composition, placer, rng))
        return composition.finish(labels)

    def render(self, scene: Scene, placements: Sequence[Placement]) -> Scene:
        """Paste these placements, with nothing left to chance: the same bytes every time.

        What a record names as rendered gives the recorded scene again. Where not all placements
        can be rendered together, they are laid one by one, and one that breaks the label contract
        is skipped and recorded, as in `__call__`.

        Raises:
            ArgumentError: as `__call__`; a placement's row is not in the bank, its class excluded,
                its blending unknown, or a number out of range; or only some of the placements are
                trimmed to free pixels.
        """
        check_scene(scene)
        for position, placement in enumerate(placements):
            check_placement(f"placements[{position}]", placement, len(self.bank))
        labels = self._resolved_labels()
        trims = any(placement.trim_to_free for placement in placements)
        if trims and not all(placement.trim_to_free for placement in placements):
            raise ArgumentError("placements: trim_to_free holds for some of them, but not for all")
        composition = Composition(scene, min_visible=self.min_visible, trims=trims)
        if not composition.lay_all(self.bank, placements):
            composition = Composition(scene, min_visible=self.min_visible, trims=trims)
            for placement in placements:
                composition.note(placement.cutout_id, composition.lay(self.bank, placement))
        return composition.finish(labels)

    def warmup(self) -> None:
        """Compile all that pasting needs, before DataLoader workers are started.

        The adapters call it. It takes seconds the first time; numba keeps the result on disk.
        """
        warmup()
        if any(
            mode == "poisson" for blend in self.placement.blend for mode, _ in parse_blend(blend)
        ):
            compile_poisson()

    def __repr__(self) -> str:
        """The bank and what is pasted from it."""
        low, high = self.count
        count = str(low) if low == high else f"({low}, {high})"
        return f"EMPaste({self.bank!r}, placement={self.placement.placement!r}, count={count})"

    def _paste_one(
        self, row: int, composition: Composition, placer: Placer, rng: np.random.Generator
    ) -> str | None:
        """Place one cut-out, again if it leaves remnants; the reason if it could not be done."""
        circle = self.bank.circle(row)
        reason: str | None = None
        for _ in range(ATTEMPTS):
            placement = placer.draw(row, circle, rng)
            if placement is None:
                return "no_space"
            reason = composition.lay(self.bank, placement)
            if reason != "remnant":
                break
        return reason

    def _resolved_labels(self) -> Labels:
        if self._labels is None:
            self._labels = self._map_labels()
        return self._labels

    def may_draw(self, name: str) -> bool:
        """Whether this class of the bank can be drawn: not excluded, and not without weight."""
        if name in self.exclude:
            return False
        return not isinstance(self.selection, Mapping) or self.selection.get(name, 0) > 0

    def _map_labels(self) -> Labels:
        bank_classes = self.bank.categories
        return Labels(
            map_categories(
                bank_classes,
                self.class_names,
                self.category_map,
                self.exclude,
                unused=[name for name in bank_classes if not self.may_draw(name)],
            ),
            semantic_values(self.semantic_labels, self.class_names or bank_classes),
        )

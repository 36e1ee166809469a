"""Copy-paste in Albumentations: a transform for A.Compose that adds objects to every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from empaste_aug.paste.compose import EMPaste
from empaste_aug.stream import take_key
from empaste_aug.types import ArgumentError, Background, MissingDependencyError

try:
    from albumentations.core.type_definitions import Targets
except ImportError as error:
    raise MissingDependencyError(
        "albumentations", "albumentations", "the Albumentations adapter"
    ) from error

from empaste_aug.adapters._albumentations_backgrounds import check_replaceable, replaced
from empaste_aug.adapters._albumentations_hooks import (
    PerSample,
    Recipe,
    background_of,
    options_of,
    placements_of,
    skips_of,
)
from empaste_aug.adapters._albumentations_result import annotate
from empaste_aug.adapters._albumentations_sample import Fields, Sample
from empaste_aug.paste.labels import checked_paste, class_labels, class_names_of
from empaste_aug.pool.mix import Backgrounds, checked_backgrounds

__all__ = ["EMPasteTransform"]

_TARGETS = ("image", "mask", "masks", "bboxes", "keypoints")


class EMPasteTransform(PerSample):
    """An Albumentations transform that pastes cut-outs into an image and all its labels.

    Put it anywhere in ``A.Compose`` where the image is (H, W, 3) uint8 RGB: before A.Normalize, and
    before what pads, as nothing says where padding is; what comes after it treats pasted objects as
    the photo's own. It works with Albumentations 2.0.8, and with its successor AlbumentationsX. N
    is the number of objects of a sample; the result holds the originals that are left, in their
    order, then the pasted ones in paste order:

    - bboxes: in any format, with ``bbox_params``. Boxes of pasted and of trimmed objects are tight
      round their visible masks.
    - masks: N binary (H, W) masks, a list or one array. Without them the boxes are the objects.
      An original whose mask is empty is left out; none that is handed out is empty. Where no
      object is left, 2.0.8 gets an empty list, as most of its transforms fail on empty arrays.
    - Label fields, encoded by ``label_fields`` or, in a sample without bboxes, plain lists or
      arrays: `label_field` holds the classes, `crowd_field` says which originals are crowd regions
      (0 for pasted objects), `index_field` is set anew; every other one has to be named in `fill`.
      Originals that are hidden whole are taken out of all of them.
    - mask: an (H, W) integer map of classes, where pasted pixels get their class's value in
      `semantic_labels` of EMPaste, without them its position in the class names, whatever
      `label_as` says. So a map whose 0 is the background needs EMPaste's
      ``semantic_labels={name: i + 1 for i, name in enumerate(names)}``.
    - keypoints: Albumentations has no flag for hidden points, so those under pasted objects are
      removed, or kept as they are where ``KeypointParams`` says ``remove_invisible=False``.
      Pasted objects have none.

    Without bboxes and masks, only the image and `mask` change, and labels stay as they are. Boxes
    and masks that no paste touches keep their values. The inputs are never changed.

    ``A.Compose`` may filter boxes afterwards (``min_area``, ``min_visibility``, ``clip``, crops),
    and never does so with masks, which then no longer match by position. The remedy is the usual
    one: a label field that holds each box's position in masks, named here as `index_field`. It is
    read where boxes were filtered before, written for all objects, and survives what follows:
    ``[result["masks"][int(i)] for i in result["mask_index"]]``.

    With `backgrounds`, some photos give their place to images of a pool, before anything is pasted.
    Nothing is left of the photo's objects: bboxes, masks, keypoints and label fields are empty, and
    a semantic `mask` is `semantic_value` everywhere. Entries that Albumentations does not know, as
    an id, stay the photo's.

    Randomness comes from the generator that Compose gives its transforms: ``A.Compose(seed=...)``
    and ``set_random_seed`` repeat it. ``A.ReplayCompose`` records placements, and its replay pastes
    the same cut-outs at the same places, on another image too. In a DataLoader, 2.0.8 copies a
    Compose with its generators into every worker, and into every epoch's new workers: with or
    without a seed, all of them draw the same numbers, for all transforms. Use
    `empaste_aug.adapters.loader.build_stream_loader`, which sets them for each sample, the same
    for any number of workers; or have `worker_init_fn` call
    ``set_random_seed(torch.initial_seed() % 2**32)`` on the Compose.

    In AlbumentationsX masks have to be one array, and ``instance_binding`` of masks and bboxes is
    served (it brings its own index field), that of keypoints is not.

    ``A.to_dict``, ``A.save`` and back work once this module is imported; the bank is kept as its
    folder, and a callable `selection` stays an object that files cannot hold.

    Args:
        paste: what pastes; or EMPaste's arguments in a dict, as in ``{"bank": "out/bank"}``.
        backgrounds: what takes the place of photos, and how often; or the arguments of Backgrounds
            in a dict. None: all stay. For the paper's mix it needs the number of photos:
            ``Backgrounds(pool, num_originals=len(dataset))``.
        label_field: the label field that holds the classes; None where objects have none.
        label_as: what a class is called there: "name", "id" (its position in the class names of
            `paste`, or in the bank's without them), or class name -> value for every class. COCO's
            category ids have gaps and need the last:
            ``{c["name"]: c["id"] for c in coco.loadCats(coco.getCatIds())}``.
        fill: label field -> what pasted objects have in it.
        crowd_field: the label field that is true for crowd regions; a sample need not have it.
        index_field: the label field that holds each box's position in masks, or None.
        mask_value: what an object's pixels are in masks: 1, or 255.
        keep_record: whether to hand out the `Record` of what was pasted, and of the background, as
            "empaste_record". Its `seed_key` makes the generator of the pastes again:
            ``np.random.default_rng(seed_key)``.
        p: the probability of applying the transform.

    Raises:
        ArgumentError: an argument is unusable; from a call: an entry of the sample is missing,
            malformed, of a class that is not known, or one that cannot be pasted on, such as
            images and volumes; or, with `backgrounds`, a label field without bboxes and masks.
        PoolError: from a call: a background cannot be read.

    Example:
        >>> import albumentations as A
        >>> paste = EMPaste("out/bank", class_names=["cat", "dog", "cow"])
        >>> transform = A.Compose(
        ...     [EMPasteTransform(paste, p=1.0), A.HorizontalFlip(p=0.5)],
        ...     bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]),
        ...     seed=0,
        ... )
        >>> result = transform(
        ...     image=np.zeros((96, 128, 3), np.uint8), bboxes=[[10, 20, 30, 60]], labels=["dog"]
        ... )
        >>> len(result["bboxes"]) == len(result["labels"])
        True
    """

    _targets = (
        (Targets.IMAGE, Targets.MASK, Targets.MASKS, Targets.BBOXES, Targets.KEYPOINTS)
        if hasattr(Targets, "MASKS")
        else (Targets.IMAGE, Targets.MASK, Targets.BBOXES, Targets.KEYPOINTS)
    )

    def __init__(
        self,
        paste: EMPaste | Mapping[str, Any],
        *,
        backgrounds: Backgrounds | Mapping[str, Any] | None = None,
        label_field: str | None = "labels",
        label_as: Literal["name", "id"] | Mapping[str, Any] = "name",
        fill: Mapping[str, Any] | None = None,
        crowd_field: str = "iscrowd",
        index_field: str | None = None,
        mask_value: int = 1,
        keep_record: bool = False,
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.paste = checked_paste(paste, or_mapping=True)
        self.backgrounds = checked_backgrounds(backgrounds, or_mapping=True)
        if self.backgrounds is not None:
            self.backgrounds.check_chance()
        self.label_field, self.label_as = label_field, label_as
        self.fill = dict(fill or {})
        self.crowd_field, self.index_field = crowd_field, index_field
        self.mask_value = mask_value
        self.keep_record = keep_record
        self._fields = self._checked_fields()
        self.paste.warmup()

    def draw(self, data: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """Paste, and keep what was drawn as the parameter `recipe`."""
        seed_key = take_key() or tuple(rng.integers(2**32, size=4).tolist())
        background = None if self.backgrounds is None else self.backgrounds.draw_for(seed_key)
        sample = self._read(data, background)
        pasted = self.paste(sample.scene, np.random.default_rng(seed_key))
        assert pasted.record is not None
        record = replace(pasted.record, background=background)
        return {"recipe": Recipe(record, seed_key, (sample, pasted))}

    def apply_to_sample(self, data: dict[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """The sample as `draw` pasted on it, or with a recorded recipe's placements rendered."""
        recipe = params["recipe"]
        made = recipe.take() if isinstance(recipe, Recipe) else None
        if made is None:
            sample = self._read(data, background_of(recipe))
            pasted = self.paste.render(sample.scene, placements_of(recipe))
            earlier = skips_of(recipe)
        else:
            sample, pasted = made
            earlier = ()
        result = annotate(sample, pasted, self.get_processor("keypoints"))
        if self.keep_record:
            assert pasted.record is not None
            result["empaste_record"] = replace(
                pasted.record,
                skipped=(*earlier, *pasted.record.skipped),
                seed_key=tuple(recipe["seed_key"]),
                background=background_of(recipe),
            )
        return result

    def add_targets(self, additional_targets: dict[str, str]) -> None:
        """Refuse further images and annotations, on which nothing would be pasted."""
        for name, kind in additional_targets.items():
            if kind in _TARGETS:
                raise ArgumentError(
                    f"additional_targets: {name!r} ({kind}): pasting changes one image and its "
                    "annotations, and would leave this one as it is"
                )
        super().add_targets(additional_targets)

    @property
    def available_keys(self) -> set[str]:
        """What a sample may hold where Compose is strict."""
        own = {self.label_field, self.crowd_field, *self.fill}
        return {*super().available_keys, *(name for name in own if name is not None)}

    def get_transform_init_args(self) -> dict[str, Any]:
        """The arguments that make this transform again, as plain values."""
        label_as = self.label_as
        return {
            "paste": options_of(self.paste),
            "backgrounds": None if self.backgrounds is None else self.backgrounds.options(),
            "label_field": self.label_field,
            "label_as": label_as if isinstance(label_as, str) else dict(label_as),
            "fill": dict(self.fill),
            "crowd_field": self.crowd_field,
            "index_field": self.index_field,
            "mask_value": self.mask_value,
            "keep_record": self.keep_record,
        }

    def _read(self, data: Mapping[str, Any], background: Background | None) -> Sample:
        """The sample, or what is left of it with the background in its photo's place."""
        sample = Sample(dict(data), self._fields, self.get_processor("bboxes"))
        if self.backgrounds is not None:
            check_replaceable(sample)
        if background is None:
            return sample
        if self.backgrounds is None:
            raise ArgumentError(
                "backgrounds: the recorded sample has one, but this transform has no pool"
            )
        image = self.backgrounds.render(background, sample.height, sample.width)
        return replaced(sample, image, self.backgrounds.semantic_value)

    def _checked_fields(self) -> Fields:
        """The arguments that say what a sample's entries hold; ArgumentError where one is wrong."""
        if not (isinstance(self.mask_value, int) and 0 < self.mask_value < 256):
            raise ArgumentError(f"mask_value: {self.mask_value!r} is not in [1, 255]")
        own = [name for name in (self.label_field, self.index_field) if name is not None]
        twice = [name for name in own if name in self.fill or own.count(name) > 1]
        if twice:
            raise ArgumentError(f"fill, label_field, index_field: {twice[0]!r} is named twice")
        return Fields(
            label=self.label_field,
            crowd=self.crowd_field,
            index=self.index_field,
            classes=class_labels(class_names_of(self.paste), self.label_as, words=("name", "id")),
            fill=self.fill,
            mask_value=self.mask_value,
        )

"""Copy-paste in detectron2: a drop-in for DatasetMapper, its config keys, a bank as a data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy
from typing import Any

from empaste_aug.kernels.runs import compile_runs
from empaste_aug.paste.compose import EMPaste
from empaste_aug.paste.labels import checked_paste
from empaste_aug.paste.select import some
from empaste_aug.pool.mix import Backgrounds, checked_backgrounds
from empaste_aug.stream import take_key
from empaste_aug.types import ArgumentError, MissingDependencyError

try:
    from detectron2.config import CfgNode, configurable
    from detectron2.data import DatasetMapper
    from detectron2.structures import Instances
except ImportError as error:
    raise MissingDependencyError("detectron2", "detectron2", "the detectron2 adapter") from error

from empaste_aug.adapters._detectron2_backgrounds import (
    DatasetBackgrounds,
    check_for_detectron2,
    read_or_replace,
)
from empaste_aug.adapters._detectron2_checks import check_pasting
from empaste_aug.adapters._detectron2_classes import DatasetPaste
from empaste_aug.adapters._detectron2_config import (
    add_empaste_config,
    augmentations_from_config,
    backgrounds_from_config,
    paste_from_config,
)
from empaste_aug.adapters._detectron2_datasets import register_bank_dataset
from empaste_aug.adapters._detectron2_instances import MASK_FORMATS, to_instances
from empaste_aug.adapters._detectron2_loader import build_empaste_train_loader
from empaste_aug.adapters._detectron2_sample import Sample, write_sample
from empaste_aug.adapters._detectron2_steps import augment, draw_seed_key, paste_on
from empaste_aug.adapters._detectron2_structures import CroppedMasks
from empaste_aug.adapters._detectron2_transform import Geometry, transform_annotations

__all__ = [
    "CroppedMasks",
    "EMPasteMapper",
    "add_empaste_config",
    "build_empaste_train_loader",
    "register_bank_dataset",
]

logger = logging.getLogger(__name__)


class EMPasteMapper(DatasetMapper):  # type: ignore[misc]
    """detectron2's DatasetMapper, which pastes cut-outs before or after the augmentations.

    Takes DatasetMapper's arguments, or a yacs config with the keys of `add_empaste_config`. With
    ``is_train=False``, or without `paste`, it does what DatasetMapper does (whose masks it hands
    out as "cropped" too, with tight boxes). Otherwise:

    - Originals that pasting leaves alone have the masks that DatasetMapper gives them. The format
      is ``instance_mask_format``: "bitmask" or "cropped" hold trimmed masks exactly; in "polygon"
      holes are filled (a warning is logged once). "cropped" hands out `CroppedMasks`, which Mask
      R-CNN takes and which are cheap to send to the main process.
    - With masks, `gt_boxes` are always tight round the augmented masks (`recompute_boxes` makes
      no difference), round the vertices of polygons, and clipped to the image; objects without a
      pixel are left out. Padding is never part of a mask (DatasetMapper adds FixedSizeCrop's
      padding to masks that are given as RLE).
    - Crowd regions are not handed out, as in DatasetMapper, but are obstacles to Space-Maximize.
    - Originals come first, in the order of the annotations, then the pasted objects in paste
      order. Both may lose some to crops and to other objects: `gt_cutout_ids` (see `keep_record`)
      tells them apart, not their number.
    - Images without annotations are pasted on as well; None is never returned. For detectron2 to
      keep such images, set ``DATALOADER.FILTER_EMPTY_ANNOTATIONS False``.
    - ``sem_seg_file_name`` becomes "sem_seg", int64 (H, W), as in DatasetMapper. Pasted pixels have
      their class's value in `paste`'s `semantic_labels`, or if it has none, its position in the
      metadata's `stuff_classes`, or that of "things" there. Every class of the bank that may be
      pasted needs a value.
    - ``pan_seg_file_name`` and ``segments_info`` become "pan_seg", int32 (H, W), the ids, 0 on
      padding, and "segments_info": for each segment that is left id, category_id, iscrowd,
      isthing, area and bbox ([x, y, width, height], as in COCO's file). Without annotations, the
      thing segments are taken for them. Segments without a pixel in the map are left out; an id
      that has no segment is an error.
    - With `backgrounds`, some photos give their place to images of a pool, before anything else:
      such a sample is one without annotations, whose maps are void (`semantic_value`; panoptic 0),
      and is pasted on like any other. "file_name" is the pool's file, "height" and "width" are the
      background's, "image_id" stays, and all other keys of the photo's dict are gone. The photo is
      not decoded. ``fit="none"`` gives batches of mixed shapes: loaders group by the photos' sizes.
    - Draws follow from the sample's key within `build_empaste_train_loader`. Elsewhere they come
      from a generator seeded from numpy's global one, which detectron2 seeds in every worker: runs
      with the same seed repeat only for a fixed number of workers.

    Args:
        is_train: whether it maps for training; nothing is pasted otherwise.
        paste: what pastes; None: nothing is pasted.
        dataset_names: the training data sets, whose `thing_classes` give the class names to map
            the bank's to. They are looked up when they are first needed, as a data set's metadata
            may be filled only when it is loaded. None: `paste` knows the class names, or the
            annotations carry the bank's own category ids.
        backgrounds: what takes the place of photos, and how often; None: all stay. Needs `paste`.
            `build_empaste_train_loader` fills in the number of photos for the paper's mix; with
            another loader, each worker loads the data sets once to count them.
        paste_after_augmentations: paste onto the augmented image, not onto the photo. Then colour
            augmentations, flips and rotations do not touch pasted objects; they are never cut off
            at the edge of a crop, and as many lie in a crop as `count` says; nothing is pasted on
            padding, and the scale is multiplied by the factor by which the image was resized. The
            work grows with the augmented image, not with the photo.
        keep_record: whether to hand out the `Record` of what was pasted, and of the background, as
            "empaste_record", and in "instances" `gt_cutout_ids`, (N,) int64: the bank's row of each
            pasted object, -1 for originals. The record tells of all that was pasted, also of what a
            crop then removed; its `seed_key` makes the generator of the pastes again:
            ``np.random.default_rng(seed_key)``.
        mapper_arguments: DatasetMapper's: augmentations and image_format, both required;
            use_instance_mask, use_keypoint, instance_mask_format ("polygon" by default),
            keypoint_hflip_indices, precomputed_proposal_topk, recompute_boxes.

    Raises:
        ArgumentError: `paste` is no EMPaste; `backgrounds` are no Backgrounds, without `paste`, or
            (from a call) of a chance that cannot be known; precomputed proposals, or an image
            format other than RGB and BGR, with `paste`; an unknown mask format; the class names of
            `paste` and of the data sets differ, or `semantic_labels` lack a class that may be
            pasted; from a call: a semantic map, but no value for a class that may be pasted.
        PoolError: from a call: a background cannot be read.
        DatasetError: from a call, or before: `thing_classes` missing or differing between data
            sets; a category id that is no integer in their range; a box that is not finite, not
            four numbers or of negative size; masks on but a segmentation missing, malformed or of
            another size; a semantic or panoptic map of another size than the photo, malformed
            segments, or an id in the map that has none.

    Example:
        >>> from detectron2.data import transforms as T
        >>> mapper = EMPasteMapper(
        ...     is_train=True,
        ...     augmentations=[T.ResizeScale(0.1, 2.0, 1024, 1024), T.FixedSizeCrop((1024, 1024))],
        ...     image_format="BGR",
        ...     use_instance_mask=True,
        ...     instance_mask_format="cropped",
        ...     paste=EMPaste("out/bank", count=(1, 4), class_names=["cat", "dog", "cow"]),
        ...     keep_record=True,
        ... )
        >>> sample = mapper({"file_name": "photo.jpg", "annotations": []})
        >>> sample["image"].shape
        torch.Size([3, 1024, 1024])
        >>> sample["instances"].gt_masks.image_size
        (1024, 1024)
        >>> 1 <= len(sample["empaste_record"].placements) <= 4
        True
        >>> from_the_bank = sample["instances"].gt_cutout_ids >= 0
        >>> len(from_the_bank) == len(sample["instances"])
        True
    """

    @configurable  # type: ignore[untyped-decorator]
    def __init__(
        self,
        is_train: bool,
        *,
        paste: EMPaste | None = None,
        backgrounds: Backgrounds | None = None,
        dataset_names: str | Sequence[str] | None = None,
        paste_after_augmentations: bool = False,
        keep_record: bool = False,
        **mapper_arguments: Any,
    ) -> None:
        """The arguments are those that the class's docstring describes, or a yacs config.

        `mapper_arguments` are DatasetMapper's; augmentations and image_format are required.
        """
        super().__init__(is_train, **mapper_arguments)
        self.paste_after_augmentations = paste_after_augmentations
        self.keep_record = keep_record
        self._paste: DatasetPaste | None = None
        self._backgrounds: DatasetBackgrounds | None = None
        if self.instance_mask_format not in MASK_FORMATS:
            raise ArgumentError(
                f"instance_mask_format (INPUT.MASK_FORMAT): {self.instance_mask_format!r} is none "
                f"of {MASK_FORMATS}"
            )
        compile_runs()
        backgrounds = checked_backgrounds(backgrounds)
        if paste is None:
            if backgrounds is not None:
                raise ArgumentError("backgrounds: need paste, which puts objects on them")
            return
        paste = checked_paste(paste)
        if not is_train:
            return
        check_pasting(self.image_format, self.proposal_topk)
        names = (dataset_names,) if isinstance(dataset_names, str) else tuple(dataset_names or ())
        if not names and paste.class_names is None:
            logger.warning(
                "Neither dataset_names nor class names of paste are given: pasted objects carry "
                f"the bank's category ids: {some(paste.bank.categories)}"
            )
        paste.warmup()
        self._paste = DatasetPaste(paste, names)
        if backgrounds is not None:
            check_for_detectron2(backgrounds)
            self._backgrounds = DatasetBackgrounds(backgrounds, names)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """The arguments that a yacs config describes."""
        arguments: dict[str, Any] = super().from_config(cfg, is_train)
        if is_train:
            arguments["paste"] = paste_from_config(cfg)
            arguments["backgrounds"] = backgrounds_from_config(cfg)
            arguments["augmentations"] = augmentations_from_config(cfg, arguments["augmentations"])
            if cfg.EMPASTE.AUG.LSJ_SIZE:  # crops objects, as INPUT.CROP does
                arguments["recompute_boxes"] = cfg.MODEL.MASK_ON
            arguments["paste_after_augmentations"] = cfg.EMPASTE.PASTE_AFTER
            arguments["keep_record"] = cfg.EMPASTE.KEEP_RECORD
            arguments["dataset_names"] = tuple(cfg.DATASETS.TRAIN)
        return arguments

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Map one image's dict in detectron2's standard format to what its models take."""
        if self._paste is None:
            mapped: dict[str, Any] = super().__call__(dataset_dict)
            return mapped
        self._paste.resolve()
        seed_key = take_key() or draw_seed_key()
        sample, output = read_or_replace(dataset_dict, seed_key, self._backgrounds, self._paste)
        if self.paste_after_augmentations:
            sample = self._pasted(self._augmented(sample), seed_key)
        else:
            sample = self._augmented(self._pasted(sample, seed_key))
        output.update(write_sample(sample, self.image_format))
        output["instances"] = self._to_instances(
            sample.annotations, sample.image.shape[:2], sample.file_name
        )
        if self.keep_record:
            output["empaste_record"] = sample.record
        return output

    def with_num_originals(self, num_originals: int) -> EMPasteMapper:
        """The mapper for a data set of so many photos, which the paper's mix of backgrounds needs.

        Itself where `backgrounds` know the number, or do not need it. The loader calls it.
        """
        known = None if self._backgrounds is None else self._backgrounds.with_count(num_originals)
        if known is self._backgrounds:
            return self
        other = copy(self)
        other._backgrounds = known
        return other

    def _augmented(self, sample: Sample) -> Sample:
        return augment(
            sample,
            self.augmentations,
            image_format=self.image_format,
            use_mask=self.use_instance_mask or self.paste_after_augmentations,
            use_keypoint=self.use_keypoint,
            keypoint_hflip_indices=self.keypoint_hflip_indices,
        )

    def _pasted(self, sample: Sample, seed_key: tuple[int, ...]) -> Sample:
        assert self._paste is not None
        has_semantic = sample.semantic is not None
        return paste_on(
            sample,
            self._paste.for_semantic() if has_semantic else self._paste.resolve(),
            seed_key,
            mask_format=self._mask_format,
            use_keypoint=self.use_keypoint,
            keypoint_hflip_indices=self.keypoint_hflip_indices,
        )

    def _transform_annotations(
        self, dataset_dict: dict[str, Any], transforms: Any, image_shape: tuple[int, int]
    ) -> None:
        """DatasetMapper's own step, where nothing is pasted: it does not know cropped masks."""
        if not (self.use_instance_mask and self.instance_mask_format == "cropped"):
            super()._transform_annotations(dataset_dict, transforms, image_shape)
            return
        file_name = dataset_dict["file_name"]
        annotations = transform_annotations(
            dataset_dict.pop("annotations"),
            Geometry(transforms, dataset_dict["height"], dataset_dict["width"]),
            use_mask=True,
            use_keypoint=self.use_keypoint,
            keypoint_hflip_indices=self.keypoint_hflip_indices,
            file_name=file_name,
        )
        objects = [a for a in annotations if not a.get("iscrowd", 0)]
        dataset_dict["instances"] = self._to_instances(objects, image_shape, file_name)

    def _to_instances(
        self, annotations: Sequence[dict[str, Any]], image_shape: tuple[int, int], file_name: str
    ) -> Instances:
        return to_instances(
            annotations,
            image_shape,
            mask_format=self._mask_format,
            use_keypoint=self.use_keypoint,
            file_name=file_name,
            with_cutout_ids=self.keep_record and self._paste is not None,
        )

    @property
    def paste(self) -> EMPaste | None:
        """What pastes, with the data sets' class names once they are known."""
        return None if self._paste is None else self._paste.resolve(only_if_known=True)

    @property
    def backgrounds(self) -> Backgrounds | None:
        """What takes the place of photos, with their number once it is known."""
        return None if self._backgrounds is None else self._backgrounds.backgrounds

    @property
    def _mask_format(self) -> Any:
        return self.instance_mask_format if self.use_instance_mask else None

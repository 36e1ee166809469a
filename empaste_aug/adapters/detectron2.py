"""Copy-paste in detectron2: a drop-in for DatasetMapper, its config keys, a bank as a data set."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels import warmup
from empaste_aug.paste.compose import EMPaste
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError, Scene

try:
    import torch
    from detectron2.config import CfgNode, configurable
    from detectron2.data import DatasetMapper
    from detectron2.data import detection_utils as utils
    from detectron2.data import transforms as T  # noqa: N812
    from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
except ImportError as error:
    raise MissingDependencyError("detectron2", "detectron2", "the detectron2 adapter") from error

from empaste_aug.adapters._detectron2_annotations import (
    Annotation,
    annotations_from_scene,
    instances_from_annotations,
)
from empaste_aug.adapters._detectron2_config import add_empaste_config, paste_from_config
from empaste_aug.adapters._detectron2_datasets import register_bank_dataset, shared_thing_classes
from empaste_aug.adapters._detectron2_masks import mask_boxes, polygon_area

__all__ = ["EMPasteMapper", "add_empaste_config", "register_bank_dataset"]

logger = logging.getLogger(__name__)


class EMPasteMapper(DatasetMapper):  # type: ignore[misc]
    """detectron2's DatasetMapper, which pastes cut-outs before the augmentations.

    Takes DatasetMapper's arguments, or a yacs config with the keys of `add_empaste_config`. With
    ``is_train=False``, or without `paste`, it does exactly what DatasetMapper does. Otherwise:

    - Untouched originals keep their annotation as it is (polygons stay polygons). Trimmed and
      pasted masks are bitmasks in ``instance_mask_format="bitmask"`` (recommended), and polygons
      in "polygon", where holes are filled (a warning is logged once).
    - With masks, `gt_boxes` are always tight round the augmented masks (`recompute_boxes` makes
      no difference), round the vertices of polygons, and clipped to the image; objects without a
      pixel are left out.
    - Crowd regions are not handed out, as in DatasetMapper, but are obstacles to Space-Maximize.
    - Images without annotations are pasted on as well; None is never returned. For detectron2 to
      keep such images, set ``DATALOADER.FILTER_EMPTY_ANNOTATIONS False``.
    - Draws come from a generator seeded from numpy's global one, which detectron2 seeds in every
      worker: runs with the same seed repeat for a fixed number of workers.

    Args:
        is_train: whether it maps for training; nothing is pasted otherwise.
        paste: what pastes; None: nothing is pasted.
        dataset_names: the training data sets, whose `thing_classes` give the class names to map
            the bank's to. They are looked up when they are first needed, as a data set's metadata
            may be filled only when it is loaded. None: `paste` knows the class names, or the
            annotations carry the bank's own category ids.
        keep_record: whether to hand out the `Record` of what was pasted, as "empaste_record". Its
            `seed_key` makes the sample's generator again: ``np.random.default_rng(seed_key)``.
        mapper_arguments: DatasetMapper's keyword arguments.

    Raises:
        ArgumentError: precomputed proposals, or an image format other than RGB and BGR, with
            `paste`; the class names of `paste` and of the data sets differ.
        DatasetError: from a call, or before: `thing_classes` missing or differing between data
            sets; masks on but a segmentation missing, malformed or of another size; semantic or
            panoptic ground truth, which pasting does not change yet.
    """

    @configurable  # type: ignore[untyped-decorator]
    def __init__(
        self,
        is_train: bool,
        *,
        paste: EMPaste | None = None,
        dataset_names: str | Sequence[str] | None = None,
        keep_record: bool = False,
        **mapper_arguments: Any,
    ) -> None:
        super().__init__(is_train, **mapper_arguments)
        self.paste = paste if is_train else None
        self.keep_record = keep_record
        self._dataset_names = (
            (dataset_names,) if isinstance(dataset_names, str) else tuple(dataset_names or ())
        )
        if self.paste is None:
            return
        if self.proposal_topk is not None:
            raise ArgumentError(
                "precomputed_proposal_topk (MODEL.LOAD_PROPOSALS): precomputed proposals do not "
                "know pasted objects; switch them off, or pass paste=None"
            )
        if self.image_format not in ("RGB", "BGR"):
            raise ArgumentError(
                f"image_format: {self.image_format!r}; pasting works on 'RGB' and 'BGR'"
            )
        if not self._dataset_names and self.paste.class_names is None:
            logger.warning(
                "Neither dataset_names nor class names of paste are given: pasted objects carry "
                f"the bank's category ids: {dict(enumerate(self.paste.bank.categories))}"
            )
        warmup()
        self._resolve_classes(only_if_known=True)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """The arguments that a yacs config describes."""
        arguments: dict[str, Any] = super().from_config(cfg, is_train)
        if is_train:
            arguments["paste"] = paste_from_config(cfg)
            arguments["dataset_names"] = tuple(cfg.DATASETS.TRAIN)
        return arguments

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Map one image's dict in detectron2's standard format to what its models take."""
        if self.paste is None:
            mapped: dict[str, Any] = super().__call__(dataset_dict)
            return mapped
        self._resolve_classes()
        dataset_dict = copy.deepcopy(dataset_dict)
        file_name = dataset_dict["file_name"]
        for key in ("sem_seg_file_name", "pan_seg_file_name"):
            if key in dataset_dict:
                raise DatasetError(
                    f"{file_name}: has {key!r}, but pasting does not change semantic and panoptic "
                    "labels; remove it from the data set, or pass paste=None"
                )
        image = utils.read_image(file_name, format=self.image_format)
        utils.check_image_size(dataset_dict, image)
        height, width = image.shape[:2]

        annotations = dataset_dict.pop("annotations", [])
        originals = instances_from_annotations(
            annotations,
            height,
            width,
            masks_required=self.use_instance_mask,
            file_name=file_name,
        )
        seed_key = _draw_seed_key()
        rng = np.random.default_rng(seed_key)
        scene = self.paste(Scene(self._swap_rgb(image), originals), rng)
        annotations = annotations_from_scene(
            scene,
            originals,
            annotations,
            mask_format=self.instance_mask_format if self.use_instance_mask else None,
            num_keypoints=self._num_keypoints(originals, file_name),
        )

        aug_input = T.AugInput(self._swap_rgb(scene.image))
        transforms = self.augmentations(aug_input)
        image = aug_input.image
        dataset_dict["image"] = torch.as_tensor(np.ascontiguousarray(image.transpose(2, 0, 1)))
        dataset_dict["instances"] = self._to_instances(annotations, transforms, image.shape[:2])
        if self.keep_record:
            assert scene.record is not None
            dataset_dict["empaste_record"] = replace(scene.record, seed_key=seed_key)
        return dataset_dict

    def _to_instances(
        self, annotations: list[Annotation], transforms: Any, image_shape: tuple[int, int]
    ) -> Instances:
        """The augmented objects; the order is that of `annotations`, less what left the image."""
        transformed = []
        for annotation in annotations:
            if not self.use_keypoint:
                annotation.pop("keypoints", None)
            is_array = isinstance(annotation.get("segmentation"), np.ndarray)
            mask = annotation.pop("segmentation") if is_array else None
            annotation = utils.transform_instance_annotations(
                annotation,
                transforms,
                image_shape,
                keypoint_hflip_indices=self.keypoint_hflip_indices,
            )
            if mask is not None:
                annotation["segmentation"] = transforms.apply_segmentation(mask).astype(bool)
            transformed.append(annotation)
        instances = utils.annotations_to_instances(
            transformed, image_shape, mask_format=self.instance_mask_format
        )
        if self.use_instance_mask and self.instance_mask_format == "polygon":
            if not transformed:
                instances.gt_masks = PolygonMasks([])
            areas = [polygon_area(p, *image_shape) for p in instances.gt_masks.polygons]
            instances = instances[torch.as_tensor(areas, dtype=torch.int64) > 0]
            instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
            instances.gt_boxes.clip(image_shape)
        elif self.use_instance_mask:
            if not transformed:
                instances.gt_masks = BitMasks(torch.zeros((0, *image_shape), dtype=torch.bool))
            boxes = mask_boxes(instances.gt_masks.tensor.numpy())
            instances.gt_boxes = Boxes(torch.from_numpy(boxes))
        kept = instances.gt_boxes.nonempty(threshold=1e-5)
        return instances if kept.all() else instances[kept]

    def _resolve_classes(self, *, only_if_known: bool = False) -> None:
        """Map the bank's classes to those of the data sets."""
        if self.paste is None or not self._dataset_names:
            return
        names = shared_thing_classes(self._dataset_names)
        if names is None:
            if only_if_known:
                return
            raise DatasetError(
                f"thing_classes: the metadata of a data set among {list(self._dataset_names)} has "
                "none; the bank's classes are mapped to these names"
            )
        if self.paste.class_names is None:
            self.paste = self.paste.with_class_names(names)
        elif self.paste.class_names != names:
            raise ArgumentError(
                f"class_names of paste: {list(self.paste.class_names)} are not the thing_classes "
                f"{list(names)} of {list(self._dataset_names)}"
            )
        self._dataset_names = ()

    def _num_keypoints(self, originals: Sequence[Any], file_name: str) -> int | None:
        if not self.use_keypoint:
            return None
        if self.keypoint_hflip_indices is not None:
            return len(self.keypoint_hflip_indices)
        for instance in originals:
            if instance.keypoints is not None:
                return len(instance.keypoints)
        raise ArgumentError(
            f"keypoint_hflip_indices: is needed where an image has no keypoints of its own "
            f"({file_name}), to know how many a pasted object has"
        )

    def _swap_rgb(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """From `image_format` to RGB, or back: the same step."""
        return image if self.image_format == "RGB" else image[:, :, ::-1]

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are not forked, and so know no data set: the class names go along."""
        self._resolve_classes(only_if_known=True)
        return self.__dict__


def _draw_seed_key() -> tuple[int, ...]:
    """A seed from numpy's global generator, which detectron2 seeds in every worker."""
    return tuple(np.random.randint(2**32, size=4, dtype=np.uint64).tolist())  # noqa: NPY002

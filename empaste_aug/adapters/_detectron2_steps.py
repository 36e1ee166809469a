"""The two steps of mapping a sample: detectron2's augmentations, and pasting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from detectron2.data import transforms as T  # noqa: N812

from empaste_aug.adapters._detectron2_annotations import (
    annotations_from_scene,
    instances_from_annotations,
)
from empaste_aug.adapters._detectron2_instances import MaskFormat
from empaste_aug.adapters._detectron2_sample import Sample, contiguous, swap_rgb
from empaste_aug.adapters._detectron2_transform import Geometry, transform_annotations
from empaste_aug.paste.compose import EMPaste
from empaste_aug.types import ArgumentError, Instance, Scene


def augment(
    sample: Sample,
    augmentations: T.AugmentationList,
    *,
    image_format: str,
    use_mask: bool,
    use_keypoint: bool,
    keypoint_hflip_indices: Any,
) -> Sample:
    """The sample after detectron2's augmentations, which see the image in `image_format`."""
    aug_input = T.AugInput(
        contiguous(swap_rgb(sample.image, image_format)), sem_seg=sample.semantic
    )
    transforms = augmentations(aug_input)
    geometry = Geometry(transforms, *sample.image.shape[:2])
    annotations = transform_annotations(
        sample.annotations,
        geometry,
        use_mask=use_mask,
        use_keypoint=use_keypoint,
        keypoint_hflip_indices=keypoint_hflip_indices,
        file_name=sample.file_name,
    )
    return replace(
        sample,
        image=swap_rgb(aug_input.image, image_format),
        annotations=annotations,
        semantic=aug_input.sem_seg,
        panoptic=None if sample.panoptic is None else geometry.ids(sample.panoptic),
        geometry=geometry,
    )


def paste_on(
    sample: Sample,
    paste: EMPaste,
    seed_key: tuple[int, ...],
    *,
    mask_format: MaskFormat | None,
    use_keypoint: bool,
    keypoint_hflip_indices: Any,
) -> Sample:
    """The sample with objects pasted on it, its record filled in, and crowd regions gone.

    Before the augmentations, polygons of what pasting did not change stay polygons, for the
    augmentations to map exactly. After them, only mask format "polygon" keeps them.

    Raises:
        ArgumentError: how many keypoints a pasted object has is not known.
        DatasetError: masks are used, and a segmentation is missing or malformed.
    """
    height, width = sample.image.shape[:2]
    geometry, annotations = sample.geometry, sample.annotations
    originals = instances_from_annotations(
        annotations,
        height,
        width,
        masks_required=mask_format is not None,
        file_name=sample.file_name,
    )
    scene = paste(
        Scene(
            contiguous(sample.image),
            originals,
            valid=None if geometry is None else geometry.valid,
            semantic=sample.semantic,
            panoptic=sample.panoptic,
            segments=sample.segments,
        ),
        np.random.default_rng(seed_key),
        resize=1.0 if geometry is None else geometry.resize,
    )
    assert scene.record is not None
    return replace(
        sample,
        image=scene.image,
        annotations=annotations_from_scene(
            scene,
            originals,
            annotations,
            use_mask=mask_format is not None,
            keep_polygons=mask_format == "polygon" or geometry is None,
            num_keypoints=(
                _num_keypoints(originals, keypoint_hflip_indices, sample.file_name)
                if use_keypoint
                else None
            ),
        ),
        semantic=scene.semantic,
        panoptic=scene.panoptic,
        segments=scene.segments,
        record=replace(scene.record, seed_key=tuple(seed_key), background=sample.background),
    )


def draw_seed_key() -> tuple[int, ...]:
    """A seed from numpy's global generator, which detectron2 seeds in every worker."""
    return tuple(np.random.randint(2**32, size=4, dtype=np.uint64).tolist())  # noqa: NPY002


def _num_keypoints(
    originals: Sequence[Instance], keypoint_hflip_indices: Any, file_name: str
) -> int:
    """How many keypoints a pasted object has."""
    if keypoint_hflip_indices is not None:
        return len(keypoint_hflip_indices)
    for instance in originals:
        if instance.keypoints is not None:
            return len(instance.keypoints)
    raise ArgumentError(
        f"keypoint_hflip_indices: is needed where an image has no keypoints of its own "
        f"({file_name}), to know how many a pasted object has"
    )

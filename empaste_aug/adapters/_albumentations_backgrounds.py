"""A background of a pool in the place of an Albumentations sample's photo."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from empaste_aug.adapters._albumentations_labels import BOXES
from empaste_aug.adapters._albumentations_sample import Sample
from empaste_aug.types import ArgumentError, Scene


def check_replaceable(sample: Sample) -> None:
    """Refuse labels of which nothing says what they belong to: they would outlive the photo.

    Raises:
        ArgumentError: there is a label field, but there are neither boxes nor masks.
    """
    if sample.boxes is not None or sample.masks is not None:
        return
    fields = sample.fields
    for name in (fields.label, fields.crowd, *fields.fill):
        if name is not None and name in sample.labels:
            raise ArgumentError(
                f"{name}: a sample with this label field, but without {BOXES} and masks, cannot "
                "be given a background: the photo's labels would stay; leave the field out"
            )


def replaced(sample: Sample, image: NDArray[np.uint8], semantic_value: int) -> Sample:
    """The sample with this image in its photo's place, and without objects and keypoints.

    Args:
        sample: as it was read.
        image: (H, W, 3) uint8 RGB, of any size.
        semantic_value: what a semantic map is everywhere.

    Raises:
        ArgumentError: the map's dtype does not hold `semantic_value`.
    """
    other = copy(sample)
    other.height, other.width = image.shape[:2]
    other.originals = {}
    other.data = {**sample.data, "image": image}
    if sample.data.get("keypoints") is not None:
        other.data["keypoints"] = sample.data["keypoints"][:0]
    semantic = sample.scene.semantic
    if semantic is not None:
        limits = np.iinfo(semantic.dtype)
        if not limits.min <= semantic_value <= limits.max:
            raise ArgumentError(
                f"semantic_value of backgrounds: {semantic_value} does not fit {semantic.dtype}, "
                "the dtype of mask"
            )
        semantic = np.full(image.shape[:2], semantic_value, semantic.dtype)
    other.scene = Scene(image, [], semantic=semantic)
    return other

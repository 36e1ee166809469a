"""Backgrounds of a pool in place of detectron2's photos: their chance, and the sample they make."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog

from empaste_aug.adapters._detectron2_classes import DatasetPaste
from empaste_aug.adapters._detectron2_sample import Sample, read_sample
from empaste_aug.imageio import image_size
from empaste_aug.pool.mix import Backgrounds
from empaste_aug.types import ArgumentError, Background

logger = logging.getLogger(__name__)

_KEPT = ("image_id",)


class DatasetBackgrounds:
    """Backgrounds for detectron2's data sets, whose photos may be counted only later.

    Args:
        backgrounds: what replaces photos.
        dataset_names: the data sets, to count their photos where nobody else says the number.
    """

    def __init__(self, backgrounds: Backgrounds, dataset_names: Sequence[str]) -> None:
        self.backgrounds = backgrounds
        self._dataset_names = tuple(dataset_names)

    def with_count(self, num_originals: int) -> DatasetBackgrounds:
        """The same for so many photos; itself where the number plays no part, or is known."""
        if self.backgrounds.chance is not None:
            return self
        other = copy(self)
        other.backgrounds = self.backgrounds.with_num_originals(num_originals)
        return other

    def draw(self, seed_key: Sequence[int]) -> Background | None:
        """What takes the place of the photo of the sample with this key; None: it stays.

        Raises:
            ArgumentError: the paper's mix, and the number of photos cannot be known.
        """
        if self.backgrounds.chance is None:
            self.backgrounds = self.backgrounds.with_num_originals(self._counted())
        return self.backgrounds.draw_for(seed_key)

    def sample(
        self, background: Background, dataset_dict: Mapping[str, Any]
    ) -> tuple[Sample, dict[str, Any]]:
        """The sample with the background in the photo's place, and its other keys.

        No file of the photo's is decoded; only where the dict has no size, its header is read. Maps
        that the photo has are there, and know nothing: the semantic one is `semantic_value`
        everywhere, the panoptic one 0.

        Raises:
            DatasetError: the photo has no size, and its header is broken.
            PoolError: the background cannot be read.
        """
        if "height" in dataset_dict and "width" in dataset_dict:
            size = int(dataset_dict["height"]), int(dataset_dict["width"])
        else:
            size = image_size(dataset_dict["file_name"])
        image = self.backgrounds.render(background, *size)
        height, width = image.shape[:2]
        file_name = self.backgrounds.pool.file_name(background.row)
        sample = Sample(file_name, image, [], background=background)
        if "sem_seg_file_name" in dataset_dict:
            value = self.backgrounds.semantic_value
            sample.semantic = np.full((height, width), value, np.uint8)
        if "pan_seg_file_name" in dataset_dict:
            sample.panoptic = np.zeros((height, width), np.int32)
        rest = {key: deepcopy(dataset_dict[key]) for key in _KEPT if key in dataset_dict}
        return sample, {"file_name": file_name, **rest, "height": height, "width": width}

    def _counted(self) -> int:
        """The number of photos, from detectron2's catalogue."""
        unknown = [name for name in self._dataset_names if name not in DatasetCatalog]
        if unknown or not self._dataset_names:
            why = f"{unknown} are not registered here" if unknown else "no dataset_names are given"
            raise ArgumentError(
                f"backgrounds: the paper's mix needs the number of photos, and {why}. Use "
                "build_empaste_train_loader, which knows it, or give Backgrounds num_originals or "
                "a number as probability (EMPASTE.BACKGROUND_PROBABILITY)"
            )
        logger.warning(
            f"The paper's mix of backgrounds needs the number of photos: {self._dataset_names} are "
            "loaded to count them, in every worker. build_empaste_train_loader knows the number; "
            "or give Backgrounds num_originals"
        )
        return sum(len(DatasetCatalog.get(name)) for name in self._dataset_names)


def read_or_replace(
    dataset_dict: dict[str, Any],
    seed_key: Sequence[int],
    backgrounds: DatasetBackgrounds | None,
    paste: DatasetPaste,
) -> tuple[Sample, dict[str, Any]]:
    """The photo with its labels, or the background that takes its place; and its other keys.

    Raises:
        ArgumentError, DatasetError, PoolError: as `DatasetBackgrounds` and `read_sample`.
    """
    background = None if backgrounds is None else backgrounds.draw(seed_key)
    if backgrounds is None or background is None:
        return read_sample(dataset_dict, paste.thing_ids, paste.num_classes)
    return backgrounds.sample(background, dataset_dict)


def check_for_detectron2(backgrounds: Backgrounds) -> None:
    """Refuse a semantic value that detectron2's maps, of 8 bits, do not hold.

    Raises:
        ArgumentError: so it is.
    """
    if not 0 <= backgrounds.semantic_value <= 255:
        raise ArgumentError(
            f"semantic_value of backgrounds: {backgrounds.semantic_value} is not in [0, 255], what "
            "detectron2's semantic maps hold"
        )

"""VOC's pairs of masks (SegmentationObject, SegmentationClass): reading and checking them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from empaste_aug.imageio import read_index_map
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.offline.datasets.checks import Check, Report, in_threads
from empaste_aug.types import DatasetError

VOID = 255
"""The value of pixels that count neither way."""


class MaskPair(NamedTuple):
    """An image's two (H, W) uint8 maps: object numbers, and classes counted from 1."""

    objects: NDArray[np.uint8]
    classes: NDArray[np.uint8]

    def numbers(self) -> list[int]:
        """The objects' numbers, ascending, without 0 and void."""
        counts = np.bincount(self.objects.ravel(), minlength=256)
        counts[[0, VOID]] = 0
        return [int(number) for number in np.flatnonzero(counts)]

    def class_value(self, mask: NDArray[np.bool_]) -> int:
        """The most frequent value of the class map under an object, 0 where it has none."""
        counts = np.bincount(self.classes[mask], minlength=256)
        counts[[0, VOID]] = 0
        return int(counts.argmax()) if counts.any() else 0

    def void(self) -> NDArray[np.bool_]:
        """(H, W) bool: where either map is void."""
        return np.asarray((self.objects == VOID) | (self.classes == VOID))


class CheckedMasks(NamedTuple):
    """Which masks of a devkit can be used.

    Attributes:
        images: the ids of the images with a good pair of masks.
        bad_objects: (image id, object number) of objects without a known class, already reported.
    """

    images: frozenset[str]
    bad_objects: frozenset[tuple[str, int]]


def mask_paths(folder: Path, image_id: str) -> tuple[Path, Path]:
    """The files of an image's object map and class map in a devkit's folder."""
    name = f"{image_id}.png"
    return folder / "SegmentationObject" / name, folder / "SegmentationClass" / name


def read_masks(folder: Path, image_id: str) -> MaskPair:
    """Read an image's pair of masks.

    Raises:
        DatasetError: a file is missing or broken.
    """
    objects_path, classes_path = mask_paths(folder, image_id)
    return MaskPair(read_index_map(objects_path), read_index_map(classes_path))


def check_masks(
    folder: Path, images: Sequence[LabelledImage], classes: int, report: Report, *, check: Check
) -> CheckedMasks:
    """Check the masks of all images that have some.

    Args:
        folder: the devkit's folder.
        images: those of the split; one without an object map has no masks, which is no fault.
        classes: the number of classes, the greatest value that a class map may hold.
        report: takes the problems.
        check: "decode" reads the masks; "header" only looks whether both files exist.
    """

    def examine(image: LabelledImage) -> _Finding:
        objects_path, classes_path = mask_paths(folder, image.image_id)
        if not objects_path.is_file():
            return _Finding(usable=False)
        if not classes_path.is_file():
            return _Finding(fault=(classes_path, f"no such file, but {objects_path} exists"))
        return _examine(folder, image, classes) if check == "decode" else _Finding()

    usable = set()
    bad = set()
    for image, finding in zip(images, in_threads(examine, images, "checking masks"), strict=True):
        if finding.fault is not None:
            report.add(*finding.fault)
        elif finding.usable:
            usable.add(image.image_id)
        for number, value in finding.bad_objects:
            what = f"the unknown class value {value}" if value else "no class"
            report.add(mask_paths(folder, image.image_id)[1], f"object {number} has {what}")
            bad.add((image.image_id, number))
    return CheckedMasks(frozenset(usable), frozenset(bad))


class _Finding(NamedTuple):
    usable: bool = True
    fault: tuple[Path, str] | None = None
    bad_objects: Sequence[tuple[int, int]] = ()


def _examine(folder: Path, image: LabelledImage, classes: int) -> _Finding:
    maps = []
    for path in mask_paths(folder, image.image_id):
        try:
            values = read_index_map(path)
        except DatasetError as error:
            return _Finding(fault=(path, str(error).removeprefix(f"{path}: ")))
        if values.shape != (image.height, image.width):
            size = f"{values.shape[1]} x {values.shape[0]}"
            return _Finding(fault=(path, f"is {size}, the photo {image.width} x {image.height}"))
        maps.append(values)
    pair = MaskPair(*maps)
    found = ((number, pair.class_value(pair.objects == number)) for number in pair.numbers())
    bad = [(number, value) for number, value in found if not 1 <= value <= classes]
    return _Finding(bad_objects=bad)

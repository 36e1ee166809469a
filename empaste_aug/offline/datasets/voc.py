"""Pascal VOC devkits: labels from the XML annotations, instances from the object masks."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.imageio import follow_text_link
from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage
from empaste_aug.offline.datasets.checks import (
    Check,
    Report,
    check_class_names,
    photo_sizes,
)
from empaste_aug.offline.datasets.voc_masks import check_masks, mask_paths, read_masks
from empaste_aug.types import DatasetError, tight_box

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The twenty classes in the order of the devkit; the class masks hold 1 for the first."""

_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(kw_only=True)
class VOCDataset(Dataset):
    """A split of a VOC devkit.

    Attributes:
        root: the folder that holds JPEGImages, Annotations, SegmentationObject and so on.
        masked: the image ids that have masks; in VOC 2012 a sixth of the images.
        bad_objects: (image id, object number) of what was skipped for its class.
    """

    root: Path
    masked: frozenset[str]
    bad_objects: frozenset[tuple[str, int]]

    @property
    def has_instances(self) -> bool:
        """Whether any image of the split has masks."""
        return bool(self.masked)

    def is_annotated(self, image: LabelledImage) -> bool:
        """Whether the image has masks."""
        return image.image_id in self.masked

    def instances(self, image: LabelledImage) -> list[GroundTruth]:
        """The objects of SegmentationObject in the order of their numbers.

        An object's class is the most frequent one in SegmentationClass under it; void pixels (255)
        belong to no object. Objects marked difficult are among them, as in the official masks.

        Raises:
            DatasetError: a mask is broken (only where it was not checked at the start).
        """
        if not self.is_annotated(image):
            return []
        masks = read_masks(self.root, image.image_id)
        found = []
        for number in masks.numbers():
            if (image.image_id, number) in self.bad_objects:
                continue
            mask = masks.objects == number
            value = masks.class_value(mask)
            box = tight_box(mask)
            if box is None or not 1 <= value <= len(self.class_names):
                path = mask_paths(self.root, image.image_id)[1]
                raise DatasetError(f"{path}: object {number} has the unknown class value {value}")
            found.append(GroundTruth(value - 1, mask, box))
        return found

    def ignored(self, image: LabelledImage) -> NDArray[np.bool_] | None:
        """Where either mask is void (255): object borders and what was not labelled."""
        if not self.is_annotated(image):
            return None
        return read_masks(self.root, image.image_id).void()


def load_voc(
    root: str | Path,
    *,
    split: str | None = None,
    class_names: Sequence[str] | None = None,
    skip_bad: bool = False,
    check: Check = "decode",
) -> VOCDataset:
    """Load one split of a VOC devkit.

    Image-level labels are the names of *all* objects in the image's XML file, those marked
    difficult too: the official segmentation masks contain them, and they do occur in the image.
    Labels never come from masks. Every image therefore needs its XML file; masks are optional.

    Args:
        root: the folder .../VOC2012, or one above it.
        split: a name in ImageSets/Segmentation or else ImageSets/Main, "train" by default.
        class_names: by default the twenty classes of VOC. With other names, value k of the class
            masks stands for the k-th name (counted from 1).
        skip_bad: leave bad images and objects out, and list them in `problems`.
        check: "decode" reads photos and masks whole; "header" only opens the photos.

    Raises:
        DatasetError: the layout is not a devkit's, or files are bad and `skip_bad` is False.
        ArgumentError: `class_names` is empty or holds a name twice.
    """
    folder = _devkit(Path(root))
    names = check_class_names(VOC_CLASSES if class_names is None else class_names)
    split = "train" if split is None else split
    report = Report(f"{folder.name} {split}")
    photos = folder / "JPEGImages"

    ids = _read_split(folder, split, report)
    labels = {image_id: _read_labels(folder, image_id, names, report) for image_id in ids}
    nominal = [_photo(photos, image_id) for image_id in ids]
    paths = [follow_text_link(path) for path in nominal]
    sizes = photo_sizes(paths, report, check=check)

    images = [
        LabelledImage(image_id, path, name.name, found, *size)
        for image_id, name, path, size in zip(ids, nominal, paths, sizes, strict=True)
        if size is not None and (found := labels[image_id]) is not None
    ]
    masks = check_masks(folder, images, len(names), report, check=check)
    return VOCDataset(
        name=report.name,
        class_names=names,
        images=images,
        image_root=photos,
        problems=report.close(skip_bad=skip_bad),
        root=folder,
        masked=masks.images,
        bad_objects=masks.bad_objects,
    )


def _devkit(root: Path) -> Path:
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (folder / "JPEGImages").is_dir():
            return folder
    raise DatasetError(f"{root}: no VOC devkit: it should hold a folder JPEGImages")


def _read_split(folder: Path, split: str, report: Report) -> list[str]:
    candidates = [folder / "ImageSets" / kind / f"{split}.txt" for kind in ("Segmentation", "Main")]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise DatasetError(
            f"split: {split!r} is in neither of " + " and ".join(str(path) for path in candidates)
        )
    seen: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"{path} line {number}"
        if len(words) > 1 or "/" in words[0] or "\\" in words[0]:
            report.add(where, f"should hold one image id, not {line.strip()!r}")
        elif words[0] in seen:
            report.add(where, f"duplicate image id {words[0]}")
        else:
            seen.add(words[0])
    return sorted(seen)


def _photo(folder: Path, image_id: str) -> Path:
    candidates = [folder / f"{image_id}{suffix}" for suffix in _PHOTO_SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])


def _read_labels(
    folder: Path, image_id: str, names: tuple[str, ...], report: Report
) -> tuple[int, ...] | None:
    path = folder / "Annotations" / f"{image_id}.xml"
    try:
        tree = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        report.add(path, "no such file; image-level labels come from it")
        return None
    except (ElementTree.ParseError, OSError) as error:
        report.add(path, f"cannot be read: {error}")
        return None
    found = set()
    for number, entry in enumerate(tree.findall("object"), start=1):
        name = (entry.findtext("name") or "").strip()
        if name in names:
            found.add(names.index(name))
        else:
            report.add(path, f"object {number} has the unknown class {name!r}")
        fault = _box_fault(entry, tree)
        if fault:
            report.add(path, f"object {number} {fault}")
    return tuple(sorted(found))


def _box_fault(entry: ElementTree.Element, tree: ElementTree.Element) -> str | None:
    """What is wrong with an object's box: VOC counts pixels from 1 and includes the last ones."""
    if entry.find("bndbox") is None:
        return None
    texts = [entry.findtext(f"bndbox/{key}") or "" for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x0, y0, x1, y1 = (float(text) for text in texts)
        width = float(tree.findtext("size/width") or 0) or np.inf
        height = float(tree.findtext("size/height") or 0) or np.inf
    except ValueError:
        return f"has a box that is no box: {', '.join(texts)}"
    if not (x0 <= x1 and y0 <= y1 and x1 >= 0 and y1 >= 0 and x0 <= width and y0 <= height):
        return f"has a box that is empty or outside of the image: {', '.join(texts)}"
    return None

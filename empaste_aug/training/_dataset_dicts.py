"""An offline data set's instances as detectron2's dicts and as a COCO json."""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ElementTree
from typing import Any

from detectron2.structures import BoxMode
from pycocotools import mask as coco

from empaste_aug.adapters._detectron2_masks import encode_rle
from empaste_aug.offline.datasets import Dataset, LabelledImage
from empaste_aug.offline.datasets.voc import VOCDataset
from empaste_aug.offline.datasets.voc_masks import read_masks
from empaste_aug.offline.progress import progress_bar
from empaste_aug.training._coco_parts import VOID

logger = logging.getLogger(__name__)


class InstanceDicts:
    """Called as detectron2's catalogue does, the dicts of a data set; read once, then kept.

    Args:
        dataset: with instances.
        ignore_difficult: whether `coco_form` gives VOC's difficult objects ``ignore``.
    """

    def __init__(self, dataset: Dataset, *, ignore_difficult: bool) -> None:
        self._dataset = dataset
        self._ignore_difficult = ignore_difficult
        self._dicts: list[dict[str, Any]] | None = None
        self._void: dict[str, dict[str, Any]] = {}

    def __call__(self) -> list[dict[str, Any]]:
        """The dicts of the annotated photos, in the data set's order."""
        if self._dicts is None:
            images = [i for i in self._dataset.images if self._dataset.is_annotated(i)]
            left_out = len(self._dataset.images) - len(images)
            if left_out:
                logger.info(f"{self._dataset.name}: {left_out} photos without masks are left out")
            bar = progress_bar(images, description="reading masks", unit="photo", delay=2)
            self._dicts = [self._read(image) for image in bar]
        return self._dicts

    def coco_form(self) -> dict[str, Any]:
        """The content of a COCO instances json; its category ids are the contiguous ones."""
        images, annotations = [], []
        for entry in self():
            image_id = entry["image_id"]
            images.append({key: entry[key] for key in ("height", "width")})
            images[-1].update(id=image_id, file_name=entry["file_name"])
            for annotation in entry["annotations"]:
                annotations.append(_coco_annotation(image_id, annotation))
            void = self._void.get(image_id)
            if void is not None:
                for category in range(len(self._dataset.class_names)):
                    region = {"category_id": category, "segmentation": void, "iscrowd": 1}
                    annotations.append(_coco_annotation(image_id, region) | {VOID: 1})
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
        return {
            "info": {"description": self._dataset.name},
            "images": images,
            "annotations": annotations,
            "categories": [
                {"id": number, "name": name}
                for number, name in enumerate(self._dataset.class_names)
            ],
        }

    def _read(self, image: LabelledImage) -> dict[str, Any]:
        truths = self._dataset.instances(image)
        difficult = _difficult(self._dataset, image) if self._ignore_difficult else ()
        annotations = [
            {
                "bbox": list(truth.bbox),
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": truth.category_id,
                "segmentation": encode_rle(truth.mask),
                "iscrowd": int(truth.crowd),
                **({"ignore": 1} if number in difficult else {}),
            }
            for number, truth in enumerate(truths)
        ]
        void = self._dataset.ignored(image)
        if void is not None and void.any():
            self._void[image.image_id] = encode_rle(void)
        return {
            "file_name": str(image.path),
            "image_id": image.image_id,
            "height": image.height,
            "width": image.width,
            "annotations": annotations,
        }


def _coco_annotation(image_id: str, annotation: dict[str, Any]) -> dict[str, Any]:
    rle = annotation["segmentation"]
    return {
        "image_id": image_id,
        "category_id": annotation["category_id"],
        "bbox": [float(value) for value in coco.toBbox(rle)],
        "area": int(coco.area(rle)),
        "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
        "iscrowd": annotation["iscrowd"],
        "ignore": annotation.get("ignore", 0),
    }


def _difficult(dataset: Dataset, image: LabelledImage) -> frozenset[int]:
    """The positions, among a VOC image's instances, of those that its XML file marks difficult.

    The number of an object in SegmentationObject is its place in the file, counted from 1.
    """
    if not isinstance(dataset, VOCDataset):
        return frozenset()
    path = dataset.root / "Annotations" / f"{image.image_id}.xml"
    entries = ElementTree.parse(path).getroot().findall("object")
    marked = {
        number
        for number, entry in enumerate(entries, start=1)
        if (entry.findtext("difficult") or "0").strip() == "1"
    }
    if not marked:
        return frozenset()
    numbers = [
        number
        for number in read_masks(dataset.root, image.image_id).numbers()
        if (image.image_id, number) not in dataset.bad_objects
    ]
    return frozenset(position for position, number in enumerate(numbers) if number in marked)

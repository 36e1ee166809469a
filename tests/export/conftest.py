"""Photos with shapes as a COCO data set, whose ids sort otherwise as text, and a bank to paste."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from detectron2_data import CLASSES, write_photos
from pool_data import write_pool

from empaste_aug import EMPaste, PoolReader
from empaste_aug.export import DatasetPhotos
from empaste_aug.offline.datasets import load_dataset

FIRST_ID = 5
CATEGORY_IDS = (3, 5, 9)


class CocoFiles(NamedTuple):
    """A COCO data set on disk."""

    root: Path
    json: Path
    images: Path

    def load(self):
        return load_dataset("coco", self.root, annotations=self.json, images=self.images)


@pytest.fixture(scope="session")
def coco_files(tmp_path_factory) -> CocoFiles:
    """14 photos: ids 5 to 18, some without objects, every third with a crowd region."""
    pytest.importorskip("detectron2")  # write_photos takes its box modes
    root = tmp_path_factory.mktemp("coco")
    dicts = write_photos(root / "images", 14, objects=(0, 3), crowd=True)
    images, annotations = [], []
    for number, photo in enumerate(dicts):
        images.append(
            {
                "id": number + FIRST_ID,
                "file_name": Path(photo["file_name"]).name,
                "height": photo["height"],
                "width": photo["width"],
            }
        )
        for annotation in photo["annotations"]:
            if annotation["iscrowd"] and number % 3:
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + FIRST_ID,
                    "category_id": CATEGORY_IDS[annotation["category_id"]],
                    "bbox": annotation["bbox"],
                    "area": 1,
                    "iscrowd": annotation["iscrowd"],
                    "segmentation": annotation["segmentation"],
                }
            )
    categories = [{"id": k, "name": n} for k, n in zip(CATEGORY_IDS, CLASSES, strict=True)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    file = root / "instances.json"
    file.write_text(json.dumps(content))
    return CocoFiles(root, file, root / "images")


@pytest.fixture
def dicts(coco_files) -> list[dict[str, Any]]:
    """What detectron2 reads of it."""
    from detectron2.data import MetadataCatalog
    from detectron2.data.datasets import load_coco_json

    try:
        return load_coco_json(str(coco_files.json), str(coco_files.images), "photos_to_export")
    finally:
        MetadataCatalog.pop("photos_to_export", None)


@pytest.fixture
def photos(coco_files) -> DatasetPhotos:
    return DatasetPhotos(coco_files.load())


@pytest.fixture
def paste(small_bank) -> EMPaste:
    return EMPaste(small_bank, count=(1, 4), scale=(0.5, 2.0))


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> PoolReader:
    return PoolReader(write_pool(tmp_path_factory.mktemp("pools") / "pool"))

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_files import coco_content, rectangle_polygon, truncate, write_json, write_photo
from PIL import Image
from pycocotools import mask as coco_mask

from empaste_aug.offline.datasets import load_coco, load_dataset
from empaste_aug.offline.datasets.coco import CocoDataset
from empaste_aug.offline.datasets.instance_table import decode_counts, encode_segmentation
from empaste_aug.types import DatasetError

# pycocotools has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BOX = np.zeros((40, 60), bool)
BOX[5:15, 10:30] = True
POLYGON = [rectangle_polygon(10, 5, 30, 15)]
CATEGORIES = {9: "dog", 3: "cat"}


def compressed(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    flat = mask.ravel(order="F").astype(int)
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def write(root: Path, annotations: list[dict[str, Any]]) -> Path:
    images = {7: "b.jpg", 12: "sub/a.jpg"}
    for number, name in enumerate(images.values()):
        write_photo(root / "train2017" / name, seed=number)
    content = coco_content(images, annotations, CATEGORIES)
    write_json(root / "annotations" / "instances_train2017.json", content)
    return root


def load(root: Path, **options: Any) -> CocoDataset:
    dataset = load_dataset("coco", root, **options)
    assert isinstance(dataset, CocoDataset)
    return dataset


def test_contiguous_ids_labels_and_order(tmp_path: Path) -> None:
    write(
        tmp_path,
        [
            {"image_id": 7, "category_id": 9, "segmentation": POLYGON, "bbox": [10, 5, 20, 10]},
            {"image_id": 7, "category_id": 3, "segmentation": uncompressed(BOX), "iscrowd": 1},
            {"image_id": 7, "category_id": 9, "segmentation": compressed(BOX)},
        ],
    )
    dataset = load(tmp_path)
    assert dataset.class_names == ("cat", "dog")  # by category id, 3 before 9
    assert [image.image_id for image in dataset.images] == ["12", "7"]
    a, b = dataset.images
    assert (a.file_name, a.labels) == ("sub/a.jpg", ())
    assert (b.file_name, b.labels) == ("b.jpg", (0, 1))  # the cat is a crowd region
    assert b.path == dataset.image_root / "b.jpg"
    assert (b.height, b.width) == (40, 60)
    truths = dataset.instances(b)
    assert [(t.category_id, t.crowd) for t in truths] == [(1, False), (0, True), (1, False)]
    for truth in truths:
        np.testing.assert_array_equal(truth.mask, BOX)
        assert truth.bbox == (10, 5, 30, 15)
    assert dataset.object_counts(b) == {1: 2}
    assert dataset.is_annotated(a)
    assert dataset.instances(a) == []
    assert dataset.ignored(b) is None


def test_wanted_class_order(tmp_path: Path) -> None:
    write(tmp_path, [{"image_id": 7, "category_id": 3, "segmentation": POLYGON}])
    assert load(tmp_path, class_names=["dog", "cat"]).images[1].labels == (1,)
    with pytest.raises(DatasetError, match="annotation 1: has the unknown category 3"):
        load(tmp_path, class_names=["dog"])
    assert load(tmp_path, class_names=["dog"], skip_bad=True).images[1].labels == ()


def test_boxes_alone_are_no_instances(tmp_path: Path) -> None:
    write(tmp_path, [{"image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5]}])
    dataset = load(tmp_path)
    assert not dataset.has_instances
    assert not dataset.is_annotated(dataset.images[0])
    assert dataset.images[1].labels == (0,)


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        ({"segmentation": [[1, 1, 5, 5]]}, "has a polygon of 4 numbers; the least is 6"),
        ({"segmentation": [[1, 1, 5, 5, 9, 1, 2]]}, "has a polygon of 7 numbers, which is odd"),
        ({"segmentation": [[1, 1, 5, 5, 9, None]]}, "has a polygon with a number"),
        ({"segmentation": [[1, 1, 5, 5, 9, "x"]]}, "has a polygon that does not hold numbers"),
        ({"segmentation": [7]}, "has a polygon of no numbers"),
        ({"segmentation": [rectangle_polygon(70, 0, 80, 9)]}, "lies outside of the 60 x 40 photo"),
        ({"segmentation": []}, "has an empty segmentation"),
        ({"segmentation": "text"}, "neither polygons nor run lengths"),
        ({}, "has no segmentation, unlike others"),
        ({"segmentation": {"size": [40, 61], "counts": [1]}}, "run lengths of size [40, 61]"),
        ({"segmentation": {"size": [40, 60], "counts": [1, 2]}}, "do not add up to 40 x 60"),
        ({"segmentation": {"size": [40, 60], "counts": "5"}}, "do not add up to 2400"),
        ({"segmentation": {"size": [40, 60], "counts": "\x7f"}}, "an illegal character"),
        ({"segmentation": {"size": [40, 60]}}, "run lengths without counts"),
        ({"segmentation": POLYGON, "bbox": [10, 5, 60, 10]}, "has a box outside of the 60 x 40"),
        ({"segmentation": POLYGON, "bbox": [10, 5, -1, 10]}, "has a box outside of the 60 x 40"),
        ({"segmentation": POLYGON, "bbox": [1, 2]}, "has a box that is no box"),
    ],
)
def test_bad_annotations(tmp_path: Path, annotation: dict[str, Any], what: str) -> None:
    good = {"id": 1, "image_id": 7, "category_id": 9, "segmentation": POLYGON}
    write(tmp_path, [good, {"id": 55, "image_id": 7, "category_id": 3, **annotation}])
    with pytest.raises(DatasetError, match=r"1 problem in its files") as caught:
        load(tmp_path)
    assert "instances_train2017.json annotation 55: " in str(caught.value)
    assert what in str(caught.value)
    dataset = load(tmp_path, skip_bad=True)
    image = dataset.images[1]
    assert len(dataset.problems) == 1
    assert [truth.category_id for truth in dataset.instances(image)] == [1]
    assert image.labels == (0, 1)  # the class does occur


def test_bad_references_and_duplicates(tmp_path: Path) -> None:
    segmentation = {"segmentation": POLYGON}
    content = coco_content(
        {7: "b.jpg", 12: "sub/a.jpg", 13: "b.jpg", 14: "gone.jpg", 15: "../x.jpg"},
        [
            {"id": 1, "image_id": 7, "category_id": 3, **segmentation},
            {"id": 1, "image_id": 7, "category_id": 9, **segmentation},
            {"id": 2, "image_id": 99, "category_id": 3, **segmentation},
            {"id": 3, "image_id": 7, "category_id": 4, **segmentation},
            {"id": 4, "image_id": 15, "category_id": 3, **segmentation},
        ],
        CATEGORIES,
    )
    content["images"].append({"id": 7, "file_name": "c.jpg"})
    content["categories"].append({"id": 20, "name": "cat"})
    write(tmp_path, [])
    write_json(tmp_path / "annotations" / "instances_train2017.json", content)
    truncate(tmp_path / "train2017" / "sub" / "a.jpg")
    with pytest.raises(DatasetError, match="9 problems") as caught:
        load(tmp_path)
    for line in (
        "category 20: duplicate id or name 'cat'",
        "image 13: duplicate file_name b.jpg",
        "image 15: file_name ../x.jpg leaves the image folder",
        "image 7: duplicate image id",
        "annotation 1: duplicate annotation id",
        "annotation 2: belongs to the unknown image 99",
        "annotation 3: has the unknown category 4",
        "gone.jpg: no such file",
        "a.jpg: cannot be decoded",
    ):
        assert line in str(caught.value)
    dataset = load(tmp_path, skip_bad=True)
    assert [(image.image_id, image.labels) for image in dataset.images] == [("7", (0,))]


def test_size_must_be_that_of_the_upright_photo(tmp_path: Path) -> None:
    write(tmp_path, [{"image_id": 7, "category_id": 3, "segmentation": POLYGON}])
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "train2017" / "b.jpg"
    Image.open(path).save(path, exif=exif)
    with pytest.raises(DatasetError, match=r"b\.jpg: is 40 x 60 after EXIF rotation; .* 60 x 40"):
        load(tmp_path)


def test_annotations_without_a_pixel_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    speck = [rectangle_polygon(3.1, 3.1, 3.2, 3.2)]
    write(
        tmp_path,
        [
            {"image_id": 7, "category_id": 3, "segmentation": speck},
            {"image_id": 7, "category_id": 9, "segmentation": POLYGON},
        ],
    )
    with caplog.at_level(logging.WARNING):
        dataset = load(tmp_path)
    assert "1 annotations cover no pixel" in caplog.text
    assert len(dataset.instances(dataset.images[1])) == 1


def test_where_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "data", [])
    monkeypatch.chdir(tmp_path)
    annotations = "annotations/instances_train2017.json"
    assert len(load(root, annotations=annotations, images="train2017").images) == 2
    (tmp_path / "moved.json").write_text((root / annotations).read_text())
    assert len(load(root, annotations="moved.json", split="train2017").images) == 2
    with pytest.raises(DatasetError, match=r"images: no such folder"):
        load(root, annotations="moved.json")
    (root / "train2017").rename(root / "images")
    assert len(load(root, annotations="moved.json").images) == 2
    with pytest.raises(DatasetError, match=r"instances_val\.json: no such file"):
        load(root, split="val")


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}', '{"images": 3}'])
def test_foreign_json(tmp_path: Path, content: str) -> None:
    root = write(tmp_path, [])
    (root / "annotations" / "instances_train2017.json").write_text(content)
    with pytest.raises(DatasetError, match=r"instances_train2017\.json: (cannot be read|not a)"):
        load_coco(root)


@pytest.mark.parametrize("seed", range(8))
def test_run_lengths_of_all_kinds_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = tuple(int(n) for n in rng.integers(1, 30, 2))
    mask = rng.random(size) < rng.random()
    for segmentation in (compressed(mask), uncompressed(mask)):
        counts = encode_segmentation(segmentation, (size[0], size[1]))
        np.testing.assert_array_equal(decode_counts(counts, (size[0], size[1])), mask)

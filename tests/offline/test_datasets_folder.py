from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dataset_files import coco_content, rectangle_polygon, truncate, write_json, write_photo

from empaste_aug.offline.datasets import load_folder
from empaste_aug.types import DatasetError

# pycocotools has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

POLYGON = [rectangle_polygon(10, 5, 30, 15)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.jpg", "b.PNG", "sub/c.jpg")):
        write_photo(tmp_path / "images" / name, seed=number)
    (tmp_path / "images" / "notes.txt").write_text("no photo")
    return tmp_path


def test_json_labels(root: Path) -> None:
    write_json(root / "labels.json", {"sub/c.jpg": ["dog", "cat", "dog"], "b.PNG": []})
    dataset = load_folder(root)
    assert dataset.class_names == ("cat", "dog")
    found = [(image.image_id, image.file_name, image.labels) for image in dataset.images]
    assert found == [("a", "a.jpg", ()), ("b", "b.PNG", ()), ("sub__c", "sub/c.jpg", (0, 1))]
    assert not dataset.has_instances
    assert dataset.instances(dataset.images[0]) == []
    assert dataset.image_root == root / "images"


@pytest.mark.parametrize(
    "text",
    [
        'file,labels\nsub/c.jpg,potted plant; cat\na.jpg,cat\nb.PNG,""\n',
        "file,label\nsub/c.jpg,cat\na.jpg,cat\nsub/c.jpg,potted plant\n",
        "id,label,file\n1,cat,sub/c.jpg\n2,cat,a.jpg\n3,potted plant,sub/c.jpg\n",
    ],
)
def test_csv_labels(root: Path, text: str) -> None:
    (root / "labels.csv").write_text(text)
    dataset = load_folder(root)
    assert dataset.class_names == ("cat", "potted plant")
    assert [image.labels for image in dataset.images] == [(0,), (), (0, 1)]


def test_photos_may_lie_in_the_root_itself(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg")
    write_json(tmp_path / "labels.json", {"a.jpg": ["cat"]})
    assert [image.file_name for image in load_folder(tmp_path).images] == ["a.jpg"]


def test_explicit_places(root: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "elsewhere.json", {"c.jpg": ["cat"]})
    dataset = load_folder(root, images="images/sub", labels=tmp_path / "elsewhere.json")
    assert [(image.file_name, image.labels) for image in dataset.images] == [("c.jpg", (0,))]


def test_class_names_decide(root: Path) -> None:
    write_json(root / "labels.json", {"a.jpg": ["cat", "unicorn"]})
    with pytest.raises(DatasetError, match=r"entry a\.jpg: has the unknown class 'unicorn'"):
        load_folder(root, class_names=["dog", "cat"])
    dataset = load_folder(root, class_names=["dog", "cat"], skip_bad=True)
    assert dataset.images[0].labels == (1,)


def test_faults_are_reported_and_can_be_skipped(root: Path) -> None:
    write_photo(root / "images" / "a.png")
    truncate(root / "images" / "sub" / "c.jpg")
    write_json(root / "labels.json", {"a.jpg": ["cat"], "gone.jpg": ["cat"], "b.PNG": "cat"})
    with pytest.raises(DatasetError, match="4 problems") as caught:
        load_folder(root)
    for line in (
        "a.png: duplicate image id a: a.jpg has it too",
        "c.jpg: cannot be decoded",
        "gone.jpg: no such file, though labels.json names it",
        "entry b.PNG: should be a list of class names, not 'cat'",
    ):
        assert line in str(caught.value)
    dataset = load_folder(root, skip_bad=True)
    assert [(image.image_id, image.labels) for image in dataset.images] == [("a", (0,)), ("b", ())]
    assert len(dataset.problems) == 4


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("labels.json", "{", "cannot be read"),
        ("labels.json", "[]", "should be an object"),
        ("labels.json", "{}", "names no class"),
        ("labels.csv", "photo,labels\na.jpg,cat\n", "header should name 'file' and 'labels'"),
        ("labels.csv", "file,labels\na.jpg\n", "line 2: should have 2 cells"),
        ("labels.csv", "file,labels\na.jpg,cat,dog\n", "line 2: should have 2 cells"),
        ("labels.csv", "", "header should name"),
        ("labels.json", '{"a.jpg": ["cat"], "a.jpg": ["dog"]}', "entry a.jpg: occurs twice"),
    ],
)
def test_bad_labels_files(root: Path, name: str, text: str, what: str) -> None:
    (root / name).write_text(text)
    with pytest.raises(DatasetError) as caught:
        load_folder(root, class_names=["cat", "dog"] if "line" in what else None)
    assert what in str(caught.value)


def test_missing_labels_and_photos(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no labels\.json or labels\.csv"):
        load_folder(tmp_path)
    (tmp_path / "labels.txt").write_text("")
    with pytest.raises(DatasetError, match=r"labels\.txt: a labels file ends in"):
        load_folder(tmp_path, labels="labels.txt")
    write_json(tmp_path / "labels.json", {})
    with pytest.raises(DatasetError, match="holds no photo"):
        load_folder(tmp_path)
    with pytest.raises(DatasetError, match="photos: no such folder"):
        load_folder(tmp_path, images="photos")


def instances(root: Path, **changes: Any) -> None:
    content = coco_content(
        {1: "sub/c.jpg", 2: "b.PNG"},
        [{"image_id": 1, "category_id": 5, "segmentation": POLYGON}],
        {5: "dog"},
    )
    write_json(root / "instances.json", {**content, **changes})


def test_instances_for_evaluation(root: Path) -> None:
    write_json(root / "labels.json", {"sub/c.jpg": ["cat", "dog"], "a.jpg": ["cat"]})
    instances(root)
    dataset = load_folder(root)
    a, b, c = dataset.images
    assert dataset.has_instances
    assert [dataset.is_annotated(image) for image in (a, b, c)] == [False, True, True]
    (truth,) = dataset.instances(c)
    assert (truth.category_id, truth.bbox) == (1, (10, 5, 30, 15))
    assert dataset.object_counts(c) == {1: 1}
    assert b.labels == ()  # labels come from the labels file only


def test_instances_of_other_photos(root: Path) -> None:
    write_json(root / "labels.json", {"a.jpg": ["dog"]})
    images = [
        {"id": 1, "file_name": "sub/c.jpg", "height": 41, "width": 60},
        {"id": 2, "file_name": "x.jpg", "height": 40, "width": 60},
    ]
    instances(root, images=images)
    with pytest.raises(DatasetError, match="2 problems") as caught:
        load_folder(root)
    assert "image 1: sub/c.jpg is 60 x 40 in fact" in str(caught.value)
    assert "image 2: x.jpg is not among the photos" in str(caught.value)
    (root / "instances.json").rename(root / "masks.json")
    assert not load_folder(root).has_instances
    with pytest.raises(DatasetError, match="2 problems"):
        load_folder(root, annotations="masks.json")

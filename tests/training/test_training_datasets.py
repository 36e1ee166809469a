"""Data sets registered from a line of text, and their COCO form."""

from __future__ import annotations

import json

import numpy as np
import pytest
from dataset_files import VOCFiles
from detectron2_data import CLASSES
from training_data import coco_line, forget, write_coco

pytest.importorskip("detectron2")

from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog
from pycocotools import mask as coco_mask

from empaste_aug import ArgumentError, BankWriter, DatasetError
from empaste_aug.offline.datasets import VOC_CLASSES, load_voc
from empaste_aug.training.datasets import parse_spec, register_all, register_instances
from empaste_aug.training.evaluator import ensure_coco_json

NAMES = ("first_of_the_test", "second_of_the_test")


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    forget(*NAMES)


@pytest.fixture
def voc(tmp_path):
    """Two photos with masks, of which one has a difficult object and void pixels, and one without.

    In "b" object 1 is a cat, object 2 a difficult dog, object 3 a cat.
    """
    files = VOCFiles(tmp_path / "VOC2012")
    objects = np.zeros((40, 60), dtype=np.uint8)
    objects[5:15, 5:25] = 1
    objects[20:30, 5:25] = 2
    objects[20:30, 30:50] = 3
    objects[:2] = 255
    cat, dog = VOC_CLASSES.index("cat") + 1, VOC_CLASSES.index("dog") + 1
    classes = np.choose(np.where(objects == 255, 4, objects), [0, cat, dog, cat, 255])
    files.add("b", ["cat", "dog", "cat"], objects=objects, classes=classes, difficult=["dog"])
    one = np.where(objects == 1, 1, 0)
    files.add("a", ["cat"], objects=one, classes=one * cat)
    files.add("c", ["cat"])
    return files.root


def test_voc_as_dicts(voc, caplog):
    register_all([f"{NAMES[0]}=voc:{voc},split=train"])
    with caplog.at_level("INFO"):
        dicts = DatasetCatalog.get(NAMES[0])
    assert "1 photos without masks are left out" in caplog.text
    metadata = MetadataCatalog.get(NAMES[0])
    assert tuple(metadata.thing_classes) == VOC_CLASSES
    assert [entry["image_id"] for entry in dicts] == ["a", "b"]
    assert [len(entry["annotations"]) for entry in dicts] == [1, 3]
    dog = dicts[1]["annotations"][1]
    assert dog["bbox"] == [5, 20, 25, 30]
    assert VOC_CLASSES[dog["category_id"]] == "dog"
    assert coco_mask.decode(dog["segmentation"])[20:30, 5:25].all()
    assert DatasetCatalog.get(NAMES[0]) is dicts  # the masks are read once
    mapper = DatasetMapper(
        True,
        augmentations=[],
        image_format="RGB",
        use_instance_mask=True,
        instance_mask_format="bitmask",
    )
    assert len(mapper(dicts[1])["instances"]) == 3


@pytest.mark.parametrize("difficult", ["ignore", "count"])
def test_voc_in_cocos_form(voc, tmp_path, difficult):
    register_all([f"{NAMES[0]}=voc:{voc},difficult={difficult}"])
    path = ensure_coco_json(NAMES[0], tmp_path / "out")
    content = json.loads(path.read_text())
    assert [entry["name"] for entry in content["categories"]] == list(VOC_CLASSES)
    objects = [a for a in content["annotations"] if not a["iscrowd"]]
    assert [a["image_id"] for a in objects] == ["a", "b", "b", "b"]
    assert [a["ignore"] for a in objects] == [0, 0, int(difficult == "ignore"), 0]
    assert objects[2]["bbox"] == [5, 20, 20, 10]
    assert [a["area"] for a in objects] == [200] * 4
    void = [a for a in content["annotations"] if a["iscrowd"]]
    assert sorted(a["category_id"] for a in void) == list(range(20))  # ignored for every class
    assert {a["image_id"] for a in void} == {"b"}
    assert {a["area"] for a in void} == {120}
    assert {a["empaste_void"] for a in void} == {1}
    ids = [a["id"] for a in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_the_coco_form_is_written_once(voc, tmp_path):
    register_all([f"{NAMES[0]}=voc:{voc}"])
    path = ensure_coco_json(NAMES[0], tmp_path)
    written = path.stat().st_mtime_ns
    forget(NAMES[0])
    register_all([f"{NAMES[0]}=voc:{voc}"])
    assert ensure_coco_json(NAMES[0], tmp_path) == path
    assert path.stat().st_mtime_ns == written
    path.write_text("of other masks")
    forget(NAMES[0])
    register_all([f"{NAMES[0]}=voc:{voc}"])
    ensure_coco_json(NAMES[0], tmp_path)
    assert json.loads(path.read_text())["images"]


def test_coco_folder_and_options(tmp_path):
    root = write_coco(tmp_path / "coco", 4)
    (root / "labels.json").write_text(json.dumps({"000.png": ["cat", "dog", "cow"]}))
    register_all(
        [coco_line(NAMES[0], root) + ",limit=2", f"{NAMES[1]}=folder:{root},classes=cow+dog+cat"]
    )
    dicts = DatasetCatalog.get(NAMES[0])
    assert [entry["image_id"] for entry in dicts] == ["0", "1"]
    assert MetadataCatalog.get(NAMES[0]).thing_classes == CLASSES
    assert MetadataCatalog.get(NAMES[1]).thing_classes == ["cow", "dog", "cat"]
    assert len(DatasetCatalog.get(NAMES[1])) == 4
    content = json.loads((root / "instances.json").read_text())
    first = [a for a in content["annotations"] if a["image_id"] == 0]
    assert [a["category_id"] + 1 for a in dicts[0]["annotations"]] == [
        a["category_id"] for a in first
    ]


def test_crowd_regions_stay_crowd_regions(tmp_path):
    root = write_coco(tmp_path / "coco", 2)
    content = json.loads((root / "instances.json").read_text())
    half = {"size": [64, 64], "counts": [0, 64 * 32, 64 * 32]}
    region = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 32, 64], "area": 2048, "iscrowd": 1}
    content["annotations"].append({**region, "id": 999, "segmentation": half})
    (root / "instances.json").write_text(json.dumps(content))
    register_all([coco_line(NAMES[0], root)])
    crowd = DatasetCatalog.get(NAMES[0])[1]["annotations"][-1]
    assert (crowd["iscrowd"], crowd["category_id"], crowd["bbox"]) == (1, 2, [0, 0, 32, 64])
    form = json.loads(ensure_coco_json(NAMES[0], tmp_path).read_text())
    assert [a["area"] for a in form["annotations"] if a["iscrowd"]] == [2048]


def test_a_bank(tmp_path):
    root = write_coco(tmp_path / "coco", 1)
    with BankWriter(tmp_path / "bank", categories=CLASSES) as writer:
        for score in (0.2, 0.8):
            alpha = np.full((10, 12), 255, dtype=np.uint8)
            writer.add(
                np.zeros((10, 12, 3), dtype=np.uint8),
                alpha,
                category_id=1,
                score=score,
                image_id="0",
                file_name="000.png",
                source_size=(64, 64),
                source_bbox=(4, 6, 16, 16),
            )
    line = f"{NAMES[0]}=bank:{tmp_path / 'bank'},images={root / 'images'},min_score=0.5"
    register_all([line])
    (entry,) = DatasetCatalog.get(NAMES[0])
    (annotation,) = entry["annotations"]
    assert annotation["bbox"] == [4, 6, 16, 16]
    content = json.loads(ensure_coco_json(NAMES[0], tmp_path).read_text())
    assert [a["bbox"] for a in content["annotations"]] == [[4, 6, 12, 10]]
    assert content["annotations"][0]["area"] == 120


def test_the_same_line_twice_is_one_data_set(voc, tmp_path):
    line = f"{NAMES[0]}=voc:{voc}"
    register_all([line])
    register_all([line])
    with pytest.raises(ArgumentError, match="already registered"):
        register_all([line + ",limit=1"])
    with pytest.raises(ArgumentError, match="already registered"):
        register_instances(NAMES[0], load_voc(voc))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name", "is not of the form NAME="),
        ("name=voc", "is not of the form NAME="),
        ("name=zip:folder", "is not of the form NAME="),
        ("=voc:folder", "is not of the form NAME="),
        ("name=voc:folder,split", "'split' is no option=value"),
        ("name=voc:folder,split=a,split=b", "given twice"),
        ("name=voc:folder,labels=x", "a voc takes no 'labels'; it takes split, difficult"),
        ("name=bank:folder", "needs images=FOLDER"),
        ("name=bank:folder,images=x,limit=2", "a bank takes no 'limit'"),
    ],
)
def test_lines_of_another_form(line, message):
    with pytest.raises(ArgumentError, match=message):
        parse_spec(line)


def test_values_out_of_range(voc):
    for option in ("limit=0", "limit=some", "difficult=maybe", "skip_bad=perhaps"):
        with pytest.raises(ArgumentError, match=option.partition("=")[0]):
            register_all([f"{NAMES[0]}=voc:{voc},{option}"])
    with pytest.raises(ArgumentError, match="min_score must be"):
        register_all([f"{NAMES[0]}=bank:{voc},images={voc},min_score=x"])
    assert NAMES[0] not in DatasetCatalog


def test_without_masks(voc):
    for name in ("SegmentationObject", "SegmentationClass"):
        for path in (voc / name).iterdir():
            path.unlink()
    with pytest.raises(DatasetError, match="no photo has masks"):
        register_all([f"{NAMES[0]}=voc:{voc}"])
    with pytest.raises(DatasetError, match="no such folder"):
        register_all([f"{NAMES[0]}=voc:{voc / 'none'}"])

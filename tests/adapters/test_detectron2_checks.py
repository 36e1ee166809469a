"""What a data set may say of an image's objects, and what is refused, by file and position."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from detectron2_data import CLASSES, HEIGHT, WIDTH, call, make_mapper, write_photos

from empaste_aug import ArgumentError, DatasetError, EMPaste

pytest.importorskip("detectron2")

import torch
from detectron2.data import DatasetMapper, MetadataCatalog
from detectron2.structures import BoxMode

from empaste_aug.adapters.detectron2 import EMPasteMapper

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning"
)

NAN = float("nan")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), 1, objects=(3, 3))[0]


@pytest.fixture
def paste(small_bank):
    return EMPaste(small_bank, count=2, placement="space_maximize", class_names=CLASSES)


def changed(photo, **values):
    photo = copy.deepcopy(photo)
    photo["annotations"][1].update(values)
    return photo


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"category_id": "dog"}, "category_id: 'dog' is no integer"),
        ({"category_id": None}, "category_id: None is no integer"),
        ({"category_id": 1.5}, "category_id: 1.5 is no integer"),
        ({"category_id": -1}, "category_id: -1 is negative"),
        ({"category_id": 3}, "category_id: 3, but there are 3 classes"),
        ({"bbox": [1, 2, 3]}, "bbox: [1, 2, 3] is not 4 numbers"),
        ({"bbox": None}, "bbox: None is not 4 numbers"),
        ({"bbox": [1, 2, 3, "x"]}, "bbox: [1, 2, 3, 'x'] is not 4 numbers"),
        ({"bbox": [5, NAN, 3, 4]}, "bbox: [5, nan, 3, 4] is not finite"),
        ({"bbox": [5, 5, -3, 4]}, "in XYWH_ABS has the negative size -3 x 4"),
        (
            {"bbox": [5, 9, 8, 7], "bbox_mode": BoxMode.XYXY_ABS},
            "in XYXY_ABS has the negative size 3 x -2",
        ),
        ({"bbox_mode": None}, "bbox_mode: None is none of XYXY_ABS"),
        ({"segmentation": [[1, 2, 30, NAN, 30, 40]]}, "a polygon holds a number that is not fin"),
        ({"segmentation": [[1, 2, 30, "x", 30, 40]]}, "a polygon is no flat list of numbers"),
    ],
)
def test_bad_annotations_are_named(photo, paste, values, message, after):
    mapper = make_mapper(paste, paste_after_augmentations=after)
    with pytest.raises(DatasetError, match=rf"000\.png: annotations\[1\]: .*{re.escape(message)}"):
        mapper(changed(photo, **values))


def test_without_class_names_a_category_id_has_no_upper_limit(photo, small_bank):
    mapped = call(make_mapper(EMPaste(small_bank, count=0)), changed(photo, category_id=70))
    assert mapped["instances"].gt_classes[1] == 70


def test_numbers_of_other_types_are_taken(photo, paste):
    values = {"category_id": np.int64(2), "bbox": np.array([5.0, 5.0, 0.0, 4.0])}
    wanted = call(make_mapper(paste), changed(photo, category_id=2))["instances"]
    got = call(make_mapper(paste), changed(photo, **values))["instances"]
    assert torch.equal(got.gt_boxes.tensor, wanted.gt_boxes.tensor)
    assert torch.equal(got.gt_classes, wanted.gt_classes)
    as_float = call(make_mapper(paste), changed(photo, category_id=2.0))["instances"]
    assert torch.equal(as_float.gt_classes, wanted.gt_classes)


def test_rotated_boxes_become_those_of_dataset_mapper(photo, small_bank):
    rotated = changed(photo, bbox=[60.0, 50.0, 20.0, 10.0, 90.0], bbox_mode=BoxMode.XYWHA_ABS)
    options = {"augmentations": [], "image_format": "RGB"}
    paste = EMPaste(small_bank, count=0, class_names=CLASSES)
    got = EMPasteMapper(True, paste=paste, **options)(rotated)["instances"]
    wanted = DatasetMapper(True, **options)(copy.deepcopy(rotated))["instances"]
    torch.testing.assert_close(got.gt_boxes.tensor[1], wanted.gt_boxes.tensor[1])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("mask_format", [None, "bitmask", "polygon", "cropped"])
def test_objects_wholly_off_the_image_are_left_out_as_in_dataset_mapper(
    photo, paste, mask_format, after
):
    x, y = WIDTH + 500, HEIGHT + 900
    off = changed(
        photo, bbox=[x, y, 20, 30], segmentation=[[x, y, x + 20, y, x + 20, y + 30, x, y + 30]]
    )
    options = {"use_instance_mask": mask_format is not None}
    if mask_format is not None:
        options["instance_mask_format"] = mask_format
    mapped = call(
        make_mapper(paste, paste_after_augmentations=after, keep_record=True, **options), off
    )
    if mask_format == "cropped":
        options["instance_mask_format"] = "bitmask"
    plain = DatasetMapper(True, augmentations=[], image_format="RGB", **options)
    expected = plain(copy.deepcopy(off))["instances"]
    assert len(expected) == len(photo["annotations"]) - 1
    originals = mapped["instances"].gt_cutout_ids < 0
    assert originals.sum() == len(expected)
    assert torch.equal(mapped["instances"].gt_classes[originals], expected.gt_classes)


@pytest.mark.parametrize("paste", ["out/bank", 5])
@pytest.mark.parametrize("is_train", [True, False])
def test_paste_must_be_an_empaste(paste, is_train):
    with pytest.raises(ArgumentError, match=r"paste: (str|int).*expected an EMPaste"):
        EMPasteMapper(is_train, augmentations=[], image_format="RGB", paste=paste)


def test_long_lists_of_classes_are_cut_in_messages(small_bank):
    names = [*CLASSES, *(f"class {number}" for number in range(77))]
    registered = {"long_one": names, "long_other": names[::-1]}
    try:
        for name, classes in registered.items():
            MetadataCatalog.get(name).thing_classes = classes
        messages = []
        for error, class_names, chosen in (
            (DatasetError, None, list(registered)),
            (ArgumentError, names, "long_other"),
        ):
            with pytest.raises(error, match="80 in all") as caught:
                make_mapper(EMPaste(small_bank, class_names=class_names), dataset_names=chosen)
            messages.append(str(caught.value))
        assert not any("'class 40'" in message for message in messages)
    finally:
        for name in registered:
            MetadataCatalog.pop(name)

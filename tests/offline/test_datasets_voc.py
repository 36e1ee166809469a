from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_files import VOCFiles, truncate, write_map

from empaste_aug.offline.datasets import VOC_CLASSES, load_dataset, load_voc
from empaste_aug.types import DatasetError

CAT, PERSON = VOC_CLASSES.index("cat"), VOC_CLASSES.index("person")


def maps() -> tuple[np.ndarray, np.ndarray]:
    """Two objects, a cat and a person, with void between and round them."""
    objects = np.zeros((40, 60), np.uint8)
    classes = np.zeros((40, 60), np.uint8)
    objects[5:20, 5:20], classes[5:20, 5:20] = 1, CAT + 1
    objects[10:30, 25:50], classes[10:30, 25:50] = 2, PERSON + 1
    objects[8:12, 18:27] = classes[8:12, 18:27] = 255
    classes[5, 5] = PERSON + 1  # one pixel of the wrong class under the cat
    return objects, classes


@pytest.fixture
def devkit(tmp_path: Path) -> VOCFiles:
    return VOCFiles(tmp_path / "VOCdevkit" / "VOC2012")


def test_labels_and_instances(devkit: VOCFiles) -> None:
    objects, classes = maps()
    devkit.add("b", ["person", "cat", "person"], objects=objects, classes=classes)
    devkit.add("a", ["sofa"], height=30)
    dataset = load_dataset("voc", devkit.root)
    assert dataset.class_names == VOC_CLASSES
    assert dataset.name == "VOC2012 train"
    a, b = dataset.images
    assert (a.image_id, a.file_name, a.labels) == ("a", "a.jpg", (VOC_CLASSES.index("sofa"),))
    assert (a.height, a.width, b.height, b.width) == (30, 60, 40, 60)
    assert b.labels == (CAT, PERSON)
    assert b.path == dataset.image_root / b.file_name
    assert dataset.has_instances
    assert [dataset.is_annotated(image) for image in (a, b)] == [False, True]
    assert dataset.instances(a) == []
    assert dataset.ignored(a) is None
    cat, person = dataset.instances(b)
    assert (cat.category_id, person.category_id) == (CAT, PERSON)
    np.testing.assert_array_equal(cat.mask, objects == 1)
    np.testing.assert_array_equal(person.mask, objects == 2)
    assert person.bbox == (25, 10, 50, 30)
    np.testing.assert_array_equal(dataset.ignored(b), objects == 255)
    assert dataset.object_counts(b) == {CAT: 1, PERSON: 1}


def test_difficult_objects_are_labels_too(devkit: VOCFiles) -> None:
    devkit.add("a", ["cat", "dog"], difficult=["dog"])
    (image,) = load_voc(devkit.root).images
    assert [VOC_CLASSES[k] for k in image.labels] == ["cat", "dog"]


def test_a_devkit_without_masks_is_good(devkit: VOCFiles) -> None:
    devkit.add("a", ["cat"])
    assert not load_voc(devkit.root).has_instances


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_root_may_be_above_the_devkit(devkit: VOCFiles, levels: int) -> None:
    devkit.add("a", ["cat"])
    root = [devkit.root, *devkit.root.parents][levels]
    assert [image.image_id for image in load_voc(root).images] == ["a"]


def test_splits(devkit: VOCFiles) -> None:
    for image_id in "abc":
        devkit.add(image_id, ["cat"])
    devkit.write_split("val", ["c", "b"], kind="Main")
    assert [image.image_id for image in load_voc(devkit.root, split="val").images] == ["b", "c"]
    with pytest.raises(DatasetError, match="split: 'test' is in neither"):
        load_voc(devkit.root, split="test")
    devkit.write_split("bad", ["a", "a", "b -1", "../c"])
    with pytest.raises(DatasetError) as caught:
        load_voc(devkit.root, split="bad")
    assert "line 2: duplicate image id a" in str(caught.value)
    assert "line 3: should hold one image id, not 'b -1'" in str(caught.value)
    assert "line 4" in str(caught.value)


def test_own_class_names_number_the_class_masks(devkit: VOCFiles) -> None:
    objects, classes = maps()
    classes[classes == PERSON + 1] = 1
    classes[classes == CAT + 1] = 2
    devkit.add("a", ["screw", "nut"], objects=objects, classes=classes)
    dataset = load_voc(devkit.root, class_names=["nut", "screw"])
    assert dataset.images[0].labels == (0, 1)
    assert [truth.category_id for truth in dataset.instances(dataset.images[0])] == [1, 0]


def test_every_fault_is_reported_and_can_be_skipped(devkit: VOCFiles) -> None:
    objects, classes = maps()
    devkit.add("good", ["cat"], objects=objects, classes=classes)
    devkit.add("truncated", ["cat"])
    truncate(devkit.root / "JPEGImages" / "truncated.jpg")
    devkit.add("missing", ["cat"])
    (devkit.root / "JPEGImages" / "missing.jpg").unlink()
    devkit.add("unlabelled", [])
    (devkit.root / "Annotations" / "unlabelled.xml").unlink()
    devkit.add("broken_xml", [])
    (devkit.root / "Annotations" / "broken_xml.xml").write_text("<annotation>")
    devkit.add("unknown", ["cat", "unicorn"])
    devkit.add("half_masked", ["cat"], objects=objects)
    devkit.add("small_mask", ["cat"], objects=objects[:20], classes=classes[:20])
    strange = classes.copy()
    strange[objects == 2] = 77
    devkit.add("strange_class", ["cat"], objects=objects, classes=strange)
    nothing = classes.copy()
    nothing[objects == 2] = 0
    devkit.add("no_class", ["cat"], objects=objects, classes=nothing)
    devkit.add("bad_box", ["cat"])
    path = devkit.root / "Annotations" / "bad_box.xml"
    path.write_text(path.read_text().replace("<xmin>1<", "<xmin>100<"))

    expected = {
        "truncated.jpg": "cannot be decoded",
        "missing.jpg": "no such file",
        "unlabelled.xml": "no such file; image-level labels come from it",
        "broken_xml.xml": "cannot be read",
        "unknown.xml": "object 2 has the unknown class 'unicorn'",
        "SegmentationClass/half_masked.png": "no such file",
        "SegmentationObject/small_mask.png": "is 60 x 20, the photo 60 x 40",
        "SegmentationClass/strange_class.png": "object 2 has the unknown class value 77",
        "SegmentationClass/no_class.png": "object 2 has no class",
        "bad_box.xml": "object 1 has a box that is empty or outside",
    }
    with pytest.raises(DatasetError, match=f"{len(expected)} problems") as caught:
        load_voc(devkit.root)
    for where, what in expected.items():
        assert f"{where}: {what}" in str(caught.value)

    dataset = load_voc(devkit.root, skip_bad=True)
    assert len(dataset.problems) == len(expected)
    kept = {image.image_id: image for image in dataset.images}
    assert kept.keys() == set(devkit.ids) - {"truncated", "missing", "unlabelled", "broken_xml"}
    assert kept["unknown"].labels == (CAT,)
    masked = {image_id for image_id, image in kept.items() if dataset.is_annotated(image)}
    assert masked == {"good", "strange_class", "no_class"}
    for image_id in ("strange_class", "no_class"):
        assert [truth.category_id for truth in dataset.instances(kept[image_id])] == [CAT]


def test_unchecked_masks_fail_when_they_are_read(devkit: VOCFiles) -> None:
    objects, classes = maps()
    classes[objects == 1] = 99
    devkit.add("a", ["cat"], objects=objects, classes=classes)
    dataset = load_voc(devkit.root, check="header")
    with pytest.raises(DatasetError, match=r"a\.png: object 1 has the unknown class value 99"):
        dataset.instances(dataset.images[0])


def test_no_devkit(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no VOC devkit"):
        load_voc(tmp_path)


def test_photos_checked_out_as_text_links(devkit: VOCFiles, tmp_path: Path) -> None:
    devkit.add("a", ["cat"])
    photo = devkit.root / "JPEGImages" / "a.jpg"
    real = photo.rename(tmp_path / "other.jpg")
    photo.write_text("../../../other.jpg")
    (image,) = load_voc(devkit.root).images
    assert image.path == real.resolve()
    assert image.file_name == "a.jpg"


def test_void_only_masks_hold_no_object(devkit: VOCFiles) -> None:
    void = np.full((40, 60), 255, np.uint8)
    devkit.add("a", ["cat"], objects=void, classes=void)
    dataset = load_voc(devkit.root)
    assert dataset.is_annotated(dataset.images[0])
    assert dataset.instances(dataset.images[0]) == []
    write_map(devkit.root / "SegmentationObject" / "a.png", np.zeros((40, 60), np.uint8))
    ignored = dataset.ignored(dataset.images[0])
    assert ignored is not None
    assert ignored.all()

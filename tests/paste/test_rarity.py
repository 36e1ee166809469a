"""Counting a data set's classes, and the weights of those that are rare."""

from __future__ import annotations

import doctest
import json
import logging
import math

import numpy as np
import pytest

from empaste_aug import ArgumentError, BankWriter, DatasetError, EMPaste, MaskBank, Scene
from empaste_aug.paste import rarity
from empaste_aug.paste.rarity import (
    ClassCounts,
    count_classes,
    count_coco_json,
    count_dataset_dicts,
    frequency_bands,
    rare_class_weights,
    weights_for_bank,
)

NAMES = ["cat", "dog", "cow"]
IDS = [10, 3, 7]  # of the classes in the json, so that their order there is dog, cow, cat
IMAGES = [[0, 0, 1], [0], [], [1, 1, 1, 0]]
CROWDS = [[], [2], [2, 0], []]
FOUND = {"cat": 3, "dog": 2, "cow": 0}
OBJECTS = {"cat": 4, "dog": 4, "cow": 0}


def counts_of(images: dict[str, int], num_images: int = 1000) -> ClassCounts:
    return ClassCounts(num_images=num_images, images=images, instances=images)


def dataset_dicts() -> list[dict]:
    dicts = []
    for labels, crowds in zip(IMAGES, CROWDS, strict=True):
        annotations = [{"category_id": label} for label in labels]
        annotations += [{"category_id": label, "iscrowd": 1} for label in crowds]
        dicts.append({"file_name": "a.jpg", "annotations": annotations})
    del dicts[0]["annotations"][0]["category_id"]
    dicts[0]["annotations"][0] = {"category_id": np.int64(0), "iscrowd": 0}
    return dicts


def coco() -> dict:
    annotations = [
        {"image_id": 100 + number, "category_id": IDS[label], "iscrowd": crowd}
        for number, (labels, crowds) in enumerate(zip(IMAGES, CROWDS, strict=True))
        for crowd, group in ((0, labels), (1, crowds))
        for label in group
    ]
    for annotation in annotations[:2]:
        del annotation["iscrowd"]  # LVIS has none
    return {
        "images": [{"id": 100 + number} for number in range(len(IMAGES))],
        "categories": [{"id": i, "name": name} for i, name in zip(IDS, NAMES, strict=True)],
        "annotations": annotations,
    }


@pytest.mark.parametrize("make", [list, tuple, np.array])
def test_label_lists(make) -> None:
    counts = count_classes((make(labels) for labels in IMAGES), NAMES)
    assert (counts.num_images, counts.images, counts.instances) == (4, FOUND, OBJECTS)
    assert {type(count) for count in counts.images.values()} == {int}


def test_dataset_dicts_without_their_crowd_regions() -> None:
    dicts = [*dataset_dicts(), {"file_name": "b.jpg"}]
    counts = count_dataset_dicts(dicts, NAMES)
    assert (counts.num_images, counts.images, counts.instances) == (5, FOUND, OBJECTS)


def test_coco_json(tmp_path) -> None:
    (tmp_path / "coco.json").write_text(json.dumps(coco()))
    counts = count_coco_json(tmp_path / "coco.json")
    assert (counts.num_images, counts.images, counts.instances) == (4, FOUND, OBJECTS)
    assert list(counts.images) == ["dog", "cow", "cat"]


def test_bad_labels_are_errors() -> None:
    with pytest.raises(ArgumentError, match=r"labels\[1\]: 3 is no position in the 3 class names"):
        count_classes([[0], [3]], NAMES)
    with pytest.raises(ArgumentError, match="-1 is no position"):
        count_dataset_dicts([{"annotations": [{"category_id": -1}]}], NAMES)
    with pytest.raises(ArgumentError, match="a name occurs twice"):
        count_classes([], ["cat", "cat"])


def test_bad_json_is_an_error(tmp_path) -> None:
    file = tmp_path / "coco.json"
    with pytest.raises(DatasetError, match=r"coco\.json: no such file"):
        count_coco_json(file)
    unknown_class, unknown_image, twice = coco(), coco(), coco()
    unknown_class["annotations"][0]["category_id"] = 99
    unknown_image["annotations"][0]["image_id"] = 99
    twice["categories"][1]["name"] = "cat"
    contents = {
        "{": "Expecting",
        "[]": "TypeError",
        "{}": "categories",
        json.dumps(unknown_class): "99",
        json.dumps(unknown_image): "99",
        json.dumps(twice): "a name occurs twice",
    }
    for content, message in contents.items():
        file.write_text(content)
        with pytest.raises(DatasetError, match=rf"coco\.json: .*{message}"):
            count_coco_json(file)


def test_bands_meet_where_lvis_says() -> None:
    images = {"none": 0, "one": 1, "ten": 10, "eleven": 11, "hundred": 100, "more": 101}
    assert frequency_bands(counts_of(images)) == {
        "rare": ["none", "one", "ten"],
        "common": ["eleven", "hundred"],
        "frequent": ["more"],
    }


def test_only_classes_in_few_images_get_a_weight() -> None:
    counts = counts_of({"cat": 500, "dog": 11, "cow": 10, "emu": 0})
    assert rare_class_weights(counts) == {"cow": 1, "emu": 1}
    assert rare_class_weights(counts, max_images=11) == {"dog": 1, "cow": 1, "emu": 1}
    assert rare_class_weights(counts, max_images=0) == {"emu": 1}
    assert rare_class_weights(counts_of({"cat": 50})) == {}


def test_repeat_factors() -> None:
    counts = counts_of({"cat": 500, "dog": 40, "cow": 10, "emu": 0, "one": 1})
    weights = rare_class_weights(counts, max_images=None, repeat_threshold=0.04)
    assert weights == {
        "cat": 1,
        "dog": 1,
        "cow": pytest.approx(2),
        "emu": pytest.approx(math.sqrt(40)),
        "one": pytest.approx(math.sqrt(40)),
    }
    few = rare_class_weights(counts, max_images=10, repeat_threshold=0.04)
    assert few == {name: weights[name] for name in ("cow", "emu", "one")}


def test_repeat_factors_are_detectron2s() -> None:
    samplers = pytest.importorskip("detectron2.data.samplers")
    factors = samplers.RepeatFactorTrainingSampler.repeat_factors_from_category_frequency
    rng = np.random.default_rng(0)
    chances = [0.9, 0.2, 0.03]
    dicts = [
        {"annotations": [{"category_id": c} for c in range(3) if rng.random() < chances[c]]}
        for _ in range(300)
    ]
    counts = count_dataset_dicts(dicts, NAMES)
    assert min(counts.images.values()) > 0
    weights = rare_class_weights(counts, max_images=None, repeat_threshold=0.4)
    ours = [
        max((weights[NAMES[a["category_id"]]] for a in image["annotations"]), default=1.0)
        for image in dicts
    ]
    np.testing.assert_allclose(ours, factors(dicts, 0.4).numpy(), rtol=1e-6)
    assert len(set(ours)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_images": -1}, "max_images: -1"),
        ({"max_images": None}, "both are None"),
        ({"repeat_threshold": 0}, "repeat_threshold: 0"),
        ({"repeat_threshold": 1.5}, r"repeat_threshold: 1\.5"),
        ({"repeat_threshold": float("nan")}, "repeat_threshold: nan"),
    ],
)
def test_bad_arguments_are_errors(arguments, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        rare_class_weights(counts_of({"cat": 1}), **arguments)


@pytest.mark.parametrize("function", [rare_class_weights, frequency_bands])
def test_a_dict_of_counts_is_refused(function) -> None:
    with pytest.raises(ArgumentError, match=r"counts: dict; expected ClassCounts.*count_classes"):
        function({"cat": 3})


def test_no_image_has_no_frequency() -> None:
    counts = counts_of({"cat": 0}, num_images=0)
    assert rare_class_weights(counts) == {"cat": 1}
    with pytest.raises(ArgumentError, match="num_images: is 0"):
        rare_class_weights(counts, repeat_threshold=0.1)


def test_what_the_bank_lacks_is_named(small_bank, caplog) -> None:
    weights = {"cow": 2.0, "emu": 1.0, "dog": 3.0, "cat": 0.0}
    with caplog.at_level(logging.WARNING):
        kept = weights_for_bank(weights, small_bank, exclude=["dog"])
    assert kept == {"cow": 2}
    assert "2 of the 4 weighted classes: ['emu', 'dog']" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert weights_for_bank({"cow": 2.0, "cat": 0.0}, small_bank) == {"cow": 2}
    assert caplog.text == ""
    with pytest.raises(ArgumentError, match=r"none of \['emu'\]"):
        weights_for_bank({"emu": 1.0}, small_bank)
    with pytest.raises(
        ArgumentError, match=r"none of \['emu 0', .*'emu 9', \.\.\. .*its classes are"
    ):
        weights_for_bank({f"emu {number}": 1.0 for number in range(300)}, small_bank)


def test_a_class_of_the_bank_without_cutouts_is_lacking(tmp_path, caplog) -> None:
    with BankWriter(tmp_path / "bank", categories=["cat", "cow"], supervision="masks") as writer:
        rgb, alpha = np.zeros((9, 9, 3), np.uint8), np.full((9, 9), 255, np.uint8)
        writer.add(rgb, alpha, category_id=0, score=1.0, quality=1.0, image_id="a")
    bank = MaskBank(tmp_path / "bank")
    with caplog.at_level(logging.WARNING):
        assert weights_for_bank({"cat": 1, "cow": 1}, bank) == {"cat": 1}
        assert weights_for_bank({"cat": 1}, tmp_path / "bank") == {"cat": 1}
    assert "['cow']" in caplog.text


def test_names_are_mapped_to_the_banks(small_bank) -> None:
    """Cats (6 cut-outs) and cows (2) share the weight of one class of the data set."""
    merge = {"cat": "animal", "cow": "animal"}
    weights = weights_for_bank({"animal": 4.0, "dog": 1.0}, small_bank, category_map=merge)
    assert weights == {"cat": 3, "cow": 1, "dog": 1}
    paste = EMPaste(
        small_bank, selection=weights, class_names=["dog", "animal"], category_map=merge, count=9
    )
    scene = Scene(np.zeros((90, 90, 3), np.uint8))
    assert {i.category_id for i in paste(scene, np.random.default_rng(0)).instances} <= {0, 1}


def test_only_rare_classes_are_pasted(small_bank, rng) -> None:
    """From the data set's dicts to the scene: cows are rare, so nothing else is pasted."""
    dicts = [{"annotations": [{"category_id": n % 2}] * 2} for n in range(40)]
    dicts += [{"annotations": [{"category_id": 2}]}]
    weights = rare_class_weights(count_dataset_dicts(dicts, NAMES))
    paste = EMPaste(
        small_bank, selection=weights_for_bank(weights, small_bank), class_names=NAMES, count=4
    )
    pasted = [
        instance.category_id
        for _ in range(10)
        for instance in paste(Scene(np.zeros((80, 80, 3), np.uint8)), rng).instances
    ]
    assert len(pasted) >= 10
    assert set(pasted) == {2}


@pytest.mark.parametrize("name", ["count_classes", "frequency_bands", "rare_class_weights"])
def test_docstring_examples(name) -> None:
    text = getattr(rarity, name).__doc__
    example = doctest.DocTestParser().get_doctest(text, dict(vars(rarity)), name, None, 0)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0

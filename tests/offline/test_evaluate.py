from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_files import VOCFiles
from evaluation_data import SIZE, Mask, MemoryDataset, box, make_dataset, truth, write_bank

from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.offline.datasets import load_voc
from empaste_aug.offline.datasets.base import GroundTruth
from empaste_aug.offline.evaluate import evaluate_bank
from empaste_aug.offline.from_masks import bank_from_masks
from empaste_aug.offline.matching import PlacedMask, match
from empaste_aug.offline.tally import FIGURES
from empaste_aug.types import ArgumentError, BankError


def test_figures_of_a_small_case(tmp_path: Path) -> None:
    dataset = make_dataset(
        {"a": [0, 1], "b": [0], "c": [2], "unknown": [0]},
        {
            "a": [
                truth(0, box(0, 0, 10, 10)),
                truth(0, box(20, 0, 30, 10)),
                truth(1, box(0, 20, 10, 30)),
            ],
            "b": [truth(0, box(0, 0, 10, 10))],
            "c": [truth(2, box(0, 0, 10, 10))],
        },
    )
    bank = write_bank(
        tmp_path / "bank",
        [
            ("a", 0, box(0, 0, 10, 10)),  # 1
            ("a", 0, box(20, 0, 30, 6)),  # 0.6
            ("a", 1, box(40, 20, 50, 30)),  # a dog where none is: 0
            ("b", 0, box(0, 0, 10, 10)),  # 1
            ("b", 0, box(0, 0, 10, 9)),  # the cat is taken: 0
            ("unknown", 0, box(0, 0, 9, 9)),
        ],
    )
    report = evaluate_bank(bank, dataset, bootstrap=0)
    overall = report["overall"]
    assert overall["mean_iou"] == pytest.approx(2.6 / 5)
    assert overall["p50"] == pytest.approx(3 / 5)
    assert overall["p70"] == pytest.approx(2 / 5)
    counts = {name: overall[name] for name in ("masks", "pairs", "pairs_with_mask", "objects")}
    assert counts == {"masks": 5, "pairs": 4, "pairs_with_mask": 3, "objects": 5}
    assert overall["yield"] == 3 / 4
    assert overall["yield_objects"] == 1.0
    assert overall["intervals"] == {}
    cat, dog, cow = (report["per_class"][name] for name in ("cat", "dog", "cow"))
    assert cat["mean_iou"] == pytest.approx(2.6 / 4)
    assert (cat["yield"], cat["yield_objects"]) == (1.0, pytest.approx(4 / 3))
    assert (dog["mean_iou"], dog["p50"], dog["yield"]) == (0, 0, 1)
    assert (cow["mean_iou"], cow["p50"], cow["masks"], cow["yield"]) == (None, None, 0, 0)
    assert (report["classes"], report["classes_covered"]) == (3, 2)
    assert report["macro"]["mean_iou"] == pytest.approx((2.6 / 4 + 0) / 2)
    assert report["macro"]["yield"] == pytest.approx(2 / 3)
    assert (report["images"], report["images_without_annotations"]) == (3, 1)
    assert 0 < report["images_with_masks"] <= 3
    assert (report["bank_masks"], report["masks_not_evaluated"]) == (6, 1)
    json.dumps(report, allow_nan=False)


def test_the_assignment_is_the_best_not_the_greedy_one() -> None:
    left, right = box(0, 0, 10, 1), box(10, 0, 20, 1)
    # The wide mask has IoU 10/19 with `left` and 9/20 with `right`, the narrow one only 4/10 with
    # `left`: taking the best pair first would leave it unmatched.
    masks = [PlacedMask(box(0, 0, 19, 1), (0, 0)), PlacedMask(box(0, 0, 4, 1), (0, 0))]
    np.testing.assert_allclose(match(masks, [left, right]), [9 / 20, 4 / 10])
    np.testing.assert_allclose(match(masks, [left]), [10 / 19, 0.0])
    np.testing.assert_array_equal(match(masks, []), [0.0, 0.0])


def brute_force(masks: list[Mask], truths: list[Mask], void: Mask) -> float:
    """The greatest sum of IoUs over all one-to-one assignments."""
    ious = np.zeros((len(masks), len(truths)))
    for i, j in itertools.product(range(len(masks)), range(len(truths))):
        a, b = masks[i][~void], truths[j][~void]
        ious[i, j] = (a & b).sum() / (a | b).sum() if (a | b).any() else 0
    if len(masks) > len(truths):
        ious = ious.T
    return max(
        sum(ious[i, j] for i, j in enumerate(columns))
        for columns in itertools.permutations(range(ious.shape[1]), ious.shape[0])
    )


@pytest.mark.parametrize("seed", range(20))
def test_matching_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def blob() -> tuple[Mask, PlacedMask]:
        x, y = (int(n) for n in rng.integers(0, 8, 2))
        w, h = (int(n) for n in rng.integers(1, 9, 2))
        inside = rng.random((h, w)) < 0.7
        full = np.zeros((16, 16), bool)
        full[y : y + h, x : x + w] = inside
        return full, PlacedMask(inside, (x, y))

    masks = [blob() for _ in range(rng.integers(1, 5))]
    truths = [blob()[0] for _ in range(rng.integers(1, 5))]
    void = rng.random((16, 16)) < 0.2
    found = match([placed for _, placed in masks], truths, void)
    assert ((found >= 0) & (found <= 1)).all()
    expected = brute_force([full for full, _ in masks], truths, void)
    assert found.sum() == pytest.approx(expected)


def test_void_pixels_count_on_neither_side(tmp_path: Path) -> None:
    void = box(10, 0, 20, 20)
    dataset = make_dataset({"a": [0]}, {"a": [truth(0, box(0, 0, 10, 10))]}, {"a": void})
    bank = write_bank(
        tmp_path / "bank", [("a", 0, box(0, 0, 15, 10)), ("a", 0, box(12, 12, 18, 18))]
    )
    report = evaluate_bank(bank, dataset, bootstrap=0)
    assert report["overall"]["masks"] == 2
    assert report["overall"]["mean_iou"] == 0.5  # the second lies on void alone and scores 0


def test_crowd_regions_are_neither_objects_nor_mistakes(tmp_path: Path) -> None:
    dataset = make_dataset(
        {"a": [0, 1]},
        {"a": [truth(0, box(0, 0, 10, 10)), truth(0, box(20, 0, 40, 20), crowd=True)]},
    )
    bank = write_bank(
        tmp_path / "bank",
        [
            ("a", 0, box(0, 0, 10, 10)),
            ("a", 0, box(20, 0, 30, 10)),  # on the crowd: left out
            ("a", 0, box(35, 0, 45, 10)),  # half on it: left out
            ("a", 0, box(36, 0, 46, 10)),  # less than half: unmatched
            ("a", 1, box(20, 0, 30, 10)),  # of another class: unmatched
        ],
    )
    report = evaluate_bank(bank, dataset, bootstrap=0)
    assert report["masks_on_crowd"] == 2
    assert report["overall"]["objects"] == 1
    assert report["overall"]["masks"] == 3
    assert report["overall"]["mean_iou"] == pytest.approx(1 / 3)


def test_classes_map_by_name(tmp_path: Path) -> None:
    dataset = make_dataset({"a": [2]}, {"a": [truth(2, box(0, 0, 10, 10))]})
    masks = [("a", 0, box(0, 0, 10, 10))]
    bank = write_bank(tmp_path / "bank", masks, categories=["cow"])
    assert evaluate_bank(bank, dataset, bootstrap=0)["per_class"]["cow"]["mean_iou"] == 1
    strange = write_bank(tmp_path / "strange", masks, categories=["unicorn"])
    with pytest.raises(ArgumentError, match="classes that the data set memory has not: unicorn"):
        evaluate_bank(strange, dataset)


def test_masks_of_unlabelled_pairs_give_no_yield(tmp_path: Path) -> None:
    dataset = make_dataset({"a": [0]}, {"a": [truth(0, box(0, 0, 10, 10))]})
    bank = write_bank(tmp_path / "bank", [("a", 1, box(0, 0, 10, 10))])
    overall = evaluate_bank(bank, dataset, bootstrap=0)["overall"]
    assert (overall["pairs"], overall["pairs_with_mask"], overall["yield"]) == (1, 0, 0)


def many_photos(tmp_path: Path, count: int = 30) -> tuple[MaskBank, MemoryDataset]:
    """Photos of one cat each, every second also of a dog; the masks are ever narrower."""
    keys = [f"{k:02}" for k in range(count)]
    truths = {key: [truth(0, box(0, 0, 40, 10))] for key in keys}
    for key in keys[::2]:
        truths[key].append(truth(1, box(0, 20, 10, 30)))
    labels = {key: [0, 1] if k % 2 == 0 else [0] for k, key in enumerate(keys)}
    masks = [(key, 0, box(0, 0, 40 - k, 10)) for k, key in enumerate(keys)]
    masks += [(key, 1, box(0, 20, 10, 30)) for key in keys[:10:2]]
    return write_bank(tmp_path / "bank", masks), make_dataset(dict(labels), truths)


def test_intervals(tmp_path: Path) -> None:
    bank, dataset = many_photos(tmp_path)
    report = evaluate_bank(bank, dataset, bootstrap=400, seed=3)
    assert report == evaluate_bank(bank.path, dataset, bootstrap=400, seed=3)
    assert report != evaluate_bank(bank, dataset, bootstrap=400, seed=4)
    entries = [
        report["overall"],
        report["macro"],
        *(report["per_class"][n] for n in ("cat", "dog")),
    ]
    for entry in entries:
        for name in FIGURES:
            low, high = entry["intervals"][name]
            assert low <= entry[name] <= high
    cat = report["per_class"]["cat"]
    ious = (40 - np.arange(30)) / 40
    low, high = cat["intervals"]["mean_iou"]
    error = ious.std() / np.sqrt(30)
    assert cat["mean_iou"] == pytest.approx(ious.mean())
    np.testing.assert_allclose(
        [low, high], ious.mean() + error * np.array([-1.96, 1.96]), atol=0.02
    )
    assert report["per_class"]["dog"]["intervals"]["mean_iou"] == [1.0, 1.0]
    assert report["per_class"]["cow"]["intervals"] == dict.fromkeys(FIGURES)


def test_photos_not_masks_are_resampled(tmp_path: Path) -> None:
    # All masks of a photo are equally good, so that photos are the sample's true size.
    truths: dict[str, list[GroundTruth]] = {}
    masks = []
    for key, width in (("a", 10), ("b", 5)):
        boxes = [(0, y, 10, y + 4) for y in range(0, 40, 4)]
        truths[key] = [truth(0, box(*b)) for b in boxes]
        masks += [(key, 0, box(0, b[1], width, b[3])) for b in boxes]
    dataset = make_dataset({"a": [0], "b": [0]}, truths)
    report = evaluate_bank(write_bank(tmp_path / "bank", masks), dataset, bootstrap=200)
    assert report["overall"]["mean_iou"] == pytest.approx(0.75)
    assert report["overall"]["intervals"]["mean_iou"] == pytest.approx([0.5, 1.0])


def test_masks_on_extra_photos_are_counted_and_not_scored(tmp_path: Path) -> None:
    dataset = make_dataset({"a": [0]}, {"a": [truth(0, box(0, 0, 10, 10))]})
    good = ("a", 0, box(0, 0, 10, 10))
    extra = [("extra/a", 0, box(0, 0, 9, 9)), ("extra/b", 1, box(0, 0, 9, 9))]
    plain = evaluate_bank(write_bank(tmp_path / "plain", [good]), dataset)
    report = evaluate_bank(write_bank(tmp_path / "bank", [extra[0], good, extra[1]]), dataset)
    assert (report["bank_masks"], report["masks_not_evaluated"]) == (3, 2)
    for name in ("overall", "macro", "per_class"):
        assert report[name] == plain[name]
    mixed = write_bank(tmp_path / "mixed", [*extra, ("x", 0, box(0, 0, 9, 9))])
    with pytest.raises(ArgumentError, match=r"1 photos of .* are not in the data set memory: x"):
        evaluate_bank(mixed, dataset)


def test_wrong_pairs_of_bank_and_data_set(tmp_path: Path) -> None:
    dataset = make_dataset({"a": [0]}, {"a": [truth(0, box(0, 0, 10, 10))]})
    good = ("a", 0, box(0, 0, 10, 10))
    stranger = write_bank(tmp_path / "stranger", [good, ("x", 0, box(0, 0, 9, 9))])
    with pytest.raises(ArgumentError, match=r"1 photos of .* are not in the data set memory: x"):
        evaluate_bank(stranger, dataset)
    larger = write_bank(tmp_path / "larger", [("a", 0, np.ones((50, 60), bool))])
    with pytest.raises(ArgumentError, match=r"photo a of .* was 60 x 50 and is 60 x 40"):
        evaluate_bank(larger, dataset)
    with pytest.raises(ArgumentError, match="bootstrap: must not be negative"):
        evaluate_bank(stranger, dataset, bootstrap=-1)
    with pytest.raises(ArgumentError, match="memory has no instance masks to evaluate on"):
        evaluate_bank(stranger, make_dataset({"a": [0]}, {}))
    with pytest.raises(BankError):
        evaluate_bank(tmp_path / "nowhere", dataset)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ({}, "row 0 does not say which photo it comes from"),
        ({"image_id": "a"}, "row 0 does not say where in its photo the crop lies"),
    ],
)
def test_cutouts_of_unknown_origin(tmp_path: Path, where: dict[str, Any], what: str) -> None:
    with BankWriter(tmp_path / "bank", categories=["cat"]) as writer:
        pixels = np.zeros((4, 5, 3), np.uint8)
        writer.add(pixels, np.full((4, 5), 255, np.uint8), category_id=0, score=1.0, **where)
    dataset = make_dataset({"a": [0]}, {"a": [truth(0, box(0, 0, 10, 10))]})
    with pytest.raises(BankError, match=what):
        evaluate_bank(tmp_path / "bank", dataset)


def test_ground_truth_scores_one_against_itself(tmp_path: Path) -> None:
    files = VOCFiles(tmp_path / "VOC2012")
    rng = np.random.default_rng(0)
    for name in "abc":
        objects = np.zeros(SIZE, np.uint8)
        for number in range(1, 4):
            x, y = (int(n) for n in rng.integers(0, 30, 2))
            objects[y : y + 10, x : x + 9] = number
        objects[rng.random(SIZE) < 0.1] = 255
        classes = np.where((objects > 0) & (objects < 255), np.uint8(8), objects)  # all cats
        files.add(name, ["cat"], objects=objects, classes=classes)
    dataset = load_voc(files.root)
    bank_from_masks(dataset, tmp_path / "bank")
    report = evaluate_bank(tmp_path / "bank", dataset, bootstrap=20)
    for name in FIGURES:
        assert report["overall"][name] == 1.0
        assert report["overall"]["intervals"][name] == [1.0, 1.0]

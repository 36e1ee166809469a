"""The study runs from photos to its tables, at a tiny size; and its figures are those by hand."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

pytest.importorskip("detectron2")
pytest.importorskip("timm")

import torch
from dataset_files import VOCFiles

from empaste_aug.bank import MaskBank
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.from_masks import bank_from_masks
from empaste_aug.types import DatasetError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture
def study(monkeypatch):
    """The script; threads and detectron2's catalogue are afterwards as they were."""
    import torch
    from detectron2.data import DatasetCatalog, MetadataCatalog

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = torch.get_num_threads()
    yield import_module("study")
    torch.set_num_threads(threads)
    for name in [name for name in DatasetCatalog if name.startswith("study_")]:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_the_split_is_as_told(study):
    """Evaluation takes photos of half 1 alone; a class keeps a photo there; the share is met."""
    data = import_module("_study_data")
    rng = np.random.default_rng(0)
    labels = {f"{n:06d}": tuple(rng.choice(6, rng.integers(1, 4), False)) for n in range(160)}
    found = data.split(labels)
    train, evaluate = found["study_train"], found["study_eval"]
    assert sorted(train + evaluate) == sorted(labels)
    assert {data.half_of(name) for name in evaluate} == {1}
    assert len(train) == 88
    there = Counter(label for name in evaluate for label in labels[name])
    assert all(there[label] >= 1 for label in range(6))
    tune = found["study_tune_train"], found["study_tune_eval"]
    assert sorted(tune[0] + tune[1]) == train
    assert len(tune[0]) == 59
    assert data.split(dict(reversed(labels.items()))) == found


def test_the_schedule(study):
    schedule = import_module("_study_model").Schedule(iterations=100)
    assert [schedule.factor(step) for step in (0, 4)] == [pytest.approx(0.2), 1.0]
    assert schedule.factor(5) == 1.0
    assert schedule.factor(52) == pytest.approx(0.508, abs=0.001)
    assert schedule.factor(99) < 0.001


def test_a_paired_difference(study):
    paired = import_module("_study_metrics").paired
    photos, rounds = 400, 200
    drawn = np.random.default_rng(0).integers(photos, size=(rounds, photos))

    def values(of_photos):
        """The mean over all photos, then over those of each round."""
        return np.concatenate([[of_photos.mean()], of_photos[drawn].mean(axis=1)])

    noise = np.random.default_rng(1).normal(0, 30, photos)
    first = np.stack([values(noise + 12 + seed) for seed in (0, 1)])
    second = np.stack([values(noise + 10 + seed) for seed in (0, 1)])
    difference, low, high, relative = paired(first, second)
    assert (difference, low, high) == pytest.approx((2, 2, 2))  # the photos' noise is shared
    assert relative == pytest.approx(first[:, 0].mean() / second[:, 0].mean() - 1)
    other = np.stack([values(np.random.default_rng(2).normal(10, 30, photos))] * 2)
    _, low, high, _ = paired(first, other)
    assert high - low > 4
    _, low, high, _ = paired(np.stack([first[0], first[1] + 6]), second)
    assert (low, high) == pytest.approx((2, 8)), "seeds are drawn too"


def test_the_bootstrap_draws_the_same_photos_for_every_run(study):
    metrics = import_module("_study_metrics")
    images = [{"id": number, "height": 320, "width": 320} for number in range(6)]
    names = sorted({name for of in metrics.SUPER_CLASSES.values() for name in of})
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    boxes = [[10 + 20 * number, 5, 100, 90] for number in range(6)]
    regions = [
        coco_mask.frPyObjects([[x, y, x + w, y, x + w, y + h, x, y + h]], 320, 320)[0]
        for x, y, w, h in boxes
    ]
    truth = {
        "images": images,
        "categories": categories,
        "annotations": [
            {
                "id": number + 1,
                "image_id": number,
                "category_id": number % 2,
                "bbox": box,
                "area": 9000,
                "iscrowd": 0,
                "segmentation": regions[number],
            }
            for number, box in enumerate(boxes)
        ],
    }
    results = [
        {"image_id": n, "category_id": n % 2, "score": 0.9, "segmentation": regions[n]}
        for n in (0, 1, 2)
    ]
    counts = [2, 1] + [3] * (len(names) - 2)
    drawn = metrics.bootstrap(truth, results, counts, 50)
    assert drawn.shape == (3, 51)
    np.testing.assert_array_equal(drawn, metrics.bootstrap(truth, results, counts, 50))
    whole = metrics.bootstrap(truth, results[:1], counts, 50)
    assert (drawn[0] - whole[0] >= 0).all(), "fewer found, in every round"
    assert drawn[0, 1:].std() > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "0"}, "seed 0: has two rows"),
        ({"bank_sha": "b"}, "seeds 0 and 1: banks or settings differ"),
        ({"config_hash": "b"}, "seeds 0 and 1: banks or settings differ"),
        ({"iterations": "9"}, "rows of 2 schedules"),
    ],
)
def test_rows_that_cannot_be_compared(study, tmp_path, capsys, changes, message):
    one = {**dict.fromkeys(study.FIELDS, "0"), "variant": "gt_only", "bank_sha": "a"}
    results = tmp_path / "rows.csv"
    with results.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, study.FIELDS)
        writer.writeheader()
        writer.writerows([one, {**one, "seed": "1", **changes}])
    page = ["--output", str(tmp_path / "STUDY.md"), "--tuning-results", str(tmp_path / "none")]
    assert study.main(["--work", str(tmp_path), "report", "--results", str(results), *page]) == 2
    assert message in capsys.readouterr().err


def stopped_and_continued(work, monkeypatch):
    """A run that is stopped in its third step, and started again, ends with the same weights."""
    model, variants = import_module("_study_model"), import_module("_study_variants")
    monkeypatch.setattr(model, "EVERY", 2)
    schedule, average, steps = model.Schedule(iterations=4), model._average, []
    checkpoint = work / "stopped.pt"

    def run():
        loader = variants.training_loader(variants.VARIANTS["gt_paste"], work, 4, 0)
        return model.train(model.study_config(20), loader, schedule, seed=0, checkpoint=checkpoint)

    def stop_in_the_third(*args):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        average(*args)

    whole = run()
    checkpoint.unlink()
    monkeypatch.setattr(model, "_average", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.setattr(model, "_average", average)
    continued = run()
    assert len(continued.losses) == len(whole.losses) == 4
    assert continued.losses == whole.losses
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, continued.model.state_dict()[name]), name


def test_from_photos_to_the_tables(study, tmp_path, monkeypatch, capsys):
    files = VOCFiles(tmp_path / "VOC2012")
    for number in range(8):
        names = {12: "dog", 8: "cat"} if number % 2 else {15: "person", 7: "car"}
        objects, classes = np.zeros((2, 70, 100), np.uint8)
        for row, category in enumerate(names):
            place = np.s_[5 + 20 * row : 45 + 20 * row, 5 + 45 * row : 45 + 45 * row]
            objects[place], classes[place] = row + 1, category
        files.add(
            f"2008_{number:06d}",
            list(names.values()),
            objects=objects,
            classes=classes,
            height=70,
            width=100,
        )
    ids = files.ids
    splits = {"study_train": ids[:5], "study_eval": ids[5:]}
    splits |= {"study_tune_train": ids[:3], "study_tune_eval": ids[3:5]}
    split = tmp_path / "split.json"
    split.write_text(json.dumps(splits))
    work, results, tuning = tmp_path / "work", tmp_path / "rows.csv", tmp_path / "tuning.csv"
    rows_of = ["--results", str(results)]

    def call(*arguments):
        assert study.main(["--work", str(work), *arguments]) == 0

    call("prepare", "--root", str(files.root), "--split", str(split), "--variants", "gt_only")
    lacking = ["--split", str(split), "--variants", "slic", "--masks", str(tmp_path / "none.jsonl")]
    assert study.main(["--work", str(work), "prepare", "--root", str(files.root), *lacking]) == 2
    assert "none.jsonl: lacks masks of slic" in capsys.readouterr().err
    runs = [
        "run",
        "--variants",
        "gt_only",
        "gt_paste",
        "--seeds",
        "0",
        "--iterations",
        "2",
        "--rounds",
        "5",
    ]
    call(*runs, "--jobs", "2", *rows_of)
    rows = study.read_rows(results)
    assert {row["variant"] for row in rows} == {"gt_only", "gt_paste"}
    assert list(rows[0]) == study.FIELDS
    assert all(0 <= float(row["ap50_large"]) <= 100 for row in rows)
    [draws] = (tmp_path / "study_draws").glob("gt_paste-0-*.npy")
    assert np.load(draws).shape == (3, 6)
    before = results.read_bytes()
    call(*runs, *rows_of)
    assert results.read_bytes() == before, "what has its row is not run again"

    stopped_and_continued(work, monkeypatch)

    call("run", "--tuning", *runs[1:3], *runs[4:], "--results", str(tuning))
    assert [row["experiment"] for row in study.read_rows(tuning)] == ["tuning"]
    used = MaskBank(work / "banks_tuning" / "gt")
    assert {used.image_id(row) for row in range(len(used))} == set(ids[:3])

    page = tmp_path / "STUDY.md"
    page.write_text("head\n<!-- tables -->\nold\n<!-- end of tables -->\ntail\n")
    tables = ["--tuning-results", str(tuning), "--output", str(page)]
    call("report", *rows_of, *tables)
    text = page.read_text()
    assert text.startswith("head\n")
    assert text.endswith("tail\n")
    assert "old" not in text
    assert "| gt_paste - gt_only | 1 |" in text
    assert "| person (rare) | 3 | 3 | 1 | 1 | 1 |" in text or "| person | 3 | 3 |" in text
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
    assert results.read_bytes() == before
    draws.unlink()
    assert study.main(["--work", str(work), "report", *rows_of, *tables]) == 2
    assert "gt_paste-0-" in capsys.readouterr().err


def test_the_long_tail(study, tmp_path, monkeypatch):
    """A class has its size by the law, at least LEAST, or all that there is."""
    variants = import_module("_study_variants")
    monkeypatch.setattr(variants, "MOST", 20)
    files = VOCFiles(tmp_path / "VOC2012")
    objects, classes = np.zeros((2, 40, 60), np.uint8)
    objects[5:30, 5:30] = 1
    for number in range(30):
        name, label = ("person", 15) if number < 20 else ("dog", 12)
        name, label = ("cat", 8) if number >= 28 else (name, label)
        classes[5:30, 5:30] = label
        files.add(
            f"2008_{number:06d}", [name], objects=objects, classes=classes, height=40, width=60
        )
    ids = files.ids
    split = tmp_path / "split.json"
    split.write_text(
        json.dumps({"study_train": ids, "study_eval": ids[:1], "study_tune_train": ids})
    )
    work = tmp_path / "work"
    study.main(
        ["--work", str(work), "prepare", "--root", str(files.root), "--split", str(split),
         "--variants", "gt_only"]
    )  # fmt: skip
    for name in ("em", "em_best"):
        shutil.copytree(work / "banks" / "gt", work / "banks" / name)
    variants.make_long_tail(work)
    found = json.loads((work / "longtail.json").read_text())["classes"]
    assert {name: count for name, count in found.items() if count} == {
        "person": 20, "dog": 8, "cat": 2,
    }  # fmt: skip
    bank = MaskBank(work / "banks" / "em_longtail")
    assert dict(zip(bank.categories, bank.class_counts().tolist(), strict=True)) == found


def test_published_masks(study, tmp_path):
    """Banks made of the published masks have the masks of those that were published, part by part,
    and the same bytes each time."""
    masks = import_module("_study_masks")
    files = VOCFiles(tmp_path / "VOC2012")
    for number, name in enumerate(["dog", "cat", "dog"]):
        objects, classes = np.zeros((2, 60, 80), np.uint8)
        objects[10:50, 5:45] = 1
        objects[12:40, 55 : 70 - number] = 2
        classes[objects > 0] = {"dog": 12, "cat": 8}[name]
        files.add(
            f"2008_{number:06d}", [name] * 2, objects=objects, classes=classes, height=60, width=80
        )
    dataset = load_dataset("voc", files.root, split="train")
    banks = {name: tmp_path / name for name in ("all", "large", "other")}
    bank_from_masks(dataset, banks["all"])
    bank_from_masks(dataset, banks["large"], min_area=1000)
    bank_from_masks(dataset, banks["other"], min_area=1000)
    path = tmp_path / "masks.jsonl"
    masks.write_masks({name: banks[name] for name in ("all", "large")}, path)
    masks.write_masks({"other": banks["other"]}, path)
    masks.write_masks({name: banks[name] for name in ("all", "large")}, path)
    lines = masks.read_masks(path)
    assert [len([line for line in lines if name in line["banks"]]) for name in banks] == [6, 3, 3]
    assert len(lines) == 9

    for name, count in (("all", 6), ("large", 3)):
        made = tmp_path / "made" / name
        masks.bank_of_masks(name, dataset, made, path)
        manifest = (made / "manifest.json").read_bytes()
        masks.bank_of_masks(name, dataset, made, path)
        assert (made / "manifest.json").read_bytes() == manifest
        bank = MaskBank(made)
        assert len(bank) == count
        published = masks.PublishedMasks(dataset, [x for x in lines if name in x["banks"]])
        truth = [one for image in dataset.images for one in published.instances(image)]
        exact = [
            one
            for image in dataset.images
            for one in dataset.instances(image)
            if name == "all" or one.mask.sum() >= 1000
        ]
        assert [one.category_id for one in truth] == [one.category_id for one in exact]
        for one, other in zip(truth, exact, strict=True):
            np.testing.assert_array_equal(one.mask, other.mask)
        areas = [int(one.mask.sum()) for one in truth]
        np.testing.assert_allclose(bank.index["area"], areas, rtol=0.05)

    with pytest.raises(DatasetError, match="no mask of the bank 'none'"):
        masks.bank_of_masks("none", dataset, tmp_path / "none", path)
    path.write_text(path.read_text().replace("2008_000001", "2008_000009"))
    with pytest.raises(DatasetError, match="has no photo '2008_000009'"):
        masks.bank_of_masks("all", dataset, tmp_path / "none", path)

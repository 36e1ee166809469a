"""InstanceEvaluator: predictions in detectron2's format, of known faults."""

from __future__ import annotations

import json

import pytest
from detectron2_data import CLASSES
from training_data import coco_line, forget, write_coco

pytest.importorskip("detectron2")

import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import Boxes, BoxMode, Instances
from pycocotools import mask as coco_mask

from empaste_aug.training.evaluator import InstanceEvaluator
from empaste_aug.training.trainer import build_evaluator
from empaste_aug.types import ArgumentError

NAME = "evaluated_by_the_test"


@pytest.fixture
def dicts(tmp_path):
    from empaste_aug.training.datasets import register_all

    register_all([coco_line(NAME, write_coco(tmp_path / "coco", 5))])
    yield DatasetCatalog.get(NAME)
    forget(NAME)


def output(entry, annotations, scores=None):
    """A model's output for one image."""
    instances = Instances((entry["height"], entry["width"]))
    instances.pred_boxes = Boxes(torch.tensor([a["bbox"] for a in annotations]).reshape(-1, 4))
    instances.pred_classes = torch.tensor([a["category_id"] for a in annotations], dtype=torch.long)
    instances.scores = torch.full((len(annotations),), 0.9) if scores is None else scores
    masks = [torch.from_numpy(coco_mask.decode(a["segmentation"])).bool() for a in annotations]
    empty = torch.zeros((0, *instances.image_size), dtype=torch.bool)
    instances.pred_masks = torch.stack(masks) if masks else empty
    return {"instances": instances}


def evaluate(evaluator, dicts, keep=lambda number, annotations: annotations):
    evaluator.reset()
    for number, entry in enumerate(dicts):
        evaluator.process([entry], [output(entry, keep(number, entry["annotations"]))])
    return evaluator.evaluate()


def test_perfect_predictions(dicts, tmp_path, capsys):
    assert {a["category_id"] for entry in dicts for a in entry["annotations"]} == {0, 1, 2}
    evaluator = InstanceEvaluator(NAME, tmp_path / "out")
    results = evaluate(evaluator, dicts)
    assert set(results) == {"segm", "bbox"}
    for task in results:
        for metric in (
            "AP",
            "AP50",
            "AP75",
            *(f"{m}-{c}" for m in ("AP", "AP50") for c in CLASSES),
        ):
            assert results[task][metric] == pytest.approx(100.0)
    printed = capsys.readouterr().out
    assert f"{NAME}: 5 images" in printed
    assert printed.splitlines()[-2].split()[:4] == [
        "mean",
        str(sum(len(entry["annotations"]) for entry in dicts)),
        "|",
        "100.0",
    ]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == [
        "ap.csv",
        "ap.json",
        "coco_instances_results.json",
        f"{NAME}_coco_format.json",
        "instances_predictions.pth",
    ]
    assert json.loads((tmp_path / "out" / "ap.json").read_text())["mean"]["segm"]["AP"] == 100.0
    again = evaluate(evaluator, dicts)
    assert again["segm"] == pytest.approx(results["segm"], nan_ok=True)


def test_known_faults(dicts, tmp_path):
    """All of class 0 are called class 1: none of class 0, and as many misses before the hits."""
    wrong = [
        {**a, "category_id": max(a["category_id"], 1)} for e in dicts for a in e["annotations"]
    ]
    counts = [sum(a["category_id"] == c for e in dicts for a in e["annotations"]) for c in range(3)]
    assert min(counts) > 0
    numbers = iter(wrong)
    results = evaluate(
        InstanceEvaluator(NAME, tmp_path / "out"),
        dicts,
        lambda _, annotations: [next(numbers) for _ in annotations],
    )
    assert results["segm"]["AP-cat"] == 0.0
    assert 0.0 < results["segm"]["AP-dog"] < 100.0
    assert results["segm"]["AP-cow"] == pytest.approx(100.0)


def test_as_coco_evaluator_does(dicts, tmp_path):
    def keep(number, annotations):
        return annotations[:1]

    ours = evaluate(InstanceEvaluator(NAME, tmp_path / "ours"), dicts, keep)
    theirs = evaluate(
        COCOEvaluator(NAME, output_dir=str(tmp_path / "theirs"), use_fast_impl=False), dicts, keep
    )
    for task, metrics in theirs.items():
        same = {metric: ours[task][metric] for metric in metrics}
        assert same == pytest.approx(metrics, nan_ok=True)
    assert 0 < ours["segm"]["AP"] < 100


def test_no_prediction_is_0(dicts, tmp_path):
    results = evaluate(InstanceEvaluator(NAME, tmp_path), dicts, lambda *_: [])
    assert results["segm"]["AP50"] == results["bbox"]["AP"] == 0.0


def test_some_images_only(dicts, tmp_path):
    evaluator = InstanceEvaluator(NAME, tmp_path)
    evaluate(evaluator, dicts, lambda number, annotations: annotations if number < 2 else [])
    assert evaluator.evaluate(img_ids=["0", "1"])["segm"]["AP"] == pytest.approx(100.0)
    assert evaluator.report.num_images == 2


def test_category_ids_of_the_files_own(dicts, tmp_path):
    """As detectron2 registers COCO: a json file whose ids are not contiguous."""
    content = {
        "images": [{"id": 7, "height": 64, "width": 64, "file_name": "x.png"}],
        "categories": [{"id": 5, "name": "cat"}, {"id": 90, "name": "dog"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 90,
                "bbox": [0, 0, 10, 10],
                "area": 100,
                "iscrowd": 0,
                "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]],
            }
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    name = "with_json_of_the_test"
    MetadataCatalog.get(name).set(
        json_file=str(tmp_path / "truth.json"),
        thing_classes=["cat", "dog"],
        thing_dataset_id_to_contiguous_id={5: 0, 90: 1},
    )
    evaluator = InstanceEvaluator(name, tmp_path / "out", tasks=("bbox",))
    evaluator.reset()
    instances = Instances((64, 64))
    instances.pred_boxes = Boxes(torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    instances.pred_classes, instances.scores = torch.tensor([1]), torch.tensor([0.5])
    evaluator.process([{"image_id": 7}], [{"instances": instances}])
    results = evaluator.evaluate()
    forget(name)
    assert list(results) == ["bbox"]
    assert results["bbox"]["AP-dog"] == pytest.approx(100.0)


def test_dicts_that_were_registered_by_hand(tmp_path):
    box = {"bbox": [4, 4, 20, 24], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": 0}
    entry = {"file_name": "x.png", "image_id": 3, "height": 64, "width": 64, "annotations": [box]}
    name = "by_hand_of_the_test"
    DatasetCatalog.register(name, lambda: [entry])
    MetadataCatalog.get(name).thing_classes = ["cat"]
    evaluator = InstanceEvaluator(name, tmp_path)
    evaluator.reset()
    instances = Instances((64, 64))
    instances.pred_boxes = Boxes(torch.tensor([[4.0, 4.0, 20.0, 24.0]]))
    instances.pred_classes, instances.scores = torch.tensor([0]), torch.tensor([0.5])
    evaluator.process([entry], [{"instances": instances}])
    results = evaluator.evaluate()
    forget(name)
    assert results["bbox"]["AP"] == pytest.approx(100.0)


def test_evaluators_by_type(tmp_path):
    name = "typed_of_the_test"
    MetadataCatalog.get(name).set(evaluator_type="unheard_of")
    with pytest.raises(ArgumentError, match="'unheard_of', for which there is no evaluator"):
        build_evaluator(name, tmp_path)
    forget(name)

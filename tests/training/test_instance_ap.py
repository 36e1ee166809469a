"""Average precision against cases worked out by hand, and against pycocotools as it comes."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import math

import numpy as np
import pytest

pytest.importorskip("pycocotools")

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from empaste_aug import ArgumentError, DatasetError
from empaste_aug.training import instance_ap
from empaste_aug.training.ap_report import (
    METRICS,
    format_report,
    report_of,
    write_report,
)
from empaste_aug.training.instance_ap import match_instances

SIZE = 200


def rle(x, y, w, h, size=SIZE):
    mask = np.zeros((size, size), dtype=np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    encoded = coco_mask.encode(mask)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def truth(*objects, images=1, classes=("cat", "dog", "cow"), size=SIZE):
    """Objects are (image, class, (x, y, w, h), further keys)."""
    annotations = []
    for image, name, box, *further in objects:
        annotations.append(
            {
                "id": len(annotations),  # from 0: pycocotools takes this one for "no match"
                "image_id": f"photo-{image}",
                "category_id": 10 * classes.index(name) + 3,
                "bbox": list(box),
                "area": box[2] * box[3],
                "segmentation": rle(*box, size=size),
                **(further[0] if further else {}),
            }
        )
    return {
        "images": [{"id": f"photo-{i}", "height": size, "width": size} for i in range(images)],
        "categories": [{"id": 10 * n + 3, "name": name} for n, name in enumerate(classes)],
        "annotations": annotations,
    }


def results(*predictions, classes=("cat", "dog", "cow"), size=SIZE):
    """Predictions are (image, class, box, score)."""
    return [
        {
            "image_id": f"photo-{image}",
            "category_id": 10 * classes.index(name) + 3,
            "bbox": list(box),
            "segmentation": rle(*box, size=size),
            "score": score,
        }
        for image, name, box, score in predictions
    ]


A, B, C = (0, 0, 20, 20), (50, 50, 40, 40), (0, 100, 100, 100)


@pytest.mark.parametrize("task", ["segm", "bbox"])
def test_perfect_predictions_have_100_everywhere(task):
    objects = [(0, "cat", A), (0, "dog", B), (1, "cat", C)]
    found = results(*[(*o, 0.5 + n / 10) for n, o in enumerate(objects)])
    report = report_of(
        "x", {task: match_instances(truth(*objects, images=3), found, iou_type=task)}
    )
    assert report.mean[task] == pytest.approx(dict.fromkeys(METRICS, 100.0))
    assert report.counts == {"cat": 2, "dog": 1, "cow": 0}
    assert report.per_class[task]["cat"]["APs"] == pytest.approx(100.0)
    assert math.isnan(report.per_class[task]["cat"]["APm"])  # it has none
    assert math.isnan(report.per_class[task]["cow"]["AP"])


def test_half_of_the_objects_found():
    """Recalls 0, 0.01, ..., 0.5 are reached, at precision 1: 51 of 101."""
    matches = match_instances(truth((0, "cat", A), (0, "cat", B)), results((0, "cat", A, 0.9)))
    assert matches.ap() == pytest.approx(100 * 51 / 101)
    assert matches.ap(area="small") == pytest.approx(100.0)
    assert matches.ap(area="medium") == 0.0


def test_a_wrong_prediction_with_the_highest_score():
    found = results((0, "cat", B, 0.9), (0, "cat", A, 0.8))
    assert match_instances(truth((0, "cat", A)), found).ap() == pytest.approx(50.0)
    # of another size: it does not count against the small ones
    assert match_instances(truth((0, "cat", A)), found).ap(area="small") == pytest.approx(100.0)


@pytest.mark.parametrize("task", ["segm", "bbox"])
def test_an_overlap_of_three_quarters(task):
    """16 of 20 rows: IoU 0.8 reaches 0.5, 0.55, ..., 0.8: 7 of 10 thresholds."""
    matches = match_instances(
        truth((0, "cat", A)), results((0, "cat", (0, 0, 20, 16), 0.9)), iou_type=task
    )
    assert matches.ap() == pytest.approx(70.0)
    assert matches.ap(iou=0.75) == pytest.approx(100.0)
    assert matches.ap(iou=0.85) == 0.0


def test_areas_are_measured_at_a_given_image_size():
    """In 200 px, 20 x 20 and 40 x 40; seen at 320 px these are 32 x 32 and 64 x 64."""
    content = truth((0, "cat", A), (0, "cat", B))
    found = results((0, "cat", B, 0.9))
    large = {"large": (48.0**2, math.inf)}
    assert math.isnan(match_instances(content, found, areas=large).ap())  # none is so large
    assert match_instances(content, found, areas=large, long_side=320).ap() == pytest.approx(100.0)
    every = {"large": (32.0**2, math.inf)}
    matches = match_instances(content, found, areas=every, long_side=320)
    assert matches.ap() == pytest.approx(100 * 51 / 101)


def test_groups_of_classes():
    """One object found as two classes: hit, miss, hit: precision 1 up to recall 0.5, then 2/3."""
    content = truth((0, "cat", A), (0, "dog", B), (0, "cow", C))
    found = results((0, "cat", A, 0.9), (0, "dog", A, 0.8), (0, "dog", B, 0.7), (0, "cow", B, 0.9))
    pets = {"pet": ["cat", "dog"]}
    matches = match_instances(content, found, groups=pets)
    assert matches.class_names == ("pet",)
    assert matches.counts.tolist() == [2]
    assert matches.ap() == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    wrong = results((0, "dog", A, 0.9), (0, "cat", B, 0.8))
    assert match_instances(content, wrong).ap() == 0.0
    assert match_instances(content, wrong, groups=pets).ap() == pytest.approx(100.0)


def test_ignored_objects_take_one_prediction():
    content = truth((0, "cat", A), (0, "cat", B, {"ignore": 1}))
    missed = match_instances(content, results((0, "cat", A, 0.9)))
    assert missed.ap() == pytest.approx(100.0)
    assert missed.counts.tolist() == [1, 0, 0]
    hit = results((0, "cat", B, 0.9), (0, "cat", A, 0.8))
    assert match_instances(content, hit).ap() == pytest.approx(100.0)
    twice = results((0, "cat", B, 0.95), (0, "cat", B, 0.9), (0, "cat", A, 0.8))
    assert match_instances(content, twice).ap() == pytest.approx(50.0)


def test_crowd_regions_take_any_number():
    content = truth((0, "cat", A), (0, "cat", B, {"iscrowd": 1}))
    inside = [(0, "cat", (50 + 10 * n, 50, 10, 40), 0.9) for n in range(4)]
    matches = match_instances(content, results(*inside, (0, "cat", A, 0.8)))
    assert matches.ap() == pytest.approx(100.0)


def test_void_pixels_excuse_masks_and_no_boxes():
    """Their region outlines all objects, so that nearly any box lies in its box."""
    outline = np.zeros((SIZE, SIZE), np.uint8, order="F")
    outline[40:160, 40:160] = 1
    outline[42:158, 42:158] = 0
    encoded = coco_mask.encode(outline)
    void = {
        "image_id": "photo-0",
        "category_id": 3,
        "bbox": [40, 40, 120, 120],
        "area": int(outline.sum()),
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
        "iscrowd": 1,
        "empaste_void": 1,
    }
    content = truth((0, "cat", A))
    content["annotations"].append(void | {"id": 9})
    wrong = [(0, "cat", (60 + 5 * n, 60, 20, 20), 0.9) for n in range(9)]
    boxes = match_instances(content, results(*wrong, (0, "cat", A, 0.5)), iou_type="bbox")
    assert boxes.ap() == pytest.approx(10.0)
    on_void = [(0, "cat", (40, 40, 120, 2), 0.9)]
    masks = match_instances(content, results(*on_void, (0, "cat", A, 0.5)))
    assert masks.ap() == pytest.approx(100.0)


def random_case(seed, images=8):
    rng = np.random.default_rng(seed)
    objects, found = [], []
    for image in range(images):
        for _ in range(int(rng.integers(0, 5))):
            w, h = rng.integers(8, 120, size=2)
            x, y = (int(rng.integers(0, SIZE - side)) for side in (w, h))
            box = (x, y, int(w), int(h))
            name = ("cat", "dog", "cow")[int(rng.integers(3))]
            objects.append((image, name, box, {"iscrowd": int(rng.random() < 0.1)}))
            moved = (min(x + int(rng.integers(6)), SIZE - 8), y, max(int(w) - 6, 4), int(h))
            if rng.random() < 0.8:
                found.append((image, name, moved, float(rng.random())))
        box = (int(rng.integers(100)), int(rng.integers(100)), 60, 60)
        found.append((image, "dog", box, float(rng.random())))
    return truth(*objects, images=images), results(*found)


@pytest.mark.parametrize("task", ["segm", "bbox"])
def test_the_same_numbers_as_pycocotools(task):
    content, found = random_case(1)
    for number, annotation in enumerate(content["annotations"], start=1):
        annotation["id"] = number
        annotation.setdefault("iscrowd", 0)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
        drop = "bbox" if task == "segm" else "segmentation"
        plain = [{k: v for k, v in entry.items() if k != drop} for entry in found]
        evaluation = COCOeval(coco, coco.loadRes(plain), task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    report = report_of("x", {task: match_instances(content, found, iou_type=task)})
    ours = [report.mean[task][metric] for metric in METRICS]
    assert ours[0] > 10
    np.testing.assert_allclose(ours, 100 * evaluation.stats[:6], atol=1e-9)


def test_drawing_images_is_evaluating_a_data_set_of_them():
    content, found = random_case(2)
    drawn = [3, 3, 0, 7, 5, 3]
    repeated = {**content, "images": [], "annotations": []}
    predictions = []
    for place, number in enumerate(drawn):
        old, new = f"photo-{number}", f"drawn-{place}"
        repeated["images"].append({"id": new, "height": SIZE, "width": SIZE})
        for source, target in (
            (content["annotations"], repeated["annotations"]),
            (found, predictions),
        ):
            target += [{**entry, "image_id": new} for entry in source if entry["image_id"] == old]
    expected = match_instances(repeated, predictions)
    matches = match_instances(content, found)
    for area in ("all", "small", "medium", "large"):
        np.testing.assert_allclose(
            matches.ap_per_class(area=area, images=drawn), expected.ap_per_class(area=area)
        )
    assert matches.ap(images=drawn) != pytest.approx(matches.ap())
    assert matches.ap(images=range(8)) == pytest.approx(matches.ap())


def test_no_prediction_is_0_and_no_object_is_nan():
    assert match_instances(truth((0, "cat", A)), []).ap() == 0.0
    nothing = match_instances(truth(), results((0, "cat", A, 0.9)))
    assert math.isnan(nothing.ap())


def test_the_example():
    failed, tried = doctest.testmod(instance_ap)
    assert tried > 3
    assert failed == 0


def test_files_are_read(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(truth((0, "cat", A))))
    (tmp_path / "found.json").write_text(json.dumps(results((0, "cat", A, 0.9))))
    matches = match_instances(tmp_path / "truth.json", str(tmp_path / "found.json"))
    assert matches.ap() == pytest.approx(100.0)
    with pytest.raises(DatasetError, match=r"none\.json: no such file"):
        match_instances(tmp_path / "none.json", [])
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DatasetError, match="cannot be read as json"):
        match_instances(tmp_path / "bad.json", [])
    with pytest.raises(DatasetError, match=r"truth\.json: holds no list of predictions"):
        match_instances(tmp_path / "truth.json", tmp_path / "truth.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iou_type": "keypoints"}, "iou_type: must be"),
        ({"areas": {"odd": (5.0, 5.0)}}, "areas: "),
        ({"iou_thresholds": (0.5, 1.0)}, "iou_thresholds: "),
        ({"long_side": 0}, "long_side: must be positive"),
        ({"max_detections": 0}, "max_detections: must be at least 1"),
        ({"groups": {"pet": ["cat", "horse"]}}, "groups: 'pet' has the unknown class 'horse'"),
        ({"groups": {"pet": ["cat"], "big": ["cat"]}}, "groups: 'cat' is in more than one group"),
        ({"groups": {}}, "groups: no group has a class"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        match_instances(truth((0, "cat", A)), [], **options)


def test_bad_content():
    good = results((0, "cat", A, 0.9))[0]
    for change, message in (
        ({"image_id": 7}, "unknown image_id 7"),
        ({"category_id": 4}, "unknown category_id 4"),
        ({"segmentation": None}, "no segmentation"),
        ({"segmentation": [[0, 0, 1, 1, 2, 2]]}, "no RLE"),
    ):
        with pytest.raises(ArgumentError, match=message):
            match_instances(truth((0, "cat", A)), [{**good, **change}])
    whole = truth((0, "cat", A))
    for wrong, message in (
        (whole, r"results: dict with \['images', .*\]; expected a list"),
        (b"{}", "results: bytes; expected a list of predictions"),
        (None, "results: NoneType; expected a list of predictions"),
        (["cat"], "results: entry 0 is str, not a dict"),
    ):
        with pytest.raises(ArgumentError, match=message):
            match_instances(whole, wrong)
    with pytest.raises(DatasetError, match="truth: images holds something else than dicts"):
        match_instances({**whole, "images": ["a.jpg"]}, [])
    with pytest.raises(DatasetError, match="needs the lists images"):
        match_instances({"images": []}, [])
    content = truth((0, "cat", A))
    del content["annotations"][0]["area"]
    with pytest.raises(DatasetError, match="no segmentation or no area"):
        match_instances(content, [])
    matches = match_instances(truth((0, "cat", A)), [])
    for options in ({"iou": 0.6123}, {"area": "huge"}, {"images": [1]}, {"images": [0.5]}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            matches.ap(**options)


def test_the_table_and_the_files(tmp_path):
    content = truth((0, "cat", A), (0, "cat", B), (0, "dog", C))
    found = results((0, "cat", A, 0.9), (0, "dog", C, 0.8))
    matches = {task: match_instances(content, found, iou_type=task) for task in ("bbox", "segm")}
    report = report_of("pets", matches)
    lines = format_report(report).splitlines()
    assert lines[0] == "pets: 1 images, 3 objects"
    assert lines[1].split() == ["|", "segm", "|", "bbox"]
    cat = [*["50.5"] * 3, "100.0", "0.0", "-"]
    assert lines[4].split() == ["cat", "2", "|", *cat, "|", *cat]
    assert lines[6].split()[:3] == ["cow", "0", "|"]
    mean = f"{(100 * 51 / 101 + 100) / 2:.1f}"
    assert lines[-1].split()[:4] == ["mean", "3", "|", mean]
    assert len({len(line) for line in lines[2:]}) == 1

    as_json, as_csv = write_report(report, tmp_path / "new")
    content = json.loads(as_json.read_text())
    assert content["objects"] == {"cat": 2, "dog": 1, "cow": 0}
    assert content["per_class"]["segm"]["cat"]["APl"] is None
    assert content["mean"]["bbox"]["AP50"] == pytest.approx((100 * 51 / 101 + 100) / 2)
    rows = as_csv.read_text().splitlines()
    assert rows[0] == "dataset,task,class,objects,AP,AP50,AP75,APs,APm,APl"
    assert rows[1] == "pets,bbox,cat,2,50.4950,50.4950,50.4950,100.0000,0.0000,"
    assert len(rows) == 1 + 2 * 4
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["ap.csv", "ap.json"]
    flat = report.detectron2_results()
    assert flat["segm"]["AP50-cat"] == pytest.approx(100 * 51 / 101)
    assert list(flat["segm"])[:6] == list(METRICS)

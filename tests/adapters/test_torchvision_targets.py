"""EMPasteTransform on the targets that torchvision's data sets, references and models use."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from empaste_aug import ArgumentError, EMPaste, Instance, Scene
from empaste_aug.stream import seeded
from empaste_aug.types import tight_box

pytest.importorskip("torchvision")

import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision_data import CLASSES, SIZE, same, sample, write_coco

from empaste_aug.adapters import _torchvision_keypoints as keypoint_entries
from empaste_aug.adapters.torchvision import EMPasteTransform

needs_keypoints = pytest.mark.skipif(
    not hasattr(tv_tensors, "KeyPoints"), reason="this torchvision has no tv_tensors.KeyPoints"
)


def reference_target(seed, objects=3):
    """A target as torchvision's detection references make it: plain tensors, boxes XYXY."""
    image, target = sample(seed, objects=objects)
    plain = {key: target[key].as_subclass(torch.Tensor) for key in ("boxes", "masks")}
    target.update(plain, image_id=torch.tensor([seed]))
    target["keypoints"] = points_of(target["boxes"], seed)
    return PIL.Image.fromarray(image.permute(1, 2, 0).numpy()), target


def points_of(boxes, seed):
    """(N, 4, 3): points all over the image, with every visibility."""
    rng = np.random.default_rng(seed)
    points = np.empty((len(boxes), 4, 3), np.float32)
    points[..., 0] = rng.uniform(-1, SIZE[1] + 1, size=(len(boxes), 4))
    points[..., 1] = rng.uniform(-1, SIZE[0] + 1, size=(len(boxes), 4))
    points[..., 2] = np.maximum(rng.integers(-2, 3, size=(len(boxes), 4)) + 1, 0).clip(0, 2)
    return torch.from_numpy(points)


def expected_points(points, left, pasted_masks):
    """By brute force: points of v = 2 that round to a pixel under a paste get v = 1."""
    cover = pasted_masks.sum(dim=0).numpy() > 0
    rows = []
    for row in left:
        changed = points[row].clone()
        for point in changed:
            x, y = int(np.floor(point[0].item() + 0.5)), int(np.floor(point[1].item() + 0.5))
            inside = 0 <= x < SIZE[1] and 0 <= y < SIZE[0]
            if inside and cover[y, x] and point[2] == 2:
                point[2] = 1
        rows.append(changed)
    none = torch.zeros((len(pasted_masks), *points.shape[1:]), dtype=points.dtype)
    return torch.cat([torch.stack(rows), none]) if rows else none


def pasted_masks(paste, image, target, seed_key):
    """The (M, H, W) masks of what EMPaste pastes itself, on the target's boxes."""
    boxes = [tuple(box) for box in target["boxes"].tolist()]
    instances = [Instance(0, box, source_index=row) for row, box in enumerate(boxes)]
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    scene = paste(Scene(pixels, instances), np.random.default_rng(seed_key))
    pasted = [i.full_mask(*SIZE) for i in scene.instances if i.cutout_id is not None]
    return torch.from_numpy(np.array(pasted, dtype=bool).reshape(-1, *SIZE))


def test_targets_of_the_references(small_bank):
    """Plain tensors stay plain tensors, and hold what tv_tensors would."""
    transform = EMPasteTransform(EMPaste(small_bank, count=5, class_names=CLASSES))
    for seed in range(12):
        image, target = reference_target(seed)
        before = copy.deepcopy(target)
        torch.manual_seed(seed)
        out_image, out = transform(image, target)
        assert same(target, before)
        wrapped = dict(target)
        wrapped["boxes"] = tv_tensors.BoundingBoxes(
            target["boxes"], format="XYXY", canvas_size=SIZE
        )
        wrapped["masks"] = tv_tensors.Mask(target["masks"])
        torch.manual_seed(seed)
        tensor_image, expected = transform(v2.functional.pil_to_tensor(image), wrapped)
        assert type(out["boxes"]) is type(out["masks"]) is torch.Tensor
        assert type(out_image) is PIL.Image.Image
        assert torch.equal(v2.functional.pil_to_tensor(out_image), tensor_image)
        assert out.keys() == expected.keys() == target.keys()
        assert out["image_id"] is target["image_id"]
        for key in out.keys() - {"image_id"}:
            assert out[key].dtype == target[key].dtype
            assert torch.equal(out[key], expected[key].as_subclass(torch.Tensor)), key
        assert out["masks"].dtype == torch.uint8
        assert out["labels"].dtype == torch.int64


def test_a_detection_model_takes_it(small_bank):
    """torchvision's Mask R-CNN computes its losses on plain and wrapped targets."""
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=64
    ).train()
    paste = EMPaste(small_bank, count=2, class_names=CLASSES)
    transform = v2.Compose(
        [EMPasteTransform(paste, label_offset=1), v2.ToImage(), v2.ToDtype(torch.float32, True)]
    )
    image, target = reference_target(1)
    other, empty = sample(2, objects=0)
    target["labels"] = target["labels"] + 1
    pairs = [transform(image, target), transform(other, empty)]
    losses = model([image for image, _ in pairs], [target for _, target in pairs])
    assert {"loss_mask", "loss_box_reg"} <= losses.keys()
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("form", ["tensor", pytest.param("KeyPoints", marks=needs_keypoints)])
@pytest.mark.parametrize("masks", [True, False])
def test_keypoints(small_bank, form, masks):
    """Both forms agree with brute force; other values are bit-identical."""
    paste = EMPaste(small_bank, count=6, scale=(1, 3), class_names=CLASSES)
    key = "visibility" if form == "KeyPoints" else None
    transform = EMPasteTransform(paste, visibility_key=key, keep_record=True)
    hidden = 0
    for seed in range(25):
        image, target = sample(seed, objects=3, masks=masks)
        points = points_of(target["boxes"], seed)
        if key is None:
            target["keypoints"] = points
        else:
            target["keypoints"] = tv_tensors.KeyPoints(points[..., :2], canvas_size=SIZE)
            target["visibility"] = points[..., 2].to(torch.int64)
        before = copy.deepcopy(target)
        torch.manual_seed(seed)
        _, out = transform(image, target)
        assert same(target, before)
        gone = [drop.position for drop in out["empaste_record"].dropped]
        left = [row for row in range(3) if row not in gone]
        if masks:
            pasted = out["masks"][len(left) :]
        else:
            pasted = pasted_masks(paste, image, target, out["empaste_record"].seed_key)
        expected = expected_points(points, left, pasted)
        hidden += int((expected[: len(left), :, 2] != points[left][..., 2]).sum())
        if key is None:
            assert type(out["keypoints"]) is torch.Tensor
            assert torch.equal(out["keypoints"], expected)
        else:
            assert type(out["keypoints"]) is tv_tensors.KeyPoints
            assert out["keypoints"].canvas_size == SIZE
            assert torch.equal(out["keypoints"].as_subclass(torch.Tensor), expected[..., :2])
            assert torch.equal(out["visibility"], expected[..., 2].to(torch.int64))
    assert hidden > 5


@needs_keypoints
def test_missing_visibility_is_made(small_bank):
    """All points of the originals count as visible."""
    paste = EMPaste(small_bank, count=8, scale=(1, 3), class_names=CLASSES)
    transform = EMPasteTransform(paste, visibility_key="seen")
    values = set()
    for seed in range(10):
        image, target = sample(seed, objects=2)
        points = points_of(target["boxes"], seed)[..., :2]
        target["keypoints"] = tv_tensors.KeyPoints(points, canvas_size=SIZE)
        torch.manual_seed(seed)
        _, out = transform(image, target)
        assert out["seen"].shape == (len(out["labels"]), 4)
        originals = len(out["labels"]) - sum(row.sum() == 0 for row in out["seen"])
        assert (out["seen"][:originals] > 0).all()
        values |= set(out["seen"].flatten().tolist())
    assert values == {0, 1, 2}


@pytest.mark.parametrize("form", ["tensor", pytest.param("KeyPoints", marks=needs_keypoints)])
def test_images_without_keypoints(small_bank, form):
    """Where the model wants them: all points of all objects are unlabelled."""
    paste = EMPaste(small_bank, placement="space_maximize", count=2, class_names=CLASSES)
    key = "visibility" if form == "KeyPoints" else None
    transform = EMPasteTransform(paste, num_keypoints=17, visibility_key=key)
    image, target = sample(0, objects=1)
    for given, count in ((target, 3), ({"image_id": 3}, 2)):
        _, out = transform(image, given)
        assert not out["keypoints"].as_subclass(torch.Tensor).any()
        assert out["keypoints"].shape == (count, 17, 3 if key is None else 2)
        assert out["keypoints"].dtype == torch.float32
        assert (type(out["keypoints"]) is torch.Tensor) == (key is None)
        if key is not None:
            assert torch.equal(out["visibility"], torch.zeros((count, 17), dtype=torch.int64))
    assert "keypoints" not in EMPasteTransform(paste)(image, target)[1]


@needs_keypoints
def test_keypoints_follow_later_transforms(small_bank):
    paste = EMPaste(small_bank, count=2, class_names=CLASSES)
    plain = EMPasteTransform(paste, visibility_key="visibility")
    flipped = v2.Compose([plain, v2.RandomHorizontalFlip(1.0)])
    outs = []
    for transform in (plain, flipped):
        image, target = sample(4, objects=2)
        points = points_of(target["boxes"], 4)[..., :2]
        target["keypoints"] = tv_tensors.KeyPoints(points, canvas_size=SIZE)
        torch.manual_seed(0)
        outs.append(transform(image, target)[1])
    mirrored = outs[0]["keypoints"].as_subclass(torch.Tensor).clone()
    expected = v2.functional.horizontal_flip_keypoints(mirrored, canvas_size=SIZE)
    assert torch.equal(outs[1]["keypoints"].as_subclass(torch.Tensor), expected)
    assert torch.equal(outs[1]["visibility"], outs[0]["visibility"])


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("labels", [None, {"cat": 11, "dog": 7, "cow": 200}])
def test_semantic_map(small_bank, wrapped, labels):
    """Pasted pixels get their class's value, all others keep theirs."""
    paste = EMPaste(small_bank, count=5, class_names=CLASSES, semantic_labels=labels)
    transform = EMPasteTransform(paste, semantic_key="semantic", label_offset=1)
    for seed in range(8):
        image, target = sample(seed, objects=2)
        target["labels"] = target["labels"] + 1
        given = torch.from_numpy(
            np.random.default_rng(seed).integers(50, 60, size=SIZE).astype(np.uint8)
        )
        target["semantic"] = tv_tensors.Mask(given) if wrapped else given
        before = given.clone()
        torch.manual_seed(seed)
        _, out = transform(image, target)
        expected = before.clone()
        added = list(range(2, len(out["labels"])))
        for row in added:
            name = CLASSES[out["labels"][row] - 1]
            value = out["labels"][row] if labels is None else labels[name]
            expected[out["masks"][row] != 0] = value
        assert type(out["semantic"]) is (tv_tensors.Mask if wrapped else torch.Tensor)
        assert out["semantic"].dtype == torch.uint8
        assert torch.equal(out["semantic"].as_subclass(torch.Tensor), expected)
        assert torch.equal(given, before)
        assert added
    nothing = EMPasteTransform(EMPaste(small_bank, count=0), semantic_key="semantic")
    target["labels"] = target["labels"] - 1
    assert nothing(image, target)[1]["semantic"] is target["semantic"]


@pytest.mark.parametrize("label_as", ["id", {"cat": 17, "dog": 90, "cow": 21}])
def test_semantic_values_are_the_labels_unless_empaste_has_its_own(small_bank, label_as):
    """The paste that is passed in stays as it is, and draws the same."""
    paste = EMPaste(small_bank, count=5)
    transform = EMPasteTransform(paste, semantic_key="semantic", label_as=label_as)
    plain = EMPasteTransform(paste)
    image, target = sample(0, objects=0)
    target["semantic"] = torch.full(SIZE, 255, dtype=torch.uint8)
    torch.manual_seed(0)
    _, out = transform(image, target)
    expected = torch.full(SIZE, 255)
    for mask, label in zip(out["masks"], out["labels"], strict=True):
        expected[mask != 0] = label
    assert torch.equal(out["semantic"], expected.to(torch.uint8))
    assert len(out["labels"]) > 0
    assert paste.semantic_labels is None
    del target["semantic"]
    torch.manual_seed(0)
    _, other = plain(image, target)
    assert torch.equal(out["masks"], other["masks"])


def test_the_streams_key_makes_the_generator(small_bank):
    """Whatever torch's global generator holds; without a key that one does."""
    paste = EMPaste(small_bank, class_names=CLASSES)
    transform = EMPasteTransform(paste, keep_record=True)
    with seeded((7, 3)):
        first = transform(*sample(1))
        further = transform(*sample(1))
    with seeded((7, 3)):
        torch.rand(5)
        second = transform(*sample(1))
    with seeded((7, 4)):
        other = transform(*sample(1))
    assert first[1]["empaste_record"].seed_key == (7, 3)
    assert same(first[0], second[0])
    assert same(first[1], second[1])
    assert not same(first[0], other[0])
    assert further[1]["empaste_record"].seed_key == (7, 3, 2)
    assert not same(first[0], further[0])
    outside = transform(*sample(1))
    assert len(outside[1]["empaste_record"].seed_key) == 4


POLYGON = {
    "category_id": 2,
    "bbox": [10, 20, 30, 40],
    "segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]],
    "area": 1200,
    "iscrowd": 0,
}
CROWD = {
    "category_id": 3,
    "bbox": [0, 0, 5.5, SIZE[0]],
    "segmentation": {"size": list(SIZE), "counts": [0, 5 * SIZE[0], (SIZE[1] - 5) * SIZE[0]]},
    "area": 5 * SIZE[0],
    "iscrowd": 1,
}


@pytest.mark.parametrize("annotations", [[POLYGON], [POLYGON, CROWD]])
def test_wrapped_coco_data_set(small_bank, tmp_path, annotations):
    """torchvision's own reader of COCO json, with and without objects in the photo."""
    pytest.importorskip("pycocotools")
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

    file = write_coco(tmp_path, annotations)
    paste = EMPaste(small_bank, placement="space_maximize", count=2, class_names=CLASSES)
    transform = v2.Compose([EMPasteTransform(paste, label_offset=1), v2.ToImage()])
    data = CocoDetection(tmp_path, file, transforms=transform)
    keys = ["image_id", "boxes", "labels", "masks", "iscrowd", "area"]
    wrapped = wrap_dataset_for_transforms_v2(data, target_keys=keys)
    originals = len(annotations)
    for index, count in ((0, originals + 2), (1, 2)):
        image, target = wrapped[index]
        assert image.shape == (3, *SIZE)
        assert target["image_id"] == (5, 6)[index]
        assert target["masks"].shape == (count, *SIZE)
        assert target["boxes"].shape == (count, 4)
        assert target["boxes"].format.name == "XYXY"
        assert target["masks"].flatten(1).any(dim=1).all()
        assert set(target["labels"].tolist()) <= {1, 2, 3}
        for box, mask in zip(target["boxes"].tolist()[-2:], target["masks"][-2:], strict=True):
            assert tuple(box) == tight_box(mask.numpy() != 0)
    target = wrapped[0][1]
    assert target["labels"][:originals].tolist() == [2, 3][:originals]
    assert target["boxes"][0].tolist() == [10, 20, 40, 60]
    assert target["iscrowd"] == [*[0, 1][:originals], 0, 0]
    areas = target["masks"][originals:].sum(dim=(1, 2)).tolist()
    assert target["area"] == [1200, 5 * SIZE[0]][:originals] + areas
    boxes_only = wrap_dataset_for_transforms_v2(
        CocoDetection(
            tmp_path, file, transforms=EMPasteTransform(paste, masks_key=None, label_offset=1)
        )
    )
    assert boxes_only[0][1].keys() == boxes_only[1][1].keys() == {"image_id", "boxes", "labels"}
    assert len(boxes_only[0][1]["boxes"]) == originals + 2


def test_wrapped_coco_data_set_whose_ids_have_gaps(small_bank, tmp_path):
    """As COCO's own: 80 classes, ids up to 90; labels stay ids, for pasted objects too."""
    pytest.importorskip("pycocotools")
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

    annotations = [{**POLYGON, "category_id": 51}, {**CROWD, "category_id": 90}]
    file = write_coco(tmp_path, annotations, ids=(17, 51, 90))
    coco = CocoDetection(tmp_path, file).coco
    ids = {c["name"]: c["id"] for c in coco.loadCats(coco.getCatIds())}
    assert ids == {"cat": 17, "dog": 51, "cow": 90}
    paste = EMPaste(small_bank, count=6, class_names=list(ids))
    keys = ["image_id", "boxes", "labels", "masks", "iscrowd", "area"]

    def wrapped(transform):
        data = CocoDetection(tmp_path, file, transforms=transform)
        return wrap_dataset_for_transforms_v2(data, target_keys=keys)

    seen = set()
    data = wrapped(EMPasteTransform(paste, label_as=ids, keep_record=True))
    for seed in range(5):
        torch.manual_seed(seed)
        for index in (0, 1):
            _, target = data[index]
            record = target["empaste_record"]
            pasted = [
                ids[CLASSES[paste.bank.index["category_id"][placement.cutout_id]]]
                for placement in record.placements
            ]
            originals = target["labels"].tolist()[: len(target["labels"]) - len(pasted)]
            assert target["labels"].tolist() == originals + pasted
            assert set(originals) <= ({51, 90} if index == 0 else set())
            seen |= set(pasted)
    assert seen == {17, 51, 90}
    with pytest.raises(
        ArgumentError, match=r"target\['labels'\]: 51, in row 0, is not in \[1, 3\]"
    ):
        wrapped(EMPasteTransform(paste, label_offset=1))[0]


@pytest.mark.parametrize("placement", ["random", "space_maximize"])
def test_an_image_of_one_pixel(small_bank, placement):
    paste = EMPaste(small_bank, placement=placement, min_visible=0.0, class_names=CLASSES)
    transform = EMPasteTransform(paste, num_keypoints=2)
    image = tv_tensors.Image(torch.zeros((3, 1, 1), dtype=torch.uint8))
    counts = set()
    for seed in range(10):
        torch.manual_seed(seed)
        out_image, out = transform(image, {})
        counts.add(len(out["labels"]))
        assert out_image.shape == (3, 1, 1)
        assert all(box == [0, 0, 1, 1] for box in out["boxes"].tolist())
        assert out["masks"].shape == (len(out["labels"]), 1, 1)
        assert out["masks"].all()
    assert counts <= {0, 1}
    assert 1 in counts or placement == "space_maximize"


def test_an_object_of_one_pixel_keeps_it_or_goes(small_bank):
    paste = EMPaste(small_bank, count=4, scale=(2, 4), class_names=CLASSES)
    transform = EMPasteTransform(paste)
    counts = set()
    for seed in range(20):
        image, target = sample(seed, objects=1)
        target["masks"][0] = 0
        target["masks"][0, 30, 40] = 1
        torch.manual_seed(seed)
        _, out = transform(image, target)
        kept = bool(out["masks"][0, 30, 40] == 1 and out["masks"][0].sum() == 1)
        counts.add(kept)
        if kept:
            assert torch.equal(out["boxes"][0], target["boxes"][0])
        else:
            assert out["masks"][:, 30, 40].sum() == 1
    assert counts == {True, False}


def test_touching_boxes_and_one_hundred_objects(small_bank):
    """A grid of 100 objects side by side: no pixel has two owners, no object is a remnant."""
    grid = torch.zeros((100, *SIZE), dtype=torch.uint8)
    boxes = torch.zeros((100, 4))
    for row in range(100):
        y, x = 7 * (row // 10), 9 * (row % 10)
        grid[row, y : y + 7, x : x + 9] = 1
        boxes[row] = torch.tensor([x, y, x + 9, y + 7])
    target = {
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE),
        "labels": torch.arange(100) % 3,
        "masks": tv_tensors.Mask(grid),
        "number": torch.arange(100),
    }
    image, _ = sample(0)
    transform = EMPasteTransform(
        EMPaste(small_bank, count=100, class_names=CLASSES), carry={"number": -1}
    )
    _, out = transform(image, target)
    assert out["masks"].sum(dim=0).max() == 1
    labelled = (out["masks"] != 0).any(dim=0)
    assert labelled[(grid != 0).any(dim=0)].all()
    pasted = int((out["number"] == -1).sum())
    assert pasted >= 20
    for row, number in enumerate(out["number"].tolist()):
        mask = out["masks"][row]
        assert tuple(out["boxes"][row].tolist()) == tight_box(mask.numpy() != 0)
        if number >= 0:
            assert mask.sum() >= 0.1 * 63
            assert not mask[grid[number] == 0].any()
            assert out["labels"][row] == number % 3
    filling = EMPaste(small_bank, placement="space_maximize", count=3, class_names=CLASSES)
    _, out = EMPasteTransform(filling, carry=["number"])(image, target)
    assert torch.equal(out["masks"][:100], grid)
    assert torch.equal(out["boxes"][:100].as_subclass(torch.Tensor), boxes)


def keypoint_errors():
    points = torch.zeros((2, 4, 3))
    yield {}, {"keypoints": points[:1]}, r"\['keypoints'\]: Tensor of shape \(1, 4, 3\)"
    yield {}, {"keypoints": points[..., :2]}, r"expected a tensor of shape \(2, K, 3\)"
    yield {}, {"keypoints": [[0, 0, 2]] * 2}, r"\['keypoints'\]: list"
    yield {}, {"keypoints": points * float("nan")}, "keypoints: not"
    if keypoint_entries.KeyPoints is None:
        return
    wrapped = tv_tensors.KeyPoints(points[..., :2], canvas_size=SIZE)
    other = tv_tensors.KeyPoints(points[..., :2], canvas_size=(9, 9))
    key = {"visibility_key": "v"}
    yield {}, {"keypoints": wrapped}, "KeyPoints have no visibility; name visibility_key"
    yield {"keypoints_key": None}, {"keypoints": wrapped}, "pasting does not change this KeyPoints"
    yield key, {"keypoints": points}, r"Tensor; with visibility_key it has to be"
    yield key, {"keypoints": other}, r"on the image's \(height, width\) \(72, 96\)"
    yield key, {"keypoints": wrapped, "v": points}, r"\['v'\]: Tensor of shape \(2, 4, 3\)"


@pytest.mark.parametrize(("options", "entries", "message"), list(keypoint_errors()))
def test_bad_keypoints_are_errors(small_bank, options, entries, message):
    image, target = sample(0, objects=2)
    transform = EMPasteTransform(EMPaste(small_bank, class_names=CLASSES), **options)
    with pytest.raises(ArgumentError, match=message):
        transform(image, {**target, **entries})


@pytest.mark.parametrize(
    ("semantic", "message"),
    [
        (None, r"\['semantic'\]: NoneType"),
        (torch.zeros(SIZE), r"shape \(72, 96\), torch.float32; expected integers"),
        (torch.zeros((1, *SIZE), dtype=torch.uint8), r"shape \(1, 72, 96\)"),
    ],
)
def test_bad_semantic_maps_are_errors(small_bank, semantic, message):
    image, target = sample(0, objects=2)
    transform = EMPasteTransform(EMPaste(small_bank), semantic_key="semantic")
    with pytest.raises(ArgumentError, match=message):
        transform(image, target if semantic is None else {**target, "semantic": semantic})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_keypoints": 0}, "num_keypoints: 0"),
        ({"keypoints_key": None, "num_keypoints": 3}, "keypoints_key=None"),
        ({"keypoints_key": None, "visibility_key": "v"}, "keypoints_key=None"),
        ({"carry": ["keypoints", "x"]}, r"carry: \['keypoints'\]"),
        ({"carry": {"boxes": 0}}, r"carry: \['boxes'\]"),
        ({"keep": "names"}, "keep: 'names' is a string"),
        ({"keep": ["names", "area"]}, r"keep: \['area'\] have rows of objects"),
        ({"keep": ["masks"]}, r"keep: \['masks'\]"),
        ({"keep": ["names"], "carry": ["names"]}, r"keep: \['names'\]"),
    ],
)
def test_bad_arguments_are_errors(small_bank, options, message):
    with pytest.raises(ArgumentError, match=message):
        EMPasteTransform(EMPaste(small_bank), **options)


def test_old_torchvision_has_no_keypoints(small_bank, monkeypatch):
    monkeypatch.setattr(keypoint_entries, "KeyPoints", None)
    with pytest.raises(ArgumentError, match=r"torchvision has since 0\.23"):
        EMPasteTransform(EMPaste(small_bank), visibility_key="v")
    image, target = sample(0, objects=2)
    target["keypoints"] = points_of(target["boxes"], 0)
    _, out = EMPasteTransform(EMPaste(small_bank, class_names=CLASSES))(image, target)
    assert out["keypoints"].shape == (len(out["labels"]), 4, 3)

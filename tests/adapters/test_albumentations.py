"""EMPasteTransform in Albumentations pipelines: what it hands out, and what it leaves alone."""

from __future__ import annotations

import copy
import doctest
import os
import pickle

import numpy as np
import pytest

from empaste_aug import EMPaste
from empaste_aug.types import Instance, Scene, tight_box

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
A = pytest.importorskip("albumentations")

from empaste_aug.adapters import albumentations as adapter  # noqa: E402
from empaste_aug.adapters._albumentations_hooks import IS_SUCCESSOR  # noqa: E402
from empaste_aug.adapters.albumentations import EMPasteTransform  # noqa: E402

CLASSES = ["cat", "dog", "cow"]
HEIGHT, WIDTH = 72, 96
FORMATS = ["pascal_voc", "coco", "yolo", "albumentations"]


def make_sample(seed, *, objects=None, masks=True):
    """An image with rectangles whose boxes, XYXY pixels, are a little wider than their masks."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 5)) if objects is None else objects
    pixels = np.zeros((count, HEIGHT, WIDTH), np.uint8)
    boxes = np.zeros((count, 4))
    for row in range(count):
        x, y = int(rng.integers(2, WIDTH - 30)), int(rng.integers(2, HEIGHT - 30))
        w, h = (2 * int(v) for v in rng.integers(3, 14, size=2))
        pixels[row, y : y + h, x : x + w] = 1
        boxes[row] = x - 1, y - 1, x + w + 1, y + h + 1
    made = {
        "image": rng.integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8),
        "bboxes": boxes.astype(np.float32),
        "labels": [CLASSES[i] for i in rng.integers(0, len(CLASSES), size=count)],
    }
    return {**made, "masks": pixels} if masks else made


def as_format(boxes, box_format):
    x0, y0, x1, y1 = np.array(boxes, np.float64).reshape(-1, 4).T
    size = [WIDTH, HEIGHT, WIDTH, HEIGHT]
    if box_format == "coco":
        return np.stack([x0, y0, x1 - x0, y1 - y0], axis=1)
    if box_format == "yolo":
        return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=1) / size
    plain = np.stack([x0, y0, x1, y1], axis=1)
    return plain / size if box_format == "albumentations" else plain


def compose(transforms, *, box_format="pascal_voc", label_fields=("labels",), **rest):
    params = A.BboxParams(box_format, label_fields=list(label_fields))
    return A.Compose(transforms, bbox_params=params, **rest)


def scene_of(sample):
    """The scene that EMPaste itself takes."""
    instances = []
    for row, name in enumerate(sample["labels"]):
        if "masks" in sample:
            mask = sample["masks"][row] != 0
            made = Instance.from_mask(CLASSES.index(name), mask, source_index=row)
        else:
            box = tuple(sample["bboxes"][row].astype(float).tolist())
            made = Instance(CLASSES.index(name), box, source_index=row)
        instances.append(made)
    return Scene(sample["image"], instances)


@pytest.fixture(params=["random", "space_maximize"])
def paste(request, small_bank):
    return EMPaste(small_bank, count=(1, 6), placement=request.param, class_names=CLASSES)


@pytest.fixture
def any_paste(small_bank):
    return EMPaste(small_bank, count=(3, 6), class_names=CLASSES)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("box_format", FORMATS)
def test_it_hands_out_what_empaste_makes(paste, box_format, masks):
    transform = EMPasteTransform(paste, keep_record=True, p=1.0)
    pipeline = compose([transform], box_format=box_format, seed=3)
    untouched = compose([A.NoOp(p=1.0)], box_format=box_format)
    pasted = 0
    for seed in range(25):
        sample = make_sample(seed, masks=masks)
        given = {**sample, "bboxes": as_format(sample["bboxes"], box_format)}
        result = pipeline(**given)
        record = result["empaste_record"]
        scene = scene_of(sample)
        expected = paste(scene, np.random.default_rng(record.seed_key))
        assert record.placements == expected.record.placements
        assert record.skipped == expected.record.skipped
        assert np.array_equal(result["image"], expected.image)
        assert list(result["labels"]) == [CLASSES[i.category_id] for i in expected.instances]
        assert len(result["bboxes"]) == len(expected.instances)
        wanted = as_format([i.bbox for i in expected.instances], box_format)
        same = untouched(image=given["image"], bboxes=given["bboxes"], labels=given["labels"])
        for row, instance in enumerate(expected.instances):
            source = instance.source_index
            if source is not None and instance is scene.instances[source]:
                assert np.array_equal(result["bboxes"][row], same["bboxes"][source])
            else:
                assert np.allclose(result["bboxes"][row], wanted[row], rtol=0, atol=1e-4)
            if masks:
                full = instance.full_mask(HEIGHT, WIDTH)
                assert np.array_equal(result["masks"][row], full)
        assert ("masks" in result) == masks
        pasted += len(record.placements)
    assert pasted > 25


def test_labels_follow_the_contract(any_paste):
    pipeline = compose([EMPasteTransform(any_paste, p=1.0)], seed=0)
    for seed in range(60):
        result = pipeline(**make_sample(seed))
        before = make_sample(seed)
        assert len(result["masks"]) == len(result["bboxes"]) == len(result["labels"])
        for mask, box in zip(result["masks"], result["bboxes"], strict=True):
            assert mask.dtype == np.uint8
            assert mask.any()
            if not any(np.array_equal(mask, other) for other in before["masks"]):
                assert np.allclose(box, tight_box(mask != 0), rtol=0, atol=1e-4)


def test_inputs_are_never_changed(any_paste):
    pipeline = compose([EMPasteTransform(any_paste, p=1.0)], seed=0)
    for seed in range(10):
        sample = {**make_sample(seed), "mask": np.zeros((HEIGHT, WIDTH), np.int32)}
        before = copy.deepcopy(sample)
        pipeline(**sample)
        for name, value in before.items():
            assert np.array_equal(value, sample[name])


LABEL_CASES = {
    "names": (lambda names: list(names), "name"),
    "names in an array": (np.array, "name"),
    "names in an object array": (lambda names: np.array(names, object), "name"),
    "ids": (lambda names: [CLASSES.index(n) for n in names], "id"),
    "ids in an array": (lambda names: np.array([CLASSES.index(n) for n in names], int), "id"),
    "own numbers": (
        lambda names: np.array([{"cat": 17, "dog": 18, "cow": 21}[n] for n in names], np.int32),
        {"cat": 17, "dog": 18, "cow": 21},
    ),
    "own names": (lambda names: [n.upper() for n in names], {n: n.upper() for n in CLASSES}),
}


@pytest.mark.parametrize("case", LABEL_CASES)
def test_labels_of_any_kind(any_paste, case):
    encode, label_as = LABEL_CASES[case]
    transform = EMPasteTransform(any_paste, label_as=label_as, keep_record=True, p=1.0)
    pipeline = compose([transform, A.HorizontalFlip(p=0.5)], seed=1)
    for seed in range(12):
        sample = make_sample(seed, objects=seed % 3 + 1)
        result = pipeline(**{**sample, "labels": encode(sample["labels"])})
        key = result["empaste_record"].seed_key
        made = any_paste(scene_of(sample), np.random.default_rng(key))
        wanted = encode([CLASSES[i.category_id] for i in made.instances])
        assert np.array_equal(result["labels"], wanted)
        if isinstance(wanted, np.ndarray):
            assert result["labels"].dtype.kind == wanted.dtype.kind


def test_arrays_of_names_are_not_cut_to_the_length_of_the_first(small_bank):
    names = {"cat": "a", "dog": "a long name", "cow": "cow"}
    paste = EMPaste(small_bank, count=5, class_names=CLASSES)
    pipeline = compose([EMPasteTransform(paste, label_as=names, p=1.0)], seed=0)
    seen = set()
    for seed in range(10):
        sample = {**make_sample(seed, objects=1), "labels": np.array(["a"])}
        seen |= set(pipeline(**sample)["labels"].tolist())
    assert seen == {"a", "a long name", "cow"}
    result = pipeline(**{**make_sample(0, objects=1), "labels": np.array(["a long name"])})
    assert result["labels"][0] == "a long name"


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("container", [list, np.array])
@pytest.mark.parametrize("label_as", ["name", "id"])
def test_samples_without_objects_get_labels_too(any_paste, first, container, label_as):
    pipeline = compose([EMPasteTransform(any_paste, label_as=label_as, p=1.0)], seed=0)
    for objects in (first, 0, 2, 0):
        sample = make_sample(objects, objects=objects)
        if label_as == "id":
            sample["labels"] = [CLASSES.index(name) for name in sample["labels"]]
        empty = {} if objects else {"bboxes": container([])}
        labels = container(sample["labels"])
        result = pipeline(**{**sample, **empty, "labels": labels})
        assert len(result["labels"]) == len(result["bboxes"]) == len(result["masks"]) > objects
        assert type(result["labels"]) is type(labels)
        known = CLASSES if label_as == "name" else range(len(CLASSES))
        assert all(label in known for label in result["labels"])
        assert list(result["labels"])[:objects] == list(sample["labels"])


def test_boxes_that_were_all_filtered_before_get_company(any_paste):
    paste_late = [A.Crop(0, 0, 8, 8, p=1.0), EMPasteTransform(any_paste, p=1.0)]
    pipeline = compose(paste_late, label_fields=["labels"], seed=0)
    found = 0
    for _ in range(20):
        sample = make_sample(1, objects=2, masks=False)
        sample["bboxes"] = np.array([[40, 40, 50, 50], [60, 20, 80, 40]], np.float32)
        result = pipeline(**{**sample, "labels": ["dog", "cat"]})
        assert len(result["labels"]) == len(result["bboxes"])
        assert set(result["labels"]) <= set(CLASSES)
        found += len(result["labels"])
    assert found > 0


def test_every_label_field_follows_its_object(any_paste):
    fields = ["source", "labels", "score", "iscrowd"]
    transform = EMPasteTransform(
        any_paste, fill={"source": "bank", "score": -1.0}, keep_record=True, p=1.0
    )
    pipeline = compose([transform], label_fields=fields, seed=4)
    dropped = 0
    for seed in range(30):
        sample = make_sample(seed, objects=4)
        sample["masks"][2] = 0
        sample["masks"][2, 30:33, 30:33] = 1  # small enough to be hidden whole at times
        result = pipeline(
            **sample,
            source=["a", "b", "c", "d"],
            score=np.array([0.5, 0.25, 0.125, 1.0]),
            iscrowd=np.array([0, 1, 0, 1], bool),
        )
        gone = {drop.position for drop in result["empaste_record"].dropped}
        kept = [row for row in range(4) if row not in gone]
        added = len(result["bboxes"]) - len(kept)
        assert result["source"] == ["abcd"[row] for row in kept] + ["bank"] * added
        assert list(result["labels"][: len(kept)]) == [sample["labels"][row] for row in kept]
        scores = [[0.5, 0.25, 0.125, 1.0][row] for row in kept] + [-1.0] * added
        assert np.array_equal(result["score"], scores)
        assert result["iscrowd"].dtype == bool
        assert list(result["iscrowd"]) == [row % 2 for row in kept] + [0] * added
        assert len(result["masks"]) == len(result["bboxes"])
        dropped += len(gone)
    assert dropped > 0


def test_crowd_regions_are_only_trimmed(small_bank):
    paste = EMPaste(small_bank, count=8, min_visible=0.9, scale=(1, 2), class_names=CLASSES)
    whole = np.ones((1, HEIGHT, WIDTH), np.uint8)
    given = {"image": make_sample(0)["image"], "masks": whole, "labels": ["cat"]}
    pixels = {}
    for crowd in (0, 1):
        result = A.Compose([EMPasteTransform(paste, p=1.0)], seed=0)(**given, iscrowd=[crowd])
        pixels[crowd] = result["masks"][0].mean()
        assert list(result["iscrowd"]) == [crowd] + [0] * (len(result["masks"]) - 1)
    assert pixels[1] < 0.9 <= pixels[0]


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int32, np.float32])
@pytest.mark.parametrize("value", [1, 255])
def test_masks_keep_their_type_and_values(any_paste, dtype, value):
    value = 1 if dtype is bool else value
    pipeline = compose([EMPasteTransform(any_paste, mask_value=value, p=1.0)], seed=0)
    sample = make_sample(2, objects=3)
    sample["masks"] = (sample["masks"] * value).astype(dtype)
    result = pipeline(**sample)
    assert result["masks"].dtype == dtype
    assert len(result["masks"]) > 3
    for mask in result["masks"]:
        assert set(np.unique(mask)) == {0, value}


def test_a_list_of_masks_stays_a_list(any_paste):
    if IS_SUCCESSOR:
        pytest.skip("AlbumentationsX takes masks as one array only")
    pipeline = compose([EMPasteTransform(any_paste, p=1.0), A.HorizontalFlip(p=0.5)], seed=0)
    for objects in (2, 0, 1):
        sample = make_sample(objects, objects=objects)
        result = pipeline(**{**sample, "masks": list(sample["masks"])})
        assert isinstance(result["masks"], list)
        assert len(result["masks"]) == len(result["bboxes"]) > objects
        assert all(mask.shape == (HEIGHT, WIDTH) for mask in result["masks"])


def test_masks_with_plain_labels(any_paste):
    pipeline = A.Compose([EMPasteTransform(any_paste, fill={"score": 0.5}, p=1.0)], seed=0)
    sample = make_sample(3, objects=3)
    del sample["bboxes"]
    sample["masks"][1] = 0
    for labels in (sample["labels"], np.array(sample["labels"])):
        result = pipeline(**{**sample, "labels": labels}, score=np.ones(3, np.float32), note="x")
        added = len(result["masks"]) - 2
        assert added > 0
        assert list(result["labels"][:2]) == [sample["labels"][0], sample["labels"][2]]
        assert type(result["labels"]) is type(labels)
        assert len(result["labels"]) == len(result["masks"])
        assert result["score"].dtype == np.float32
        assert np.array_equal(result["score"], [1, 1] + [0.5] * added)
        assert result["note"] == "x"


def test_nothing_left_is_no_trouble_for_what_follows(small_bank):
    paste = EMPaste(small_bank, count=0, class_names=CLASSES)
    transforms = [EMPasteTransform(paste, p=1.0), A.Crop(0, 0, 20, 20, p=1.0)]
    sample = make_sample(0, objects=2)
    sample["masks"][:] = 0
    result = compose(transforms)(**sample)
    assert [len(result[name]) for name in ("masks", "bboxes", "labels")] == [0, 0, 0]


def test_an_image_alone_and_objects_without_labels(any_paste):
    sample = make_sample(0, objects=2)
    image = sample["image"]
    for pipeline in (
        A.Compose([EMPasteTransform(any_paste, p=1.0)]),
        EMPasteTransform(any_paste, p=1),
    ):
        result = pipeline(image=image, labels=["an image's own"])
        assert not np.array_equal(result["image"], image)
        assert result["labels"] == ["an image's own"]
    nameless = EMPasteTransform(any_paste, label_field=None, p=1.0)
    params = A.BboxParams("pascal_voc")
    result = A.Compose([nameless], bbox_params=params)(image=image, bboxes=sample["bboxes"])
    assert len(result["bboxes"]) > 2
    result = A.Compose([nameless])(image=image, masks=sample["masks"])
    assert len(result["masks"]) > 2


def test_semantic_maps_get_the_class_of_pasted_objects(small_bank):
    values = {"cat": 7, "dog": 8, "cow": 9}
    paste = EMPaste(small_bank, count=5, class_names=CLASSES, semantic_labels=values)
    pipeline = compose([EMPasteTransform(paste, p=1.0)], seed=0)
    sample = make_sample(1, objects=0)
    semantic = np.full((HEIGHT, WIDTH), 3, np.int32)
    result = pipeline(**sample, mask=semantic)
    wanted = semantic.copy()
    for mask, name in zip(result["masks"], result["labels"], strict=True):
        wanted[mask != 0] = values[name]
    assert np.array_equal(result["mask"], wanted)
    assert result["mask"].dtype == np.int32
    assert len(np.unique(wanted)) > 1


@pytest.mark.parametrize("first", [0, 1])
def test_semantic_values_are_positions_unless_empaste_has_its_own(small_bank, first):
    """Whatever label_as says; the docstring's remedy is for a background of 0."""
    own = {name: i + 1 for i, name in enumerate(CLASSES)} if first else None
    paste = EMPaste(small_bank, count=5, class_names=CLASSES, semantic_labels=own)
    ids = {"cat": 17, "dog": 51, "cow": 90}
    pipeline = compose([EMPasteTransform(paste, label_as=ids, p=1.0)], seed=0)
    result = pipeline(**make_sample(1, objects=0), mask=np.full((HEIGHT, WIDTH), 99, np.uint8))
    wanted = np.full((HEIGHT, WIDTH), 99)
    for mask, label in zip(result["masks"], result["labels"], strict=True):
        wanted[mask != 0] = list(ids.values()).index(label) + first
    assert np.array_equal(result["mask"], wanted)
    assert len(result["labels"]) > 0


@pytest.mark.filterwarnings("ignore:label_fields are set but label_mapping:UserWarning")
@pytest.mark.parametrize("remove", [True, False])
def test_keypoints_under_pasted_objects_go_unless_invisible_ones_are_kept(any_paste, remove):
    params = A.KeypointParams("xy", label_fields=["names"], remove_invisible=remove)
    pipeline = compose([EMPasteTransform(any_paste, p=1.0)], keypoint_params=params, seed=0)
    rng = np.random.default_rng(0)
    for seed in range(10):
        points = rng.uniform(0, [WIDTH - 1, HEIGHT - 1], size=(40, 2)).astype(np.float32)
        names = [f"p{i}" for i in range(40)]
        sample = make_sample(seed, objects=0)
        result = pipeline(**sample, keypoints=points, names=names)
        cover = result["masks"].any(axis=0)
        x, y = np.floor(points + 0.5).astype(int).T
        keep = ~cover[y, x] if remove else np.ones(40, bool)
        assert np.array_equal(result["keypoints"], points[keep])
        assert result["names"] == [n for n, k in zip(names, keep, strict=True) if k]
        assert (not keep.all()) == remove


def crop_around(paste, **params):
    """Boxes are filtered before and after the paste; "at" says which mask is whose."""
    transforms = [
        A.Crop(0, 0, 80, 60, p=1.0),
        EMPasteTransform(paste, index_field="at", p=1.0),
        A.HorizontalFlip(p=0.5),
        A.Crop(10, 10, 70, 50, p=1.0),
    ]
    boxes = A.BboxParams("pascal_voc", label_fields=["labels", "at"], **params)
    return A.Compose(transforms, bbox_params=boxes, seed=0)


@pytest.mark.parametrize("params", [{}, {"min_visibility": 0.5}, {"min_area": 60}])
def test_the_index_field_leads_from_boxes_to_masks(any_paste, params):
    pipeline = crop_around(any_paste, **params)
    filtered = matched = 0
    for seed in range(40):
        sample = make_sample(seed)
        count = len(sample["labels"])
        if count:
            sample["bboxes"][:] = [tight_box(mask != 0) for mask in sample["masks"]]
        elif not IS_SUCCESSOR:
            sample["masks"] = []  # Crop cannot take an empty array
        result = pipeline(**sample, at=list(range(count)))
        assert len(result["at"]) == len(result["bboxes"]) == len(result["labels"])
        filtered += len(result["masks"]) - len(result["bboxes"])
        for box, row in zip(result["bboxes"], result["at"], strict=True):
            wanted = tight_box(result["masks"][int(row)] != 0)
            if wanted is None:  # a crop cuts boxes, not knowing where in them the pixels are
                continue
            matched += 1
            wanted = np.array(wanted)
            assert (np.array(box[:2]) <= wanted[:2] + 1e-3).all()
            assert (np.array(box[2:]) >= wanted[2:] - 1e-3).all()
    assert filtered > 0
    assert matched > 40


def test_the_same_seed_gives_the_same_samples(any_paste):
    def results(seed):
        transforms = [
            A.HorizontalFlip(p=0.5),
            A.OneOf([EMPasteTransform(any_paste, keep_record=True, p=1.0)], p=1.0),
            A.Sequential([A.VerticalFlip(p=0.5)], p=0.5),
        ]
        pipeline = compose(transforms, seed=seed)
        return [pipeline(**make_sample(number)) for number in range(5)]

    for one, other in zip(results(7), results(7), strict=True):
        assert np.array_equal(one["image"], other["image"])
        assert np.array_equal(one["masks"], other["masks"])
        assert one["empaste_record"] == other["empaste_record"]
    keys = {result["empaste_record"].seed_key for seed in (7, 8) for result in results(seed)}
    assert len(keys) == 10


def test_the_probability(any_paste):
    pipeline = compose([EMPasteTransform(any_paste, keep_record=True)], seed=0)
    applied = sum("empaste_record" in pipeline(**make_sample(seed)) for seed in range(100))
    assert 30 < applied < 70


def test_strict_pipelines_know_the_entries(any_paste):
    pipeline = A.Compose(
        [EMPasteTransform(any_paste, fill={"score": 0}, p=1.0)], strict=True, seed=0
    )
    sample = make_sample(0, objects=2)
    del sample["bboxes"]
    result = pipeline(**sample, score=[1, 1], iscrowd=[0, 0])
    assert len(result["score"]) == len(result["iscrowd"]) == len(result["masks"])


def test_pickled_pipelines_paste_the_same(any_paste):
    pipeline = compose([EMPasteTransform(any_paste, p=1.0)], seed=5)
    again = pickle.loads(pickle.dumps(pipeline))
    sample = make_sample(1)
    assert np.array_equal(pipeline(**sample)["image"], again(**sample)["image"])


def test_docstring_example(small_bank):
    text = EMPasteTransform.__doc__.replace('"out/bank"', repr(str(small_bank.path)))
    names = {**vars(adapter), "EMPaste": EMPaste}
    example = doctest.DocTestParser().get_doctest(text, names, "EMPasteTransform", None, 0)
    assert len(example.examples) >= 5
    assert doctest.DocTestRunner().run(example).failed == 0

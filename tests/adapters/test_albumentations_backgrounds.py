"""Albumentations' EMPasteTransform with a pool: nothing is left of the photo that is replaced."""

from __future__ import annotations

import copy
import json
import os
import pickle

import numpy as np
import pytest
from loader_data import digest
from pool_data import write_pool

from empaste_aug import ArgumentError, Backgrounds, EMPaste, PoolError
from empaste_aug.stream import SampleKey, seeded

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
A = pytest.importorskip("albumentations")

from empaste_aug.adapters.albumentations import EMPasteTransform  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning",
    "ignore:label_fields are set but label_mapping:UserWarning",  # AlbumentationsX, keypoints
)

CLASSES = ["cat", "dog", "cow"]
HEIGHT, WIDTH = 72, 96


def make_sample(seed, *, objects=3, masks=True):
    rng = np.random.default_rng(seed)
    pixels = np.zeros((objects, HEIGHT, WIDTH), np.uint8)
    boxes = np.zeros((objects, 4), np.float32)
    for row in range(objects):
        x, y = int(rng.integers(2, WIDTH - 30)), int(rng.integers(2, HEIGHT - 30))
        w, h = (int(v) for v in rng.integers(6, 28, size=2))
        pixels[row, y : y + h, x : x + w] = 1
        boxes[row] = x, y, x + w, y + h
    made = {
        "image": rng.integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8),
        "bboxes": boxes,
        "labels": [CLASSES[i] for i in rng.integers(0, 3, size=objects)],
    }
    return {**made, "masks": pixels} if masks else made


@pytest.fixture(scope="module")
def paste(small_bank):
    return EMPaste(small_bank, count=(0, 3), class_names=CLASSES)


@pytest.fixture(scope="module")
def no_paste(small_bank):
    return EMPaste(small_bank, count=0, class_names=CLASSES)


def compose(transforms, *, fields=("labels",), keypoints=False, **rest):
    if keypoints:
        rest["keypoint_params"] = A.KeypointParams("xy", label_fields=["names"])
    params = A.BboxParams("pascal_voc", label_fields=list(fields))
    return A.Compose(transforms, bbox_params=params, **rest)


def at(pipeline, position, sample):
    """The sample with the key of this position, where the pipeline draws from nothing else."""
    with seeded(SampleKey(0, position)):
        return pipeline(**sample)


def test_the_chance_is_the_papers(no_paste, pool):
    backgrounds = Backgrounds(pool, num_originals=14)  # 12 / 40
    pipeline = compose([EMPasteTransform(no_paste, backgrounds=backgrounds, p=1.0)], seed=0)
    sample = make_sample(0, objects=2)
    kept = [len(pipeline(**sample)["bboxes"]) for _ in range(2000)]
    assert set(kept) == {0, 2}
    assert abs(kept.count(0) / 2000 - 0.3) < 0.035


@pytest.mark.parametrize("fit", ["cover", "none"])
@pytest.mark.parametrize("as_list", [False, True])
def test_nothing_is_left(no_paste, pool, fit, as_list):
    transform = EMPasteTransform(
        no_paste,
        backgrounds=Backgrounds(pool, probability=1.0, fit=fit),
        fill={"score": 0.0},
        keep_record=True,
        p=1.0,
    )
    pipeline = compose([transform], fields=("labels", "iscrowd", "score"), keypoints=True)
    for seed in range(6):
        sample = {
            **make_sample(seed),
            "iscrowd": [0, 1, 0],
            "score": [0.5, 0.25, 1.0],
            "mask": np.full((HEIGHT, WIDTH), 2, np.uint8),
            "keypoints": np.array([[3.0, 4.0], [50.0, 60.0]], np.float32),
            "names": ["nose", "tail"],
            "image_id": "photo 7",
        }
        if as_list:
            sample["masks"] = list(sample["masks"])
        before = copy.deepcopy(sample)
        result = at(pipeline, seed, sample)
        assert digest(sample) == digest(before)
        background = result["empaste_record"].background
        image = transform.backgrounds.render(background, HEIGHT, WIDTH)
        np.testing.assert_array_equal(result["image"], image)
        size = image.shape[:2]
        assert size == ((HEIGHT, WIDTH) if fit == "cover" else pool.size(background.row))
        assert np.shape(result["bboxes"]) == (0, 4)
        for field in ("labels", "iscrowd", "score", "masks", "keypoints", "names"):
            assert len(result[field]) == 0
        assert result["mask"].shape == size
        assert result["mask"].dtype == np.uint8
        assert (result["mask"] == 255).all()
        assert result["image_id"] == "photo 7"


@pytest.mark.parametrize("fit", ["cover", "none"])
@pytest.mark.parametrize("channel", [False, True])
def test_only_pasted_objects_are_left(small_bank, pool, fit, channel):
    paste = EMPaste(small_bank, count=3, class_names=CLASSES)
    backgrounds = Backgrounds(pool, probability=1.0, fit=fit, semantic_value=9)
    pipeline = compose([EMPasteTransform(paste, backgrounds=backgrounds, p=1.0)])
    pasted = 0
    for seed in range(20):
        sample = {**make_sample(seed), "mask": np.full((HEIGHT, WIDTH, 1), 2, np.uint8)}
        if channel:
            sample["masks"] = sample["masks"][..., None]
        else:
            sample["mask"] = sample["mask"][..., 0]
        result = at(pipeline, seed, sample)
        size = result["image"].shape[:2]
        count = len(result["bboxes"])
        pasted += count
        assert len(result["labels"]) == len(result["masks"]) == count
        assert result["mask"].shape[:2] == size
        assert result["mask"].ndim == 2 + channel
        union = np.zeros(size, bool)
        for mask, box, label in zip(
            result["masks"], result["bboxes"], result["labels"], strict=True
        ):
            assert label in CLASSES
            plain = mask.reshape(size) != 0
            rows, columns = np.flatnonzero(plain.any(axis=1)), np.flatnonzero(plain.any(axis=0))
            tight = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(box, tight, atol=1e-3)
            union |= plain
        semantic = result["mask"].reshape(size)
        assert set(semantic[~union].tolist()) == {9}
        assert set(semantic[union].tolist()) <= {0, 1, 2}
    assert pasted > 30


def test_later_transforms_take_the_sample(paste, pool):
    backgrounds = Backgrounds(pool, probability=0.6)
    pipeline = compose(
        [
            EMPasteTransform(paste, backgrounds=backgrounds, p=1.0),
            A.HorizontalFlip(p=0.5),
            A.RandomCrop(40, 50, p=1.0),
            A.RandomBrightnessContrast(p=0.5),
            A.Normalize(),
        ],
        seed=0,
    )
    empty = 0
    for seed in range(40):
        result = pipeline(**make_sample(seed, masks=seed % 2 == 0))
        assert result["image"].shape == (40, 50, 3)
        assert len(result["labels"]) == len(result["bboxes"])
        empty += len(result["bboxes"]) == 0
    assert 3 < empty < 37


def test_a_semantic_map_alone(paste, pool):
    transform = EMPasteTransform(paste, backgrounds=Backgrounds(pool, probability=1.0), p=1.0)
    sample = {
        "image": make_sample(0)["image"],
        "mask": np.full((HEIGHT, WIDTH), 77, np.int32),
        "image_id": 3,
    }
    for position in range(6):
        result = at(A.Compose([transform]), position, sample)
        assert set(np.unique(result["mask"])) <= {0, 1, 2, 255}
        assert 255 in result["mask"]
        assert result["mask"].dtype == np.int32


def test_without_backgrounds_and_with_chance_0_the_bytes_are_the_same(paste, pool):
    def digests(backgrounds):
        transform = EMPasteTransform(paste, backgrounds=backgrounds, keep_record=True, p=0.8)
        pipeline = compose([transform, A.HorizontalFlip(p=0.5)], seed=3)
        return [digest(pipeline(**make_sample(n))) for n in range(16)]

    assert digests(None) == digests(Backgrounds(pool, probability=0.0))


def test_what_is_not_replaced_stays_the_same(paste, pool):
    plain = compose([EMPasteTransform(paste, keep_record=True, p=1.0)], seed=5)
    mixed = compose(
        [
            EMPasteTransform(
                paste, backgrounds=Backgrounds(pool, probability=0.5), keep_record=True, p=1.0
            )
        ],
        seed=5,
    )
    kept = 0
    for number in range(24):
        one, other = plain(**make_sample(number)), mixed(**make_sample(number))
        if other["empaste_record"].background is None:
            kept += 1
            assert digest(one) == digest(other)
    assert 4 < kept < 20


def replay_of(paste, backgrounds):
    transform = EMPasteTransform(paste, backgrounds=backgrounds, keep_record=True, p=1.0)
    params = A.BboxParams("pascal_voc", label_fields=["labels"])
    pipeline = A.ReplayCompose([transform], bbox_params=params)
    pipeline.set_random_seed(1)
    return pipeline


def test_replay_shows_the_same_background(paste, pool):
    pipeline = replay_of(paste, Backgrounds(pool, probability=0.7))
    replaced = 0
    for seed in range(10):
        result = pipeline(**make_sample(seed))
        params = result["replay"]["transforms"][0]["params"]
        recipe = params.get("params", params)["recipe"]  # AlbumentationsX has one more level
        assert ("background" in recipe) == (result["empaste_record"].background is not None)
        replaced += "background" in recipe
        saved = json.loads(json.dumps(recipe))
        assert saved == recipe
        again = A.ReplayCompose.replay(result["replay"], **make_sample(seed))
        np.testing.assert_array_equal(again["image"], result["image"])
        np.testing.assert_array_equal(again["bboxes"], result["bboxes"])
        assert again["empaste_record"].background == result["empaste_record"].background
        if "background" in recipe:
            another = {**make_sample(seed), "image": make_sample(seed + 99)["image"]}
            other = A.ReplayCompose.replay(result["replay"], **another)
            np.testing.assert_array_equal(other["image"], result["image"])
    assert 3 < replaced < 10


def test_replay_without_the_pool(paste, pool):
    result = replay_of(paste, Backgrounds(pool, probability=1.0))(**make_sample(0))
    result["replay"]["transforms"][0]["backgrounds"] = None
    with pytest.raises(ArgumentError, match="has one, but this transform has no pool"):
        A.ReplayCompose.replay(result["replay"], **make_sample(0))


def test_to_dict_and_back(paste, pool):
    backgrounds = Backgrounds(pool, num_originals=10, fit="none", semantic_value=3)
    transform = EMPasteTransform(paste, backgrounds=backgrounds, p=1.0)
    again = A.from_dict(json.loads(json.dumps(A.to_dict(transform))))
    assert again.backgrounds.options() == backgrounds.options()
    assert A.from_dict(A.to_dict(EMPasteTransform(paste))).backgrounds is None
    copied = pickle.loads(pickle.dumps(transform))
    assert copied.backgrounds.options() == backgrounds.options()


def test_bad_arguments(paste, pool, tmp_path):
    with pytest.raises(ArgumentError, match=r"give Backgrounds\(pool, num_originals=len\(dataset"):
        EMPasteTransform(paste, backgrounds={"pool": str(pool.path)})
    with pytest.raises(ArgumentError, match="backgrounds: str; expected Backgrounds"):
        EMPasteTransform(paste, backgrounds=str(pool.path))
    rare = EMPasteTransform(paste, backgrounds=Backgrounds(pool, probability=0.01), p=1.0)
    image = make_sample(0)["image"]
    with pytest.raises(ArgumentError, match=r"labels: a sample with this label field, but without"):
        A.Compose([rare])(image=image, labels=["cat"])
    always = EMPasteTransform(paste, backgrounds=Backgrounds(pool, probability=1.0), p=1.0)
    with pytest.raises(
        ArgumentError, match=r"semantic_value of backgrounds: 255 does not fit int8"
    ):
        A.Compose([always])(image=image, mask=np.zeros((HEIGHT, WIDTH), np.int8))
    path = write_pool(tmp_path / "pool", 1)
    (path / "images/000/000000.jpg").unlink()
    damaged = EMPasteTransform(paste, backgrounds=Backgrounds(path, probability=1.0), p=1.0)
    with pytest.raises(PoolError, match=r"000000.jpg"):
        A.Compose([damaged])(image=image)

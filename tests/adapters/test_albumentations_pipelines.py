"""EMPasteTransform replayed, written to files, in DataLoaders; and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from empaste_aug import ArgumentError, EMPaste
from empaste_aug.stream import KeyedDataset
from empaste_aug.types import Placement

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
A = pytest.importorskip("albumentations")

from empaste_aug.adapters._albumentations_hooks import IS_SUCCESSOR, Recipe  # noqa: E402
from empaste_aug.adapters.albumentations import EMPasteTransform  # noqa: E402

CLASSES = ["cat", "dog", "cow"]
HEIGHT, WIDTH = 72, 96


def make_sample(seed=0, *, objects=2):
    rng = np.random.default_rng(seed)
    masks = np.zeros((objects, HEIGHT, WIDTH), np.uint8)
    boxes = np.zeros((objects, 4), np.float32)
    for row in range(objects):
        x, y = int(rng.integers(0, WIDTH - 20)), int(rng.integers(0, HEIGHT - 20))
        masks[row, y : y + 18, x : x + 20] = 1
        boxes[row] = x, y, x + 20, y + 18
    return {
        "image": rng.integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8),
        "bboxes": boxes,
        "masks": masks,
        "labels": [CLASSES[row % 3] for row in range(objects)],
    }


def box_params(*fields, **rest):
    return A.BboxParams("pascal_voc", label_fields=list(fields or ("labels",)), **rest)


def same(one, other):
    return all(
        np.array_equal(one[key], other[key]) for key in ("image", "bboxes", "masks", "labels")
    )


@pytest.fixture
def paste(small_bank):
    return EMPaste(
        small_bank, count=(2, 6), blend={"gaussian": 1, "none": 1}, flip=0.5, class_names=CLASSES
    )


def test_replay_pastes_the_same_also_after_json(paste):
    transforms = [
        A.HorizontalFlip(p=0.5),
        EMPasteTransform(paste, keep_record=True, p=0.7),
        A.VerticalFlip(p=0.5),
    ]
    pipeline = A.ReplayCompose(transforms, bbox_params=box_params())
    applied = 0
    for seed in range(12):
        sample = make_sample(seed, objects=seed % 3)
        if not (seed % 3 or IS_SUCCESSOR):
            sample["masks"] = []  # Albumentations' flips cannot take an empty array
        first = pipeline(**sample)
        again = A.ReplayCompose.replay(first["replay"], **sample)
        read = A.ReplayCompose.replay(json.loads(json.dumps(first["replay"])), **sample)
        assert same(first, again)
        assert same(first, read)
        assert first.get("empaste_record") == again.get("empaste_record")
        applied += "empaste_record" in first
    assert 0 < applied < 12


def test_replay_on_another_image_pastes_the_same_cutouts_at_the_same_places(paste):
    transform = EMPasteTransform(paste, keep_record=True, p=1.0)
    pipeline = A.ReplayCompose([transform], bbox_params=box_params())
    first = pipeline(**make_sample(0, objects=0))
    other = A.ReplayCompose.replay(first["replay"], **make_sample(1, objects=0))
    assert first["empaste_record"].placements == other["empaste_record"].placements
    assert not np.array_equal(first["image"], other["image"])
    assert same({**first, "image": 0}, {**other, "image": 0})


def test_a_copied_recipe_is_plain_and_holds_the_sample_no_longer(paste):
    transform = EMPasteTransform(paste, keep_record=True, p=1.0)
    pipeline = A.Compose([transform], bbox_params=box_params())
    sample = make_sample()
    params = transform.draw({"image": sample["image"]}, np.random.default_rng(0))
    recipe = params["recipe"]
    assert isinstance(recipe, Recipe)
    plain = json.loads(json.dumps(recipe))
    assert type(plain["placements"][0]) is dict
    assert recipe.take() is not None
    assert recipe.take() is None
    record = pipeline(**sample)["empaste_record"]
    assert all(isinstance(placement, Placement) for placement in record.placements)


def test_a_record_makes_the_sample_again(paste):
    pipeline = A.Compose([EMPasteTransform(paste, keep_record=True, p=1.0)])
    image = make_sample()["image"]
    result = pipeline(image=image)
    from empaste_aug.types import Scene

    record = result["empaste_record"]
    assert np.array_equal(paste.render(Scene(image), record.placements).image, result["image"])
    drawn = paste(Scene(image), np.random.default_rng(record.seed_key))
    assert np.array_equal(drawn.image, result["image"])


@pytest.mark.parametrize("way", ["dict", "json", "file"])
def test_pipelines_are_written_and_read(small_bank, tmp_path, way):
    paste = EMPaste(
        small_bank,
        placement="space_maximize",
        count=(2, 3),
        selection={"cat": 1, "dog": 2.5},
        max_scale=3.0,
        blend={"gaussian": 0.75, "none": 0.25},
        class_names=["a cat", "dog", "cow", "bird"],
        category_map={"cat": "a cat"},
        exclude=("cow",),
    )
    label_as = {"a cat": 3, "dog": 4, "cow": 5, "bird": 6}
    transform = EMPasteTransform(
        paste, label_as=label_as, fill={"score": 0.5}, index_field="at", keep_record=True, p=1.0
    )
    params = box_params("labels", "score", "at")
    pipeline = A.Compose([transform, A.HorizontalFlip(p=0.5)], bbox_params=params, seed=0)
    if way == "file":
        A.save(pipeline, tmp_path / "pipeline.json")
        again = A.load(tmp_path / "pipeline.json")
    else:
        written = A.to_dict(pipeline)
        again = A.from_dict(json.loads(json.dumps(written)) if way == "json" else written)
    assert A.to_dict(again) == A.to_dict(pipeline)
    pipeline.set_random_seed(5)
    again.set_random_seed(5)
    sample = {**make_sample(), "labels": [3, 4], "score": [1, 1], "at": [0, 1]}
    one, other = pipeline(**sample), again(**sample)
    assert same(one, other)
    assert one["empaste_record"] == other["empaste_record"]
    assert repr(small_bank.path.name) not in repr(transform)
    assert str(small_bank.path) in repr(transform)


def choose_first(scene, rng):
    return 0


def test_arguments_instead_of_an_empaste_and_a_callable_selection(small_bank):
    options = {"bank": str(small_bank.path), "selection": choose_first, "class_names": CLASSES}
    transform = EMPasteTransform(options, p=1.0)
    again = A.from_dict(A.to_dict(transform))
    assert again.paste.selection is choose_first
    result = again(
        image=make_sample()["image"], masks=np.zeros((0, HEIGHT, WIDTH), bool), labels=[]
    )
    assert set(result["labels"]) == {"cat"}


class Photos:
    """A map-style data set with a pipeline inside, as Albumentations' users write them."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 8

    def __getitem__(self, index):
        result = self.transform(**make_sample(index))
        return result["image"], result["masks"], result["labels"]


def load(dataset, workers, sampler=None, init=None):
    torch = pytest.importorskip("torch")
    return list(
        torch.utils.data.DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            worker_init_fn=init,
            collate_fn=lambda sample: sample,
            multiprocessing_context="fork" if workers else None,
        )
    )


def equal_lists(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b)
        for pair in zip(one, other, strict=True)
        for a, b in zip(*pair, strict=True)
    )


def pipeline_of(paste):
    transforms = [EMPasteTransform(paste, p=0.8), A.HorizontalFlip(p=0.5)]
    return A.Compose(transforms, bbox_params=box_params(), seed=1)


def test_keyed_samples_are_the_same_for_any_number_of_workers(paste):
    dataset = KeyedDataset(Photos(pipeline_of(paste)), seed=3)
    items = [(position, position % 8) for position in range(8, 20)]
    alone, two = load(dataset, 0, items), load(dataset, 2, items)
    assert equal_lists(alone, two)
    assert not equal_lists(alone[:4], alone[8:])  # the same photos at other positions


def test_a_keyed_sample_carries_its_key(paste):
    transform = EMPasteTransform(paste, keep_record=True, p=1.0)
    pipeline = A.Compose([transform], bbox_params=box_params())
    dataset = KeyedDataset([make_sample()], lambda sample: pipeline(**sample), seed=3)
    record = dataset[11, 0]["empaste_record"]
    assert record.seed_key == (3, 11)
    assert record == dataset[11, 0]["empaste_record"]


def reseed_worker(worker):
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.get_worker_info().dataset
    dataset.transform.set_random_seed(torch.initial_seed() % 2**32)


def test_workers_that_are_reseeded_repeat_after_manual_seed(paste):
    torch = pytest.importorskip("torch")
    epochs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        epochs.append(load(Photos(pipeline_of(paste)), 2, init=reseed_worker))
    assert equal_lists(epochs[0], epochs[1])
    assert not equal_lists(epochs[0], epochs[2])


BAD_SAMPLES = {
    "image: float32": ({"image": np.zeros((HEIGHT, WIDTH, 3), np.float32)}, "image: .*float32"),
    "image: grey": ({"image": np.zeros((HEIGHT, WIDTH, 1), np.uint8)}, "image: shape"),
    "masks: too few": ({"masks": np.zeros((1, HEIGHT, WIDTH), np.uint8)}, "masks: 1 for 2 boxes"),
    "masks: of 255": (
        {"masks": np.full((2, HEIGHT, WIDTH), 255, np.uint8)},
        "masks.0.: its largest value is 255.*mask_value=1",
    ),
    "masks: channels": ({"masks": np.ones((2, HEIGHT, WIDTH, 2), np.uint8)}, "masks: shape"),
    "labels: unknown": ({"labels": ["cat", "zebra"]}, r"labels\[1\]: 'zebra' is none of"),
    "labels: ids": ({"labels": [0, 1]}, r"labels\[0\]: 0.* is none of .*label_as=\"id\"$"),
    "mask: float": ({"mask": np.zeros((HEIGHT, WIDTH), np.float32)}, "mask: .*integer"),
    "iscrowd: too short": ({"iscrowd": [0]}, "iscrowd: 1 values for 2 objects"),
    "iscrowd: no list": ({"iscrowd": 0}, "iscrowd: int; expected a list"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_a_bad_sample_is_refused_by_name(paste, case):
    entries, message = BAD_SAMPLES[case]
    pipeline = A.Compose([EMPasteTransform(paste, p=1.0)], bbox_params=box_params())
    with pytest.raises(ArgumentError, match=message):
        pipeline(**{**make_sample(), **entries})


@pytest.mark.parametrize("masks", [True, False])
def test_albumentations_refuses_boxes_that_are_not_finite(paste, masks):
    """Before any transform, so masks cannot hide them."""
    pipeline = A.Compose([EMPasteTransform(paste, p=1.0)], bbox_params=box_params())
    sample = make_sample()
    sample["bboxes"][1, 1] = np.nan
    if not masks:
        del sample["masks"]
    with pytest.raises(ValueError, match="nan"):
        pipeline(**sample)


def test_label_fields_have_to_be_explained(paste):
    sample = {**make_sample(), "score": [0.5, 1.0], "names": ["cat", "dog"]}

    def run(fields, **arguments):
        transform = EMPasteTransform(paste, p=1.0, **arguments)
        return A.Compose([transform], bbox_params=box_params(*fields))(**sample)

    with pytest.raises(ArgumentError, match="score: nothing says what pasted objects have"):
        run(["labels", "score"])
    with pytest.raises(ArgumentError, match="labels2: the sample has no such labels"):
        run(["names"], label_field="labels2")
    with pytest.raises(ArgumentError, match="index_field: 'at' has to be a label field"):
        run(["labels"], index_field="at")
    with pytest.raises(ArgumentError, match=r"score: .* are not different positions"):
        run(["labels", "score"], index_field="score")
    with pytest.raises(ArgumentError, match=r"score: cannot add 'none' .* that are numbers"):
        run(["labels", "score"], fill={"score": "none"})
    with pytest.raises(ArgumentError, match=r"names: cannot add 0 .* not numbers"):
        run(["labels", "names"], fill={"names": 0})
    assert len(run(["names"], label_field="names")["names"]) > 2


def test_targets_that_pasting_cannot_serve(paste):
    image = make_sample()["image"]
    transform = EMPasteTransform(paste, p=1.0)
    with pytest.raises(ArgumentError, match="images: cannot be pasted on"):
        A.Compose([transform])(images=np.stack([image, image]))
    with pytest.raises(ArgumentError, match="volume: cannot be pasted on"):
        A.Compose([transform])(volume=np.stack([image, image]))
    with pytest.raises(
        ArgumentError, match=r"additional_targets: 'right' .image.: pasting changes"
    ):
        A.Compose([transform], additional_targets={"right": "image"})
    with pytest.raises(ArgumentError, match=r"bboxes: needs A.Compose with bbox_params"):
        transform(image=image, bboxes=np.zeros((0, 4)), labels=[])
    with pytest.raises(ArgumentError, match=r"keypoints: need A.Compose with keypoint_params"):
        transform(image=image, keypoints=np.zeros((1, 5)))
    nameless = A.BboxParams("pascal_voc")
    with pytest.raises(ArgumentError, match="bboxes: 1 columns after the four numbers"):
        A.Compose([transform], bbox_params=nameless)(
            image=image, bboxes=np.array([[1, 2, 5, 6, 0]])
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_value": 0}, "mask_value: 0"),
        ({"mask_value": 1.5}, "mask_value: 1.5"),
        ({"label_as": "index"}, "label_as: 'index' is neither"),
        ({"label_as": {"cat": 1, "dog": 2}}, r"label_as: does not give each .* lacks \['cow'\]"),
        ({"label_as": {"cat": 1, "dog": 2, "cow": 2}}, "label_as: 'dog' and 'cow' are both 2"),
        (
            {"label_as": {"cat": 1, "dog": 2, "cow": 3, "emu": 4}},
            r"label_as: \['emu'\] not among .*class_names=list\(label_as\)",
        ),
        ({"fill": {"labels": 0}}, "'labels' is named twice"),
        ({"index_field": "labels"}, "'labels' is named twice"),
    ],
)
def test_bad_arguments(paste, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        EMPasteTransform(paste, **arguments)


def test_what_is_no_paste_is_refused(small_bank, tmp_path):
    for given, message in (
        ("out/bank", r"paste: str; expected an EMPaste or a mapping .*: EMPaste\('out/bank'\)"),
        (tmp_path, r"paste: PosixPath; expected .*: EMPaste\('"),
        (None, "paste: NoneType; expected an EMPaste or a mapping of its arguments$"),
    ):
        with pytest.raises(ArgumentError, match=message):
            EMPasteTransform(given)
    assert EMPasteTransform({"bank": small_bank, "count": 1}).paste.count == (1, 1)


def test_long_lists_of_classes_are_cut(small_bank):
    names = [*CLASSES, *(f"class {number}" for number in range(30))]
    paste = EMPaste(small_bank, class_names=names)
    pipeline = A.Compose([EMPasteTransform(paste, p=1.0)], bbox_params=box_params())
    with pytest.raises(ArgumentError, match=r"'class 6', \.\.\.") as caught:
        pipeline(**{**make_sample(), "labels": ["cat", "zebra"]})
    assert "class 7" not in str(caught.value)
    with pytest.raises(ArgumentError, match=r"'class 9', \.\.\."):
        EMPasteTransform(paste, label_as={"cat": 1, "dog": 2, "cow": 3})


def test_it_compiles_at_construction(paste, monkeypatch):
    warmed = []
    monkeypatch.setattr(EMPaste, "warmup", lambda made: warmed.append(made))
    EMPasteTransform(paste)
    assert warmed == [paste]


def test_a_bad_probability(paste):
    with pytest.raises(ValueError, match="p"):
        EMPasteTransform(paste, p=1.5)


@pytest.mark.skipif(not IS_SUCCESSOR, reason="Albumentations has no instance_binding")
def test_instance_binding(paste):
    params = box_params("labels", "iscrowd")
    transforms = [EMPasteTransform(paste, p=1.0), A.Crop(8, 8, 90, 66, p=1.0)]
    pipeline = A.Compose(transforms, bbox_params=params, instance_binding=["masks", "bboxes"])
    for seed in range(20):
        sample = make_sample(seed)
        instances = [
            {"mask": mask, "bbox": box, "bbox_labels": {"labels": label, "iscrowd": 0}}
            for mask, box, label in zip(
                sample["masks"], sample["bboxes"], sample["labels"], strict=True
            )
        ]
        result = pipeline(image=sample["image"], instances=instances)
        assert len(result["instances"]) > 2
        for instance in result["instances"]:
            x0, y0, x1, y1 = np.rint(instance["bbox"]).astype(int)
            inside = instance["mask"][y0:y1, x0:x1].sum()
            assert inside == instance["mask"].sum() > 0


def test_without_albumentations_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['albumentations'] = None\n"
        "from empaste_aug.types import MissingDependencyError\n"
        "try:\n"
        "    import empaste_aug.adapters.albumentations\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "pip install 'empaste_aug[albumentations]'" in done.stdout

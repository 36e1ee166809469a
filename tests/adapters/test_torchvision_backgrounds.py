"""torchvision's EMPasteTransform with a pool: nothing is left of the photo that is replaced."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from loader_data import digest
from pool_data import write_folder, write_pool

from empaste_aug import ArgumentError, Backgrounds, EMPaste, PoolError
from empaste_aug.stream import SampleKey, seeded

pytest.importorskip("torchvision")

import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision_data import CLASSES, SIZE, same, sample

from empaste_aug.adapters.loader import build_stream_loader
from empaste_aug.adapters.torchvision import EMPasteTransform

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(scope="module")
def paste(small_bank):
    return EMPaste(small_bank, count=(0, 3), class_names=CLASSES)


@pytest.fixture(scope="module")
def no_paste(small_bank):
    return EMPaste(small_bank, count=0, class_names=CLASSES)


def at(transform, position, image, target):
    with seeded(SampleKey(0, position)):
        return transform(image, target)


def test_the_chance_is_the_papers(no_paste, pool):
    backgrounds = Backgrounds(pool, num_originals=14)  # 12 / 40
    transform = EMPasteTransform(no_paste, backgrounds=backgrounds)
    image, target = sample(0, objects=2)
    kept = [len(at(transform, n, image, target)[1]["boxes"]) for n in range(3000)]
    assert set(kept) == {0, 2}
    assert abs(kept.count(0) / 3000 - 0.3) < 0.03


@pytest.mark.parametrize("fit", ["cover", "none"])
@pytest.mark.parametrize("box_format", ["XYXY", "XYWH", "CXCYWH"])
def test_nothing_is_left(no_paste, pool, box_format, fit):
    transform = EMPasteTransform(
        no_paste,
        backgrounds=Backgrounds(pool, probability=1.0, fit=fit),
        semantic_key="semantic",
        visibility_key="visibility",
        carry={"attributes": 0, "names": 0},
        keep=["camera"],
        keep_record=True,
    )
    for seed in range(8):
        image, target = sample(seed, objects=3, box_format=box_format, dtype=torch.float64)
        points = torch.full((3, 5, 2), 9.0)
        target |= {
            "keypoints": tv_tensors.KeyPoints(points, canvas_size=SIZE),
            "visibility": torch.full((3, 5), 2),
            "semantic": tv_tensors.Mask(torch.full(SIZE, 4, dtype=torch.uint8)),
            "attributes": torch.ones((3, 4), dtype=torch.int16),
            "names": ["a", "b", "c"],
            "camera": torch.ones(3),
            "orig_size": torch.tensor(SIZE),
        }
        before = copy.deepcopy((image, target))
        out_image, out = at(transform, seed, image, target)
        assert same(image, before[0])
        assert same(target, before[1])
        record = out.pop("empaste_record")
        pixels = transform.backgrounds.render(record.background, *SIZE)
        size = pixels.shape[:2]
        assert size == (SIZE if fit == "cover" else pool.size(record.background.row))
        assert isinstance(out_image, tv_tensors.Image)
        np.testing.assert_array_equal(out_image.permute(1, 2, 0).numpy(), pixels)
        assert set(out) == set(target)
        assert out["boxes"].shape == (0, 4)
        assert out["boxes"].dtype == torch.float64
        assert out["boxes"].format.name == box_format
        assert out["boxes"].canvas_size == size
        assert (out["labels"].shape, out["labels"].dtype) == ((0,), target["labels"].dtype)
        assert isinstance(out["masks"], tv_tensors.Mask)
        assert (out["masks"].shape, out["masks"].dtype) == ((0, *size), torch.uint8)
        assert (out["area"].shape, out["area"].dtype) == ((0,), torch.float32)
        assert (out["iscrowd"].shape, out["iscrowd"].dtype) == ((0,), torch.int64)
        assert isinstance(out["keypoints"], tv_tensors.KeyPoints)
        assert (out["keypoints"].shape, out["keypoints"].canvas_size) == ((0, 5, 2), size)
        assert out["visibility"].shape == (0, 5)
        assert isinstance(out["semantic"], tv_tensors.Mask)
        assert (out["semantic"].shape, out["semantic"].dtype) == (size, torch.uint8)
        assert (out["semantic"] == 255).all()
        assert (out["attributes"].shape, out["attributes"].dtype) == ((0, 4), torch.int16)
        assert out["names"] == []
        for key in ("camera", "orig_size", "image_id"):
            assert same(out[key], target[key])


def test_later_transforms_take_the_sample(paste, pool):
    backgrounds = Backgrounds(pool, probability=0.6)
    transform = v2.Compose(
        [
            EMPasteTransform(paste, backgrounds=backgrounds, keep_record=True),
            v2.RandomHorizontalFlip(),
            v2.RandomResizedCrop((40, 50)),
            v2.SanitizeBoundingBoxes(labels_getter=lambda inputs: inputs[1]["labels"]),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    empty = 0
    for position in range(40):
        image, target = at(transform, position, *sample(position))
        assert image.shape == (3, 40, 50)
        assert image.dtype == torch.float32
        count = len(target["boxes"])
        assert len(target["labels"]) == count
        empty += count == 0
    assert 3 < empty < 37


def test_only_pasted_objects_are_left(small_bank, pool):
    paste = EMPaste(small_bank, count=3, class_names=CLASSES)
    transform = EMPasteTransform(
        paste,
        backgrounds=Backgrounds(pool, probability=1.0, semantic_value=200),
        semantic_key="semantic",
        keep_record=True,
    )
    pasted = 0
    for position in range(30):
        image, target = sample(position, objects=4)
        target["semantic"] = torch.full(SIZE, 4, dtype=torch.int64)
        _, out = at(transform, position, image, target)
        count = len(out["empaste_record"].placements)
        pasted += count
        assert len(out["boxes"]) == len(out["masks"]) == len(out["area"]) == count
        union = out["masks"].any(dim=0).bool() if count else torch.zeros(SIZE, dtype=torch.bool)
        assert set(out["semantic"][~union].tolist()) == {200}
        assert set(out["semantic"][union].tolist()) <= {0, 1, 2}
        for row in range(count):
            rows, columns = out["masks"][row].nonzero(as_tuple=True)
            tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert out["boxes"][row].tolist() == [float(v) for v in tight]
    assert pasted > 45


def test_box_only_and_pil(paste, pool):
    transform = EMPasteTransform(
        paste, backgrounds=Backgrounds(pool, probability=1.0), masks_key=None
    )
    image, target = sample(1, objects=2, masks=False)
    pil = PIL.Image.fromarray(image.permute(1, 2, 0).numpy())
    out_image, out = at(transform, 0, pil, target)
    assert isinstance(out_image, PIL.Image.Image)
    assert out_image.size == SIZE[::-1]
    assert "masks" not in out
    out_image, out = at(transform, 0, image, {"image_id": 3})
    assert out["image_id"] == 3
    assert out["boxes"].shape[1:] == (4,)


def test_without_backgrounds_and_with_chance_0_the_bytes_are_the_same(paste, pool):
    def digests(backgrounds):
        transform = EMPasteTransform(paste, backgrounds=backgrounds)
        found = [digest(at(transform, n, *sample(n))) for n in range(12)]
        for seed in range(6):
            torch.manual_seed(seed)
            found.append(digest(transform(*sample(seed))))
        return found

    assert digests(None) == digests(Backgrounds(pool, probability=0.0))


def test_what_is_not_replaced_stays_the_same(paste, pool):
    plain = EMPasteTransform(paste, keep_record=True)
    mixed = EMPasteTransform(
        paste, backgrounds=Backgrounds(pool, probability=0.5), keep_record=True
    )
    kept = 0
    for position in range(24):
        one, other = (at(t, position, *sample(position)) for t in (plain, mixed))
        if other[1]["empaste_record"].background is None:
            kept += 1
            assert digest(one) == digest(other)
    assert 4 < kept < 20


class Samples:
    """A map-style data set."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 9

    def __getitem__(self, index):
        return self.transform(*sample(index))


def test_same_samples_for_any_number_of_workers(paste, tmp_path):
    backgrounds = Backgrounds(write_folder(tmp_path / "mine"), num_originals=9)
    data = Samples(EMPasteTransform(paste, backgrounds=backgrounds, keep_record=True))

    def stream(**options):
        loader = build_stream_loader(data, batch_size=2, seed=1, collate_fn=list, **options)
        return [
            [digest(made) for made in batch] for _, batch in zip(range(8), loader, strict=False)
        ]

    expected = stream()
    assert stream(num_workers=2) == expected
    again = Samples(pickle.loads(pickle.dumps(data.transform)))
    assert [digest(at(data.transform, n, *sample(n))) for n in range(6)] == [
        digest(at(again.transform, n, *sample(n))) for n in range(6)
    ]


def test_bad_arguments(paste, pool, tmp_path):
    with pytest.raises(ArgumentError, match=r"give Backgrounds\(pool, num_originals=len\(dataset"):
        EMPasteTransform(paste, backgrounds=Backgrounds(pool))
    with pytest.raises(ArgumentError, match="backgrounds: str; expected Backgrounds"):
        EMPasteTransform(paste, backgrounds=str(pool.path))
    transform = EMPasteTransform(
        paste, backgrounds=Backgrounds(pool, probability=1.0), semantic_key="semantic"
    )
    image, target = sample(0)
    target["semantic"] = torch.zeros(SIZE, dtype=torch.int8)
    with pytest.raises(ArgumentError, match=r"semantic_value of backgrounds: 255 does not fit"):
        transform(image, target)
    path = write_pool(tmp_path / "pool", 1)
    (path / "images/000/000000.jpg").unlink()
    transform = EMPasteTransform(paste, backgrounds=Backgrounds(path, probability=1.0))
    with pytest.raises(PoolError, match=r"000000.jpg"):
        transform(*sample(0))
    assert "Backgrounds(" in repr(transform)

"""EMPasteTransform: what it hands out, what it leaves alone, and what it refuses."""

from __future__ import annotations

import copy
import doctest
import pickle
import subprocess
import sys

import numpy as np
import pytest

from empaste_aug import ArgumentError, EMPaste
from empaste_aug.types import Instance, Scene, tight_box

pytest.importorskip("torchvision")

import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision_data import CLASSES, SIZE, same, sample, write_coco

from empaste_aug.adapters import torchvision as adapter
from empaste_aug.adapters.torchvision import EMPasteTransform

FORMATS = ["XYXY", "XYWH", "CXCYWH"]


@pytest.fixture(params=["random", "space_maximize"])
def paste(request, small_bank):
    return EMPaste(small_bank, count=(1, 6), placement=request.param, class_names=CLASSES)


def to_xyxy(boxes):
    return v2.functional.convert_bounding_box_format(boxes, new_format="XYXY")


def scene_of(image, target):
    """The scene that EMPaste itself takes."""
    instances = []
    for row, label in enumerate(target["labels"].tolist()):
        crowd = bool(target["iscrowd"][row])
        if "masks" in target:
            mask = target["masks"][row].numpy() != 0
            made = Instance.from_mask(label, mask, crowd=crowd, source_index=row)
        else:
            box = tuple(to_xyxy(target["boxes"])[row].tolist())
            made = Instance(label, box, crowd=crowd, source_index=row)
        instances.append(made)
    return Scene(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), instances)


@pytest.mark.parametrize("masks", [True, False])
def test_agrees_with_empaste(paste, masks):
    """On 60 scenes: the image, and every object's class, mask, box, area and crowd flag."""
    transform = EMPasteTransform(paste, keep_record=True)
    touched = pasted_count = 0
    for seed in range(60):
        image, target = sample(seed, masks=masks)
        if seed % 3 == 0 and len(target["labels"]):
            target["iscrowd"][0] = 1
        before = copy.deepcopy((image, target))
        torch.manual_seed(seed)
        out_image, out = transform(image, target)
        assert same(image, before[0])
        assert same(target, before[1])

        record = out["empaste_record"]
        scene = paste(scene_of(image, target), np.random.default_rng(record.seed_key))
        assert scene.record.placements == record.placements
        assert isinstance(out_image, tv_tensors.Image)
        np.testing.assert_array_equal(out_image.permute(1, 2, 0).numpy(), scene.image)
        count = len(scene.instances)
        assert all(len(out[key]) == count for key in ("boxes", "labels", "area", "iscrowd"))
        assert ("masks" in out) == masks
        assert out["boxes"].canvas_size == SIZE
        assert out["image_id"] == seed
        for row, instance in enumerate(scene.instances):
            source = instance.source_index
            assert out["labels"][row] == instance.category_id
            assert bool(out["iscrowd"][row]) == instance.crowd
            box = tuple(out["boxes"][row].tolist())
            if instance.mask is not None:
                full = instance.full_mask(*SIZE)
                assert full.any()
                assert out["area"][row] == full.sum()
            if masks:
                np.testing.assert_array_equal(out["masks"][row].numpy(), full.astype(np.uint8))
            if source is None:
                pasted_count += 1
                assert box == tight_box(full)
            elif masks and np.array_equal(full, target["masks"][source].numpy()):
                assert box == tuple(target["boxes"][source].tolist())
            elif masks:
                touched += 1
                assert box == tight_box(full)
            else:
                touched += box != tuple(target["boxes"][source].tolist())
                assert box == instance.bbox
    assert pasted_count > 60
    assert touched > 0 or paste.placement.placement == "space_maximize"


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
@pytest.mark.parametrize("box_format", FORMATS)
def test_box_formats(small_bank, box_format, dtype):
    """The same boxes in every format; untouched rows are bit-identical."""
    transform = EMPasteTransform(EMPaste(small_bank, count=4, class_names=CLASSES))
    for seed in range(8):
        outs = []
        for name in ("XYXY", box_format):
            torch.manual_seed(seed)
            image, target = sample(seed, objects=3, box_format=name, dtype=dtype)
            outs.append(transform(image, target)[1])
        expected, out = outs
        assert out["boxes"].format.name == box_format
        assert out["boxes"].dtype == dtype
        assert same(out["masks"], expected["masks"])
        difference = (to_xyxy(out["boxes"]).double() - to_xyxy(expected["boxes"]).double()).abs()
        # whole numbers cannot hold the centre of a box of odd size
        halves = dtype == torch.int64 and box_format == "CXCYWH"
        assert difference.max() <= (1 if halves else 1e-4)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_mask_dtypes(paste, dtype):
    """Masks of another dtype give the same and keep it."""
    transform = EMPasteTransform(paste)
    for seed in range(6):
        image, target = sample(seed, objects=3)
        torch.manual_seed(seed)
        _, expected = transform(image, target)
        target["masks"] = tv_tensors.Mask(target["masks"].to(dtype))
        torch.manual_seed(seed)
        _, out = transform(image, target)
        assert out["masks"].dtype == dtype
        assert torch.equal(out["masks"], expected["masks"].to(dtype))
        assert torch.equal(out["boxes"], expected["boxes"])


def test_degenerate_boxes_are_mended(small_bank):
    """An untouched original with a box of no width gets the box of its mask."""
    image, target = sample(0, objects=2)
    target["boxes"][1, 2] = target["boxes"][1, 0]
    _, out = EMPasteTransform(EMPaste(small_bank, count=0, class_names=CLASSES))(image, target)
    assert torch.equal(out["boxes"][0], target["boxes"][0])
    assert tuple(out["boxes"][1].tolist()) == tight_box(target["masks"][1].numpy() != 0)


def test_empty_masks_are_left_out(small_bank):
    paste = EMPaste(small_bank, count=0, class_names=CLASSES)
    transform = EMPasteTransform(paste, carry=["names"])
    image, target = sample(1, objects=3)
    target["masks"][1] = 0
    target["names"] = ["a", "b", "c"]
    out_image, out = transform(image, target)
    assert out_image is image
    assert out["names"] == ["a", "c"]
    assert torch.equal(out["masks"], target["masks"][[0, 2]])
    assert torch.equal(out["boxes"], target["boxes"][[0, 2]])


@pytest.mark.parametrize("kind", ["tv_tensor", "tensor", "pil"])
def test_image_types(paste, kind):
    image, target = sample(3, objects=2)
    torch.manual_seed(0)
    expected, _ = EMPasteTransform(paste)(image, target)
    plain = image.as_subclass(torch.Tensor)
    given = {
        "tv_tensor": image,
        "tensor": plain,
        "pil": PIL.Image.fromarray(plain.permute(1, 2, 0).numpy()),
    }[kind]
    torch.manual_seed(0)
    out, _ = EMPasteTransform(paste)(given, target)
    assert type(out) is type(given)
    assert torch.equal(v2.functional.to_image(out), expected)
    assert not torch.equal(expected, image)


def test_pair_and_two_arguments(paste):
    transform = EMPasteTransform(paste)
    torch.manual_seed(5)
    one = transform(*sample(5))
    torch.manual_seed(5)
    other = transform(sample(5))
    assert same(one[0], other[0])
    assert same(one[1], other[1])


def test_label_offset(small_bank):
    paste = EMPaste(small_bank, count=5, class_names=CLASSES)
    for seed in range(10):
        image, target = sample(seed, objects=2)
        torch.manual_seed(seed)
        _, expected = EMPasteTransform(paste)(image, target)
        target["labels"] = target["labels"] + 1
        torch.manual_seed(seed)
        _, out = EMPasteTransform(paste, label_offset=1)(image, target)
        assert torch.equal(out["labels"], expected["labels"] + 1)


def test_label_as(small_bank):
    """The same scenes as with positions, under the numbers that are given."""
    ids = {"cow": np.int64(90), "dog": 51, "cat": 17}
    values = torch.tensor([17, 51, 90])
    paste = EMPaste(small_bank, count=5, class_names=CLASSES)
    transform = EMPasteTransform(paste, label_as=ids)
    seen = set()
    for seed in range(10):
        image, target = sample(seed, objects=2)
        torch.manual_seed(seed)
        _, expected = EMPasteTransform(paste)(image, target)
        torch.manual_seed(seed)
        _, out = transform(image, {**target, "labels": values[target["labels"]]})
        assert torch.equal(out["labels"], values[expected["labels"]])
        assert torch.equal(out["masks"], expected["masks"])
        seen |= set(out["labels"].tolist())
    assert seen == {17, 51, 90}
    with pytest.raises(
        ArgumentError,
        match=r"\['labels'\]: 18, in row 1, is not among the values of label_as, \[17, 51, 90\]",
    ):
        transform(image, {**target, "labels": torch.tensor([17, 18])})
    big = EMPasteTransform(paste, label_as={**ids, "cow": 300})
    with pytest.raises(ArgumentError, match=r"\['labels'\]: torch.uint8 does not hold 300"):
        big(image, {**target, "labels": torch.tensor([17, 51], dtype=torch.uint8)})


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("count", [0, 3])
def test_empty_tensors_are_no_objects(small_bank, wrapped, count):
    """torch.tensor([]) is float32 of shape (0,), and one empty row of BoundingBoxes."""
    transform = EMPasteTransform(EMPaste(small_bank, count=count, class_names=CLASSES))
    image, _ = sample(0)
    boxes, masks = torch.tensor([]), torch.tensor([])
    if wrapped:
        boxes = tv_tensors.BoundingBoxes(boxes, format="XYWH", canvas_size=SIZE)
        masks = tv_tensors.Mask(masks)
    empty = {"boxes": boxes, "labels": torch.tensor([]), "masks": masks, "area": torch.tensor([])}
    torch.manual_seed(0)
    _, out = transform(image, empty)
    assert len(out["labels"]) == len(out["area"]) == count
    assert out["labels"].dtype == torch.int64
    assert out["boxes"].dtype == torch.float32
    assert out["boxes"].shape == (count, 4)
    assert type(out["boxes"]) is type(boxes)
    assert out["masks"].dtype == torch.uint8
    assert out["masks"].shape == (count, *SIZE)
    assert type(out["masks"]) is type(masks)
    assert tuple(boxes.shape) == ((1, 0) if wrapped else (0,))
    torch.manual_seed(0)
    _, expected = transform(image, {})
    assert torch.equal(out["masks"], expected["masks"])
    _, ints = transform(image, {**empty, "labels": torch.zeros(0, dtype=torch.int32)})
    assert ints["labels"].dtype == torch.int32


@pytest.mark.parametrize("objects", [0, 1, 2, 5])
def test_what_is_of_the_image_passes_through(small_bank, objects):
    """Whatever the number of objects; the rest has to be named, whatever it is too."""
    paste = EMPaste(small_bank, count=2, class_names=CLASSES)
    image, target = sample(3, objects=objects)
    passing = {
        "image_id": torch.tensor([7]),
        "orig_size": torch.tensor([72, 96]),
        "path": "a.jpg",
        "weight": 0.5,
        "scalar": torch.tensor(3.0),
        "extra": {"names": ["a", "b"]},
    }
    kept = {
        "size": torch.tensor([72, 96]),
        "tags": ["street"] * 5,
        "depth": tv_tensors.Mask(torch.zeros(SIZE)),
    }
    transform = EMPasteTransform(paste, keep=list(kept))
    _, out = transform(image, {**target, **passing, **kept})
    for key, value in {**passing, **kept}.items():
        assert out[key] is value
    for key in kept:
        with pytest.raises(ArgumentError, match=rf"target\['{key}'\]: .*in keep"):
            EMPasteTransform(paste)(image, {**target, key: kept[key]})
    carrying = EMPasteTransform(paste, carry={"orig_size": 5})
    _, out = carrying(image, {**target, "orig_size": torch.ones(objects)})
    assert len(out["orig_size"]) == len(out["labels"])


def test_masks_without_a_key_are_refused(small_bank):
    transform = EMPasteTransform(EMPaste(small_bank, class_names=CLASSES), masks_key=None)
    image, target = sample(3, objects=2)
    target["masks"] = target["masks"].as_subclass(torch.Tensor)
    with pytest.raises(ArgumentError, match=r"target\['masks'\]: Tensor of shape \(2, 72, 96\)"):
        transform(image, target)


def test_it_compiles_at_construction(small_bank, monkeypatch):
    """All that EMPaste needs, so that workers need not."""
    warmed = []
    monkeypatch.setattr(EMPaste, "warmup", lambda made: warmed.append(made))
    transform = EMPasteTransform(EMPaste(small_bank, blend="poisson"))
    assert warmed == [transform.paste]


def test_carry(small_bank):
    """Rows follow their originals, also when one is hidden; pasted ones get the fill."""
    paste = EMPaste(small_bank, count=6, scale=(3, 4), class_names=CLASSES)
    carry = {"weight": 0.5, "names": "pasted"}
    transform = EMPasteTransform(paste, carry=carry, keep_record=True)
    dropped = 0
    for seed in range(30):
        image, target = sample(seed, objects=4)
        target["weight"] = torch.arange(8.0).reshape(4, 2) + 10
        target["names"] = list("abcd")
        torch.manual_seed(seed)
        _, out = transform(image, target)
        gone = [drop.position for drop in out["empaste_record"].dropped]
        left = [row for row in range(4) if row not in gone]
        dropped += len(gone)
        added = len(out["labels"]) - len(left)
        assert out["names"] == ["abcd"[row] for row in left] + ["pasted"] * added
        assert torch.equal(out["weight"][: len(left)], target["weight"][left])
        assert torch.equal(out["weight"][len(left) :], torch.full((added, 2), 0.5))
        assert torch.equal(out["labels"][: len(left)], target["labels"][left])
    assert dropped > 0


def test_crowd_regions_are_trimmed_and_kept(small_bank):
    """No paste may take a pixel of an object here, but every paste may take some of a crowd."""
    paste = EMPaste(small_bank, count=3, min_visible=1.0, class_names=CLASSES)
    counts = {0: 0, 1: 0}
    for crowd in counts:
        for seed in range(5):
            image, target = sample(seed, objects=1)
            target["masks"][0] = 1
            target["iscrowd"][0] = crowd
            torch.manual_seed(seed)
            _, out = EMPasteTransform(paste)(image, target)
            added = out["masks"][1:]
            counts[crowd] += len(added)
            assert out["iscrowd"].tolist() == [crowd] + [0] * len(added)
            assert torch.equal(out["masks"][0] == 0, added.sum(dim=0) > 0)
    assert counts[0] == 0
    assert counts[1] > 0


def test_lists_of_crowd_and_area(small_bank):
    """torchvision's dataset wrapper gives both as lists."""
    image, target = sample(2, objects=3)
    target["iscrowd"], target["area"] = [0, 1, 0], target["area"].tolist()
    transform = EMPasteTransform(EMPaste(small_bank, count=3, class_names=CLASSES))
    torch.manual_seed(0)
    _, out = transform(image, target)
    assert len(out["labels"]) > 3
    assert out["iscrowd"] == [0, 1, 0] + [0] * (len(out["labels"]) - 3)
    assert out["area"] == out["masks"].sum(dim=(1, 2)).tolist()


@pytest.mark.parametrize("masks_key", ["masks", None])
def test_image_without_objects(small_bank, masks_key):
    """A target that holds no objects at all, as torchvision's dataset wrapper makes it."""
    paste = EMPaste(small_bank, placement="space_maximize", count=2, class_names=CLASSES)
    image, _ = sample(0)
    _, out = EMPasteTransform(paste, masks_key=masks_key)(image, {"image_id": 4})
    assert out["image_id"] == 4
    assert out["labels"].dtype == torch.int64
    assert len(out["boxes"]) == len(out["labels"]) == 2
    assert ("masks" in out) == (masks_key is not None)
    nothing = EMPasteTransform(EMPaste(small_bank, count=0, class_names=CLASSES))
    image, target = sample(0, objects=0)
    out_image, out = nothing(image, target)
    assert out_image is image
    assert out["boxes"].shape == (0, 4)
    assert out["masks"].shape == (0, *SIZE)


def test_compose_with_later_transforms(paste):
    """A flip after it moves image, boxes and masks together."""
    plain = v2.Compose([EMPasteTransform(paste)])
    flipped = v2.Compose([EMPasteTransform(paste), v2.RandomHorizontalFlip(1.0)])
    for seed in range(5):
        torch.manual_seed(seed)
        image, target = plain(*sample(seed))
        torch.manual_seed(seed)
        out_image, out = flipped(*sample(seed))
        assert torch.equal(out_image, image.flip(-1))
        assert torch.equal(out["masks"], target["masks"].flip(-1))
        expected = target["boxes"].as_subclass(torch.Tensor).clone()
        expected[:, [0, 2]] = SIZE[1] - expected[:, [2, 0]]
        assert torch.equal(out["boxes"].as_subclass(torch.Tensor), expected)


def test_torch_seed_repeats_it(paste):
    transform = pickle.loads(pickle.dumps(EMPasteTransform(paste)))
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append([transform(*sample(7)) for _ in range(2)])
    assert all(same(a[0], b[0]) and same(a[1], b[1]) for a, b in zip(*outs[:2], strict=True))
    assert not same(outs[0][0][0], outs[2][0][0])
    assert not same(outs[0][0][0], outs[0][1][0])


class Samples(torch.utils.data.Dataset):
    """The same image eight times, so that only the draws differ."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.transform(*sample(1, objects=2))


def test_data_loader_workers(small_bank):
    transform = EMPasteTransform(EMPaste(small_bank, class_names=CLASSES))
    runs = []
    for seed in (3, 3, 4):
        loader = torch.utils.data.DataLoader(
            Samples(transform),
            batch_size=2,
            num_workers=2,
            collate_fn=list,
            generator=torch.Generator().manual_seed(seed),
        )
        runs.append([one for batch in loader for one in batch])
    assert len(runs[0]) == 8
    assert all(same(a[0], b[0]) and same(a[1], b[1]) for a, b in zip(*runs[:2], strict=True))
    assert not same(runs[0][0][0], runs[2][0][0])
    images = [image.numpy().tobytes() for image, _ in runs[0]]
    assert len(set(images)) == 8  # neither two workers nor two samples draw the same


def test_docstring_example(small_bank, tmp_path, monkeypatch):
    reader = pytest.importorskip("pycocotools.coco")
    monkeypatch.setattr(reader, "print", lambda *_: None, raising=False)
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

    box = {"bbox": [9, 9, 20, 20], "segmentation": [[9, 9, 29, 9, 29, 29, 9, 29]]}
    annotation = {"category_id": 51, **box, "area": 400, "iscrowd": 0}
    file = write_coco(tmp_path, [annotation], ids=(17, 51, 90))
    text = EMPasteTransform.__doc__.replace('"out/bank"', repr(str(small_bank.path)))
    text = text.replace('"photos"', repr(str(tmp_path)))
    text = text.replace('"instances.json"', repr(str(file)))
    names = {
        **vars(adapter),
        "EMPaste": EMPaste,
        "tv_tensors": tv_tensors,
        "CocoDetection": CocoDetection,
        "wrap_dataset_for_transforms_v2": wrap_dataset_for_transforms_v2,
    }
    example = doctest.DocTestParser().get_doctest(text, names, "EMPasteTransform", None, 0)
    assert len(example.examples) >= 12
    assert doctest.DocTestRunner().run(example).failed == 0


def changed(**entries):
    def change(image, target):
        target.update(entries)
        return image, {key: value for key, value in target.items() if value is not None}

    return change


ERRORS = {
    "float image": (lambda i, t: (i.float(), t), "paste before v2.ToDtype"),
    "grey image": (lambda i, t: (i[:1], t), r"shape \(1, 72, 96\)"),
    "RGBA image": (lambda i, t: (torch.cat([i, i[:1]]), t), r"\(4, 72, 96\).*expected RGB"),
    "grey PIL image": (lambda i, t: (PIL.Image.new("L", (96, 72)), t), r"mode L; .*\('RGB'\)"),
    "RGBA PIL image": (lambda i, t: (PIL.Image.new("RGBA", (96, 72)), t), "mode RGBA"),
    "array": (lambda i, t: (np.zeros((*SIZE, 3), np.uint8), t), "image: ndarray"),
    "no target": (lambda i, t: (i,), r"expected \(image, target\)"),
    "no boxes": (changed(boxes=None), r"\['boxes'\]: NoneType"),
    "list of boxes": (changed(boxes=[[0, 0, 9, 9]]), r"\['boxes'\]: list"),
    "mask as boxes": (changed(boxes=tv_tensors.Mask(torch.zeros(2, 4))), r"\['boxes'\]: Mask"),
    "flat boxes": (
        changed(boxes=torch.zeros(8)),
        r"\['boxes'\]: Tensor of shape \(8,\), torch.float32",
    ),
    "other canvas": (
        changed(
            boxes=tv_tensors.BoundingBoxes(torch.ones(2, 4), format="XYXY", canvas_size=(9, 9))
        ),
        r"canvas_size \(9, 9\)",
    ),
    "no labels": (changed(labels=None), r"\['labels'\]: NoneType; expected an integer tensor"),
    "list of labels": (changed(labels=[0, 1]), r"\['labels'\]: list of length 2; expected an"),
    "few labels": (
        changed(labels=torch.zeros(1, dtype=torch.int64)),
        r"of shape \(1,\), torch.int64; expected an integer tensor of shape \(2,\)",
    ),
    "float labels": (changed(labels=torch.zeros(2)), r"of shape \(2,\), torch.float32; expected"),
    "empty labels": (changed(labels=torch.tensor([])), r"of shape \(0,\), torch.float32; expected"),
    "unknown label": (
        changed(labels=torch.tensor([0, 3])),
        r"\['labels'\]: 3, in row 1, is not in \[0, 2\].*COCO's category ids, need label_as",
    ),
    "NaN box": (
        changed(boxes=torch.tensor([[0, 0, 9, 9], [0, float("nan"), 9, 9]])),
        r"\['boxes'\]: \[0.0, nan, 9.0, 9.0\], in row 1, is not finite",
    ),
    "NaN box without masks": (
        changed(boxes=torch.tensor([[float("inf"), 0, 9, 9], [0, 0, 9, 9]]), masks=None),
        r"\['boxes'\]: \[inf, .*, in row 0, is not finite",
    ),
    "float scores": (
        changed(score=torch.ones(2)),
        r"\['score'\]: Tensor of shape \(2,\).*in carry",
    ),
    "names": (changed(names=["a", "b"]), r"\['names'\]: list of length 2; .*in carry.*in keep"),
    "image's size": (changed(size=(72, 96)), r"\['size'\]: tuple of length 2"),
    "vector": (changed(vector=np.zeros(7)), r"\['vector'\]: ndarray of shape \(7,\), float64"),
    "image as masks": (changed(masks=tv_tensors.Image(torch.zeros(2, *SIZE))), "Image of shape"),
    "array of masks": (changed(masks=np.zeros((2, *SIZE))), "ndarray of shape"),
    "few masks": (changed(masks=tv_tensors.Mask(torch.zeros(1, *SIZE))), r"shape \(1, 72, 96\)"),
    "few crowd flags": (
        changed(iscrowd=[0]),
        r"\['iscrowd'\]: list of length 1; expected a tensor",
    ),
    "semantic map": (changed(semantic=tv_tensors.Mask(torch.zeros(SIZE))), r"\['semantic'\]"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(small_bank, name):
    change, message = ERRORS[name]
    transform = EMPasteTransform(EMPaste(small_bank, class_names=CLASSES))
    with pytest.raises(ArgumentError, match=message):
        transform(*change(*sample(0, objects=2)))


def test_errors_of_arguments(small_bank):
    paste = EMPaste(small_bank)
    with pytest.raises(ArgumentError, match="label_offset: -1"):
        EMPasteTransform(paste, label_offset=-1)
    with pytest.raises(ArgumentError, match="carry: 'names' is a string"):
        EMPasteTransform(paste, carry="names")
    assert "label_offset=1" in repr(EMPasteTransform(paste, label_offset=1))
    ids = dict(zip(CLASSES, (17, 51, 90), strict=True))
    assert "label_as of 3 classes" in repr(EMPasteTransform(paste, label_as=ids))
    for given, message in (
        ("out/bank", r"paste: str; expected an EMPaste: EMPaste\('out/bank'\)"),
        ({"bank": "out/bank"}, "paste: dict; expected an EMPaste$"),
        (None, "paste: NoneType; expected an EMPaste$"),
    ):
        with pytest.raises(ArgumentError, match=message):
            EMPasteTransform(given)
    for label_as, message in (
        ("name", "label_as: 'name' is neither 'id' nor class name -> value"),
        ({"cat": 17, "dog": 51}, r"label_as: .* lacks \['cow'\]"),
        ({**ids, "emu": 1}, r"label_as: \['emu'\] not among .*class_names=list\(label_as\)"),
        ({**ids, "cow": 51}, "label_as: 'dog' and 'cow' are both 51"),
        ({**ids, "cow": "c"}, "label_as: 'cow' is 'c', no integer >= 0"),
        ({**ids, "cow": -1}, "label_as: 'cow' is -1, no integer >= 0"),
        ({**ids, "cow": True}, "label_as: 'cow' is True, no integer >= 0"),
    ):
        with pytest.raises(ArgumentError, match=message):
            EMPasteTransform(paste, label_as=label_as)
    with pytest.raises(ArgumentError, match="label_offset: 1 has no meaning with label_as"):
        EMPasteTransform(paste, label_as=ids, label_offset=1)


def test_missing_torchvision():
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from empaste_aug import MissingDependencyError\n"
        "try: import empaste_aug.adapters.torchvision\n"
        "except MissingDependencyError as error: print(error.extra)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "torchvision", done.stderr

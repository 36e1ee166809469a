from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_files import VOCFiles, coco_content, rectangle_polygon, write_json, write_photo

from empaste_aug.bank import MaskBank
from empaste_aug.imageio import read_image
from empaste_aug.offline.alpha import AlphaConfig, cut_out
from empaste_aug.offline.datasets import Dataset, load_coco, load_voc
from empaste_aug.offline.from_masks import bank_from_masks
from empaste_aug.types import ArgumentError

# pycocotools has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two photos: a cat at the corner and a dog; a crowd of dogs, a small dog, a thin cat."""
    boxes: list[dict[str, Any]] = [
        {"image_id": 1, "category_id": 1, "box": (0, 0, 20, 10)},
        {"image_id": 1, "category_id": 2, "box": (30, 20, 50, 35)},
        {"image_id": 1, "category_id": 2, "box": (0, 30, 60, 40), "iscrowd": 1},
        {"image_id": 2, "category_id": 2, "box": (10, 10, 12, 12)},
        {"image_id": 2, "category_id": 1, "box": (58, 1, 60, 39)},
    ]
    annotations = [{**a, "segmentation": [rectangle_polygon(*a.pop("box"))]} for a in boxes]
    images = {1: "a.png", 2: "b.png"}
    for number, name in enumerate(images.values()):
        write_photo(tmp_path / "images" / name, seed=number)
    content = coco_content(images, annotations, {1: "cat", 2: "dog"})
    write_json(tmp_path / "masks.json", content)
    return load_coco(tmp_path, annotations="masks.json")


def test_cutouts_are_the_objects_with_a_margin(dataset: Dataset, tmp_path: Path) -> None:
    summary = bank_from_masks(dataset, tmp_path / "bank", codec="raw")
    assert summary == {
        "path": tmp_path / "bank",
        "images": 2,
        "unannotated_images": 0,
        "masks": 4,
        "per_class": {"cat": 2, "dog": 2},
        "skipped": {"crowd": 1},
    }
    bank = MaskBank(summary["path"])
    assert bank.categories == ["cat", "dog"]
    assert bank.manifest["supervision"] == "masks"
    truths = [
        (image, truth)
        for image in dataset.images
        for truth in dataset.instances(image)
        if not truth.crowd
    ]
    assert len(bank) == len(truths)
    boxes = []
    for row, (image, truth) in enumerate(truths):
        cutout, entry = bank[row], bank.index[row]
        x0, y0, x1, y1 = (int(entry[f"source_{name}"]) for name in ("x0", "y0", "x1", "y1"))
        boxes.append((x0, y0, x1, y1))
        assert cutout.category_id == truth.category_id
        assert cutout.score == 1.0
        assert bank.image_id(row) == image.image_id
        assert bank.image_file(row) == image.file_name
        np.testing.assert_array_equal(cutout.mask, truth.mask[y0:y1, x0:x1])
        assert cutout.mask.sum() == truth.mask.sum()
        assert set(np.unique(cutout.alpha)) <= {0, 255}
        np.testing.assert_array_equal(cutout.rgb, read_image(image.path)[y0:y1, x0:x1])
    assert boxes == [(0, 0, 24, 14), (26, 16, 54, 39), (6, 6, 16, 16), (54, 0, 60, 40)]


def test_no_margin(dataset: Dataset, tmp_path: Path) -> None:
    bank_from_masks(dataset, tmp_path / "bank", margin=0)
    bank = MaskBank(tmp_path / "bank")
    assert [bank[row].alpha.shape for row in range(4)] == [(10, 20), (15, 20), (2, 2), (38, 2)]
    assert all((bank[row].alpha == 255).all() for row in range(4))


@pytest.mark.parametrize(
    ("limits", "masks", "skipped"),
    [
        ({"min_area": 5}, 3, {"crowd": 1, "min_area": 1}),
        ({"min_box_area": 200}, 2, {"crowd": 1, "min_box_area": 2}),
        ({"min_area": 77, "min_box_area": 300}, 1, {"crowd": 1, "min_area": 2, "min_box_area": 1}),
    ],
)
def test_small_objects_are_counted(
    dataset: Dataset,
    tmp_path: Path,
    limits: dict[str, int],
    masks: int,
    skipped: dict[str, int],
) -> None:
    summary = bank_from_masks(dataset, tmp_path / "bank", **limits)
    assert summary["masks"] == len(MaskBank(tmp_path / "bank")) == masks
    assert summary["skipped"] == skipped


def test_same_input_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("one", "two"):
        bank_from_masks(dataset, tmp_path / name)
    files = {
        path.relative_to(tmp_path / "one"): path.read_bytes()
        for path in (tmp_path / "one").rglob("*")
        if path.is_file()
    }
    assert files
    assert all((tmp_path / "two" / name).read_bytes() == data for name, data in files.items())


def test_the_input_hash_covers_photos_and_masks(tmp_path: Path) -> None:
    def build(name: str, **changed: Any) -> str:
        """The input hash of a bank of one photo with one dog, but for what is changed."""
        root = tmp_path / name
        write_photo(root / "images" / "a.png", seed=changed.get("seed", 0))
        corner = changed.get("corner", 30)
        annotation = {
            "image_id": 1,
            "category_id": changed.get("category", 2),
            "segmentation": [[10, 10, 30, 10, corner, 30, 10, 30]],
            "iscrowd": changed.get("crowd", 0),
        }
        content = coco_content({1: "a.png"}, [annotation], {1: "cat", 2: "dog"})
        write_json(root / "masks.json", content)
        bank_from_masks(load_coco(root, annotations="masks.json"), root / "bank")
        return str(MaskBank(root / "bank").manifest["input_hash"])

    plain = build("plain")
    assert build("same") == plain
    changes = [{"seed": 1}, {"corner": 24}, {"category": 1}, {"crowd": 1}]
    others = {build(f"other{i}", **change) for i, change in enumerate(changes)}
    assert len(others - {plain}) == len(changes)


def test_a_finished_bank_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    bank_from_masks(dataset, tmp_path / "bank")
    with pytest.raises(ArgumentError, match="finished bank; overwrite=True"):
        bank_from_masks(dataset, tmp_path / "bank")
    assert bank_from_masks(dataset, tmp_path / "bank", margin=0, overwrite=True)["masks"] == 4


def test_photos_without_masks_are_passed_over(tmp_path: Path) -> None:
    files = VOCFiles(tmp_path / "VOC2012")
    objects = np.zeros((40, 60), np.uint8)
    objects[3:9, 4:9] = 1
    files.add("a", ["aeroplane"], objects=objects, classes=objects)
    files.add("b", ["cat"])
    summary = bank_from_masks(load_voc(files.root), tmp_path / "bank")
    assert (summary["images"], summary["unannotated_images"], summary["masks"]) == (1, 1, 1)
    assert summary["per_class"]["aeroplane"] == 1


def test_bad_arguments(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("margin", "min_area", "min_box_area"):
        with pytest.raises(ArgumentError, match=f"{name}: must not be negative, is -1"):
            bank_from_masks(dataset, tmp_path / "bank", **{name: -1})
    files = VOCFiles(tmp_path / "VOC2012")
    files.add("a", ["cat"])
    with pytest.raises(ArgumentError, match="VOC2012 train has no instance masks"):
        bank_from_masks(load_voc(files.root), tmp_path / "bank")


def test_edges_are_softened_only_where_asked(dataset: Dataset, tmp_path: Path) -> None:
    config = AlphaConfig()
    exact = bank_from_masks(dataset, tmp_path / "exact", codec="raw")
    soft = bank_from_masks(dataset, tmp_path / "soft", codec="raw", alpha=config, margin=3)
    assert soft["masks"] == exact["masks"]
    assert "alpha" not in MaskBank(exact["path"]).manifest["config"]
    bank = MaskBank(soft["path"])
    assert bank.manifest["config"]["alpha"] == asdict(config)
    image = dataset.images[0]
    truth = dataset.instances(image)[0]
    rgb, alpha, _ = cut_out(read_image(image.path), truth.mask, config, margin=3)
    assert (bank[0].rgb == rgb).all()
    assert (bank[0].alpha == alpha).all()

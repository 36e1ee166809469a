"""register_bank_dataset: a bank's masks on their own photos, in detectron2's format."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from detectron2_data import CLASSES, HEIGHT, WIDTH, call, make_mapper, masks_of, write_photos

from empaste_aug import ArgumentError, BankError, BankWriter, DatasetError, EMPaste, MaskBank

pytest.importorskip("detectron2")
pytest.importorskip("pyarrow")

import pycocotools.mask as coco
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    MetadataCatalog,
    get_detection_dataset_dicts,
)
from detectron2.structures import BoxMode, polygons_to_bitmask

from empaste_aug.adapters.detectron2 import register_bank_dataset

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning"
)


@pytest.fixture
def name():
    yield "bank_of_the_test"
    if "bank_of_the_test" in DatasetCatalog:
        DatasetCatalog.remove("bank_of_the_test")
        MetadataCatalog.pop("bank_of_the_test", None)


def build(path, photos, folder, **changes):
    """A bank of every labelled object of `photos`, scores 0.1, 0.2, ... ; crops with a margin."""
    truth = []
    with BankWriter(path, categories=CLASSES) as writer:
        for photo in photos:
            for annotation in photo["annotations"]:
                mask = polygons_to_bitmask(annotation["segmentation"], HEIGHT, WIDTH)
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                y0, y1 = max(rows[0] - 3, 0), min(rows[-1] + 4, HEIGHT)
                x0, x1 = max(columns[0] - 3, 0), min(columns[-1] + 4, WIDTH)
                known = {
                    "image_id": str(photo["image_id"]),
                    "file_name": f"{photo['image_id']:03d}.png",
                    "source_size": (HEIGHT, WIDTH),
                    "source_bbox": (int(x0), int(y0), int(x1), int(y1)),
                }
                crop = mask[y0:y1, x0:x1]
                writer.add(
                    np.zeros((*crop.shape, 3), dtype=np.uint8),
                    np.where(crop, 255, 100).astype(np.uint8),
                    category_id=annotation["category_id"],
                    score=(len(truth) + 1) / 10,
                    **{**known, **changes},
                )
                truth.append((str(photo["image_id"]), annotation["category_id"], mask))
    return MaskBank(path), truth


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", 3, objects=(1, 3))


def test_the_masks_lie_on_their_photos(tmp_path, photos, name):
    bank, truth = build(tmp_path / "bank", photos, tmp_path / "photos")
    register_bank_dataset(name, bank, tmp_path / "photos")
    assert MetadataCatalog.get(name).thing_classes == CLASSES
    dicts = pickle.loads(pickle.dumps(DatasetCatalog[name]))()
    assert [d["image_id"] for d in dicts] == ["0", "1", "2"]
    assert [d["file_name"] for d in dicts] == [p["file_name"] for p in photos]
    found = [(d["image_id"], a) for d in dicts for a in d["annotations"]]
    assert len(found) == len(truth)
    for (image_id, annotation), (wanted_id, category, mask) in zip(found, truth, strict=True):
        assert (image_id, annotation["category_id"]) == (wanted_id, category)
        np.testing.assert_array_equal(coco.decode(annotation["segmentation"]), mask)
        box = coco.toBbox(annotation["segmentation"])
        assert (
            BoxMode.convert(box.tolist(), BoxMode.XYWH_ABS, BoxMode.XYXY_ABS) == annotation["bbox"]
        )
        assert annotation["bbox_mode"] == BoxMode.XYXY_ABS


def test_detectron2_trains_on_it(tmp_path, photos, name):
    build(tmp_path / "bank", photos, tmp_path / "photos")
    register_bank_dataset(name, tmp_path / "bank", tmp_path / "photos")
    mapper = DatasetMapper(
        True,
        augmentations=[],
        image_format="BGR",
        use_instance_mask=True,
        instance_mask_format="bitmask",
    )
    dicts = get_detection_dataset_dicts([name])
    for photo, dataset_dict in zip(photos, dicts, strict=True):
        instances = mapper(dataset_dict)["instances"]
        wanted = [a["category_id"] for a in photo["annotations"]]
        assert instances.gt_classes.tolist() == wanted


@pytest.mark.parametrize("mask_format", ["bitmask", "polygon", "cropped"])
def test_empaste_mapper_takes_it_in_any_mask_format(
    tmp_path, photos, name, small_bank, mask_format
):
    _, truth = build(tmp_path / "bank", photos, tmp_path / "photos")
    register_bank_dataset(name, tmp_path / "bank", tmp_path / "photos")
    paste = EMPaste(small_bank, count=1, placement="space_maximize")
    mapper = make_mapper(
        paste, dataset_names=name, instance_mask_format=mask_format, keep_record=True
    )
    masks = []
    for dataset_dict in get_detection_dataset_dicts([name]):
        instances = call(mapper, dataset_dict)["instances"]
        masks.extend(masks_of(instances)[(instances.gt_cutout_ids < 0).numpy()])
    for mask, (_, _, wanted) in zip(masks, truth, strict=True):
        np.testing.assert_array_equal(mask, wanted)


def test_links_that_were_checked_out_as_text_are_followed(tmp_path, photos, name):
    build(tmp_path / "bank", photos, tmp_path / "photos")
    (tmp_path / "links").mkdir()
    for photo in photos:
        target = Path(photo["file_name"])
        (tmp_path / "links" / target.name).write_text(f"../photos/{target.name}")
    register_bank_dataset(name, tmp_path / "bank", tmp_path / "links")
    found = [Path(d["file_name"]) for d in get_detection_dataset_dicts([name])]
    assert found == [Path(p["file_name"]).resolve() for p in photos]


def test_min_score_leaves_cutouts_out(tmp_path, photos, name):
    bank, truth = build(tmp_path / "bank", photos, tmp_path / "photos")
    register_bank_dataset(name, bank, tmp_path / "photos", min_score=0.25)
    kept = [a for d in DatasetCatalog.get(name) for a in d["annotations"]]
    assert len(kept) == len(truth) - 2


def test_nothing_left_is_an_error(tmp_path, photos, name):
    bank, _ = build(tmp_path / "bank", photos, tmp_path / "photos")
    with pytest.raises(DatasetError, match="lower min_score"):
        register_bank_dataset(name, bank, tmp_path / "photos", min_score=1.1)


def test_missing_photos_are_an_error_at_once(tmp_path, photos, name):
    bank, _ = build(tmp_path / "bank", photos, tmp_path / "photos")
    (tmp_path / "photos" / "001.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of the 3 photos .* are missing.*001\.png"):
        register_bank_dataset(name, bank, tmp_path / "photos")
    assert name not in DatasetCatalog


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_bbox": None}, "do not say where in which photo"),
        ({"file_name": None}, "row 0: its photo's file name is not recorded"),
    ],
)
def test_cutouts_of_unknown_origin_are_an_error_at_once(tmp_path, photos, name, changes, message):
    bank, _ = build(tmp_path / "bank", photos, tmp_path / "photos", **changes)
    with pytest.raises(BankError, match=message):
        register_bank_dataset(name, bank, tmp_path / "photos")


def test_a_name_is_registered_once(tmp_path, photos, name):
    bank, _ = build(tmp_path / "bank", photos, tmp_path / "photos")
    register_bank_dataset(name, bank, tmp_path / "photos")
    with pytest.raises(ArgumentError, match="already registered"):
        register_bank_dataset(name, bank, tmp_path / "photos")

"""An export is the online stream, byte for byte: detectron2's mapper, and plain users' loader."""

from __future__ import annotations

import itertools
import json

import cv2
import numpy as np
import pytest
from detectron2_data import CLASSES, make_mapper
from pool_data import write_folder
from pycocotools.coco import COCO

pytest.importorskip("detectron2")

from detectron2.data import DatasetCatalog, MetadataCatalog
from export_data import bank_of

from empaste_aug import Backgrounds, EMPaste
from empaste_aug.adapters.detectron2 import build_empaste_train_loader, register_bank_dataset
from empaste_aug.adapters.loader import build_stream_loader
from empaste_aug.export import (
    BankPhotos,
    DatasetPhotos,
    ExportOptions,
    ExportStream,
    PoolPhotos,
    export_dataset,
)
from empaste_aug.pool.encoding import encode
from empaste_aug.stream import SampleStream, current_key

NUMBER = 45
"""More than three epochs, and more than a block."""


def online(dicts, paste, *, seed=3, backgrounds=None, number=NUMBER):
    """The first samples of detectron2's loader, without augmentations and without groups."""
    paste = paste.with_class_names(CLASSES) if paste.class_names is None else paste
    loader = build_empaste_train_loader(
        dicts,
        mapper=make_mapper(paste, backgrounds=backgrounds, keep_record=True),
        total_batch_size=1,
        seed=seed,
        aspect_ratio_grouping=False,
    )
    return [batch[0] for batch in itertools.islice(loader, number)]


def exported(folder, photos, paste, *, seed=3, number=NUMBER, **options):
    made = {k: options.pop(k) for k in ("backgrounds",) if k in options}
    options = ExportOptions(number=number, seed=seed, **{"image_format": "png", **options})
    export_dataset(folder, photos, paste, options, show_progress=False, **made)
    return COCO(str(folder / "annotations.json"))


def pixels(folder, coco, position) -> np.ndarray:
    image = coco.imgs[position]
    found = cv2.imread(str(folder / "images" / image["file_name"]))[:, :, ::-1]
    assert found.shape[:2] == (image["height"], image["width"])
    return found


def assert_same(folder, coco, samples) -> None:
    """Pixels, masks, boxes, classes, and the bank's rows."""
    assert len(coco.imgs) == len(samples)
    for position, sample in enumerate(samples):
        assert sample["empaste_record"].seed_key[1] == position
        image = sample["image"].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(pixels(folder, coco, position), image)
        entries = [a for a in coco.imgToAnns[position] if not a["iscrowd"]]
        there = sample["instances"]
        assert len(entries) == len(there)
        assert [a["category_id"] - 1 for a in entries] == there.gt_classes.tolist()
        assert [a.get("empaste_cutout_id", -1) for a in entries] == there.gt_cutout_ids.tolist()
        for entry, mask, box in zip(
            entries, there.gt_masks.tensor.numpy(), there.gt_boxes.tensor.tolist(), strict=True
        ):
            np.testing.assert_array_equal(coco.annToMask(entry).astype(bool), mask)
            x, y, width, height = entry["bbox"]
            assert [x, y, x + width, y + height] == box
            assert entry["area"] == mask.sum()


@pytest.mark.parametrize("placement", ["random", "space_maximize"])
def test_a_coco_data_set(tmp_path, dicts, photos, small_bank, placement):
    paste = EMPaste(small_bank, placement=placement, count=(0, 4), blend="gaussian", max_scale=2)
    coco = exported(tmp_path, photos, paste)
    samples = online(dicts, paste)
    assert_same(tmp_path, coco, samples)
    assert any(a["iscrowd"] for a in coco.anns.values())
    assert any("empaste_cutout_id" not in a for a in coco.anns.values())


@pytest.mark.parametrize("fit", ["cover", "none"])
def test_with_backgrounds_in_the_papers_mix(tmp_path, dicts, photos, paste, pool, fit):
    backgrounds = Backgrounds(pool, fit=fit)
    coco = exported(tmp_path, photos, paste, backgrounds=backgrounds)
    samples = online(dicts, paste, backgrounds=backgrounds)
    assert_same(tmp_path, coco, samples)
    there = [sample["empaste_record"].background for sample in samples]
    told = [coco.imgs[position]["empaste"]["background"] for position in range(NUMBER)]
    assert 0 < sum(b is not None for b in there) < NUMBER
    assert [b and b.row for b in there] == [b and b["row"] for b in told]
    assert all(b is None or b["key"].startswith("image ") for b in told)


def test_without_photos_that_have_no_object(tmp_path, coco_files, dicts, paste):
    photos = DatasetPhotos(coco_files.load(), filter_empty=True)
    kept = [d for d in dicts if any(not a["iscrowd"] for a in d["annotations"])]
    assert 0 < len(photos) == len(kept) < len(dicts)
    assert_same(tmp_path, exported(tmp_path, photos, paste), online(kept, paste))


def test_a_banks_own_photos(tmp_path, coco_files):
    bank = bank_of(coco_files, tmp_path / "bank")
    register_bank_dataset("export_of_the_test", bank, coco_files.images, min_score=0.15)
    try:
        dicts = DatasetCatalog.get("export_of_the_test")
    finally:
        DatasetCatalog.remove("export_of_the_test")
        MetadataCatalog.pop("export_of_the_test", None)
    paste = EMPaste(bank, count=2)
    photos = BankPhotos(bank, coco_files.images, min_score=0.15)
    coco = exported(tmp_path / "export", photos, paste)
    assert_same(tmp_path / "export", coco, online(dicts, paste))
    pasted = [a for a in coco.anns.values() if "empaste_cutout_id" in a]
    assert {a["empaste_source"] for a in pasted} <= {bank.image_id(k) for k in range(len(bank))}


def test_a_folder_of_backgrounds_alone(tmp_path, small_bank):
    photos = PoolPhotos(write_folder(tmp_path / "folder"), CLASSES)
    dicts = [
        {"file_name": photos.pool.file_name(row), "image_id": row, "annotations": []}
        for row in range(len(photos))
    ]
    paste = EMPaste(small_bank, count=3, class_names=CLASSES)
    coco = exported(tmp_path / "export", photos, paste)
    assert_same(tmp_path / "export", coco, online(dicts, paste))
    counts = json.loads((tmp_path / "export" / "manifest.json").read_text())["counts"]
    assert counts["backgrounds"] == counts["images"] == NUMBER
    order = SampleStream(len(photos), seed=3)
    for position in range(NUMBER):
        told, row = coco.imgs[position]["empaste"], order.index(position)
        assert (told["photo"], told["photo_index"]) == (None, None)
        assert told["background"] == {"row": row, "key": photos.name(row), "offset": None}


def test_jpeg_files_are_the_online_pixels_encoded(tmp_path, dicts, photos, paste):
    coco = exported(tmp_path, photos, paste, image_format="jpg", quality=80, number=10)
    for position, sample in enumerate(online(dicts, paste, number=10)):
        image = np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
        data = (tmp_path / "images" / coco.imgs[position]["file_name"]).read_bytes()
        assert data == encode(image, "jpeg", 80)[0]


@pytest.mark.parametrize("shuffle", [True, False])
def test_plain_users_of_the_stream(tmp_path, photos, paste, shuffle):
    """EMPaste on scenes of one's own, through torch's DataLoader; crowd regions included."""
    scenes = [photos.scene(index) for index in range(len(photos))]
    paste = paste.with_class_names(photos.class_names)
    loader = build_stream_loader(
        scenes,
        batch_size=5,
        seed=8,
        shuffle=shuffle,
        transform=lambda scene: paste(scene, np.random.default_rng(current_key())),
        collate_fn=list,
    )
    coco = exported(tmp_path, photos, paste, seed=8, shuffle=shuffle)
    there = [s for batch in itertools.islice(loader, NUMBER // 5) for s in batch]
    for position, scene in enumerate(there):
        np.testing.assert_array_equal(pixels(tmp_path, coco, position), scene.image)
        entries = coco.imgToAnns[position]
        assert len(entries) == len(scene.instances)
        placements = iter(scene.record.placements)
        for entry, instance in zip(entries, scene.instances, strict=True):
            full = instance.full_mask(scene.height, scene.width)
            np.testing.assert_array_equal(coco.annToMask(entry).astype(bool), full)
            assert entry["iscrowd"] == instance.crowd
            assert entry.get("empaste_original") == instance.source_index
            if instance.cutout_id is not None:
                placement = next(placements)
                assert entry["empaste_placement"]["center"] == list(placement.center)
                assert entry["empaste_placement"]["scale"] == placement.scale
        told = coco.imgs[position]["empaste"]
        assert told["seed_key"] == [8, position]
        assert [s["reason"] for s in told["skipped"]] == [s.reason for s in scene.record.skipped]
        assert [d["position"] for d in told["dropped"]] == [
            d.position for d in scene.record.dropped
        ]


def test_a_selection_may_draw_from_the_global_generator(photos, small_bank):
    """As it may online: the sample follows from its key."""

    def selection(scene, rng):
        return int(np.random.randint(len(small_bank)))  # noqa: NPY002

    paste = EMPaste(small_bank, selection=selection, count=3)
    stream = ExportStream(photos, paste, seed=1)
    rows = [[p.cutout_id for p in s.scene.record.placements] for s in stream.samples(4, 8)]
    again = [[p.cutout_id for p in s.scene.record.placements] for s in stream.samples(6, 8)]
    assert rows[2:] == again
    assert len({tuple(r) for r in rows}) > 1


def test_photos_come_in_detectron2s_order(coco_files, dicts, photos):
    """Not as the data set has them, which sorts ids as text."""
    names = [photos.name(index) for index in range(len(photos))]
    assert names == [d["file_name"].rpartition("/")[2] for d in dicts]
    assert names != [image.file_name for image in coco_files.load().images]

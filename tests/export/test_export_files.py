"""The files of an export: what they hold, who reads them, and what keeps them from harm."""

from __future__ import annotations

import doctest
import hashlib
import json
import shutil

import numpy as np
import pytest
from dataset_files import VOCFiles
from detectron2_data import CLASSES
from export_data import bank_of
from pool_data import hashes
from pycocotools.coco import COCO

pytest.importorskip("detectron2")

from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog
from detectron2.data.datasets import register_coco_instances

from empaste_aug import ArgumentError, Backgrounds, BankError, DatasetError, EMPaste
from empaste_aug.export import (
    BankPhotos,
    DatasetPhotos,
    ExportOptions,
    ExportStream,
    PoolPhotos,
    estimate_export,
    export_dataset,
)
from empaste_aug.export import run as run_module
from empaste_aug.offline.datasets import load_dataset, load_voc

NUMBER = 20


def export(folder, photos, paste, *, number=NUMBER, overwrite=False, shard=None, **options):
    options = ExportOptions(number=number, **options)
    return export_dataset(
        folder, photos, paste, options, overwrite=overwrite, shard=shard, show_progress=False
    )


@pytest.fixture
def register():
    name = "export_to_register"
    yield lambda folder: (
        register_coco_instances(name, {}, str(folder / "annotations.json"), str(folder / "images")),
        DatasetCatalog.get(name),
    )[1]
    if name in DatasetCatalog:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name, None)


def test_what_is_there(tmp_path, photos, paste):
    summary = export(tmp_path / "export", photos, paste, number=45)
    folder = summary.folder
    assert (summary.made, summary.wanted) == (45, 45)
    assert sorted(p.name for p in folder.iterdir()) == [
        "annotations.json",
        "images",
        "images.sha256",
        "manifest.json",
    ]
    found = hashes(folder)
    listed = [line.split("  ") for line in (folder / "images.sha256").read_text().splitlines()]
    assert [name for _, name in listed] == [f"images/000/{k:06d}.jpg" for k in range(45)]
    assert all(found[name] == digest for digest, name in listed)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert manifest["settings"]["seed"] == 0
    assert manifest["settings"]["paste"]["count"] == [1, 4]
    assert str(tmp_path) not in (folder / "manifest.json").read_text()
    assert str(tmp_path) not in (folder / "annotations.json").read_text()
    counts = manifest["counts"]
    coco = COCO(str(folder / "annotations.json"))
    assert counts == summary.counts
    assert counts["images"] == len(coco.imgs)
    assert counts["image_bytes"] == sum(p.stat().st_size for p in folder.rglob("*.jpg"))
    assert counts["annotations"] == len(coco.anns) == sum(counts["by_class"].values())
    assert list(coco.anns) == list(range(1, len(coco.anns) + 1))
    assert counts["pasted"] == sum("empaste_cutout_id" in a for a in coco.anns.values()) > 0
    assert counts["crowd"] == sum(a["iscrowd"] for a in coco.anns.values()) > 0
    assert [c["name"] for c in coco.dataset["categories"]] == CLASSES


def test_docstring(tmp_path, coco_files, monkeypatch):
    bank_of(coco_files, tmp_path / "out" / "bank")
    shutil.copytree(coco_files.images, tmp_path / "photos" / "images")
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(run_module)
    assert (result.failed, result.attempted > 4) == (0, True)


@pytest.mark.parametrize("segmentation", ["rle", "polygon"])
def test_detectron2_reads_it(tmp_path, photos, paste, register, segmentation):
    export(tmp_path, photos, paste, segmentation=segmentation, image_format="png")
    dicts = register(tmp_path)
    assert len(dicts) == NUMBER
    mapper = DatasetMapper(
        is_train=True,
        augmentations=[],
        image_format="RGB",
        use_instance_mask=True,
        instance_mask_format="polygon" if segmentation == "polygon" else "bitmask",
    )
    stream = ExportStream(photos, paste, seed=0)
    for dataset_dict, sample in zip(dicts, stream.samples(0, NUMBER), strict=True):
        mapped = mapper(dataset_dict)
        objects = [i for i in sample.scene.instances if not i.crowd]
        assert dataset_dict["image_id"] == sample.position
        np.testing.assert_array_equal(mapped["image"].permute(1, 2, 0).numpy(), sample.scene.image)
        there = mapped["instances"]
        assert there.gt_classes.tolist() == [i.category_id for i in objects]
        assert there.gt_boxes.tensor.tolist() == [list(i.bbox) for i in objects]


def test_polygons_fill_holes_and_say_so(tmp_path, photos, paste):
    """The polygons' pixels are the mask's and its holes', and so is the area."""
    exact = export(tmp_path / "rle", photos, paste, number=60)
    filled = export(tmp_path / "polygon", photos, paste, number=60, segmentation="polygon")
    masks = COCO(str(tmp_path / "rle" / "annotations.json"))
    polygons = COCO(str(tmp_path / "polygon" / "annotations.json"))
    assert exact.counts["holes_filled"] == 0
    changed = 0
    for number, entry in masks.anns.items():
        other = polygons.anns[number]
        mask, drawn = masks.annToMask(entry), polygons.annToMask(other)
        assert other["bbox"] == entry["bbox"]
        assert other["area"] == drawn.sum()
        assert (drawn >= mask).all()
        assert isinstance(other["segmentation"], dict) == bool(other["iscrowd"])
        changed += bool((drawn != mask).any())
    assert 0 < changed == filled.counts["holes_filled"]


def test_the_same_again_does_nothing(tmp_path, photos, paste):
    export(tmp_path, photos, paste)
    before = hashes(tmp_path)
    again = export(tmp_path, photos, paste)
    assert (again.made, again.wanted) == (0, NUMBER)
    assert hashes(tmp_path) == before
    (tmp_path / "images" / "000" / "000003.jpg").unlink()
    assert export(tmp_path, photos, paste, overwrite=True).made == NUMBER
    assert hashes(tmp_path) == before


def test_other_settings_need_overwrite(tmp_path, photos, paste, small_bank):
    export(tmp_path / "small", photos, paste, number=5, seed=1)
    expected = hashes(tmp_path / "small")
    folder = tmp_path / "export"
    export(folder, photos, paste, image_format="png")
    before = hashes(folder)
    with pytest.raises(
        ArgumentError, match=r"output: .* finished .*\(seed: 0 there, 1 now\); over"
    ):
        export(folder, photos, paste, seed=1, image_format="png")
    with pytest.raises(ArgumentError, match=r"\(paste\.count: \[1, 4\] there, \[2, 2\] now\)"):
        export(folder, photos, EMPaste(small_bank, count=2, scale=(0.5, 2.0)), image_format="png")
    assert hashes(folder) == before
    (folder / "images" / "mine.txt").write_text("mine")
    assert export(folder, photos, paste, number=5, seed=1, overwrite=True).made == 5
    found = hashes(folder)
    assert found.pop("images/mine.txt")
    assert found == expected


@pytest.mark.parametrize("name", ["thesis.txt", "images/a.jpg", "annotations.json"])
def test_a_folder_of_others_is_left_alone(tmp_path, photos, paste, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ArgumentError, match="is no export and holds other files"):
        export(tmp_path, photos, paste, overwrite=True)
    (tmp_path / "manifest.json").write_text('{"format": "something"}')
    with pytest.raises(ArgumentError, match="is not the manifest of an export"):
        export(tmp_path, photos, paste, overwrite=True)
    assert sorted(hashes(tmp_path)) == sorted([name, "manifest.json"])


def test_a_path_through_a_folder_that_is_not_there(tmp_path, photos, paste):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"out is no export and holds other files: thesis\.txt"):
        export(tmp_path / "new" / ".." / "out", photos, paste)
    assert list(hashes(tmp_path)) == ["out/thesis.txt"]
    summary = export(tmp_path / "new" / ".." / "empty", photos, paste, number=1)
    assert summary.folder == tmp_path / "empty"
    assert not (tmp_path / "new").exists()


def test_it_lies_apart_from_all_that_it_reads(tmp_path, coco_files, photos, paste, pool):
    """Photos of a data set or a bank, cut-outs, and a pool, each from within and from above."""
    bank = bank_of(coco_files, tmp_path / "all" / "bank")
    shutil.copytree(coco_files.images, tmp_path / "all" / "images")
    shutil.copytree(pool.path, tmp_path / "all" / "pool")
    devkit = VOCFiles(tmp_path / "all" / "voc")
    devkit.add("a", ["cat"], objects=np.ones((40, 60), np.uint8), classes=np.full((40, 60), 8))
    (tmp_path / "link").symlink_to(tmp_path / "all" / "pool")
    voc = DatasetPhotos(load_voc(devkit.root))
    dataset = DatasetPhotos(
        load_dataset("coco", tmp_path, annotations=coco_files.json, images=tmp_path / "all/images")
    )
    banks = BankPhotos(bank, tmp_path / "all" / "images")
    backgrounds = Backgrounds(tmp_path / "all" / "pool")
    before = hashes(tmp_path)
    for output, argument, given in (
        ("all/bank/export", "paste", {"paste": EMPaste(bank)}),
        ("all", "paste", {"paste": EMPaste(bank)}),
        ("all/images/export", "photos", {"photos": dataset}),
        ("all/voc/export", "photos", {"photos": voc}),
        ("all/images", "photos", {"photos": banks}),
        ("all/bank/export", "photos", {"photos": banks}),
        ("all/pool/export", "photos", {"photos": PoolPhotos(tmp_path / "all/pool", CLASSES)}),
        ("link/export", "backgrounds", {"backgrounds": backgrounds}),
        ("new/../all", "backgrounds", {"backgrounds": backgrounds}),
    ):
        arguments = {"photos": photos, "paste": paste, **given}
        with pytest.raises(ArgumentError, match=rf"^output, {argument}: .* in one another"):
            export_dataset(tmp_path / output, options=ExportOptions(number=1), **arguments)
    assert hashes(tmp_path) == before
    assert not any(tmp_path.rglob("export"))


def test_damage_is_told(tmp_path, photos, paste):
    export(tmp_path, photos, paste)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DatasetError, match=r"manifest\.json: is damaged"):
        export(tmp_path, photos, paste)
    (tmp_path / "manifest.json").write_text('{"format": "empaste_aug export", "schema": 99}')
    with pytest.raises(DatasetError, match="schema 99"):
        export(tmp_path, photos, paste)


def test_an_estimate_is_near_and_writes_nothing(tmp_path, photos, paste):
    options = ExportOptions(number=60)
    estimate = estimate_export(tmp_path / "export", photos, paste, options)
    assert not (tmp_path / "export").exists()
    counts = export(tmp_path / "export", photos, paste, number=60).counts
    assert abs(estimate.image_bytes / counts["image_bytes"] - 1) < 0.1
    size = (tmp_path / "export" / "annotations.json").stat().st_size
    assert abs(estimate.json_bytes / size - 1) < 0.2
    assert estimate.free_bytes > 0
    assert estimate.samples == 24


def test_photos_that_cannot_be_used(tmp_path, coco_files, paste):
    dataset = coco_files.load()
    (tmp_path / "images").mkdir()
    shutil.copy(dataset.images[0].path, tmp_path / "images" / "a.png")
    (tmp_path / "labels.json").write_text(json.dumps({"a.png": ["cat"]}))
    plain = load_dataset("folder", tmp_path)
    with pytest.raises(DatasetError, match="has no masks"):
        DatasetPhotos(plain)
    bank = bank_of(coco_files, tmp_path / "bank")
    with pytest.raises(DatasetError, match="lower min_score"):
        BankPhotos(bank, coco_files.images, min_score=0.95)
    with pytest.raises(
        DatasetError, match="10 of the 10 photos that the bank has cut-outs of are missing"
    ):
        BankPhotos(bank, tmp_path)
    nowhere = bank_of(coco_files, tmp_path / "nowhere", source_bbox=None)
    with pytest.raises(BankError, match="do not say where in which photo"):
        BankPhotos(nowhere, coco_files.images)
    with pytest.raises(ArgumentError, match="class_names of paste"):
        ExportStream(DatasetPhotos(dataset), paste.with_class_names([*CLASSES, "emu"]), seed=0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"number": 0}, "number: 0"),
        ({"number": 1, "seed": -1}, "seed: -1"),
        ({"number": 1, "quality": 101}, "quality: 101"),
        ({"number": 1, "image_format": "gif"}, "image_format: 'gif'"),
        ({"number": 1, "segmentation": "box"}, "segmentation: 'box'"),
    ],
)
def test_bad_options(arguments, named):
    with pytest.raises(ArgumentError, match=named):
        ExportOptions(**arguments)

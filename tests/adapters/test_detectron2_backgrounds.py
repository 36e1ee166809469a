"""EMPasteMapper with a pool: what takes a photo's place, and that nothing of the photo is left."""

from __future__ import annotations

import copy
import logging
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2_data import (
    CLASSES,
    augmentations,
    call,
    check_invariants,
    large_scale_jitter,
    make_mapper,
    write_photos,
)
from loader_data import KeyedMapper, digest, leaves_spawned_workers, summary
from pool_data import write_folder, write_pool

from empaste_aug import ArgumentError, Backgrounds, DatasetError, EMPaste, PoolError
from empaste_aug.stream import SampleKey, seeded

pytest.importorskip("detectron2")

import torch
from detectron2.config import LazyCall, get_cfg, instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from empaste_aug.adapters.detectron2 import (
    EMPasteMapper,
    add_empaste_config,
    build_empaste_train_loader,
)
from empaste_aug.configs.mask_rcnn_tiny import tiny_mask_rcnn

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:Creating a tensor from a list of numpy.ndarrays:UserWarning",  # Keypoints
    "ignore:.*fork.*:DeprecationWarning",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four landscape and four portrait photos, with keypoints and crowd regions."""
    folder = tmp_path_factory.mktemp("photos")
    options = {"keypoints": True, "crowd": True, "objects": (2, 4)}
    dicts = write_photos(folder / "landscape", 4, size=(96, 128), **options)
    dicts += write_photos(folder / "portrait", 4, size=(128, 96), **options)
    return [{**photo, "image_id": f"photo {number}"} for number, photo in enumerate(dicts)]


@pytest.fixture(scope="module")
def with_maps(photos, tmp_path_factory):
    """The photos with semantic and panoptic maps, and keys of the user's own."""
    folder = tmp_path_factory.mktemp("maps")
    dicts = []
    for number, photo in enumerate(photos):
        semantic = np.full((photo["height"], photo["width"]), 3, np.uint8)
        panoptic = np.zeros((*semantic.shape, 3), np.uint8)
        panoptic[:, : photo["width"] // 2] = (0, 0, 7)  # BGR: the id is 7
        panoptic[:, photo["width"] // 2 :] = (0, 0, 9)
        cv2.imwrite(str(folder / f"s{number}.png"), semantic)
        cv2.imwrite(str(folder / f"p{number}.png"), panoptic)
        dicts.append(
            {
                **photo,
                "sem_seg_file_name": str(folder / f"s{number}.png"),
                "pan_seg_file_name": str(folder / f"p{number}.png"),
                "segments_info": [
                    {"id": 7, "category_id": 1, "isthing": True},
                    {"id": 9, "category_id": 20, "isthing": False},
                ],
                "caption": "a photo of a cat",
            }
        )
    return dicts


@pytest.fixture(scope="module")
def paste(small_bank):
    return EMPaste(
        small_bank,
        count=(0, 3),
        class_names=CLASSES,
        semantic_labels=dict(zip(CLASSES, (11, 12, 13), strict=True)),
    )


@pytest.fixture(scope="module")
def no_paste(small_bank):
    return EMPaste(small_bank, count=0, class_names=CLASSES)


def at(mapper, position, photo):
    with seeded(SampleKey(0, position)):
        return mapper(photo)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("mask_format", ["bitmask", "polygon", "cropped"])
def test_samples_stay_valid(photos, paste, pool, mask_format, after):
    backgrounds = Backgrounds(pool, probability=0.5)
    for chosen in (augmentations(), large_scale_jitter()):
        mapper = make_mapper(
            paste,
            backgrounds=backgrounds,
            augmentations=chosen,
            instance_mask_format=mask_format,
            paste_after_augmentations=after,
            keep_record=True,
        )
        replaced = 0
        for position in range(60):
            mapped = at(mapper, position, photos[position % 8])
            check_invariants(mapped)
            record = mapped["empaste_record"]
            if record.background is not None:
                replaced += 1
                assert (mapped["instances"].gt_cutout_ids >= 0).all()
                assert record.dropped == ()
        assert 15 < replaced < 45


def test_the_chance_is_the_papers(photos, no_paste, pool):
    mapper = make_mapper(no_paste, backgrounds=Backgrounds(pool, num_originals=14))  # 12 / 40
    count = 3000
    files = [at(mapper, n, photos[n % 8])["file_name"] for n in range(count)]
    share = sum("pool" in file for file in files) / count
    assert abs(share - 0.3) < 0.03


def test_always_replaced_and_nothing_is_left(with_maps, no_paste, pool):
    paste = EMPaste(
        no_paste.bank,
        count=0,
        class_names=CLASSES,
        semantic_labels=dict.fromkeys(CLASSES, 0),
    )
    mapper = make_mapper(
        paste,
        backgrounds=Backgrounds(pool, probability=1.0),
        use_keypoint=True,
        keypoint_hflip_indices=np.array([0, 2, 1]),
        keep_record=True,
    )
    before = copy.deepcopy(with_maps)
    for position, photo in enumerate(with_maps):
        mapped = at(mapper, position, photo)
        height, width = photo["height"], photo["width"]
        row = mapped["empaste_record"].background.row
        assert set(mapped) == {
            "file_name",
            "image_id",
            "height",
            "width",
            "image",
            "instances",
            "sem_seg",
            "pan_seg",
            "segments_info",
            "empaste_record",
        }
        assert mapped["file_name"] == pool.file_name(row)
        assert mapped["image_id"] == photo["image_id"]
        assert (mapped["height"], mapped["width"]) == (height, width)
        assert tuple(mapped["image"].shape) == (3, height, width)
        image = mapper.backgrounds.render(mapped["empaste_record"].background, height, width)
        np.testing.assert_array_equal(mapped["image"].numpy().transpose(1, 2, 0), image)
        instances = mapped["instances"]
        assert len(instances) == 0
        assert instances.image_size == (height, width)
        assert instances.gt_boxes.tensor.shape == (0, 4)
        assert instances.gt_classes.dtype == torch.int64
        assert instances.gt_masks.tensor.shape == (0, height, width)
        assert instances.gt_cutout_ids.shape == (0,)
        assert mapped["sem_seg"].dtype == torch.int64
        assert (mapped["sem_seg"] == 255).all()
        assert mapped["pan_seg"].dtype == torch.int32
        assert not mapped["pan_seg"].any()
        assert mapped["segments_info"] == []
    assert with_maps == before


def test_only_pasted_objects_are_in_maps_and_instances(with_maps, small_bank, pool):
    values = (11, 12, 13)
    paste = EMPaste(
        small_bank,
        count=3,
        class_names=CLASSES,
        semantic_labels=dict(zip(CLASSES, values, strict=True)),
    )
    backgrounds = Backgrounds(pool, probability=1.0, semantic_value=254)
    mapper = make_mapper(
        paste,
        backgrounds=backgrounds,
        use_keypoint=True,
        keypoint_hflip_indices=np.array([0, 2, 1]),
    )
    pasted = 0
    for position in range(40):
        mapped = at(mapper, position, with_maps[position % 8])
        instances = mapped["instances"]
        pasted += len(instances)
        union = instances.gt_masks.tensor.any(dim=0)
        assert set(mapped["sem_seg"][~union].tolist()) == {254}
        assert set(mapped["sem_seg"][union].tolist()) <= set(values)
        assert not mapped["pan_seg"][~union].any()
        assert len(mapped["segments_info"]) == len(instances)
        if len(instances):
            assert not instances.gt_keypoints.tensor[:, :, 2].any()
    assert pasted > 60


@pytest.mark.parametrize("after", [False, True])
def test_without_backgrounds_and_with_chance_0_the_bytes_are_the_same(photos, paste, pool, after):
    def digests(backgrounds):
        mapper = make_mapper(
            paste,
            backgrounds=backgrounds,
            augmentations=augmentations(),
            paste_after_augmentations=after,
        )
        return [digest(at(mapper, n, photos[n % 8])) for n in range(16)] + [
            digest(call(mapper, photos[n % 8], n)) for n in range(8)
        ]

    assert digests(None) == digests(Backgrounds(pool, probability=0.0))


def test_what_is_not_replaced_stays_the_same(photos, paste, pool):
    """A pool changes only the samples whose photo it replaces."""
    plain = make_mapper(paste, augmentations=augmentations(), keep_record=True)
    mixed = make_mapper(
        paste,
        backgrounds=Backgrounds(pool, probability=0.5),
        augmentations=augmentations(),
        keep_record=True,
    )
    kept = 0
    for position in range(30):
        one, other = (at(mapper, position, photos[position % 8]) for mapper in (plain, mixed))
        if other["empaste_record"].background is None:
            kept += 1
            assert digest(one) == digest(other)
    assert 5 < kept < 25


def test_the_photo_is_not_read(no_paste, pool, tmp_path):
    mapper = make_mapper(no_paste, backgrounds=Backgrounds(pool, probability=1.0))
    gone = {"file_name": str(tmp_path / "gone.jpg"), "annotations": []}
    assert tuple(at(mapper, 0, {**gone, "height": 31, "width": 47})["image"].shape) == (3, 31, 47)
    with pytest.raises(DatasetError, match=r"gone.jpg: no such file"):
        at(mapper, 0, gone)
    cv2.imwrite(gone["file_name"], np.zeros((33, 44, 3), np.uint8))
    mapped = at(mapper, 0, gone)
    assert (mapped["height"], mapped["width"]) == (33, 44)
    assert "image_id" not in mapped


def test_own_size(photos, paste, pool):
    mapper = make_mapper(
        paste, backgrounds=Backgrounds(pool, probability=1.0, fit="none"), keep_record=True
    )
    for position in range(10):
        mapped = at(mapper, position, photos[0])
        row = mapped["empaste_record"].background.row
        assert (mapped["height"], mapped["width"]) == pool.size(row)
        check_invariants(mapped)


def test_a_folder_of_the_users_own(photos, paste, tmp_path):
    folder = write_folder(tmp_path / "mine")
    mapper = make_mapper(paste, backgrounds=Backgrounds(folder, probability=1.0))
    for position in range(6):
        mapped = at(mapper, position, photos[position])
        assert Path(mapped["file_name"]).is_relative_to(folder)
        check_invariants(mapped)


@leaves_spawned_workers
def test_same_samples_for_any_number_of_workers(photos, paste, pool):
    """Also the batches: with cover, grouping by the data set's sizes holds for what is mapped."""
    mapper = KeyedMapper(
        make_mapper(
            paste, backgrounds=Backgrounds(pool, num_originals=8), augmentations=augmentations()
        )
    )

    def stream(**options):
        loader = build_empaste_train_loader(
            photos, mapper=mapper, total_batch_size=2, seed=3, **options
        )
        return summary(loader, 12)

    expected = stream()
    assert stream(num_workers=2) == expected
    assert stream(num_workers=3, multiprocessing_context="spawn") == expected
    assert stream(start_iteration=0) == expected


def test_the_loader_says_the_number_of_photos(photos, no_paste, pool):
    mapper = make_mapper(no_paste, backgrounds=Backgrounds(pool))
    loader = build_empaste_train_loader(photos, mapper=mapper, total_batch_size=4, seed=0)
    assert mapper.backgrounds.chance is None
    replaced = portrait = 0
    for _, batch in zip(range(150), loader, strict=False):
        shapes = {tuple(mapped["image"].shape) for mapped in batch}
        assert len(shapes) == 1  # grouped by aspect ratio, and of the photo's own size
        replaced += sum("pool" in mapped["file_name"] for mapped in batch)
        portrait += shapes == {(3, 128, 96)}
    assert abs(replaced / 600 - 12 / 28) < 0.07
    assert 0 < portrait < 150
    given = make_mapper(no_paste, backgrounds=Backgrounds(pool, num_originals=99))
    assert given.with_num_originals(8) is given
    assert given.backgrounds.num_originals == 99
    assert make_mapper(no_paste).with_num_originals(8).backgrounds is None


@pytest.fixture
def registered(photos):
    name = "backgrounds_photos"
    DatasetCatalog.register(name, lambda: photos)
    MetadataCatalog.get(name).thing_classes = CLASSES
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def test_elsewhere_the_photos_are_counted(photos, no_paste, pool, registered, caplog):
    mapper = make_mapper(no_paste, backgrounds=Backgrounds(pool), dataset_names=registered)
    with caplog.at_level(logging.WARNING):
        at(mapper, 0, photos[0])
        at(mapper, 1, photos[0])
    assert caplog.text.count("loaded to count them") == 1
    assert mapper.backgrounds.chance == 12 / 28


def test_a_number_that_cannot_be_known(photos, no_paste, pool):
    mapper = make_mapper(no_paste, backgrounds=Backgrounds(pool))
    with pytest.raises(ArgumentError, match=r"and no dataset_names are given. Use build_empaste"):
        at(mapper, 0, photos[0])
    paste = EMPaste(no_paste.bank, count=0)
    mapper = make_mapper(paste, backgrounds=Backgrounds(pool), dataset_names="nowhere")
    MetadataCatalog.get("nowhere").thing_classes = CLASSES
    with pytest.raises(ArgumentError, match=r"\['nowhere'\] are not registered here"):
        at(mapper, 0, photos[0])
    MetadataCatalog.remove("nowhere")


def test_bad_arguments(no_paste, pool, photos):
    with pytest.raises(ArgumentError, match="backgrounds: need paste"):
        make_mapper(None, backgrounds=Backgrounds(pool))
    with pytest.raises(ArgumentError, match="backgrounds: str; expected Backgrounds"):
        make_mapper(no_paste, backgrounds="out/pool")
    with pytest.raises(ArgumentError, match=r"semantic_value of backgrounds: 256 is not in"):
        make_mapper(no_paste, backgrounds=Backgrounds(pool, semantic_value=256))
    tested = make_mapper(no_paste, backgrounds=Backgrounds(pool), is_train=False)
    assert tested.backgrounds is None
    assert tested(photos[0])["file_name"] == photos[0]["file_name"]


def test_a_damaged_background_is_an_error(photos, no_paste, tmp_path):
    path = write_pool(tmp_path / "pool", 1)
    (path / "images/000/000000.jpg").unlink()
    mapper = make_mapper(no_paste, backgrounds=Backgrounds(path, probability=1.0))
    with pytest.raises(PoolError, match=r"000000.jpg"):
        at(mapper, 0, photos[0])


def test_pickles(photos, paste, pool):
    mapper = make_mapper(paste, backgrounds=Backgrounds(pool, probability=0.5))
    again = pickle.loads(pickle.dumps(mapper))
    for position in range(6):
        one, other = (at(m, position, photos[position]) for m in (mapper, again))
        assert digest(one) == digest(other)


@pytest.fixture
def cfg(small_bank, registered):
    cfg = get_cfg()
    add_empaste_config(cfg)
    cfg.EMPASTE.BANK = str(small_bank.path)
    cfg.DATASETS.TRAIN = (registered,)
    return cfg


def test_yacs_keys(cfg, pool):
    assert EMPasteMapper(cfg, is_train=True).backgrounds is None
    cfg.merge_from_list(["EMPASTE.POOL", str(pool.path)])
    assert EMPasteMapper(cfg, is_train=True).backgrounds.options() == Backgrounds(pool).options()
    cfg.merge_from_list(["EMPASTE.BACKGROUND_PROBABILITY", "paper"])
    assert EMPasteMapper(cfg, is_train=True).backgrounds.probability == "paper"
    fresh = cfg.clone()
    fresh.EMPASTE.BACKGROUND_PROBABILITY = None
    fresh.merge_from_list(
        ["EMPASTE.BACKGROUND_PROBABILITY", "0.3", "EMPASTE.BACKGROUND_FIT", "none"]
    )
    fresh.merge_from_list(["EMPASTE.BACKGROUND_SEMANTIC_VALUE", "7"])
    found = EMPasteMapper(fresh, is_train=True).backgrounds
    assert (found.chance, found.fit, found.semantic_value) == (0.3, "none", 7)
    loader = build_empaste_train_loader(
        cfg, total_batch_size=2, seed=0, num_workers=0, aspect_ratio_grouping=False
    )
    assert len(next(iter(loader))) == 2
    cfg.EMPASTE.ENABLED = False
    assert EMPasteMapper(cfg, is_train=True).backgrounds is None
    assert EMPasteMapper(cfg, is_train=False).backgrounds is None


def test_bad_yacs_values(cfg, pool, tmp_path):
    cfg.EMPASTE.BACKGROUND_PROBABILITY = 0.3
    with pytest.raises(ArgumentError, match=r"BACKGROUND_PROBABILITY: is 0.3, but EMPASTE.POOL is"):
        EMPasteMapper(cfg, is_train=True)
    cfg.EMPASTE.POOL = str(pool.path)
    cfg.EMPASTE.BACKGROUND_PROBABILITY = 3
    with pytest.raises(ArgumentError, match="PROBABILITY: 3"):
        EMPasteMapper(cfg, is_train=True)
    cfg.EMPASTE.BACKGROUND_PROBABILITY = "paper"
    cfg.EMPASTE.POOL = str(tmp_path / "none")
    with pytest.raises(PoolError, match="no such folder"):
        EMPasteMapper(cfg, is_train=True)


def test_lazy_config(pool, no_paste, photos):
    mapper = LazyCall(EMPasteMapper)(
        is_train=True,
        augmentations=[],
        image_format="RGB",
        use_instance_mask=True,
        instance_mask_format="bitmask",
        paste=LazyCall(EMPaste)(bank=str(no_paste.bank.path), count=0, class_names=CLASSES),
        backgrounds=LazyCall(Backgrounds)(pool=str(pool.path), probability=1.0),
    )
    mapped = at(instantiate(mapper), 0, photos[0])
    assert "pool" in mapped["file_name"]


@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")
@pytest.mark.parametrize("mask_format", ["bitmask", "polygon", "cropped"])
def test_a_model_learns_from_replaced_photos(small_bank, pool, photos, mask_format):
    """Mask R-CNN's losses, of a batch in which no image, one image and all images are empty."""
    cfg = tiny_mask_rcnn(len(CLASSES))
    for counts in ((3, 3), (0, 3), (0, 0)):
        batch = []
        for position, count in enumerate(counts):
            paste = EMPaste(small_bank, count=count, class_names=CLASSES)
            mapper = make_mapper(
                paste,
                backgrounds=Backgrounds(pool, probability=1.0),
                instance_mask_format=mask_format,
                image_format="BGR",
            )
            batch.append(at(mapper, position, photos[position]))
        assert sum(len(mapped["instances"]) > 0 for mapped in batch) == np.count_nonzero(counts)
        cfg.INPUT.MASK_FORMAT = mask_format
        torch.manual_seed(0)
        model = build_model(cfg).train()
        with EventStorage():
            losses = model(batch)
        assert all(torch.isfinite(loss) for loss in losses.values())
        sum(losses.values()).backward()

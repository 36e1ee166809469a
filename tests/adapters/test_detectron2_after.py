"""EMPasteMapper that pastes after the augmentations: padding, scale, and what they do not touch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from detectron2_data import (
    CLASSES,
    HEIGHT,
    WIDTH,
    call,
    large_scale_jitter,
    make_mapper,
    masks_of,
    write_photos,
)

from empaste_aug import ArgumentError, DatasetError, EMPaste
from empaste_aug.types import Instance, Scene

pytest.importorskip("detectron2")

import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T  # noqa: N812
from detectron2.structures import BoxMode
from fvcore.transforms.transform import GridSampleTransform

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:Creating a tensor from a list of numpy.ndarrays:UserWarning",  # Keypoints
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), 6)


def after(paste, augmentations, **options):
    return make_mapper(
        paste, augmentations=augmentations, paste_after_augmentations=True, **options
    )


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_it_hands_out_what_empaste_makes_of_the_augmented_scene(
    photos, small_bank, image_format, flip
):
    paste = EMPaste(small_bank, count=3, class_names=CLASSES)
    augmentations = [T.Resize((70, 100)), T.RandomFlip(flip), T.FixedSizeCrop((90, 110))]
    options = {"use_instance_mask": True, "instance_mask_format": "bitmask"}
    plain = DatasetMapper(is_train=True, augmentations=augmentations, image_format="RGB", **options)
    mapper = after(paste, augmentations, image_format=image_format, keep_record=True)
    factor = np.sqrt(70 * 100 / (HEIGHT * WIDTH))
    for seed, photo in enumerate(photos):
        augmented = plain(copy.deepcopy(photo))
        valid = np.zeros((90, 110), dtype=bool)
        valid[:70, :100] = True
        originals = [
            Instance.from_mask(int(category), mask)
            for category, mask in zip(
                augmented["instances"].gt_classes, masks_of(augmented["instances"]), strict=True
            )
        ]
        image = np.ascontiguousarray(augmented["image"].numpy().transpose(1, 2, 0))
        mapped = call(mapper, photo, seed)
        rng = np.random.default_rng(mapped["empaste_record"].seed_key)
        scene = paste(Scene(image, originals, valid=valid), rng, resize=factor)

        channels = mapped["image"].numpy().transpose(1, 2, 0)
        rgb = channels if image_format == "RGB" else channels[:, :, ::-1]
        np.testing.assert_array_equal(rgb, scene.image)
        instances = mapped["instances"]
        assert instances.gt_classes.tolist() == [i.category_id for i in scene.instances]
        for mask, instance in zip(masks_of(instances), scene.instances, strict=True):
            np.testing.assert_array_equal(mask, instance.full_mask(90, 110))
        assert mapped["empaste_record"].placements == scene.record.placements
        assert (rgb[70:] == 128).all()
        assert (rgb[:, 100:] == 128).all()


@pytest.mark.parametrize("placement", ["random", "space_maximize"])
def test_nothing_is_pasted_on_padding(photos, small_bank, placement):
    paste = EMPaste(small_bank, count=4, placement=placement, class_names=CLASSES)
    mapper = after(paste, [T.Resize((30, 40)), T.FixedSizeCrop((96, 96)), T.RandomFlip(1.0)])
    pasted = 0
    for seed in range(30):
        mapped = call(mapper, photos[seed % len(photos)], seed)
        masks = masks_of(mapped["instances"])
        assert not masks[:, 30:].any()
        assert not masks[:, :, :56].any()
        assert (mapped["image"][:, 30:] == 128).all()
        assert (mapped["image"][:, :, :56] == 128).all()
        pasted += len(masks) - len(photos[seed % len(photos)]["annotations"])
    assert pasted > 30


@pytest.mark.parametrize("size", [(48, 64), (192, 256)])
def test_the_scale_follows_the_photo(photos, small_bank, size):
    """At any size of the image, a cut-out is as large beside the originals as at the photo's."""
    paste = EMPaste(small_bank, count=4, scale=(0.5, 0.7), class_names=CLASSES)
    mapper = after(paste, [T.Resize(size)], keep_record=True)
    factor = size[0] / HEIGHT
    scales = [
        placement.scale
        for seed in range(10)
        for placement in call(mapper, photos[0], seed)["empaste_record"].placements
    ]
    assert len(scales) > 20
    assert 0.5 * factor <= min(scales) <= max(scales) <= 0.7 * factor


def test_colours_of_pasted_objects_are_the_banks(photos, small_bank):
    """The augmentation that blackens the photo does not touch what is pasted on it."""
    paste = EMPaste(small_bank, count=4, blend="none", class_names=CLASSES)
    black = T.ColorTransform(np.zeros_like)
    mapped = call(after(paste, [black]), photos[0])
    masks = masks_of(mapped["instances"])[len(photos[0]["annotations"]) :]
    assert masks.any()
    image = mapped["image"].numpy()
    assert not image[:, ~masks.any(axis=0)].any()
    assert image[:, masks.any(axis=0)].any(axis=0).mean() > 0.9
    assert not call(make_mapper(paste, augmentations=[black]), photos[0])["image"].any()


@pytest.mark.parametrize("mask_format", ["bitmask", "polygon", "cropped"])
def test_untouched_originals_are_what_dataset_mapper_hands_out(photos, small_bank, mask_format):
    """Space-Maximize covers nothing, so every original must come out as without pasting."""
    options = {
        "augmentations": [T.RandomCrop("relative", (0.6, 0.6)), *large_scale_jitter()],
        "image_format": "BGR",
        "use_instance_mask": True,
    }
    paste = EMPaste(small_bank, count=3, placement="space_maximize", class_names=CLASSES)
    mapper = after(paste, instance_mask_format=mask_format, **options)
    theirs = "bitmask" if mask_format == "cropped" else mask_format
    plain = DatasetMapper(
        is_train=True, recompute_boxes=True, instance_mask_format=theirs, **options
    )
    originals = 0
    for seed in range(40):
        photo = photos[seed % len(photos)]
        np.random.seed(seed)  # noqa: NPY002
        np.random.randint(2**32, size=4, dtype=np.uint64)  # noqa: NPY002  (the seed key)
        expected = plain(copy.deepcopy(photo))["instances"]
        pasted = call(mapper, photo, seed)["instances"]
        masks = masks_of(expected)
        expected = expected[torch.from_numpy(masks.any(axis=(1, 2)))]
        kept = pasted[: len(expected)]
        originals += len(expected)
        np.testing.assert_array_equal(masks_of(kept), masks_of(expected))
        if mask_format != "polygon":
            torch.testing.assert_close(kept.gt_boxes.tensor, expected.gt_boxes.tensor)
        assert kept.gt_classes.tolist() == expected.gt_classes.tolist()
    assert originals > 40


def test_crowd_regions_and_rle_are_carried_along(tmp_path, small_bank):
    photos = write_photos(tmp_path, 4, crowd=True, objects=(1, 2))
    paste = EMPaste(small_bank, count=3, placement="space_maximize", class_names=CLASSES)
    mapper = after(paste, [T.RandomFlip(1.0)], keep_record=True)
    for seed, photo in enumerate(photos):
        mapped = call(mapper, photo, seed)
        masks = masks_of(mapped["instances"])
        originals = len(photo["annotations"]) - 1
        assert len(masks) == originals + len(mapped["empaste_record"].placements)
        assert len(masks) > originals
        assert not masks[originals:, :, WIDTH // 2 :].any()


def test_box_only_data_and_keypoints(tmp_path, small_bank):
    paste = EMPaste(small_bank, count=3, placement="space_maximize", class_names=CLASSES)
    flip = np.array([0, 2, 1])
    mapper = after(
        paste,
        [T.RandomFlip(1.0), T.Resize((2 * HEIGHT, 2 * WIDTH))],
        use_instance_mask=False,
        use_keypoint=True,
        keypoint_hflip_indices=flip,
    )
    for photo in write_photos(tmp_path, 4, keypoints=True):
        for annotation in photo["annotations"]:
            del annotation["segmentation"]
        instances = call(mapper, photo)["instances"]
        assert not instances.has("gt_masks")
        for position, annotation in enumerate(photo["annotations"]):
            x0, y0, x1, y1 = BoxMode.convert(annotation["bbox"], BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)
            wanted = torch.tensor([2 * (WIDTH - x1), 2 * y0, 2 * (WIDTH - x0), 2 * y1])
            torch.testing.assert_close(
                instances.gt_boxes.tensor[position], wanted, atol=1e-3, rtol=0
            )
            x, y, _ = annotation["keypoints"][:3]
            point = instances.gt_keypoints.tensor[position, 0, :2]
            torch.testing.assert_close(
                point, torch.tensor([2 * (WIDTH - x), 2 * y]), atol=1e-3, rtol=0
            )
        assert len(instances) > len(photo["annotations"])


def test_objects_that_leave_the_image_are_gone(photos, small_bank):
    paste = EMPaste(small_bank, count=0, class_names=CLASSES)
    for use_mask in (False, True):
        mapper = after(paste, [T.CropTransform(0, 0, 12, 12)], use_instance_mask=use_mask)
        lost = 0
        for photo in photos:
            instances = call(mapper, photo)["instances"]
            lost += len(photo["annotations"]) - len(instances)
            assert instances.gt_boxes.nonempty().all()
        assert lost > 0


def test_errors_name_the_argument(photos, small_bank):
    paste = EMPaste(small_bank, class_names=CLASSES)
    grid = np.zeros((1, HEIGHT, WIDTH, 2), dtype=np.float32)
    bent = after(paste, [GridSampleTransform(grid, "bilinear")], image_format="BGR")
    with pytest.raises(ArgumentError, match="paste_after_augmentations"):
        bent({**photos[0], "annotations": []})
    broken = copy.deepcopy(photos[0])
    broken["annotations"][-1]["segmentation"] = [[1.0, 2.0, 3.0]]
    with pytest.raises(DatasetError, match=r"000\.png: annotations\[\d\]: a polygon of 3 numbers"):
        after(paste, [T.RandomFlip()])(broken)
    with pytest.raises(ArgumentError, match=r"scene\.image: .*float"):
        after(paste, [T.ColorTransform(lambda image: image / 2)])(photos[0])

"""EMPasteMapper: what it hands out, what it leaves alone, and what it refuses."""

from __future__ import annotations

import copy
import doctest
import logging
import pickle

import cv2
import numpy as np
import pytest
from detectron2_data import (
    CLASSES,
    HEIGHT,
    WIDTH,
    augmentations,
    call,
    check_invariants,
    large_scale_jitter,
    make_mapper,
    masks_of,
    write_photos,
)

from empaste_aug import ArgumentError, DatasetError, EMPaste
from empaste_aug.types import Instance, Scene

pytest.importorskip("detectron2")

import torch
from detectron2.data import DatasetMapper, MetadataCatalog
from detectron2.data import transforms as T  # noqa: N812
from detectron2.structures import BoxMode, PolygonMasks

from empaste_aug.adapters._detectron2_masks import hold_pixels
from empaste_aug.adapters.detectron2 import CroppedMasks, EMPasteMapper
from empaste_aug.stream import SampleKey, seeded

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:Creating a tensor from a list of numpy.ndarrays:UserWarning",  # Keypoints
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), 8)


@pytest.fixture
def paste(small_bank):
    return EMPaste(small_bank, count=(1, 4), class_names=CLASSES)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("mask_format", ["bitmask", "polygon", "cropped"])
@pytest.mark.parametrize("placement", ["random", "space_maximize"])
def test_masks_are_not_empty_and_boxes_tight(photos, small_bank, mask_format, placement, after):
    """2,016 samples in all."""
    paste = EMPaste(small_bank, count=(0, 4), placement=placement, class_names=CLASSES)
    mappers = [
        make_mapper(
            paste,
            augmentations=chosen,
            instance_mask_format=mask_format,
            paste_after_augmentations=after,
            keep_record=True,
        )
        for chosen in (augmentations(), large_scale_jitter())
    ]
    pasted = 0
    for seed in range(168):
        mapped = call(mappers[seed % 2], photos[seed % len(photos)], seed)
        check_invariants(mapped)
        pasted += len(mapped["empaste_record"].placements)
    assert pasted > 168


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_it_hands_out_what_empaste_says(photos, paste, image_format):
    mapper = make_mapper(paste, image_format=image_format, keep_record=True)
    for seed, photo in enumerate(photos):
        before = copy.deepcopy(photo)
        mapped = call(mapper, photo, seed)
        assert photo == before

        image = cv2.imread(photo["file_name"])[:, :, ::-1]
        np.random.seed(seed)  # noqa: NPY002
        key = np.random.randint(2**32, size=4, dtype=np.uint64)  # noqa: NPY002
        originals = [
            Instance.from_mask(annotation["category_id"], mask, source_index=index)
            for index, (annotation, mask) in enumerate(
                zip(photo["annotations"], polygon_masks(photo), strict=True)
            )
        ]
        scene = paste(Scene(image, originals), np.random.default_rng(key))

        channels = mapped["image"].numpy().transpose(1, 2, 0)
        rgb = channels if image_format == "RGB" else channels[:, :, ::-1]
        np.testing.assert_array_equal(rgb, scene.image)
        instances = mapped["instances"]
        assert instances.gt_classes.tolist() == [i.category_id for i in scene.instances]
        for mask, instance in zip(masks_of(instances), scene.instances, strict=True):
            np.testing.assert_array_equal(mask, instance.full_mask(HEIGHT, WIDTH))
        record = mapped["empaste_record"]
        assert record.placements == scene.record.placements
        again = paste(Scene(image, originals), np.random.default_rng(record.seed_key))
        assert again.record.placements == record.placements
        assert "annotations" not in mapped
        assert mapped["image_id"] == photo["image_id"]


def polygon_masks(photo):
    from detectron2.structures import polygons_to_bitmask

    return [polygons_to_bitmask(a["segmentation"], HEIGHT, WIDTH) for a in photo["annotations"]]


@pytest.mark.parametrize("mask_format", ["bitmask", "polygon"])
def test_untouched_originals_are_what_dataset_mapper_hands_out(photos, small_bank, mask_format):
    """Space-Maximize covers nothing, so every original must come out as without pasting."""
    options = {
        "augmentations": [T.Resize((70, 100)), T.RandomFlip(1.0)],
        "image_format": "BGR",
        "use_instance_mask": True,
        "instance_mask_format": mask_format,
    }
    paste = EMPaste(small_bank, count=3, placement="space_maximize", class_names=CLASSES)
    mapper = EMPasteMapper(is_train=True, paste=paste, **options)
    plain = DatasetMapper(is_train=True, recompute_boxes=True, **options)
    for photo in photos:
        pasted = call(mapper, photo)["instances"]
        expected = plain(copy.deepcopy(photo))["instances"]
        assert len(pasted) > len(expected)
        kept = pasted[torch.arange(len(expected))]
        torch.testing.assert_close(kept.gt_boxes.tensor, expected.gt_boxes.tensor)
        assert kept.gt_classes.tolist() == expected.gt_classes.tolist()
        if mask_format == "bitmask":
            assert torch.equal(kept.gt_masks.tensor, expected.gt_masks.tensor)
        else:
            for got, wanted in zip(kept.gt_masks.polygons, expected.gt_masks.polygons, strict=True):
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("is_train", [False, True])
def test_without_pasting_it_is_dataset_mapper(photos, paste, is_train):
    options = {
        "augmentations": [T.Resize((70, 100)), T.RandomFlip()],
        "image_format": "BGR",
        "use_instance_mask": True,
        "instance_mask_format": "polygon",
    }
    mapper = EMPasteMapper(is_train, paste=None if is_train else paste, **options)
    plain = DatasetMapper(is_train, **options)
    for photo in photos:
        got, wanted = call(mapper, photo), call(plain, photo)
        assert got.keys() == wanted.keys()
        assert torch.equal(got.pop("image"), wanted.pop("image"))
        if is_train:
            mine, theirs = got.pop("instances"), wanted.pop("instances")
            assert torch.equal(mine.gt_boxes.tensor, theirs.gt_boxes.tensor)
            assert torch.equal(mine.gt_classes, theirs.gt_classes)
            assert len(mine.gt_masks.polygons) == len(theirs.gt_masks.polygons)
        assert got == wanted


@pytest.mark.parametrize("encoding", ["rle", "array"])
@pytest.mark.parametrize("mask_format", ["bitmask", "polygon"])
def test_other_segmentations_give_the_same_masks(photos, paste, encoding, mask_format):
    from empaste_aug.adapters._detectron2_masks import encode_rle

    mapper = make_mapper(paste)
    other = make_mapper(paste, instance_mask_format=mask_format)
    for seed, photo in enumerate(photos):
        converted = copy.deepcopy(photo)
        for annotation, mask in zip(converted["annotations"], polygon_masks(photo), strict=True):
            annotation["segmentation"] = encode_rle(mask) if encoding == "rle" else mask
        wanted = call(mapper, photo, seed)["instances"]
        got = call(other, converted, seed)["instances"]
        assert torch.equal(got.gt_boxes.tensor, wanted.gt_boxes.tensor)
        for mine, theirs in zip(masks_of(got), masks_of(wanted), strict=True):
            assert (theirs <= mine).all()
            if mask_format == "bitmask":
                np.testing.assert_array_equal(mine, theirs)


def test_holes_are_filled_in_polygons_with_a_warning_that_is_logged_once(
    tmp_path, small_bank, caplog
):
    from detectron2.utils import logger as detectron2_logger

    detectron2_logger._LOG_COUNTER.clear()
    photo = write_photos(tmp_path, 1, objects=(0, 0))[0]
    everywhere = [0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]
    photo["annotations"] = [
        {
            "category_id": 1,
            "bbox": [0, 0, WIDTH, HEIGHT],
            "bbox_mode": BoxMode.XYXY_ABS,
            "segmentation": [everywhere],
        }
    ]
    paste = EMPaste(small_bank, count=2, scale=(0.5, 0.5), class_names=CLASSES)
    mapper = make_mapper(paste, instance_mask_format="polygon")
    with caplog.at_level(logging.WARNING):
        whole = [masks_of(call(mapper, photo, seed)["instances"])[0].all() for seed in range(20)]
    assert any(whole)
    warned = [r for r in caplog.records if "INPUT.MASK_FORMAT" in r.getMessage()]
    assert len(warned) == 1
    bitmasks = make_mapper(paste)
    for seed in range(20):
        assert not masks_of(call(bitmasks, photo, seed)["instances"])[0].all()


def test_keypoints_of_pasted_objects_are_unlabelled(tmp_path, paste):
    photos = write_photos(tmp_path, 4, keypoints=True)
    mapper = make_mapper(
        paste,
        use_keypoint=True,
        keypoint_hflip_indices=np.array([0, 2, 1]),
        augmentations=[T.RandomFlip(1.0)],
    )
    for seed, photo in enumerate(photos):
        instances = call(mapper, photo, seed)["instances"]
        keypoints = instances.gt_keypoints.tensor.numpy()
        assert keypoints.shape == (len(instances), 3, 3)
        originals = len(photo["annotations"])
        assert len(instances) > originals
        x, y, _ = photo["annotations"][0]["keypoints"][:3]
        np.testing.assert_allclose(keypoints[0, 0, :2], [WIDTH - x, y], rtol=1e-5)
        assert (keypoints[:originals, :, 2] > 0).all()
        assert (keypoints[originals:] == 0).all()


def test_covered_keypoints_become_not_visible(tmp_path, small_bank):
    photo = write_photos(tmp_path, 1, objects=(1, 1), keypoints=True)[0]
    paste = EMPaste(small_bank, count=4, scale=(0.9, 0.9), class_names=CLASSES)
    mapper = make_mapper(paste, use_keypoint=True)
    seen = set()
    for seed in range(60):
        instances = call(mapper, photo, seed)["instances"]
        first = instances.gt_keypoints.tensor[0].numpy()
        seen.update(first[:, 2].tolist())
        np.testing.assert_allclose(
            first[:, :2].ravel(), np.delete(photo["annotations"][0]["keypoints"], [2, 5, 8]), 1e-5
        )
        hidden = (first[:, 2] == 1)[:2]
        pixels = np.floor(first[:2, :2] + 0.5).astype(int)
        covered = masks_of(instances)[1:].any(axis=0)[pixels[:, 1], pixels[:, 0]]
        np.testing.assert_array_equal(hidden, covered)
    assert seen == {1.0, 2.0}


def test_an_image_without_keypoints_needs_their_number(tmp_path, paste):
    photo = write_photos(tmp_path, 1, objects=(0, 0))[0]
    with pytest.raises(ArgumentError, match="keypoint_hflip_indices"):
        make_mapper(paste, use_keypoint=True)(photo)


def test_crowd_regions_are_obstacles_but_not_handed_out(tmp_path, small_bank):
    photos = write_photos(tmp_path, 4, crowd=True, objects=(1, 2))
    paste = EMPaste(small_bank, count=3, placement="space_maximize", class_names=CLASSES)
    mapper = make_mapper(paste, keep_record=True)
    for seed, photo in enumerate(photos):
        mapped = call(mapper, photo, seed)
        masks = masks_of(mapped["instances"])
        originals = len(photo["annotations"]) - 1
        assert len(masks) == originals + len(mapped["empaste_record"].placements)
        assert len(masks) > originals
        assert not masks[originals:, :, : WIDTH // 2].any()


def test_box_only_data_with_masks_off(photos, paste):
    mapper = make_mapper(paste, use_instance_mask=False, augmentations=augmentations())
    for seed in range(40):
        photo = copy.deepcopy(photos[seed % len(photos)])
        for annotation in photo["annotations"]:
            del annotation["segmentation"]
        instances = call(mapper, photo, seed)["instances"]
        assert not instances.has("gt_masks")
        boxes = instances.gt_boxes.tensor.numpy()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert len(boxes) == len(instances.gt_classes)


def test_box_only_originals_keep_their_box(photos, small_bank):
    paste = EMPaste(small_bank, count=2, placement="space_maximize", class_names=CLASSES)
    mapper = make_mapper(paste, use_instance_mask=False)
    for photo in photos:
        instances = call(mapper, photo)["instances"]
        wanted = [
            BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS)
            for a in photo["annotations"]
        ]
        got = instances.gt_boxes.tensor[: len(wanted)]
        torch.testing.assert_close(got, torch.tensor(wanted), atol=1e-4, rtol=0)


def test_masks_on_without_masks_in_the_data_is_an_error(photos, paste):
    photo = copy.deepcopy(photos[0])
    del photo["annotations"][-1]["segmentation"]
    position = len(photo["annotations"]) - 1
    with pytest.raises(DatasetError, match=rf"000\.png: annotations\[{position}\].*MASK_ON"):
        make_mapper(paste)(photo)


@pytest.mark.parametrize("mask_format", ["bitmask", "polygon"])
@pytest.mark.parametrize("count", [0, 2])
def test_images_without_annotations_are_kept(tmp_path, small_bank, mask_format, count):
    photo = write_photos(tmp_path, 1, objects=(0, 0))[0]
    paste = EMPaste(small_bank, count=count, scale=(0.5, 0.5), class_names=CLASSES)
    mapper = make_mapper(paste, instance_mask_format=mask_format)
    for dataset_dict in (photo, {k: v for k, v in photo.items() if k != "annotations"}):
        mapped = call(mapper, dataset_dict)
        assert (len(mapped["instances"]) > 0) == (count > 0)
        check_invariants(mapped)


@pytest.mark.parametrize("mask_format", ["bitmask", "polygon"])
def test_an_original_without_a_pixel_is_left_out(photos, paste, mask_format):
    photo = copy.deepcopy(photos[0])
    speck = copy.deepcopy(photo["annotations"][0])
    speck["segmentation"] = [[10.1, 10.1, 10.2, 10.1, 10.2, 10.2]]
    photo["annotations"].insert(0, speck)
    mapper = make_mapper(
        paste, instance_mask_format=mask_format, augmentations=[T.Resize((400, 400))]
    )
    with_speck, without = call(mapper, photo)["instances"], call(mapper, photos[0])["instances"]
    assert torch.equal(with_speck.gt_boxes.tensor, without.gt_boxes.tensor)


def test_polygons_that_leave_no_pixel_after_augmentation_are_left_out(tmp_path, small_bank):
    photos = write_photos(tmp_path, 4)
    paste = EMPaste(small_bank, count=4, scale=(0.3, 0.3), class_names=CLASSES)
    mapper = make_mapper(
        paste, instance_mask_format="polygon", augmentations=[T.Resize((6, 8))], keep_record=True
    )
    lost = 0
    for seed in range(40):
        photo = photos[seed % len(photos)]
        mapped = call(mapper, photo, seed)
        instances = mapped["instances"]
        assert all(hold_pixels(instances.gt_masks.polygons, 6, 8))
        lost += len(photo["annotations"]) + len(mapped["empaste_record"].placements)
        lost -= len(instances)
    assert lost > 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("count", [0, 3])
def test_cropped_masks_are_the_bitmasks(photos, small_bank, after, count):
    paste = EMPaste(small_bank, count=count, class_names=CLASSES)
    options = {"augmentations": large_scale_jitter(), "paste_after_augmentations": after}
    bit = make_mapper(paste, **options)
    cropped = make_mapper(paste, instance_mask_format="cropped", **options)
    for seed in range(40):
        photo = photos[seed % len(photos)]
        wanted, got = (call(m, photo, seed)["instances"] for m in (bit, cropped))
        assert isinstance(got.gt_masks, CroppedMasks)
        assert torch.equal(got.gt_masks.to_bitmasks().tensor, wanted.gt_masks.tensor)
        assert torch.equal(got.gt_boxes.tensor, wanted.gt_boxes.tensor)
        assert torch.equal(got.gt_classes, wanted.gt_classes)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("mask_format", [None, "bitmask", "polygon", "cropped"])
def test_cutout_ids_tell_pasted_objects_from_originals(photos, small_bank, mask_format, after):
    """Classes that no photo has, so that the ids can be checked through crops that lose objects."""
    names = [*CLASSES, "pasted cat", "pasted dog", "pasted cow"]
    renamed = {name: f"pasted {name}" for name in CLASSES}
    options = {"use_instance_mask": mask_format is not None}
    if mask_format is not None:
        options["instance_mask_format"] = mask_format
    mapper = make_mapper(
        EMPaste(small_bank, count=4, class_names=names, category_map=renamed),
        augmentations=augmentations(),
        paste_after_augmentations=after,
        keep_record=True,
        **options,
    )
    lost = 0
    for seed in range(40):
        mapped = call(mapper, photos[seed % len(photos)], seed)
        instances, placed = mapped["instances"], mapped["empaste_record"].placements
        rows = instances.gt_cutout_ids
        assert rows.dtype == torch.int64
        wanted = [3 + int(small_bank.index[row]["category_id"]) for row in rows[rows >= 0].tolist()]
        assert instances.gt_classes[rows >= 0].tolist() == wanted
        assert (rows[instances.gt_classes < 3] == -1).all()
        in_order = iter([placement.cutout_id for placement in placed])
        assert all(row in in_order for row in rows[rows >= 0].tolist())
        assert (rows[: int((rows < 0).sum())] == -1).all()
        lost += len(placed) - len(wanted)
    assert after or lost > 0


def test_without_a_record_there_are_no_cutout_ids(photos, paste):
    assert not call(make_mapper(paste), photos[0])["instances"].has("gt_cutout_ids")
    nothing = make_mapper(None, keep_record=True, instance_mask_format="cropped")
    assert not call(nothing, photos[0])["instances"].has("gt_cutout_ids")


def test_cropped_masks_without_pasting(photos, paste):
    options = {"augmentations": large_scale_jitter(), "instance_mask_format": "cropped"}
    mapper, pasting = make_mapper(None, **options), make_mapper(paste, **options)
    bit = make_mapper(None, augmentations=large_scale_jitter(), recompute_boxes=True)
    with_crowd = copy.deepcopy(photos[0])
    with_crowd["annotations"][0]["iscrowd"] = 1
    for seed, photo in enumerate([*photos, *photos, with_crowd]):
        got, wanted = call(mapper, photo, seed)["instances"], call(bit, photo, seed)["instances"]
        assert torch.equal(got.gt_masks.to_bitmasks().tensor, wanted.gt_masks.tensor)
        assert torch.equal(got.gt_boxes.tensor, wanted.gt_boxes.tensor)
        assert torch.equal(got.gt_classes, wanted.gt_classes)
        empty = {**photo, "annotations": []}
        assert len(call(mapper, empty)["instances"].gt_masks) == 0
        assert isinstance(call(pasting, photo)["instances"].gt_masks, CroppedMasks)


def test_padding_is_no_part_of_a_mask(photos, paste):
    """FixedSizeCrop pads segmentations with 255, which DatasetMapper takes for the object."""
    from empaste_aug.adapters._detectron2_masks import encode_rle

    mapper = make_mapper(paste, augmentations=[T.Resize((40, 60)), T.FixedSizeCrop((64, 64))])
    photo = copy.deepcopy(photos[0])
    for annotation, mask in zip(photo["annotations"], polygon_masks(photo), strict=True):
        annotation["segmentation"] = encode_rle(mask)
    masks = masks_of(call(mapper, photo)["instances"])
    assert len(masks) > len(photo["annotations"])
    assert not masks[:, 40:].any()
    assert not masks[:, :, 60:].any()


def test_the_data_sets_dict_stays_as_it_is(photos, paste):
    for after in (False, True):
        mapper = make_mapper(
            paste, augmentations=large_scale_jitter(), paste_after_augmentations=after
        )
        photo = copy.deepcopy(photos[0])
        photo["custom"] = {"of": ["the user"]}
        for annotation in photo["annotations"]:
            annotation["segmentation"] = [np.array(p) for p in annotation["segmentation"]]
        before = pickle.dumps(photo)
        mapped = call(mapper, photo)
        assert pickle.dumps(photo) == before
        assert mapped["custom"] == photo["custom"]
        assert mapped["custom"] is not photo["custom"]


def test_within_a_keyed_loader_the_sample_follows_from_its_key(photos, paste):
    mapper = make_mapper(paste, augmentations=augmentations(), keep_record=True)
    with seeded(SampleKey(seed=3, position=40)):
        first = mapper(photos[0])
        further = mapper(photos[0])
    np.random.seed(9)  # noqa: NPY002
    with seeded((3, 40)):
        again = mapper(photos[0])
    with seeded((3, 41)):
        other = mapper(photos[0])
    assert first["empaste_record"].seed_key == (3, 40)
    assert further["empaste_record"].seed_key == (3, 40, 2)
    assert further["empaste_record"].placements != first["empaste_record"].placements
    assert first["empaste_record"] == again["empaste_record"]
    assert torch.equal(first["image"], again["image"])
    assert other["empaste_record"].placements != first["empaste_record"].placements


def test_an_unknown_mask_format_is_an_error(paste):
    with pytest.raises(ArgumentError, match=r"instance_mask_format .*'rle' is none of"):
        make_mapper(paste, instance_mask_format="rle")


def test_images_that_augmentations_turn_into_floats_stay_so(photos, paste):
    mapper = make_mapper(
        paste, image_format="BGR", augmentations=[T.ColorTransform(lambda image: image / 2)]
    )
    plain = make_mapper(paste, image_format="BGR")
    image = call(mapper, photos[0])["image"]
    assert image.dtype == torch.float64
    torch.testing.assert_close(image, call(plain, photos[0])["image"] / 2, check_dtype=False)


def test_the_docstrings_example(photos, small_bank, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = cv2.imread(photos[0]["file_name"])
    cv2.imwrite("photo.jpg", image)
    names = {"EMPaste": lambda _, **options: EMPaste(small_bank, **options)}
    example = doctest.DocTestParser().get_doctest(
        EMPasteMapper.__doc__, {**names, "EMPasteMapper": EMPasteMapper}, "EMPasteMapper", None, 0
    )
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_precomputed_proposals_are_refused(paste):
    with pytest.raises(ArgumentError, match="precomputed_proposal_topk"):
        make_mapper(paste, precomputed_proposal_topk=100)
    assert make_mapper(paste, is_train=False, precomputed_proposal_topk=100).proposal_topk == 100


def test_other_image_formats_are_refused(paste):
    with pytest.raises(ArgumentError, match="image_format: 'L'"):
        make_mapper(paste, image_format="L")


def test_an_image_of_another_size_is_an_error(photos, paste):
    from detectron2.data.detection_utils import SizeMismatchError

    with pytest.raises(SizeMismatchError, match=r"000\.png"):
        make_mapper(paste)({**photos[0], "width": 7})


@pytest.fixture
def metadata():
    """Makes metadata entries that are removed afterwards."""
    made = []

    def make(name, **values):
        made.append(name)
        return MetadataCatalog.get(name).set(**values)

    yield make
    for name in made:
        MetadataCatalog.pop(name, None)


def test_classes_map_by_name_at_first_use(photos, small_bank, metadata):
    paste = EMPaste(small_bank, count=3)
    mapper = make_mapper(paste, dataset_names="late", keep_record=True)
    with pytest.raises(DatasetError, match=r"thing_classes: .*'late'"):
        mapper(photos[0])
    metadata("late", thing_classes=["horse", "cow", "dog", "cat"])
    mapped = call(mapper, photos[0])
    placed = [p.cutout_id for p in mapped["empaste_record"].placements]
    assert placed
    wanted = [{"cat": 3, "dog": 2, "cow": 1}[bank_class(small_bank, row)] for row in placed]
    assert mapped["instances"].gt_classes.tolist()[-len(placed) :] == wanted


def bank_class(bank, row):
    return bank.categories[int(bank.index[row]["category_id"])]


def test_the_class_names_go_along_when_the_mapper_is_pickled(photos, small_bank, metadata):
    mapper = make_mapper(EMPaste(small_bank, count=3), dataset_names="known_here")
    metadata("known_here", thing_classes=["cow", "dog", "cat"])
    data = pickle.dumps(mapper)
    MetadataCatalog.pop("known_here")
    there = pickle.loads(data)
    got = call(there, photos[0])["instances"]
    metadata("known_here", thing_classes=["cow", "dog", "cat"])
    wanted = call(mapper, photos[0])["instances"]
    assert got.gt_classes.tolist() == wanted.gt_classes.tolist()
    assert torch.equal(got.gt_masks.tensor, wanted.gt_masks.tensor)


def test_data_sets_must_agree_on_the_classes(small_bank, metadata):
    metadata("one", thing_classes=CLASSES)
    metadata("two", thing_classes=[*CLASSES, "horse"])
    with pytest.raises(DatasetError, match="'one' and 'two': thing_classes differ"):
        make_mapper(EMPaste(small_bank), dataset_names=["one", "two"])


def test_class_names_of_paste_must_be_those_of_the_data_set(small_bank, metadata):
    metadata("other_order", thing_classes=CLASSES[::-1])
    paste = EMPaste(small_bank, class_names=CLASSES)
    with pytest.raises(ArgumentError, match="class_names of paste"):
        make_mapper(paste, dataset_names="other_order")


def test_a_bank_class_that_the_data_set_lacks_is_an_error(small_bank, metadata):
    metadata("no_cows", thing_classes=["cat", "dog"])
    with pytest.raises(ArgumentError, match="cow"):
        make_mapper(EMPaste(small_bank), dataset_names="no_cows")


def test_pasting_without_class_names_is_warned_of(small_bank, caplog):
    with caplog.at_level(logging.WARNING):
        make_mapper(EMPaste(small_bank))
    assert "bank's category ids" in caplog.text


def test_the_same_global_seed_gives_the_same_sample(photos, paste):
    mapper = make_mapper(paste, augmentations=augmentations())
    first, again, other = (call(mapper, photos[0], seed) for seed in (1, 1, 2))
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["instances"].gt_masks.tensor, again["instances"].gt_masks.tensor)
    assert first["image"].shape != other["image"].shape or not torch.equal(
        first["image"], other["image"]
    )


def test_polygons_are_the_masks_of_the_pasted(photos, paste):
    bit, poly = make_mapper(paste), make_mapper(paste, instance_mask_format="polygon")
    for seed, photo in enumerate(photos):
        bitmasks = call(bit, photo, seed)["instances"]
        polygons = call(poly, photo, seed)["instances"]
        assert isinstance(polygons.gt_masks, PolygonMasks)
        originals = len(photo["annotations"])
        for mine, theirs in zip(
            masks_of(polygons)[originals:], masks_of(bitmasks)[originals:], strict=True
        ):
            assert (theirs <= mine).all()

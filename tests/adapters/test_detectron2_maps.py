"""Semantic and panoptic ground truth through EMPasteMapper, in detectron2's forms."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from detectron2_data import (
    CLASSES,
    HEIGHT,
    WIDTH,
    augmentations,
    call,
    large_scale_jitter,
    make_mapper,
    masks_of,
    write_photos,
)
from PIL import Image

from empaste_aug import ArgumentError, DatasetError, EMPaste

pytest.importorskip("detectron2")

import torch
from detectron2.data import DatasetMapper, MetadataCatalog
from detectron2.data import transforms as T  # noqa: N812
from detectron2.structures import BoxMode, polygons_to_bitmask

STUFF = ["things", "grass", "sky"]
LABELS = {"cat": 11, "dog": 12, "cow": 13}
SKY = 2
SKY_ID, FIRST_ID = 70_000, 1000


def with_maps(folder, count=6, *, with_annotations=True):
    """Photos with a sky, things, and a strip without a label, as both kinds of maps."""
    photos = write_photos(folder, count, objects=(1, 3))
    for number, photo in enumerate(photos):
        semantic = np.full((HEIGHT, WIDTH), 1, dtype=np.uint8)
        semantic[:20], semantic[90:] = SKY, 255
        panoptic = np.where(semantic == SKY, SKY_ID, 0)
        infos = [{"id": SKY_ID, "category_id": 5, "isthing": False, "iscrowd": 0, "area": -1}]
        for position, annotation in enumerate(photo["annotations"]):
            mask = polygons_to_bitmask(annotation["segmentation"], HEIGHT, WIDTH) & (
                semantic != SKY
            )
            semantic[mask], panoptic[mask] = 0, FIRST_ID + position
            if not with_annotations or mask.any():
                infos.append(
                    {
                        "id": FIRST_ID + position,
                        "category_id": annotation["category_id"],
                        "isthing": True,
                        "iscrowd": 0,
                        "note": f"of the data set, {position}",
                    }
                )
        channels = np.stack([panoptic % 256, panoptic // 256 % 256, panoptic // 65536], axis=2)
        photo["sem_seg_file_name"] = str(folder / f"{number}_semantic.png")
        photo["pan_seg_file_name"] = str(folder / f"{number}_panoptic.png")
        photo["segments_info"] = infos
        Image.fromarray(semantic).save(photo["sem_seg_file_name"])
        Image.fromarray(channels.astype(np.uint8)).save(photo["pan_seg_file_name"])
        if not with_annotations:
            del photo["annotations"]
    return photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return with_maps(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def paste(small_bank):
    return EMPaste(small_bank, count=3, class_names=CLASSES, semantic_labels=LABELS)


def panoptic_of(photo):
    channels = np.asarray(Image.open(photo["pan_seg_file_name"])).astype(np.int64)
    return channels @ np.array([1, 256, 65536])


@pytest.mark.parametrize("after", [False, True])
def test_without_pasting_the_maps_are_dataset_mappers(photos, small_bank, after):
    nothing = EMPaste(small_bank, count=0, class_names=CLASSES, semantic_labels=LABELS)
    options = {"augmentations": large_scale_jitter(), "image_format": "RGB"}
    mapper = make_mapper(nothing, paste_after_augmentations=after, **options)
    plain = DatasetMapper(is_train=True, **options)
    for seed, photo in enumerate([*photos, *photos]):
        mapped = call(mapper, photo, seed)
        np.random.seed(seed)  # noqa: NPY002
        np.random.randint(2**32, size=4, dtype=np.uint64)  # noqa: NPY002  (the seed key)
        expected = plain(copy.deepcopy({k: photo[k] for k in photo if k != "annotations"}))
        assert mapped["sem_seg"].dtype == torch.int64
        assert torch.equal(mapped["sem_seg"], expected["sem_seg"])
        assert torch.equal(mapped["image"], expected["image"])
        assert mapped["pan_seg"].dtype == torch.int32
        padding = (mapped["image"] == 128).all(dim=0)
        assert not mapped["pan_seg"][padding].any()
        assert (mapped["sem_seg"][mapped["pan_seg"] == SKY_ID] == SKY).all()
        things = (mapped["pan_seg"] >= FIRST_ID) & (mapped["pan_seg"] < SKY_ID)
        assert torch.equal(mapped["sem_seg"] == 0, things)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("augmented", [False, True])
def test_pasted_objects_are_in_both_maps(photos, paste, after, augmented):
    """Where both maps are transformed by nearest neighbour, masks and maps agree exactly."""
    steps = [*augmentations(), T.FixedSizeCrop((110, 90))] if augmented else []
    mapper = make_mapper(paste, augmentations=steps, paste_after_augmentations=after)
    pasted = 0
    for seed in range(40):
        photo = photos[seed % len(photos)]
        mapped = call(mapper, photo, seed)
        semantic, panoptic = mapped["sem_seg"].numpy(), mapped["pan_seg"].numpy()
        infos = {info["id"]: info for info in mapped["segments_info"]}
        new = {i: info for i, info in infos.items() if "note" not in info and i != SKY_ID}
        instances, masks = mapped["instances"], masks_of(mapped["instances"])
        classes = instances.gt_classes.tolist()
        tail = len(masks) - len(new)
        for mask, category, info in zip(masks[tail:], classes[tail:], new.values(), strict=True):
            assert (info["category_id"], info["isthing"], info["iscrowd"]) == (category, True, 0)
            np.testing.assert_array_equal(panoptic == info["id"], mask)
            assert (semantic[mask] == LABELS[CLASSES[category]]).all()
            pasted += 1
        is_new = np.isin(panoptic, list(new))
        np.testing.assert_array_equal(semantic > 10, is_new | (semantic == 255))


@pytest.mark.parametrize("after", [False, True])
def test_segments_info_tells_of_what_is_left(photos, paste, after):
    mapper = make_mapper(paste, augmentations=large_scale_jitter(), paste_after_augmentations=after)
    gone = 0
    for seed in range(40):
        photo = photos[seed % len(photos)]
        before = pickle.dumps(photo)
        mapped = call(mapper, photo, seed)
        assert pickle.dumps(photo) == before
        panoptic = mapped["pan_seg"].numpy()
        infos = mapped["segments_info"]
        assert {i["id"] for i in infos} == set(np.unique(panoptic).tolist()) - {0}
        originals = {info["id"]: info for info in photo["segments_info"]}
        for info in infos:
            rows, columns = np.nonzero(panoptic == info["id"])
            x, y, w, h = info["bbox"]
            assert (x, y) == (columns.min(), rows.min())
            assert (x + w, y + h) == (columns.max() + 1, rows.max() + 1)
            assert info["area"] == len(rows)
            if info["id"] in originals:
                known = originals[info["id"]]
                assert {k: info[k] for k in known if k != "area"} == {
                    k: v for k, v in known.items() if k != "area"
                }
        gone += len(originals) - len(originals.keys() & {i["id"] for i in infos})
        assert not {"sem_seg_file_name", "pan_seg_file_name", "annotations"} & mapped.keys()
    assert gone > 0


def test_panoptic_things_serve_as_annotations(tmp_path, small_bank):
    photos = with_maps(tmp_path, with_annotations=False)
    paste = EMPaste(
        small_bank,
        count=3,
        placement="space_maximize",
        class_names=CLASSES,
        semantic_labels=LABELS,
    )
    mapper = make_mapper(paste)
    for seed, photo in enumerate(photos):
        mapped = call(mapper, photo, seed)
        masks = masks_of(mapped["instances"])
        before = panoptic_of(photo)
        things = [i for i in photo["segments_info"] if i["isthing"] and (before == i["id"]).any()]
        assert len(masks) > len(things) > 0
        for mask, info in zip(masks, things, strict=False):
            np.testing.assert_array_equal(mask, before == info["id"])
            np.testing.assert_array_equal(mask, mapped["pan_seg"].numpy() == info["id"])


def test_crowd_segments_are_not_handed_out_as_instances(tmp_path, small_bank):
    photo = with_maps(tmp_path, 1, with_annotations=False)[0]
    photo["segments_info"][1]["iscrowd"] = 1
    paste = EMPaste(small_bank, count=0, class_names=CLASSES, semantic_labels=LABELS)
    mapped = call(make_mapper(paste), photo)
    assert len(mapped["instances"]) == len(photo["segments_info"]) - 2
    crowd = [info for info in mapped["segments_info"] if info["iscrowd"]]
    assert [info["id"] for info in crowd] == [FIRST_ID]


@pytest.fixture
def metadata():
    """Makes metadata entries that are removed afterwards."""
    made = []

    def make(name, **values):
        made.append(name)
        return MetadataCatalog.get(name).set(thing_classes=CLASSES, **values)

    yield make
    for name in made:
        MetadataCatalog.pop(name, None)


@pytest.mark.parametrize(
    ("stuff", "values"),
    [
        (STUFF, [0, 0, 0]),  # as COCO's separated maps
        (["road", "cow", "cat", "dog"], [2, 3, 1]),  # as in Cityscapes
    ],
)
def test_semantic_labels_follow_from_the_metadata(photos, small_bank, metadata, stuff, values):
    metadata("with_stuff", stuff_classes=stuff)
    mapper = make_mapper(EMPaste(small_bank, count=3), dataset_names="with_stuff")
    there = pickle.loads(pickle.dumps(mapper))
    MetadataCatalog.pop("with_stuff")
    for chosen in (mapper, there):
        for seed, photo in enumerate(photos):
            mapped = call(chosen, photo, seed)
            instances = mapped["instances"]
            for mask, category in zip(
                masks_of(instances)[len(photo["annotations"]) :],
                instances.gt_classes.tolist()[len(photo["annotations"]) :],
                strict=True,
            ):
                assert (mapped["sem_seg"][torch.from_numpy(mask)] == values[category]).all()


def test_unknown_semantic_labels_are_an_error(photos, small_bank, metadata):
    metadata("other_stuff", stuff_classes=["grass", "dog"])
    for options in ({}, {"dataset_names": "other_stuff"}):
        mapper = make_mapper(EMPaste(small_bank, class_names=CLASSES), **options)
        with pytest.raises(ArgumentError, match=r"semantic_labels: .*'cat'.*SEMANTIC_LABELS"):
            mapper(photos[0])
        without = {k: v for k, v in photos[0].items() if k != "sem_seg_file_name"}
        assert "sem_seg" not in mapper(without)


def test_semantic_labels_need_every_class_that_may_be_pasted(small_bank, metadata):
    known = {"semantic_labels": {"dog": 12}, "class_names": CLASSES}
    message = r"SEMANTIC_LABELS\): has no value for \['cat', 'cow'\]"
    with pytest.raises(ArgumentError, match=message):
        make_mapper(EMPaste(small_bank, **known))
    make_mapper(EMPaste(small_bank, exclude=["cat", "cow"], **known))
    make_mapper(EMPaste(small_bank, selection={"dog": 1.0, "cat": 0.0}, **known))
    late = make_mapper(EMPaste(small_bank, semantic_labels={"dog": 12}), dataset_names="late_stuff")
    metadata("late_stuff")
    with pytest.raises(ArgumentError, match=message):
        late({"file_name": "not_read.png"})


def test_semantic_labels_must_fit_into_the_map(small_bank):
    paste = EMPaste(small_bank, class_names=CLASSES, semantic_labels={**LABELS, "cow": 300})
    with pytest.raises(ArgumentError, match=r"the values of \['cow'\] are above 255"):
        make_mapper(paste)


def test_stuff_classes_need_no_value_for_what_is_never_pasted(photos, small_bank, metadata):
    metadata("dogs_only", stuff_classes=["grass", "dog"])
    paste = EMPaste(small_bank, count=2, exclude=["cat", "cow"])
    mapped = call(make_mapper(paste, dataset_names="dogs_only", keep_record=True), photos[0])
    instances = mapped["instances"]
    pasted = masks_of(instances)[(instances.gt_cutout_ids >= 0).numpy()]
    assert len(pasted) > 0
    assert (mapped["sem_seg"].numpy()[pasted.any(axis=0)] == 1).all()


def test_every_id_of_a_panoptic_map_needs_a_segment(photos, paste):
    infos = photos[0]["segments_info"]
    with pytest.raises(DatasetError, match=rf"000\.png: .*0_panoptic\.png: .*\[{FIRST_ID}\]"):
        make_mapper(paste)(
            {**photos[0], "segments_info": [i for i in infos if i["id"] != FIRST_ID]}
        )


def test_segments_without_a_pixel_are_left_out(photos, paste):
    extra = {"id": 123_456, "category_id": 1, "isthing": True}
    for photo in (photos[0], {k: v for k, v in photos[0].items() if k != "annotations"}):
        wanted = call(make_mapper(paste), photo)
        got = call(make_mapper(paste), {**photo, "segments_info": [*photo["segments_info"], extra]})
        assert extra["id"] not in {info["id"] for info in got["segments_info"]}
        assert len(got["segments_info"]) == len(wanted["segments_info"])
        assert len(got["instances"]) == len(wanted["instances"])


@pytest.mark.parametrize("category", ["dog", -1, 3])
def test_categories_of_thing_segments_are_checked(photos, paste, category):
    infos = copy.deepcopy(photos[0]["segments_info"])
    infos[1]["category_id"] = category
    with pytest.raises(DatasetError, match=r"000\.png: segments_info\[1\]: category_id: "):
        make_mapper(paste)({**photos[0], "segments_info": infos})


def test_data_sets_must_agree_on_stuff_classes(small_bank, metadata):
    metadata("one_stuff", stuff_classes=STUFF)
    metadata("other_stuff", stuff_classes=STUFF[::-1])
    with pytest.raises(DatasetError, match="stuff_classes differ"):
        make_mapper(EMPaste(small_bank), dataset_names=["one_stuff", "other_stuff"])


def test_without_isthing_the_metadata_says_what_things_are(photos, paste, metadata):
    photo = copy.deepcopy(photos[0])
    for info in photo["segments_info"]:
        del info["isthing"]
    with pytest.raises(DatasetError, match=r"segments_info\[0\] has no 'isthing'"):
        make_mapper(paste)(photo)
    metadata("cityscapes_like", thing_dataset_id_to_contiguous_id={24: 0, 25: 1, 26: 2})
    mapped = call(make_mapper(paste, dataset_names="cityscapes_like"), photo)
    wanted = {info["id"]: info["isthing"] for info in photos[0]["segments_info"]}
    got = {i["id"]: i["isthing"] for i in mapped["segments_info"] if i["id"] in wanted}
    assert got
    assert got == {key: wanted[key] for key in got}


@pytest.mark.parametrize("key", ["sem_seg_file_name", "pan_seg_file_name"])
def test_maps_must_be_as_large_as_the_photo(photos, paste, tmp_path, key):
    path = tmp_path / "small.png"
    Image.new("RGB" if key.startswith("pan") else "L", (4, 5)).save(path)
    with pytest.raises(DatasetError, match=r"small\.png: 5 x 4 .*is 96 x 128"):
        make_mapper(paste)({**photos[0], key: str(path)})


@pytest.mark.parametrize("ids", [[0, 5], [5, 5]])
def test_segment_ids_must_be_unique_and_not_0(photos, paste, ids):
    infos = [{"id": i, "category_id": 0, "isthing": True} for i in ids]
    with pytest.raises(DatasetError, match=r"000\.png: segments_info: an id is 0 or occurs twice"):
        make_mapper(paste)({**photos[0], "segments_info": infos})


def test_a_panoptic_map_needs_its_segments(photos, paste):
    photo = {k: v for k, v in photos[0].items() if k != "segments_info"}
    with pytest.raises(DatasetError, match="has 'pan_seg_file_name', but no 'segments_info'"):
        make_mapper(paste)(photo)


def test_rotation_keeps_maps_and_masks_together(photos, small_bank):
    """A transform that goes through full-size maps."""
    paste = EMPaste(small_bank, count=3, class_names=CLASSES, semantic_labels=LABELS)
    mapper = make_mapper(paste, augmentations=[T.RandomRotation((-30, 30))])
    for seed, photo in enumerate(photos):
        photo = {**photo, "annotations": [_as_mask(a) for a in photo["annotations"]]}
        mapped = call(mapper, photo, seed)
        masks = masks_of(mapped["instances"])
        new = [i for i in mapped["segments_info"] if "note" not in i and i["id"] != SKY_ID]
        for mask, info in zip(masks[len(masks) - len(new) :], new, strict=True):
            np.testing.assert_array_equal(mapped["pan_seg"].numpy() == info["id"], mask)


def _as_mask(annotation):
    mask = polygons_to_bitmask(annotation["segmentation"], HEIGHT, WIDTH)
    return {**annotation, "segmentation": mask, "bbox_mode": BoxMode.XYWH_ABS}

"""`invariants.check_invariants` on real photos with their annotations, and on damaged samples."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from invariants import check_invariants

from empaste_aug import BankWriter, EMPaste, Instance, MaskBank, Scene
from empaste_aug.types import Segment

PHOTOS = 40


def coco_scenes(folder, *, first: int = 0, count: int = PHOTOS):
    """Scenes of COCO photos: masks, every fifth object as a box only, crowds, and both maps."""
    coco = pytest.importorskip("pycocotools.coco").COCO(
        str(folder / "annotations" / "instances_train2017.json")
    )
    contiguous = {category: n for n, category in enumerate(sorted(coco.cats))}
    for image_id in sorted(coco.imgs)[first : first + count]:
        entry = coco.imgs[image_id]
        image = cv2.imread(str(folder / "train2017" / entry["file_name"]))[:, :, ::-1]
        height, width = image.shape[:2]
        semantic = np.full((height, width), 255, np.uint8)
        panoptic, segments, instances = np.zeros((height, width), np.int32), [], []
        for number, annotation in enumerate(coco.loadAnns(coco.getAnnIds(image_id))):
            mask = coco.annToMask(annotation).astype(bool)
            category = contiguous[annotation["category_id"]]
            rest = {"crowd": bool(annotation["iscrowd"]), "source_index": len(instances)}
            x, y, w, h = annotation["bbox"]
            if number % 5 == 4:
                instances.append(Instance(category, (x, y, x + w, y + h), **rest))
            elif mask.any():
                instances.append(Instance.from_mask(category, mask, **rest))
            else:
                continue
            semantic[mask], panoptic[mask] = category, number + 1
            if mask.any():
                segments.append(Segment(number + 1, category))
        segments = [s for s in segments if (panoptic == s.id).any()]
        valid = None
        if len(instances) % 3 == 0:
            valid = np.ones((height, width), bool)
            valid[:, width * 3 // 4 :] = False
        yield Scene(image, instances, valid, semantic, panoptic, segments)


def bank_of(scenes, path, names: int = 80) -> MaskBank:
    """The objects of scenes as a bank, crowds and specks left out."""
    classes = [f"class {n}" for n in range(names)]
    with BankWriter(path, categories=classes, supervision="masks") as writer:
        for scene in scenes:
            for instance in scene.instances:
                if instance.crowd or instance.mask is None or instance.mask.sum() < 50:
                    continue
                x0, y0, x1, y1 = (int(v) for v in instance.bbox)
                writer.add(
                    np.ascontiguousarray(scene.image[y0:y1, x0:x1]),
                    instance.mask.astype(np.uint8) * 255,
                    category_id=instance.category_id,
                    score=1.0,
                )
    return MaskBank(path)


@pytest.fixture(scope="module")
def photos(shared_data, tmp_path_factory):
    """(scenes, their objects as a bank)."""
    scenes = list(coco_scenes(shared_data / "coco"))
    return scenes, bank_of(scenes, tmp_path_factory.mktemp("banks") / "coco")


@pytest.mark.parametrize("min_visible", [0.1, 0.6])
@pytest.mark.parametrize("placement", ["random", "space_maximize"])
def test_real_photos(photos, placement, min_visible) -> None:
    scenes, bank = photos
    paste = EMPaste(
        bank, placement=placement, count=(0, 10), min_visible=min_visible, max_angle=60.0, flip=0.5
    )
    pastes = hidden = 0
    for seed, scene in enumerate(scenes):
        result = paste(scene, np.random.default_rng(seed))
        is_free = placement == "space_maximize"
        check_invariants(scene, result, bank=bank, min_visible=min_visible, covers_nothing=is_free)
        again = paste.render(scene, result.record.placements)
        np.testing.assert_array_equal(again.image, result.image)
        np.testing.assert_array_equal(again.panoptic, result.panoptic)
        assert [i.bbox for i in again.instances] == [i.bbox for i in result.instances]
        pastes += len(result.record.placements)
        hidden += len(result.record.dropped)
    assert pastes > 2 * len(scenes)
    assert hidden > 0 or placement == "space_maximize" or min_visible > 0.5


def break_mask(scene) -> None:
    scene.instances[-1].mask = scene.instances[-1].mask.copy()
    scene.instances[-1].mask[-1] = False


def shift_box(scene) -> None:
    x0, y0, x1, y1 = scene.instances[-1].bbox
    scene.instances[-1].bbox = (x0, y0, x1 + 1, y1)


def drop_original(scene) -> None:
    scene.instances.pop(0)


def overlap(scene) -> None:
    scene.instances.append(dataclasses.replace(scene.instances[-1]))


def touch_far_pixel(scene) -> None:
    scene.image[40, 10] ^= 1


def untrim(scene) -> None:
    scene.instances[0] = Instance.from_mask(0, np.ones((10, 10), bool), (20, 20), source_index=0)


def repaint_semantic(scene) -> None:
    x, y = (int(v) for v in scene.instances[-1].bbox[:2])
    scene.semantic[y, x] ^= 1


def lose_segment(scene) -> None:
    scene.segments = scene.segments[:-1]


def cover_original(scene) -> None:
    scene.instances[-1].mask_offset = (21, 20)
    scene.instances[-1].bbox = (21.0, 20.0, 33.0, 32.0)


BREAKS = [
    break_mask,
    shift_box,
    drop_original,
    overlap,
    touch_far_pixel,
    untrim,
    repaint_semantic,
    lose_segment,
    cover_original,
]


@pytest.mark.parametrize("damage", [None, *BREAKS], ids=lambda f: getattr(f, "__name__", "none"))
def test_the_checker_sees_what_is_broken(tiny_bank, damage) -> None:
    """The same checks on a sample that is right, and with one thing wrong."""
    from contract import Case, Paste, Thing

    case = Case(60, 60, (Thing("rect", (20, 20, 30, 30)),), (Paste(4, 25, 14),), maps=True)
    paste = EMPaste(tiny_bank)
    scene = case.scene()
    scene.semantic[scene.semantic == 11] = 0
    result = paste.render(scene, case.placements(tiny_bank))
    if damage is None:
        check_invariants(scene, result, bank=tiny_bank, min_visible=0.1)
        return
    damage(result)
    with pytest.raises(AssertionError):
        check_invariants(scene, result, bank=tiny_bank, min_visible=0.1)

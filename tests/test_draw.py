"""Drawing scenes and sheets."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug import Instance, Scene
from empaste_aug.draw import class_color, contact_sheet, draw_scene


def test_masks_are_tinted_and_boxes_drawn() -> None:
    mask = np.zeros((80, 100), dtype=bool)
    mask[40:60, 20:60] = True
    pasted = Instance.from_mask(1, mask, cutout_id=3)
    scene = Scene(np.full((80, 100, 3), 100, dtype=np.uint8), [pasted])
    picture = draw_scene(scene, ["cat", "dog"], opacity=0.5)
    color = np.asarray(class_color(1))
    assert (scene.image == 100).all(), "the scene is left as it is"
    assert np.abs(picture[50, 40].astype(int) - (100 + color) / 2).max() <= 1
    assert (picture[40, 30] == color).all(), "the box's upper side"
    assert (picture[70, 90] == 100).all(), "far from everything"


def test_box_only_and_crowd_instances_are_drawn() -> None:
    scene = Scene(
        np.full((80, 100, 3), 100, dtype=np.uint8),
        [Instance(0, (10.0, 30.0, 40.0, 70.0)), Instance(0, (50, 30, 90, 70), crowd=True)],
    )
    picture = draw_scene(scene, ["cat"])
    assert (picture[69, 25] != 100).any()
    assert (picture[50, 25] == 100).all(), "nothing to tint"


def test_sheets_hold_every_picture_at_its_aspect() -> None:
    images = [np.full((h, w, 3), 9, dtype=np.uint8) for h, w in [(10, 20), (300, 100), (50, 50)]]
    sheet = contact_sheet(images, cell=(60, 80), columns=2)
    assert sheet.shape == (120, 160, 3)
    for number, (height, width) in enumerate([(38, 76), (56, 19), (56, 56)]):
        y, x = 60 * (number // 2), 80 * (number % 2)
        dark = (sheet[y : y + 60, x : x + 80] == 9).all(axis=2)
        assert dark.any(axis=1).sum() == height
        assert dark.any(axis=0).sum() == width
    assert (sheet[60:, 80:] == 255).all()


def plates(picture: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Where something was drawn."""
    return (picture != image).any(axis=2)


@pytest.mark.parametrize("size", [(360, 480), (640, 480), (1080, 1920), (180, 240)])
def test_letters_are_as_high_on_a_sheet_whatever_the_photos_size(size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((height, width, 3), 100, dtype=np.uint8)
    box = (0.25 * width, 0.5 * height, 0.9 * width, 0.9 * height)
    picture = draw_scene(Scene(image, [Instance(0, box, cutout_id=1)]), ["person"])
    drawn = plates(picture, image)
    drawn[round(box[1]) - 4 :] = False
    rows = np.flatnonzero(drawn.any(axis=1))
    shown = (rows[-1] - rows[0] + 1) * min(356 / height, 476 / width)
    assert 15 < shown < 30


def test_a_name_is_on_a_plate_of_its_class_and_contrasts_with_it() -> None:
    image = np.full((360, 480, 3), 100, dtype=np.uint8)
    for category in range(20):
        box = (100.0, 200.0, 300.0, 300.0)
        names = [f"class{number}" for number in range(20)]
        pasted = draw_scene(Scene(image, [Instance(category, box, cutout_id=1)]), names)
        plate = pasted[180:196, 102:160].reshape(-1, 3).astype(float)
        color = np.asarray(class_color(category), dtype=float)
        assert (np.abs(plate - color).max(axis=1) == 0).mean() > 0.3
        light = plate @ (0.299, 0.587, 0.114)
        assert (
            max(
                light.max() - color @ (0.299, 0.587, 0.114),
                color @ (0.299, 0.587, 0.114) - light.min(),
            )
            > 85
        )
        original = draw_scene(Scene(image, [Instance(category, box)]), names)
        assert original[180:196, 102:160].min() < 50


def test_plates_of_equal_boxes_lie_beside_each_other() -> None:
    image = np.full((360, 480, 3), 100, dtype=np.uint8)
    boxes = [Instance(number, (0.0, 0.0, 400.0, 300.0), cutout_id=number + 1) for number in (0, 1)]
    picture = draw_scene(Scene(image, boxes), ["bicycle", "person"])
    for number in (0, 1):
        color = (picture[:80, 6:60] == class_color(number)).all(axis=2)
        assert color.sum() > 200

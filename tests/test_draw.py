"""Drawing scenes and sheets."""

from __future__ import annotations

import numpy as np

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

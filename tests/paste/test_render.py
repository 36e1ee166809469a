"""Warping a cut-out to its place, against a slow warp in floating point."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ellipse_cutout

from empaste_aug import ArgumentError, Cutout, Placement
from empaste_aug.geometry import minimum_enclosing_circle
from empaste_aug.paste.blending import paint
from empaste_aug.paste.render import make_patch


def cutout(rgb: np.ndarray, alpha: np.ndarray) -> Cutout:
    return Cutout(rgb, alpha, category_id=1, row=4, circle=minimum_enclosing_circle(alpha >= 128))


def affine(source: Cutout, placement: Placement) -> np.ndarray:
    """(2, 3): from the crop's (x, y, 1) to the image. y points down, so a turn to the left is -."""
    turn = np.deg2rad(-placement.angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = placement.scale * rotation @ np.diag([-1 if placement.flip else 1, 1])
    return np.column_stack((linear, placement.center - linear @ source.circle[:2]))


def on_canvas(patch, height: int, width: int) -> np.ndarray:
    full = np.zeros((height, width), dtype=bool)
    image_window, patch_window = patch.window(height, width)
    full[image_window] = patch.mask[patch_window]
    return full


@pytest.fixture
def disk(rng):
    return cutout(*ellipse_cutout(rng, 21, 21))


def test_identity_placement_copies_the_pixels(rng) -> None:
    rgb = rng.integers(0, 256, size=(9, 13, 3), dtype=np.uint8)
    alpha = np.zeros((9, 13), dtype=np.uint8)
    alpha[1:8, 2:11] = 255
    source = cutout(rgb, alpha)
    cx, cy, _ = source.circle
    placement = Placement(4, (cx + 20, cy + 10), 1.0, blend="none")
    patch = make_patch(source, placement, height=50, width=60)
    image = np.zeros((50, 60, 3), dtype=np.uint8)
    paint(image, patch)
    expected = np.zeros_like(image)
    expected[11:18, 22:31] = rgb[1:8, 2:11]
    assert np.array_equal(image, expected)
    assert patch.full_area == 7 * 9


def test_flip_mirrors_left_to_right(rng) -> None:
    rgb = rng.integers(0, 256, size=(9, 9, 3), dtype=np.uint8)
    alpha = np.full((9, 9), 255, dtype=np.uint8)
    source = cutout(rgb, alpha)
    placement = Placement(0, (20.0, 20.0), 1.0, flip=True, blend="none")
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    paint(image, make_patch(source, placement, height=40, width=40))
    assert np.array_equal(image[16:25, 16:25], rgb[:, ::-1])


def test_angles_turn_counter_clockwise_as_seen() -> None:
    alpha = np.zeros((21, 21), dtype=np.uint8)
    alpha[8:13, :] = 255  # a bar from left to right
    alpha[:8, 16:] = 255  # with a hook at its right end, upwards
    rgb = np.zeros((21, 21, 3), dtype=np.uint8)
    rgb[:, 16:] = 255
    source = cutout(rgb, alpha)
    patch = make_patch(source, Placement(0, (50.0, 50.0), 1.0, angle=90.0), height=100, width=100)
    bright = patch.rgb[..., 0] == 255
    end, rest = np.argwhere(patch.shape & bright), np.argwhere(patch.shape & ~bright)
    assert end[:, 0].max() < rest[:, 0].min()  # the right end is now above the rest,
    assert end[:, 1].min() < rest[:, 1].min()  # and its hook to the left


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("scale", "angle"), [(0.31, 17), (0.7, -25), (1.0, 5), (2.5, 90)])
def test_warped_mask_matches_a_slow_warp(rng, scale, angle, flip) -> None:
    alpha = np.zeros((60, 45), dtype=np.uint8)
    alpha[5:55, 5:40] = 255
    alpha[5:25, 5:20] = 0
    source = cutout(np.zeros((60, 45, 3), dtype=np.uint8), alpha)
    placement = Placement(0, (93.3, 88.8), scale, angle=angle, flip=flip)
    patch = make_patch(source, placement, height=200, width=200)
    inverse = np.linalg.inv(np.vstack((affine(source, placement), [0, 0, 1])))
    yy, xx = np.mgrid[:200, :200]
    x, y = (inverse @ np.stack((xx.ravel(), yy.ravel(), np.ones(xx.size))))[:2].round().astype(int)
    inside = (x >= 0) & (y >= 0) & (x < 45) & (y < 60)
    expected = np.zeros(200 * 200, dtype=bool)
    expected[inside] = alpha[y[inside], x[inside]] >= 128
    expected = expected.reshape(200, 200)
    mask = on_canvas(patch, 200, 200)
    union = (mask | expected).sum()
    assert (mask & expected).sum() / union > 0.93
    assert abs(mask.sum() - expected.sum()) / expected.sum() < 0.04
    assert patch.full_area == mask.sum()


def test_objects_partly_outside_keep_their_whole_area(disk) -> None:
    inside = make_patch(disk, Placement(0, (50.0, 50.0), 1.0), height=100, width=100)
    for center in [(0.0, 50.0), (50.0, 99.0), (0.0, 0.0), (-200.0, 50.0), (99.0, 300.0)]:
        patch = make_patch(disk, Placement(0, center, 1.0), height=100, width=100)
        assert patch.full_area == inside.full_area
        assert on_canvas(patch, 100, 100).sum() == patch.mask.sum() < inside.full_area


def test_objects_larger_than_the_image(disk) -> None:
    patch = make_patch(disk, Placement(0, (5.0, 4.0), 10.0), height=10, width=12)
    assert on_canvas(patch, 10, 12).all()
    assert patch.mask.shape <= (16, 18)
    assert patch.full_area == pytest.approx(np.pi * 105**2, rel=0.02)


def test_tiny_scales_leave_nothing(disk) -> None:
    patch = make_patch(disk, Placement(0, (5.0, 4.0), 0.01), height=10, width=12)
    assert patch.full_area <= 1


def test_absurd_scales_are_an_error(disk) -> None:
    with pytest.raises(ArgumentError, match="scale: 1e\\+04"):
        make_patch(disk, Placement(0, (5.0, 4.0), 1e4), height=10, width=12)


def test_occupied_pixels_and_padding_are_cut(disk) -> None:
    occupied = np.zeros((60, 60), dtype=np.uint8)
    occupied[:, :30] = 1
    valid = np.ones((60, 60), dtype=bool)
    valid[:30] = False
    placement = Placement(0, (30.0, 30.0), 1.0, trim_to_free=True)
    patch = make_patch(disk, placement, height=60, width=60, occupied=occupied, valid=valid)
    mask = on_canvas(patch, 60, 60)
    assert mask[30:, 30:].any()
    assert not mask[:30].any()
    assert not mask[:, :30].any()
    image = np.full((60, 60, 3), 77, dtype=np.uint8)
    paint(image, patch)
    assert (image[:30] == 77).all()
    assert (image[:, :30] == 77).all()
    covering = make_patch(
        disk, Placement(0, (30.0, 30.0), 1.0), height=60, width=60, occupied=occupied
    )
    assert covering.mask.sum() == covering.full_area


def test_the_feather_is_soft_and_stays_within_two_pixels(disk) -> None:
    image = np.full((60, 60, 3), 77, dtype=np.uint8)
    patch = make_patch(disk, Placement(0, (30.0, 30.0), 1.0), height=60, width=60)
    mask = on_canvas(patch, 60, 60)
    paint(image, patch)
    changed = (image != 77).any(axis=2)
    reach = np.zeros_like(mask)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            reach |= np.roll(mask, (dy, dx), axis=(0, 1))
    assert (changed & ~mask).any()
    assert not (changed & ~reach).any()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3, -1])
def test_quarter_turns_are_exact(rng, quarters, flip) -> None:
    rgb = rng.integers(0, 256, size=(9, 13, 3), dtype=np.uint8)
    alpha = rng.choice(np.array([0, 255], np.uint8), size=(9, 13))
    alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1] = 255, 255, 255, 255
    source = Cutout(rgb, alpha, category_id=0, circle=(6.0, 4.0, 9.0))
    placement = Placement(0, (20.0, 20.0), 1.0, angle=90.0 * quarters, flip=flip, blend="none")
    patch = make_patch(source, placement, height=40, width=40)
    expected = np.rot90(rgb[:, ::-1] if flip else rgb, quarters)
    mask = np.rot90(alpha[:, ::-1] if flip else alpha, quarters) == 255
    h, w = mask.shape
    place = np.s_[20 - h // 2 - patch.y :, 20 - w // 2 - patch.x :]
    assert np.array_equal(patch.shape[place][:h, :w], mask)
    assert np.array_equal(patch.rgb[place][:h, :w], expected)
    assert patch.full_area == patch.shape.sum() == mask.sum()


@pytest.mark.parametrize("scale", [0.45, 0.23, 0.1, 0.03])
def test_reduced_cutouts_give_the_same_mask(small_bank, scale) -> None:
    for row in range(len(small_bank)):
        placement = Placement(row, (30.3, 29.8), scale, angle=33.0, flip=row % 2 == 0)
        one = make_patch(small_bank[row], placement, height=60, width=60)
        other = make_patch(small_bank.read(row, scale=scale), placement, height=60, width=60)
        assert (one.x, one.y, one.full_area) == (other.x, other.y, other.full_area)
        assert np.array_equal(one.mask, other.mask)
        if one.mask.any():
            difference = one.rgb[one.mask].astype(int) - other.rgb[one.mask]
            assert np.abs(difference).mean() < 30
        again = make_patch(small_bank.read(row, scale=scale), placement, height=60, width=60)
        assert np.array_equal(again.rgb, other.rgb)


def test_vanishing_scales_leave_nothing_at_all(disk) -> None:
    for scale in (1e-3, 1e-9, 1e-200):
        for center in ((5.0, 4.0), (disk.circle[0], disk.circle[1])):
            assert make_patch(disk, Placement(0, center, scale), height=10, width=12).full_area == 0


def test_images_of_one_pixel(disk) -> None:
    patch = make_patch(disk, Placement(0, (0.0, 0.0), 2.0, angle=10.0), height=1, width=1)
    assert patch.mask.sum() == 1
    image = np.zeros((1, 1, 3), np.uint8)
    paint(image, patch)
    assert image.any()


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scales_that_are_none(disk, scale) -> None:
    with pytest.raises(ArgumentError, match="scale: must be above 0 and finite"):
        make_patch(disk, Placement(0, (5.0, 4.0), scale), height=10, width=12)

"""Warping a cut-out to its place, against a slow warp in floating point."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ellipse_cutout

from empaste_aug import ArgumentError, Cutout, Placement
from empaste_aug.geometry import minimum_enclosing_circle
from empaste_aug.paste.render import affine, make_patch, paint


def cutout(rgb: np.ndarray, alpha: np.ndarray) -> Cutout:
    return Cutout(rgb, alpha, category_id=1, row=4, circle=minimum_enclosing_circle(alpha >= 128))


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
    source = cutout(np.zeros((21, 21, 3), dtype=np.uint8), alpha)
    matrix = affine(source, Placement(0, (50.0, 50.0), 1.0, angle=90.0))
    right_of_center = np.array([source.circle[0] + 10, source.circle[1], 1.0])
    assert matrix @ right_of_center == pytest.approx([50, 40])  # now above it


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

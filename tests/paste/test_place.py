"""Random and Space-Maximize placement."""

from __future__ import annotations

import numpy as np
from conftest import ellipse_cutout

from empaste_aug import Cutout, Instance, Placement, Scene
from empaste_aug.kernels.circle import max_inscribed_circle
from empaste_aug.paste.place import FreeSpace, PlacementConfig, Placer, obstacle_map
from empaste_aug.paste.render import make_patch


def config(**changes) -> PlacementConfig:
    settings = {
        "placement": "random",
        "scale": (0.3, 1.0),
        "max_angle": 30.0,
        "max_scale": None,
        "flip": 0.0,
        "blend": {"gaussian": 1.0},
    }
    return PlacementConfig(**(settings | changes))


def scene(height=40, width=60, **rest) -> Scene:
    return Scene(np.zeros((height, width, 3), dtype=np.uint8), **rest)


def free_space(occupied: np.ndarray) -> FreeSpace:
    return FreeSpace(Scene(np.zeros((*occupied.shape, 3), np.uint8), valid=occupied == 0))


def test_random_draws_stay_in_their_ranges_and_fill_them(rng) -> None:
    placer = Placer(config(flip=0.5, blend={"gaussian": 0.25, "none": 0.75}), scene(), None)
    draws = [placer.draw(3, (5, 5, 6.0), rng) for _ in range(4000)]
    centers = np.array([d.center for d in draws])
    scales = np.array([d.scale for d in draws])
    angles = np.array([d.angle for d in draws])
    assert centers.min() >= -0.5
    assert (centers.max(axis=0) <= [59.5, 39.5]).all()
    assert np.abs(centers.mean(axis=0) - [29.5, 19.5]).max() < 1
    assert 0.3 <= scales.min() < 0.31
    assert 0.99 < scales.max() <= 1.0
    assert -30 <= angles.min() < -29
    assert 29 < angles.max() <= 30
    assert abs(np.mean([d.flip for d in draws]) - 0.5) < 0.04
    assert abs(np.mean([d.blend == "none" for d in draws]) - 0.75) < 0.04
    assert {d.cutout_id for d in draws} == {3}


def test_random_centres_avoid_padding(rng) -> None:
    valid = np.zeros((40, 60), dtype=bool)
    valid[5:10, 50:] = True
    placer = Placer(config(), scene(valid=valid), None)
    centers = np.array([placer.draw(0, (0, 0, 1.0), rng).center for _ in range(200)])
    assert (np.floor(centers + 0.5).min(axis=0) >= [50, 5]).all()
    assert (np.floor(centers + 0.5).max(axis=0) <= [59, 9]).all()
    nothing = Placer(config(), scene(valid=np.zeros((40, 60), dtype=bool)), None)
    assert nothing.draw(0, (0, 0, 1.0), rng) is None


def test_space_maximize_fits_the_enclosing_circle_into_the_inscribed_one(rng) -> None:
    occupied = np.ones((40, 60), dtype=np.uint8)
    occupied[10:21, 30:41] = 0
    placer = Placer(config(placement="space_maximize"), scene(), free_space(occupied))
    placement = placer.draw(0, (3, 3, 4.0), rng)
    assert placement.center == (35.0, 15.0)
    assert placement.scale == 6.0 / 4.0
    assert placement.trim_to_free
    limited = Placer(
        config(placement="space_maximize", max_scale=0.5), scene(), free_space(occupied)
    )
    assert limited.draw(0, (3, 3, 4.0), rng).scale == 0.5
    full = Placer(config(placement="space_maximize"), scene(), free_space(np.ones((40, 60))))
    assert full.draw(0, (3, 3, 4.0), rng) is None


def test_equal_circles_are_all_found_in_the_long_run(rng) -> None:
    occupied = np.ones((50, 50), dtype=np.uint8)
    corners = {(5, 5), (44, 5), (5, 44), (44, 44)}
    for x, y in corners:
        occupied[y - 3 : y + 4, x - 3 : x + 4] = 0
    placer = Placer(config(placement="space_maximize"), scene(50, 50), free_space(occupied))
    found = {placer.draw(0, (0, 0, 1.0), rng).center for _ in range(100)}
    assert found == corners


def test_obstacles_are_masks_boxes_crowds_and_padding() -> None:
    valid = np.ones((40, 60), dtype=bool)
    valid[:, 55:] = False
    instances = [
        Instance.from_mask(0, np.eye(3, dtype=bool), (10, 20)),
        Instance(0, (30.2, 5.5, 33.0, 7.1)),
        Instance(0, (0, 0, 4, 2), np.ones((4, 6), dtype=bool), (-2, -2), crowd=True),
    ]
    expected = np.zeros((40, 60), dtype=np.uint8)
    expected[[20, 21, 22], [10, 11, 12]] = 1
    expected[5:8, 30:33] = 1
    expected[:2, :4] = 1
    expected[:, 55:] = 1
    assert np.array_equal(obstacle_map(scene(instances=instances, valid=valid)), expected)


def test_the_space_that_is_left_is_measured_anew_where_it_changed(rng) -> None:
    rgb, alpha = ellipse_cutout(rng, 21, 21)
    disk = Cutout(rgb, alpha, category_id=1, circle=(10.0, 10.0, 10.5))
    free = free_space(rng.random((50, 80)) < 0.002)
    for _ in range(12):
        center = tuple(float(v) for v in rng.integers(-10, 90, size=2))
        patch = make_patch(disk, Placement(0, center, 0.5), height=50, width=80)
        free.largest_circle(tie_order=0)
        free.occupy(patch)
        assert free.largest_circle(tie_order=0) == max_inscribed_circle(free.occupied)

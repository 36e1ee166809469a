"""Polygons through transforms against detectron2's own apply_polygons, object by object."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("detectron2")

from detectron2.data import transforms as T  # noqa: N812

from empaste_aug.adapters._detectron2_polygons import transform_outlines

HEIGHT, WIDTH = 60, 80
TRANSFORMS = {
    "crop": [T.CropTransform(20, 10, 40, 30)],
    "whole": [T.CropTransform(0, 0, WIDTH, HEIGHT)],
    "jitter": [
        T.ResizeTransform(HEIGHT, WIDTH, 131, 175),
        T.CropTransform(33, 21, 100, 90),
        T.PadTransform(0, 0, 28, 38),
        T.HFlipTransform(128),
    ],
    "colour, flips": [
        T.ColorTransform(lambda image: image),
        T.NoOpTransform(),
        T.VFlipTransform(HEIGHT),
        T.HFlipTransform(WIDTH),
    ],
    "rotation": [T.RotationTransform(HEIGHT, WIDTH, 25), T.CropTransform(20, 10, 40, 30)],
    "nothing is left": [T.CropTransform(300, 300, 5, 5), T.HFlipTransform(5)],
}


def random_outlines(rng):
    """Simple and self-intersecting ones, partly outside, some degenerate or touching an edge."""
    outlines = []
    for _ in range(int(rng.integers(1, 6))):
        outline = []
        for _ in range(int(rng.integers(1, 4))):
            count, centre = int(rng.integers(3, 20)), rng.uniform(0, (WIDTH, HEIGHT))
            if rng.random() < 0.5:
                turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
                radii = rng.uniform(2, 30) * rng.uniform(0.5, 1, size=(count, 1))
                points = centre + radii * np.column_stack((np.cos(turns), np.sin(turns)))
            else:
                points = centre + rng.uniform(-20, 20, size=(count, 2))
            outline.append(points.round(int(rng.integers(3))).ravel())
        outlines.append(outline)
    outlines.append([np.array([20.0, 10, 60, 10, 60, 40, 20, 40])])  # the crop's window
    outlines.append([np.array([5.0, 10, 20, 10, 20, 40, 5, 40])])  # touches it
    outlines.append([np.array([30.0, 20, 40, 20, 50, 20])])  # without area
    return outlines


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("seed", range(10))
def test_polygons_are_those_of_apply_polygons_to_the_bit(name, seed):
    transforms = T.TransformList(TRANSFORMS[name])
    outlines = random_outlines(np.random.default_rng(seed))
    before = [[polygon.copy() for polygon in outline] for outline in outlines]
    moved = transform_outlines(outlines, transforms)
    assert len(moved) == len(outlines)
    for got, outline, kept in zip(moved, outlines, before, strict=True):
        wanted = transforms.apply_polygons([p.reshape(-1, 2).copy() for p in outline])
        for mine, theirs in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(mine, theirs.reshape(-1))
        for polygon, old in zip(outline, kept, strict=True):
            np.testing.assert_array_equal(polygon, old)


def test_no_polygons_stay_none():
    for steps in TRANSFORMS.values():
        assert transform_outlines([], T.TransformList(steps)) == []
        assert transform_outlines([[], []], T.TransformList(steps)) == [[], []]

"""Geometry against detectron2's own apply_segmentation on full-size masks, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from empaste_aug import ArgumentError

pytest.importorskip("detectron2")

from detectron2.data import transforms as T  # noqa: N812
from fvcore.transforms.transform import GridSampleTransform

from empaste_aug.adapters._detectron2_masks import CroppedMask
from empaste_aug.adapters._detectron2_transform import Geometry

HEIGHT, WIDTH = 45, 64


class Mirror(T.HFlipTransform):
    """A kind of transform that Geometry does not know."""


def large_scale_jitter(pad_value):
    return [
        T.RandomFlip(),
        T.ResizeScale(0.1, 2.0, 70, 70),
        T.FixedSizeCrop((70, 70), seg_pad_value=pad_value),
    ]


AUGMENTATIONS = {
    "jitter": large_scale_jitter(255),
    "jitter, padded with 1": large_scale_jitter(1),
    "shortest edge": [T.ResizeShortestEdge((20, 100), 160), T.RandomFlip()],
    "crop": [
        T.RandomCrop("relative_range", (0.3, 0.3)),
        T.RandomFlip(vertical=True, horizontal=False),
    ],
    "colour": [T.RandomBrightness(0.5, 2), T.RandomContrast(0.5, 2), T.RandomLighting(0.1)],
    "colour op": [T.ColorTransform(lambda image: image // 2), T.NoOpTransform()],
    "rotation": [T.RandomRotation((-40, 40)), T.Resize((50, 31))],
    "rotation, padded": [T.RandomRotation((-40, 40)), *large_scale_jitter(255)[1:]],
    "extent": [T.RandomExtent((0.3, 1.5), (0.4, 0.4))],
    "unknown": [Mirror(WIDTH), *large_scale_jitter(9)[1:]],
}
SEPARABLE = ("jitter", "jitter, padded with 1", "shortest edge", "crop", "colour", "colour op")


def augmented(name, seed):
    np.random.seed(seed)  # noqa: NPY002
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    aug_input = T.AugInput(image)
    transforms = T.AugmentationList(AUGMENTATIONS[name])(aug_input)
    return transforms, aug_input.image.shape[:2]


def widened(crop, shape):
    full = np.zeros(shape, dtype=bool)
    if crop is not None:
        (x, y), (h, w) = crop.offset, crop.mask.shape
        full[y : y + h, x : x + w] = crop.mask
        assert crop.mask.any(axis=0)[[0, -1]].all()
        assert crop.mask.any(axis=1)[[0, -1]].all()
    return full


def expected(transforms, full):
    """A pixel is the object's if it is not what the transforms make of an empty mask."""
    empty = transforms.apply_segmentation(np.zeros((HEIGHT, WIDTH), dtype=np.uint8))
    return transforms.apply_segmentation(full.astype(np.uint8)) != empty


def random_crop(rng):
    y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
    h, w = rng.integers(1, HEIGHT - y + 1), rng.integers(1, WIDTH - x + 1)
    full = np.zeros((HEIGHT, WIDTH), dtype=bool)
    full[y : y + h, x : x + w] = rng.random((h, w)) < 0.7
    full[y, x] = True
    return CroppedMask.tight(full), full


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_masks_ids_and_padding_are_those_of_full_size_maps(name):
    rng = np.random.default_rng(0)
    lost = padded = 0
    for seed in range(30):
        transforms, shape = augmented(name, seed)
        geometry = Geometry(transforms, HEIGHT, WIDTH)
        assert geometry.shape == shape
        assert (geometry._axes is not None) == (name in SEPARABLE)
        for _ in range(6):
            crop, full = random_crop(rng)
            moved = geometry.mask(crop)
            np.testing.assert_array_equal(widened(moved, shape), expected(transforms, full))
            lost += moved is None
        valid = expected(transforms, np.ones((HEIGHT, WIDTH), dtype=bool))
        padded += not valid.all()
        got = geometry.valid
        np.testing.assert_array_equal(np.ones(shape, bool) if got is None else got, valid)

        ids = rng.integers(0, 1 << 24, size=(HEIGHT, WIDTH)).astype(np.int32)
        there = geometry.ids(ids)
        assert there.dtype == np.int32
        channels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8)
        channels = transforms.apply_segmentation(channels).astype(np.int32)
        wanted = channels @ np.array([1, 256, 65536])
        np.testing.assert_array_equal(there, np.where(valid, wanted, 0))
    if name in ("jitter", "crop", "extent"):
        assert lost > 0
    assert (padded > 0) == (name not in ("shortest edge", "crop", "colour", "colour op"))


@pytest.mark.parametrize("size", [(1, 1), (1, 977), (333, 7), (1280, 96), (4000, 3)])
def test_resizing_takes_the_pixels_that_detectron2_takes(size):
    rng = np.random.default_rng(2)
    height, width = size
    full = rng.random(size) < 0.5
    full[0, 0] = True
    for _ in range(5):
        new = [int(v) for v in rng.integers(1, 700, size=2)]
        transforms = T.TransformList([T.ResizeTransform(height, width, *new, Image.BILINEAR)])
        moved = Geometry(transforms, height, width).mask(CroppedMask.tight(full))
        wanted = transforms.apply_segmentation(full.astype(np.uint8)).astype(bool)
        np.testing.assert_array_equal(widened(moved, tuple(new)), wanted)


@pytest.mark.parametrize(
    ("transforms", "factor"),
    [
        ([T.NoOpTransform()], 1.0),
        ([T.HFlipTransform(WIDTH), T.VFlipTransform(HEIGHT)], 1.0),
        ([T.ResizeTransform(HEIGHT, WIDTH, 2 * HEIGHT, 2 * WIDTH)], 2.0),
        ([T.ResizeTransform(HEIGHT, WIDTH, HEIGHT, 4 * WIDTH)], 2.0),
        ([T.RotationTransform(HEIGHT, WIDTH, 33)], 1.0),
        ([T.ExtentTransform((8, 8, 24, 16), (32, 64))], 4.0),
        ([T.ResizeTransform(HEIGHT, WIDTH, 9, 9), T.PadTransform(3, 4, 5, 6)], 81 / 2880),
    ],
)
def test_the_resize_factor(transforms, factor):
    geometry = Geometry(T.TransformList(transforms), HEIGHT, WIDTH)
    wanted = factor if factor >= 1 else np.sqrt(factor)
    assert geometry.resize == pytest.approx(wanted, rel=1e-5)


def test_a_transform_that_cannot_map_points_has_no_factor():
    grid = np.zeros((1, HEIGHT, WIDTH, 2), dtype=np.float32)
    geometry = Geometry(T.TransformList([GridSampleTransform(grid, "bilinear")]), HEIGHT, WIDTH)
    with pytest.raises(ArgumentError, match=r"paste_after_augmentations: .*GridSample"):
        _ = geometry.resize

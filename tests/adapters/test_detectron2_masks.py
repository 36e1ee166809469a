"""Segmentations to cropped masks and back, against pycocotools on whole images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from empaste_aug.types import DatasetError, Instance, tight_box

coco = pytest.importorskip("pycocotools.mask")
masks = pytest.importorskip("empaste_aug.adapters._detectron2_masks")

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning"
)


def random_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Blobs of any shape, with holes, thin parts, and pixels that touch at corners only."""
    noise = rng.random((height, width)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (5, 5), rng.uniform(0.1, 2))
    return noise > np.quantile(noise, rng.uniform(0.2, 0.95))


def widen(decoded, height: int, width: int) -> np.ndarray:
    mask, offset = decoded
    return Instance(0, (0, 0, 0, 0), mask, offset).full_mask(height, width)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["compressed", "text", "uncompressed", "array"])
def test_rle_and_arrays_decode_to_the_mask(seed, kind):
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(1, 60, size=2))
    full = random_mask(rng, height, width)
    full[:, : rng.integers(0, width)] = False
    rle = coco.encode(np.asfortranarray(full, dtype=np.uint8))
    if kind == "text":
        rle["counts"] = rle["counts"].decode()
    elif kind == "uncompressed":
        flat = np.concatenate(([0], full.ravel(order="F"), [2]))
        edges = np.flatnonzero(np.diff(flat))
        counts = np.diff(edges, prepend=0).tolist()
        rle = {"size": [height, width], "counts": counts}
    decoded = masks.decode_segmentation(full if kind == "array" else rle, height, width, where="f")
    if not full.any():
        assert decoded is None
        return
    np.testing.assert_array_equal(widen(decoded, height, width), full)
    mask, (x, y) = decoded
    assert tight_box(mask, (x, y)) == (x, y, x + mask.shape[1], y + mask.shape[0])


def test_long_runs_decode():
    full = np.zeros((700, 900), dtype=bool)
    full[100:650, 300:310] = True
    full[3, 880] = True
    rle = coco.encode(np.asfortranarray(full, dtype=np.uint8))
    decoded = masks.decode_segmentation(rle, 700, 900, where="f")
    np.testing.assert_array_equal(widen(decoded, 700, 900), full)


@pytest.mark.parametrize("seed", range(30))
def test_polygons_decode_to_what_pycocotools_gives_for_the_whole_image(seed):
    rng = np.random.default_rng(seed)
    height, width = 61, 83
    polygons = [
        (rng.uniform(-10, 90, size=(int(rng.integers(3, 9)), 2))).round(2).ravel().tolist()
        for _ in range(int(rng.integers(1, 4)))
    ]
    rle = coco.merge(coco.frPyObjects(polygons, height, width))
    full = coco.decode(rle).astype(bool)
    decoded = masks.decode_segmentation(polygons, height, width, where="f")
    if decoded is None:
        assert not full.any()
    else:
        np.testing.assert_array_equal(widen(decoded, height, width), full)


def test_a_polygon_between_pixels_has_no_mask():
    polygon = [[10.1, 10.1, 10.2, 10.1, 10.2, 10.2]]
    assert masks.decode_segmentation(polygon, 20, 20, where="f") is None


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (np.zeros((4, 5)), r"photo\.png: segmentation of shape \(4, 5\)"),
        ({"size": [4, 5], "counts": b"04"}, r"photo\.png: RLE of size \[4, 5\]"),
        ([[1, 1, 2, 2]], r"photo\.png: a polygon of 4 numbers"),
        ("polygon", r"photo\.png: segmentation of type str"),
    ],
)
def test_malformed_segmentations_are_errors(segmentation, message):
    with pytest.raises(DatasetError, match=message):
        masks.decode_segmentation(segmentation, 5, 5, where="photo.png")


@pytest.mark.parametrize("seed", range(40))
def test_polygons_of_a_mask_rasterise_to_it_with_its_holes_filled(seed):
    rng = np.random.default_rng(seed)
    h, w = (int(v) for v in rng.integers(1, 30, size=2))
    mask = random_mask(rng, h, w)
    if not mask.any():
        mask[0, 0] = True
    x, y = 7, 4
    height, width = h + 15, w + 15
    polygons, filled = masks.mask_to_polygons(mask, (x, y))

    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    count, labels = cv2.connectedComponents(outside, connectivity=4)
    full = np.zeros((height, width), dtype=bool)
    full[y : y + h, x : x + w] = (labels != labels[0, 0])[1:-1, 1:-1]
    rle = coco.merge(coco.frPyObjects(polygons, height, width))
    np.testing.assert_array_equal(coco.decode(rle).astype(bool), full)
    assert filled == (count > 2)

    vertices = np.concatenate(polygons).reshape(-1, 2)
    box = tight_box(mask, (x, y))
    assert box == (*vertices.min(axis=0), *vertices.max(axis=0))


def test_objects_without_a_pixel_are_told_apart():
    square, between = np.array([1, 1, 3, 1, 3, 3, 1, 3.0]), np.array([1.1, 1, 1.2, 1, 1.2, 1.1])
    outlines = [[square], [], [between], [between, square], [square + 10]]
    assert masks.hold_pixels(outlines, 5, 5) == [True, False, False, True, False]
    assert masks.hold_pixels([[], []], 5, 5) == [False, False]
    assert masks.hold_pixels([], 5, 5) == []


def test_an_empty_mask_has_no_polygons():
    assert masks.mask_to_polygons(np.zeros((3, 3), dtype=bool)) == ([], False)


def test_rle_round_trip(rng):
    mask = random_mask(rng, 20, 30)
    np.testing.assert_array_equal(coco.decode(masks.encode_rle(mask)).astype(bool), mask)

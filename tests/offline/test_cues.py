"""Each cue on evidence made by hand, where the right segment is plain."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from empaste_aug.offline import cues
from empaste_aug.offline.cues import CUES, GRID, Evidence, cue_values, on_grid
from empaste_aug.offline.prior import CueWeights, prior

UNKNOWN_MAP = np.full((GRID, GRID), np.nan)


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """A mask on the grid, half-open."""
    mask = np.zeros((GRID, GRID), np.float32)
    mask[y0:y1, x0:x1] = 1
    return mask


def evidence(*masks: np.ndarray, **known: Any) -> Evidence:
    """All that is not given is NaN: a cue that read it would be NaN too."""
    count = len(masks)
    values: dict[str, Any] = {
        "masks": np.array(masks, np.float32).reshape(-1, GRID, GRID),
        "activation": UNKNOWN_MAP,
        "saliency": UNKNOWN_MAP,
        "logits": np.full((count, 3), np.nan),
        "segment_logits": np.full((count, 3), np.nan),
        "category": 0,
        "others": [1],
        "salient": np.zeros(count, bool),
        "strength": np.full(count, np.nan),
        **known,
    }
    return Evidence(**values)


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


PLACES = (box(2, 2, 12, 12), box(40, 2, 50, 12), box(20, 40, 40, 60))
LOGITS = np.array([[9.0, 1.0, 4.0], [7.0, 5.0, -2.0], [-3.0, -8.0, 6.0]])
BOTH = pytest.mark.parametrize(
    ("field", "prefix"),
    [("logits", ""), ("segment_logits", "segment_")],
    ids=["classifier", "head"],
)


@BOTH
def test_logit_is_the_column_of_the_class(field: str, prefix: str) -> None:
    cue = CUES[f"{prefix}logit" if prefix else "class_logit"]
    seen = evidence(*PLACES, **{field: LOGITS}, category=1)
    assert cue(seen).tolist() == [1, 5, -8]


@BOTH
def test_others_is_minus_the_highest_of_all_other_columns(field: str, prefix: str) -> None:
    cue = CUES[f"{prefix}others" if prefix else "other_classes"]
    assert cue(evidence(*PLACES, **{field: LOGITS})).tolist() == [-4, -5, -6]
    assert cue(evidence(*PLACES, **{field: LOGITS}, category=2)).tolist() == [-9, -7, 3]
    alone = evidence(*PLACES, **{field: LOGITS[:, :1]}, others=[])
    assert cue(alone).tolist() == [0, 0, 0]


@BOTH
def test_margin_is_over_the_other_labels_of_the_photo_only(field: str, prefix: str) -> None:
    cue = CUES[f"{prefix}margin" if prefix else "label_margin"]
    assert cue(evidence(*PLACES, **{field: LOGITS}, others=[1])).tolist() == [8, 2, 5]
    assert cue(evidence(*PLACES, **{field: LOGITS}, others=[1, 2])).tolist() == [5, 2, -9]
    assert cue(evidence(*PLACES, **{field: LOGITS}, others=[])).tolist() == [0, 0, 0]


def test_cam_mean_is_highest_where_the_map_is() -> None:
    activation = np.full((GRID, GRID), -3.0)
    activation[2:12, 2:12] = 5.0
    activation[40:60, 20:30] = 1.0  # half the way from -3 to 5, over half of the last segment
    found = cues.cam_mean(evidence(*PLACES, activation=activation))
    np.testing.assert_allclose(found, [1, 0, 0.25], atol=1e-5)
    scaled = cues.cam_mean(evidence(*PLACES, activation=7 * activation - 20))
    np.testing.assert_allclose(scaled, found, atol=1e-5)


def test_cam_overlap_is_the_iou_of_segment_and_map() -> None:
    masks = (box(10, 10, 20, 20), box(10, 10, 30, 30), box(10, 10, 20, 15), box(40, 40, 50, 50))
    activation = 8 * box(10, 10, 20, 20) - 3
    found = cues.cam_overlap(evidence(*masks, activation=activation))
    np.testing.assert_allclose(found, [1, 0.25, 0.5, 0], atol=1e-5)


def test_saliency_overlap_takes_the_map_as_it_is() -> None:
    masks = (box(10, 10, 20, 20), box(10, 10, 30, 30), box(40, 40, 50, 50))
    whole = cues.saliency_overlap(evidence(*masks, saliency=box(10, 10, 20, 20)))
    np.testing.assert_allclose(whole, [1, 0.25, 0], atol=1e-5)
    half = cues.saliency_overlap(evidence(*masks, saliency=0.5 * box(10, 10, 20, 20)))
    np.testing.assert_allclose(half, [0.5, 0.125, 0], atol=1e-5)


def test_is_salient_marks_what_the_saliency_model_proposed() -> None:
    seen = evidence(*PLACES, salient=np.array([False, True, False]))
    assert cues.is_salient(seen).tolist() == [0, 1, 0]


def test_contour_is_the_strength_and_their_mean_where_there_is_none() -> None:
    strength = np.array([0.25, np.nan, 0.75, 0.75, np.nan, 0.25, 1.0], np.float32)
    seen = evidence(*[PLACES[0]] * 7, strength=strength)
    np.testing.assert_allclose(cues.contour(seen), [0.25, 0.6, 0.75, 0.75, 0.6, 0.25, 1])
    nothing = evidence(*PLACES, strength=np.full(3, np.nan, np.float32))
    assert cues.contour(nothing).tolist() == [0, 0, 0]


def test_smoothness_prefers_the_compact_whatever_its_size() -> None:
    comb = box(10, 10, 40, 30)
    comb[10:25, 11:40:2] = 0
    masks = (box(20, 20, 30, 30), box(5, 5, 25, 25), box(20, 20, 60, 30), comb)
    square, larger, flat, ragged = cues.smoothness(evidence(*masks))
    assert square == pytest.approx(-4, abs=1e-4)
    assert larger == pytest.approx(-4, abs=1e-4)
    assert flat == pytest.approx(-5, abs=1e-4)
    assert ragged < flat - 10


VOTERS = (box(20, 20, 40, 40), box(10, 10, 50, 50), box(54, 54, 62, 62))
"""A square, one round it with four times its area, and one apart."""


@BOTH
def test_vote_mean_is_the_average_probability_over_the_cells(field: str, prefix: str) -> None:
    logits = np.array([[2.0, 0.0], [-1.0, 0.0], [3.0, 0.0]])
    found = CUES[f"{prefix}vote_mean"](evidence(*VOTERS, **{field: logits}))
    both = (sigmoid(2) + sigmoid(-1)) / 2
    around = (both + 3 * sigmoid(-1)) / 4
    np.testing.assert_allclose(found, [both, around, sigmoid(3)], atol=1e-5)


@BOTH
def test_vote_contrast_is_inside_minus_the_surroundings(field: str, prefix: str) -> None:
    logits = np.array([[5.0, 0.0], [-1.0, 0.0], [3.0, 0.0]])
    found = CUES[f"{prefix}vote_contrast"](evidence(*VOTERS, **{field: logits}))
    inner = (5 - 1) / 2
    # In the ring of the inner square lies the outer one; in that of the outer one lies nothing.
    np.testing.assert_allclose(found, [inner + 1, (inner - 3) / 4, 3], atol=1e-4)


def test_the_surroundings_reach_as_far_as_ring_says() -> None:
    (ring,) = evidence(box(30, 30, 34, 34)).rings
    assert not (ring * box(30, 30, 34, 34)).any()
    rows, columns = np.nonzero(ring)
    assert (rows.min(), rows.max()) == (30 - cues.RING, 33 + cues.RING)
    assert (columns.min(), columns.max()) == (30 - cues.RING, 33 + cues.RING)


def test_a_segment_with_soft_rim_counts_by_its_shares() -> None:
    mask = box(10, 10, 20, 20)
    mask[:, 15:] *= 0.5
    values = np.zeros((GRID, GRID), np.float32)
    values[:, :15] = 3
    np.testing.assert_allclose(evidence(mask).inside(values), [2], atol=1e-5)
    np.testing.assert_allclose(evidence(mask).areas, [75], atol=1e-3)


def full_evidence(rng: np.random.Generator, count: int, classes: int = 3, **known: Any) -> Evidence:
    corners = rng.integers(0, 40, (count, 2))
    masks = [box(int(x), int(y), int(x) + 16, int(y) + 20) for x, y in corners]
    drawn = {
        "activation": rng.normal(size=(GRID, GRID)),
        "saliency": rng.random((GRID, GRID)),
        "logits": rng.normal(0, 4, (count, classes)),
        "segment_logits": rng.normal(0, 4, (count, classes)),
        "others": [1] if classes > 1 else [],
        "salient": rng.random(count) < 0.5,
        "strength": rng.random(count),
    }
    return evidence(*masks, **{**drawn, **known})


FLAT = np.zeros((GRID, GRID))
DEGENERATE: dict[str, dict[str, Any]] = {
    "one segment": {"count": 1},
    "one class": {"count": 4, "classes": 1},
    "no other label": {"count": 4, "others": []},
    "all segments cover the photo": {"count": 3, "masks": np.ones((3, GRID, GRID), np.float32)},
    "the same segment again and again": {"count": 3, "masks": np.array([box(3, 3, 9, 9)] * 3)},
    "nothing salient": {"count": 4, "saliency": FLAT},
    "a flat activation map": {"count": 4, "activation": FLAT - 2},
    "no contour strength": {"count": 4, "strength": np.full(4, np.nan)},
    "far logits": {"count": 2, "logits": np.array([[900.0, -900, 0], [-900, 900, 0]])},
    "no segment": {"count": 0},
}


@pytest.mark.parametrize("case", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_values_are_finite_for_degenerate_evidence(
    case: dict[str, Any], rng: np.random.Generator
) -> None:
    values = cue_values(full_evidence(rng, **case))
    assert values.shape == (case["count"], len(CUES))
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    scores = prior(values, CueWeights())
    assert scores.shape == (case["count"],)
    assert np.isfinite(scores).all()


def test_the_columns_are_in_the_order_of_the_cues(rng: np.random.Generator) -> None:
    seen = full_evidence(rng, 6)
    values = cue_values(seen)
    for column, cue in enumerate(CUES.values()):
        np.testing.assert_array_equal(values[:, column], cue(seen))
    assert len(np.unique(values.round(4), axis=1).T) == len(CUES)


def test_the_right_segment_has_the_highest_prior() -> None:
    """The object, a part of it, the object with background, and another place."""
    masks = (box(20, 20, 40, 40), box(20, 20, 28, 28), box(5, 5, 60, 60), box(48, 2, 60, 14))
    seen = evidence(
        *masks,
        activation=cv2.GaussianBlur(box(20, 20, 40, 40), (9, 9), 0),
        saliency=box(20, 20, 40, 40),
        logits=np.array([[4.0, -2, -3], [1, -1, 0], [0, 0, -1], [-4, 1, 2]]),
        segment_logits=np.array([[3.0, -4, -4], [0, -2, -2], [-1, -2, 0], [-5, 0, 0]]),
        salient=np.array([True, False, False, False]),
        strength=np.array([np.nan, 0.1, 0.2, 0.1]),
    )
    assert prior(cue_values(seen), CueWeights()).argmax() == 0


def test_on_grid_gives_the_share_of_each_cell() -> None:
    mask = np.zeros((2 * GRID, 4 * GRID), bool)
    mask[3:7, 4:14] = True
    expected = np.zeros((GRID, GRID), np.float32)
    expected[1:4, 1:4] = [[0.5, 0.5, 0.25], [1, 1, 0.5], [0.5, 0.5, 0.25]]
    (found,) = on_grid([mask])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_on_grid_keeps_the_share_of_the_photo(rng: np.random.Generator) -> None:
    for height, width in ((64, 64), (97, 301), (480, 640)):
        masks = [rng.random((height, width)) < share for share in (0.1, 0.5, 1.0)]
        found = on_grid(masks)
        assert found.shape == (3, GRID, GRID)
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert found.max() <= 1 + 1e-5
        shares = [mask.mean() for mask in masks]
        np.testing.assert_allclose(found.mean(axis=(1, 2)), shares, atol=1e-4)


def test_on_grid_takes_photos_smaller_than_the_grid_and_no_mask_at_all() -> None:
    small = np.zeros((5, 7), bool)
    small[2, 3] = True
    (found,) = on_grid([small])
    assert found.max() > 0.5
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert (row * 5 // GRID, column * 7 // GRID) == (2, 3)
    assert on_grid([]).shape == (0, GRID, GRID)

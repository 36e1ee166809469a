"""The prior: the weighted sum of standardised cues, the shortlist by it, and occlusion on top."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from empaste_aug.offline.cues import CUES
from empaste_aug.offline.prior import (
    CueWeights,
    prior,
    prior_with_occlusion,
    shortlist,
    standardised,
)
from empaste_aug.types import ArgumentError


def weights_of(**given: float) -> CueWeights:
    """Weight 0 for all others."""
    return CueWeights(**{**dict.fromkeys(CUES, 0.0), **given})


@pytest.fixture
def values(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(12, len(CUES))).astype(np.float32)


def test_every_cue_has_a_weight_and_no_weight_is_without_evidence() -> None:
    assert sorted([*CUES, "occlusion"]) == sorted(field.name for field in fields(CueWeights))
    assert CueWeights(contour=7).as_dict() == {**CueWeights().as_dict(), "contour": 7}
    for bad in (np.nan, np.inf):
        with pytest.raises(ArgumentError, match="smoothness"):
            CueWeights(smoothness=bad)


def test_the_prior_is_the_weighted_sum_of_standardised_cues() -> None:
    values = np.zeros((4, len(CUES)), np.float32)
    columns = list(CUES)
    values[:, columns.index("contour")] = [1, 3, 1, 3]
    values[:, columns.index("cam_mean")] = [10, 10, 20, 20]
    scores = prior(values, weights_of(contour=2, cam_mean=-0.5))
    np.testing.assert_allclose(scores, [-2 + 0.5, 2 + 0.5, -2 - 0.5, 2 - 0.5])
    np.testing.assert_array_equal(prior(values, weights_of()), 0)


def test_a_constant_cue_says_nothing(values: np.ndarray) -> None:
    before = values.copy()
    column = list(CUES).index("vote_mean")
    for constant in (0.0, 0.1, -1234.567):
        values[:, column] = constant
        expected = prior(before, CueWeights(vote_mean=0))
        np.testing.assert_array_equal(prior(values, CueWeights(vote_mean=50)), expected)
    np.testing.assert_array_equal(prior(values[:1], CueWeights()), [0])


def test_the_prior_does_not_see_the_unit_of_a_cue(
    values: np.ndarray, rng: np.random.Generator
) -> None:
    wide = values.astype(np.float64)
    scale = rng.uniform(0.1, 30, len(CUES))
    shift = rng.uniform(-40, 40, len(CUES))
    expected = prior(wide, CueWeights())
    np.testing.assert_allclose(prior(wide * scale + shift, CueWeights()), expected, atol=1e-9)
    assert abs(expected.mean()) < 1e-12
    assert expected.std() > 0.1


def test_the_shortlist_is_the_best_by_equal_weights_in_their_order(values: np.ndarray) -> None:
    order = np.argsort(-prior(values, CueWeights()))
    for size in (1, 5, 12):
        assert shortlist(values, size).tolist() == sorted(order[:size].tolist())
    assert shortlist(values).tolist() == list(range(12))  # fewer than SHORTLIST
    assert shortlist(values[:0]).tolist() == []
    assert shortlist(np.repeat(values[:1], 6, axis=0), 3).tolist() == [0, 1, 2]  # all equal


def test_occlusion_is_compared_on_the_shortlist_and_leaves_out_the_rest(
    values: np.ndarray,
) -> None:
    drop = np.full(12, np.nan, np.float32)
    drop[[1, 4, 7]] = [10, 20, 30]
    step = np.sqrt(1.5)
    scores = prior_with_occlusion(values, drop, CueWeights(occlusion=2))
    expected = prior(values, CueWeights())[[1, 4, 7]] + 2 * np.array([-step, 0, step])
    np.testing.assert_allclose(scores[[1, 4, 7]], expected)
    assert np.isnan(np.delete(scores, [1, 4, 7])).all()


def test_the_weight_of_occlusion_is_none_of_the_cues(values: np.ndarray) -> None:
    heavy = replace(CueWeights(), occlusion=100.0)
    np.testing.assert_array_equal(prior(values, heavy), prior(values, CueWeights()))


def test_one_measured_segment_and_none() -> None:
    values = np.ones((2, len(CUES)), np.float32)
    scores = prior_with_occlusion(values, np.array([5, np.nan], np.float32), CueWeights())
    assert scores[0] == 0
    assert np.isnan(scores[1])
    nothing = np.zeros((0, len(CUES)), np.float32)
    assert prior_with_occlusion(nothing, np.zeros(0, np.float32), CueWeights()).shape == (0,)


def test_standardised_columns_do_not_see_each_other() -> None:
    wide = standardised(np.array([[1.0, 5], [3, 5], [5, 5]]))
    np.testing.assert_allclose(wide[:, 0], np.sqrt(1.5) * np.array([-1, 0, 1]))
    np.testing.assert_array_equal(wide[:, 1], 0)

"""The quality that a mask is believed to have: its range, and what raises it."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline import quality
from empaste_aug.offline.cues import CUES
from empaste_aug.offline.quality import QUALITY_WEIGHTS, believed_quality


def values_of(number: int = 1, **given: object) -> np.ndarray:
    """Cues of `number` segments; 0 where not given."""
    values = np.zeros((number, len(CUES)), np.float32)
    for name, column in given.items():
        values[:, list(CUES).index(name)] = column
    return values


def test_it_lies_between_zero_and_one(rng: np.random.Generator) -> None:
    values = values_of(
        500,
        saliency_overlap=rng.random(500),
        vote_mean=rng.random(500),
        segment_logit=rng.normal(0, 30, 500),
    )
    found = believed_quality(values, rng.normal(0, 8, 500))
    assert (found.shape, found.dtype) == ((500,), np.float64)
    assert found.min() > 0
    assert found.max() < 1
    assert found.max() - found.min() > 0.9
    far = believed_quality(values_of(2, segment_logit=[-1e6, 1e6]), np.zeros(2))
    np.testing.assert_allclose(far, [0, 1])


@pytest.mark.parametrize("name", CUES)
def test_it_rises_with_the_cues_that_have_a_weight_and_sees_no_other(name: str) -> None:
    steps = np.linspace(-3, 3, 25)
    found = believed_quality(values_of(25, **{name: steps}), np.zeros(25))
    weight = QUALITY_WEIGHTS.get(name, 0.0)
    if weight > 0:
        assert (np.diff(found) > 0).all()
    elif weight < 0:
        assert (np.diff(found) < 0).all()
    else:
        assert np.ptp(found) == 0


def test_it_rises_with_the_prior() -> None:
    found = believed_quality(values_of(25), np.linspace(-9, 9, 25))
    assert (np.diff(found) > 0).all()


def test_it_is_the_logistic_of_the_weighted_sum() -> None:
    values = values_of(1, saliency_overlap=0.5, vote_mean=0.25, segment_logit=-4)
    score = (
        quality.BIAS
        + quality.PRIOR_WEIGHT * 2
        + QUALITY_WEIGHTS["saliency_overlap"] * 0.5
        + QUALITY_WEIGHTS["vote_mean"] * 0.25
        - QUALITY_WEIGHTS["segment_logit"] * 4
    )
    (found,) = believed_quality(values, np.array([2.0]))
    assert found == pytest.approx(1 / (1 + np.exp(-score)))


def test_every_weight_is_of_a_cue() -> None:
    assert set(QUALITY_WEIGHTS) <= set(CUES)
    assert all(np.isfinite(weight) for weight in QUALITY_WEIGHTS.values())


def test_no_segment() -> None:
    assert believed_quality(values_of(0), np.zeros(0)).shape == (0,)

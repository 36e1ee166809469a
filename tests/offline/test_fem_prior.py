"""F-EM with a prior: it holds where the distribution alone drifts, and says all without it."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.fem import FEMConfig, f_em
from empaste_aug.types import ArgumentError

PER_IMAGE = 5
IMAGES = 60


def drifting(
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """features, image, probability, prior, and the right rows.

    Objects of a class differ in their looks, their surroundings do not: segment 1 of every photo is
    a bland background, always the same, that step 1 takes in every fourth photo.
    """
    features = rng.normal(0, 3, (IMAGES, PER_IMAGE, 6))
    features[:, 0] = rng.normal(0, 1.5, (IMAGES, 6))
    features[:, 1] = rng.normal(0.4, 0.05, (IMAGES, 6))
    first = np.zeros((IMAGES, PER_IMAGE))
    first[:, 0] = 2
    first[:, 1] = -1
    fooled = np.arange(IMAGES) % 4 == 0
    first[fooled, :2] = [[-1, 2]]
    before = first / 2
    before[:, 0] = rng.uniform(2.5, 3.5, IMAGES)
    before[fooled, 0] = 0.6
    image = np.repeat(np.arange(IMAGES), PER_IMAGE)
    chance = 1 / (1 + np.exp(-first.ravel()))
    return features.reshape(-1, 6), image, chance, before.ravel(), PER_IMAGE * np.arange(IMAGES)


def test_the_distribution_alone_drifts_and_the_prior_holds() -> None:
    alone, held, start = [], [], []
    for seed in range(4):
        features, image, chance, before, truth = drifting(np.random.default_rng(seed))
        near = np.ones(len(features))
        config = FEMConfig(top_n=PER_IMAGE, iterations=3, em_weight=1.0)
        without = f_em(features, image, near, chance, config=config)
        result = f_em(features, image, near, chance, prior=before, config=config)
        start.append(np.mean(without.initial == truth))
        alone.append(np.mean(without.selected == truth))
        held.append(np.mean(result.selected == truth))
    assert np.mean(start) == 0.75
    assert np.mean(alone) < 0.3
    assert np.mean(held) >= 0.75


def test_em_repairs_what_the_prior_gets_wrong() -> None:
    """The objects look alike here, and the prior prefers a clutter segment in some photos."""
    rng = np.random.default_rng(5)
    features = rng.normal(0, 4, (IMAGES, PER_IMAGE, 6))
    features[:, 2] = 3 + rng.normal(0, 0.3, (IMAGES, 6))
    before = np.zeros((IMAGES, PER_IMAGE))
    before[:, 2] = 1
    before[::5, 2] = -0.2
    image = np.repeat(np.arange(IMAGES), PER_IMAGE)
    flat = features.reshape(-1, 6)
    ones = np.ones(len(flat))
    result = f_em(flat, image, ones, ones, prior=before.ravel())
    assert np.mean(result.initial % PER_IMAGE == 2) == 0.8
    assert (result.selected % PER_IMAGE == 2).all()
    assert result.history[0].changed == IMAGES / 5


def random_data(
    rng: np.random.Generator, images: int = 30
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image = np.repeat(np.arange(images), rng.integers(1, 9, images))
    image = image[rng.permutation(len(image))]
    return rng.normal(size=(len(image), 4)), image, rng.normal(size=len(image))


def best_rows(image: np.ndarray, values: np.ndarray) -> list[int]:
    """Per photo the first row with the highest value."""
    rows = [np.flatnonzero(image == number) for number in np.unique(image)]
    return [int(own[np.argmax(values[own])]) for own in rows]


def test_weight_zero_leaves_the_choice_to_the_prior(rng: np.random.Generator) -> None:
    features, image, before = random_data(rng)
    ones = np.ones(len(image))
    config = FEMConfig(em_weight=0.0, iterations=3)
    result = f_em(features, image, ones, ones, prior=before, config=config)
    assert result.selected.tolist() == best_rows(image, before)
    assert [step.changed for step in result.history] == [0]
    assert np.isfinite(result.distance).all()


def test_step_one_is_the_highest_prior_whatever_anchor_and_classifier_say(
    rng: np.random.Generator,
) -> None:
    features, image, before = random_data(rng)
    result = f_em(
        features,
        image,
        rng.random(len(image)),
        rng.random(len(image)),
        prior=before,
        config=FEMConfig(top_n=1),
    )
    assert result.initial.tolist() == best_rows(image, before)


def test_a_heavy_distribution_overrules_the_prior(rng: np.random.Generator) -> None:
    """The prior counts less and less: the choice of one round becomes the nearest segment's."""
    features, image, before = random_data(rng)
    ones = np.ones(len(image))
    heavy = FEMConfig(em_weight=1e6, iterations=1, inliers=1.0)
    result = f_em(features, image, ones, ones, prior=before, config=heavy)
    from empaste_aug.offline.foreground import ForegroundModel

    model = ForegroundModel(
        features[best_rows(image, before)],
        distance=heavy.distance,
        covariance=heavy.covariance,
        shrinkage=heavy.shrinkage,
    )
    assert result.selected.tolist() == best_rows(image, -model.distances(features))


def test_what_is_added_to_a_photo_prior_changes_nothing(rng: np.random.Generator) -> None:
    features, image, before = random_data(rng)
    ones = np.ones(len(image))
    plain = f_em(features, image, ones, ones, prior=before)
    shifted = before + rng.integers(-8, 9, image.max() + 1)[image]
    moved = f_em(features, image, ones, ones, prior=shifted)
    np.testing.assert_array_equal(moved.selected, plain.selected)


def test_equal_values_go_to_the_earlier_row() -> None:
    image = [0, 0, 1, 1, 1, 2, 2, 3, 3]
    before = [1.0, 1.0, 0.0, 2.0, 2.0, 0.5, 0.5, 3.0, 3.0]
    result = f_em(np.ones((9, 3)), image, np.ones(9), np.ones(9), prior=before)
    assert result.initial.tolist() == result.selected.tolist() == [0, 3, 5, 7]


def test_repeated_segments_do_not_outweigh_the_prior() -> None:
    """All segments of a photo have the same features, so only the prior tells them apart."""
    rng = np.random.default_rng(11)
    own = rng.normal(size=(23, 37)) * 30
    image = np.repeat(np.arange(23), 7)
    before = rng.normal(0, 1e-3, len(image))
    result = f_em(own[image], image, np.ones(161), np.ones(161), prior=before)
    assert result.selected.tolist() == best_rows(image, before)


def test_the_order_of_segments_does_not_matter(rng: np.random.Generator) -> None:
    features, image, before = random_data(rng)
    ones = np.ones(len(image))
    plain = f_em(features, image, ones, ones, prior=before)
    order = rng.permutation(len(image))
    mixed = f_em(features[order], image[order], ones, ones, prior=before[order])
    np.testing.assert_array_equal(order[mixed.selected], plain.selected)
    np.testing.assert_allclose(mixed.distance, plain.distance, rtol=1e-6)


def test_too_few_photos_keep_the_highest_prior(rng: np.random.Generator) -> None:
    features = rng.normal(size=(4, 3))
    result = f_em(features, [0, 0, 1, 1], np.ones(4), np.ones(4), prior=[1, 2, 4, 3])
    assert result.selected.tolist() == [1, 2]
    assert np.isnan(result.distance).all()
    assert result.history == ()


def test_no_segment_at_all() -> None:
    result = f_em(np.zeros((0, 4)), [], [], [], prior=[])
    assert result.images.size == result.selected.size == 0


def test_bad_priors_are_named() -> None:
    good = (np.zeros((2, 3)), [0, 1], [1.0, 1.0], [0.5, 0.5])
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ArgumentError, match="prior"):
            f_em(*good, prior=[0.0, bad])
    with pytest.raises(ArgumentError, match=r"prior: must be of shape \(2,\)"):
        f_em(*good, prior=[0.0])


@pytest.mark.parametrize("weight", [-0.1, np.inf, np.nan])
def test_a_bad_weight_is_named(weight: float) -> None:
    with pytest.raises(ArgumentError, match="em_weight"):
        FEMConfig(em_weight=weight)


def test_every_segment_has_its_distance_and_value(rng: np.random.Generator) -> None:
    features, image, before = random_data(rng)
    ones = np.ones(len(features))
    for prior in (before, None):
        result = f_em(features, image, ones, rng.random(len(image)), prior=prior)
        assert result.distances.shape == result.values.shape == image.shape
        np.testing.assert_array_equal(result.distances[result.selected], result.distance)
        assert result.selected.tolist() == best_rows(image, result.values)
    still = f_em(features, image, ones, ones, prior=before, config=FEMConfig(iterations=0))
    assert np.isnan(still.distances).all()
    np.testing.assert_array_equal(still.values, before)
    nothing = f_em(features, image, ones, ones, config=FEMConfig(iterations=0))
    assert np.isnan(nothing.values).all()

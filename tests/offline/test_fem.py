"""F-EM on synthetic clusters, where the right segment of every photo is known."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.fem import FEMConfig, f_em
from empaste_aug.offline.foreground import ForegroundModel
from empaste_aug.types import ArgumentError

DIMENSION = 12
PER_IMAGE = 8


def model_of(samples: np.ndarray, distance: str = "mahalanobis") -> ForegroundModel:
    return ForegroundModel(samples, distance=distance, covariance="ledoit_wolf", shrinkage=0.1)


def clusters(
    rng: np.random.Generator, images: int = 80, right: float = 0.6, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Photos of one foreground among distractors of four other clusters.

    The foreground is always among the three nearest to the anchor, but the classifier prefers it
    only in a share `right` of the photos.
    """
    centres = rng.normal(0, 5, (5, DIMENSION))
    features, image, nearness, chance, truth = [], [], [], [], []
    for number in range(images):
        kinds = np.r_[0, rng.integers(1, 5, PER_IMAGE - 1)]
        order = rng.permutation(PER_IMAGE)
        kinds = kinds[order]
        here = int(np.flatnonzero(kinds == 0)[0])
        features.append(centres[kinds] + rng.normal(0, spread, (PER_IMAGE, DIMENSION)))
        image.append(np.full(PER_IMAGE, number))
        near = rng.uniform(50, 200, PER_IMAGE)
        near[here] = rng.uniform(10, 50)
        nearness.append(near)
        score = rng.uniform(0.2, 0.6, PER_IMAGE)
        score[here] = 0.9 if rng.random() < right else 0.1
        chance.append(score)
        truth.append(number * PER_IMAGE + here)
    return (
        np.concatenate(features).astype(np.float32),
        np.concatenate(image),
        np.concatenate(nearness),
        np.concatenate(chance),
        np.array(truth),
    )


@pytest.mark.parametrize(
    "config",
    [
        FEMConfig(),
        FEMConfig(covariance="oas", inliers=0.5),
        FEMConfig(covariance="shrunk", inliers=0.5),
        FEMConfig(distance="cosine"),
        FEMConfig(distance="cosine", l2_normalise=True),
    ],
    ids=["default", "oas", "shrunk", "cosine", "cosine-l2"],
)
def test_em_repairs_a_noisy_first_step(config: FEMConfig) -> None:
    accuracy, first = [], []
    for seed in range(5):
        *data, truth = clusters(np.random.default_rng(seed))
        result = f_em(*data, config=config)
        first.append(np.mean(result.initial == truth))
        accuracy.append(np.mean(result.selected == truth))
    assert 0.5 < np.mean(first) < 0.75
    assert np.mean(accuracy) > 0.95


def test_trimming_outliers_matters() -> None:
    """A quarter of step 1 lies in one wrong cluster; the mean of both lies on a third segment."""
    rng = np.random.default_rng(3)
    images, wrong = 60, np.full(3, 12.0)
    features = np.empty((images, 3, 3))
    features[:, 0] = rng.normal(0, 1, (images, 3))
    features[:, 1] = wrong + rng.normal(0, 1, (images, 3))
    features[:, 2] = wrong / 4 + rng.normal(0, 1, (images, 3))
    chance = np.tile([0.9, 0.5, 0.1], (images, 1))
    chance[:15] = [0.5, 0.9, 0.1]
    image = np.repeat(np.arange(images), 3)

    def accuracy(inliers: float) -> float:
        config = FEMConfig(inliers=inliers, iterations=1)
        nearness = np.ones(3 * images)
        result = f_em(features.reshape(-1, 3), image, nearness, chance.ravel(), config=config)
        return float(np.mean(result.selected % 3 == 0))

    assert accuracy(0.6) > 0.95
    assert accuracy(1.0) < 0.6


def test_mahalanobis_equals_the_direct_formula(rng: np.random.Generator) -> None:
    samples = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5))
    model = model_of(samples)
    assert model.covariance is not None
    points = rng.normal(size=(7, 5)) * 3
    inverse = np.linalg.inv(model.covariance)
    direct = [np.sqrt((h - model.mean) @ inverse @ (h - model.mean)) for h in points]
    np.testing.assert_allclose(model.distances(points), direct, rtol=1e-9)
    np.testing.assert_allclose(model.mean, samples.mean(axis=0))


def test_the_default_covariance_is_ledoit_wolf(rng: np.random.Generator) -> None:
    from sklearn.covariance import LedoitWolf

    samples = rng.normal(size=(10, 30))
    expected = LedoitWolf().fit(samples).covariance_
    model = model_of(samples)
    assert model.covariance is not None
    np.testing.assert_allclose(model.covariance, expected, atol=1e-5)


def test_cosine_distance_is_one_minus_cosine(rng: np.random.Generator) -> None:
    samples = rng.normal(2, 1, size=(9, 4))
    model = model_of(samples, "cosine")
    point = rng.normal(size=(1, 4))
    mean = samples.mean(axis=0)
    cosine = point[0] @ mean / np.linalg.norm(point) / np.linalg.norm(mean)
    np.testing.assert_allclose(model.distances(point), [1 - cosine])
    np.testing.assert_allclose(model.distances(3 * point), [1 - cosine])


def test_step_one_takes_the_likeliest_of_the_nearest() -> None:
    features = np.zeros((5, 2))
    image = [4, 4, 4, 4, 9]
    near = [1.0, 2.0, 3.0, 4.0, 8.0]
    chance = [0.1, 0.2, 0.5, 0.9, 0.0]
    for top_n, expected in ((1, 0), (2, 1), (3, 2), (4, 3)):
        config = FEMConfig(top_n=top_n, iterations=0)
        result = f_em(features, image, near, chance, config=config)
        assert result.images.tolist() == [4, 9]
        assert result.selected.tolist() == [expected, 4]
        assert result.history == ()


def test_too_few_photos_keep_step_one(rng: np.random.Generator) -> None:
    features = rng.normal(size=(6, 3))
    result = f_em(features, [0, 0, 0, 1, 1, 1], np.arange(6.0), rng.random(6))
    np.testing.assert_array_equal(result.selected, result.initial)
    assert np.isnan(result.distance).all()
    assert result.inlier.all()
    assert result.history == ()


def test_no_segment_at_all() -> None:
    result = f_em(np.zeros((0, 4)), [], [], [])
    assert result.images.size == result.selected.size == 0


def test_equal_features_are_no_division_by_zero() -> None:
    result = f_em(np.ones((8, 3)), [0, 0, 1, 1, 2, 2, 3, 3], np.ones(8), np.ones(8))
    assert result.selected.tolist() == [0, 2, 4, 6]
    assert result.distance.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "config",
    [FEMConfig(), FEMConfig(distance="cosine", l2_normalise=True), FEMConfig(pca=6)],
    ids=["paper", "cosine", "pca"],
)
def test_the_order_of_segments_does_not_matter(config: FEMConfig) -> None:
    features, image, near, chance, _ = clusters(np.random.default_rng(1))
    plain = f_em(features, image, near, chance, config=config)
    order = np.random.default_rng(2).permutation(len(features))
    mixed = f_em(features[order], image[order], near[order], chance[order], config=config)
    np.testing.assert_array_equal(order[mixed.selected], plain.selected)
    np.testing.assert_array_equal(order[mixed.initial], plain.initial)
    np.testing.assert_allclose(mixed.distance, plain.distance, rtol=1e-6)
    np.testing.assert_array_equal(mixed.inlier, plain.inlier)


def test_the_same_input_gives_the_same_bytes() -> None:
    *data, _ = clusters(np.random.default_rng(4))
    one, two = f_em(*data), f_em(*data)
    assert one.distance.tobytes() == two.distance.tobytes()
    assert one.selected.tobytes() == two.selected.tobytes()
    assert one.history == two.history


def test_history_and_inliers_tell_what_happened() -> None:
    *data, _ = clusters(np.random.default_rng(5), images=50)
    result = f_em(*data, config=FEMConfig(inliers=0.5, iterations=3))
    assert 1 <= len(result.history) <= 3
    assert result.history[0].changed > 0
    assert all(entry.inliers == 25 for entry in result.history)
    assert result.inlier.sum() == 25
    assert result.distance[result.inlier].max() <= result.distance[~result.inlier].min()
    assert result.history[-1].mean_distance == pytest.approx(result.distance.mean())


def test_the_chosen_segment_is_the_nearest_of_its_photo() -> None:
    features, image, near, chance, _ = clusters(np.random.default_rng(6))
    config = FEMConfig(iterations=1)
    result = f_em(features, image, near, chance, config=config)
    start = model_of(features[result.initial]).distances(features[result.initial])
    keep = np.argsort(start, kind="stable")[:56]
    model = model_of(features[np.sort(result.initial[keep])])
    distance = model.distances(features).reshape(-1, PER_IMAGE)
    expected = distance.argmin(axis=1) + np.arange(len(distance)) * PER_IMAGE
    np.testing.assert_array_equal(result.selected, expected)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("top_n", 0),
        ("inliers", 0.0),
        ("inliers", 1.5),
        ("iterations", -1),
        ("distance", "euclid"),
        ("covariance", "plain"),
        ("shrinkage", 0.0),
        ("pca", 0),
        ("min_images", 1),
    ],
)
def test_bad_constants_are_named(option: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=option):
        FEMConfig(**{option: value})


def test_bad_models_are_named() -> None:
    two = np.zeros((2, 3))
    with pytest.raises(ArgumentError, match="samples"):
        model_of(two[:1])
    with pytest.raises(ArgumentError, match="distance"):
        model_of(two, "euclid")
    with pytest.raises(ArgumentError, match="covariance"):
        ForegroundModel(two, distance="mahalanobis", covariance="plain", shrinkage=0.1)


def test_bad_arrays_are_named() -> None:
    good = (np.zeros((2, 3)), [0, 1], [1.0, 1.0], [0.5, 0.5])
    with pytest.raises(ArgumentError, match="image"):
        f_em(good[0], [0], good[2], good[3])
    with pytest.raises(ArgumentError, match="features"):
        f_em(np.full((2, 3), np.nan), *good[1:])
    with pytest.raises(ArgumentError, match="probability"):
        f_em(*good[:3], [np.nan, 0.5])
    with pytest.raises(ArgumentError, match="anchor_distance: holds NaN"):
        f_em(*good[:2], [np.nan, 1.0], good[3])
    with pytest.raises(ArgumentError, match="image: must hold integers, not float64"):
        f_em(good[0], [0.0, 1.5], *good[2:])


def test_an_infinite_anchor_distance_is_the_farthest() -> None:
    result = f_em(
        np.eye(3), [4, 4, 4], [np.inf, 1.0, 2.0], [0.9, 0.2, 0.3], config=FEMConfig(top_n=2)
    )
    assert result.images.tolist() == [4]
    assert result.selected.tolist() == [2]

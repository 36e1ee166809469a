"""The reducer against scikit-learn's PCA, and what it must not depend on."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.decomposition import PCA

from empaste_aug.offline.reduction import fit_reducer
from empaste_aug.types import ArgumentError


@pytest.fixture
def phi(rng: np.random.Generator) -> np.ndarray:
    """(150, 12) of lengths from 1 to 90, with axes of clearly different spread."""
    spread = 2.0 ** -np.arange(12)
    rows = 0.4 + rng.normal(size=(150, 12)) * spread
    return (rows * rng.uniform(1, 30, (150, 1))).astype(np.float32)


def l2(rows: np.ndarray) -> np.ndarray:
    wide = rows.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def test_it_is_pca_of_features_of_length_one(phi: np.ndarray) -> None:
    reducer = fit_reducer([phi[:50], phi[50:51], phi[51:]], 5)
    theirs = PCA(5, svd_solver="full").fit(l2(phi))
    np.testing.assert_allclose(reducer.mean, theirs.mean_, atol=1e-7)
    signs = np.sign((reducer.axes * theirs.components_.T).sum(axis=0))
    np.testing.assert_allclose(reducer.axes * signs, theirs.components_.T, atol=1e-5)
    np.testing.assert_allclose(reducer.axes.T @ reducer.axes, np.eye(5), atol=1e-12)
    found = reducer(phi)
    assert (found.shape, found.dtype) == ((150, 5), np.float32)
    np.testing.assert_allclose(found * signs, theirs.transform(l2(phi)), atol=1e-5)
    variance = found.var(axis=0)
    assert (np.diff(variance) < 0).all()


def test_signs_are_settled(phi: np.ndarray) -> None:
    """The entry of each axis that is largest in size is positive, whatever the solver gives."""
    for rows in (phi, -phi):
        axes = fit_reducer([rows], 6).axes
        largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
        assert (largest > 0).all()


def test_where_batches_end_hardly_matters(phi: np.ndarray) -> None:
    whole = fit_reducer([phi], 4)
    for parts in (np.array_split(phi, 7), list(phi[:, None]), [phi[:0], phi, phi[:0]]):
        split = fit_reducer(parts, 4)
        np.testing.assert_allclose(split.mean, whole.mean, atol=1e-12)
        np.testing.assert_allclose(split.axes, whole.axes, atol=1e-9)


def test_the_same_batches_give_the_same_bytes(phi: np.ndarray) -> None:
    one, two = (fit_reducer(np.array_split(phi, 3), 4) for _ in range(2))
    assert one.axes.tobytes() == two.axes.tobytes()
    assert one.mean.tobytes() == two.mean.tobytes()
    assert one(phi).tobytes() == two(phi).tobytes()


def test_lengths_and_types_of_features_do_not_matter(phi: np.ndarray) -> None:
    reducer = fit_reducer([phi], 4)
    np.testing.assert_allclose(fit_reducer([64 * phi], 4).axes, reducer.axes, atol=1e-9)
    np.testing.assert_allclose(reducer(64 * phi), reducer(phi), atol=1e-6)
    np.testing.assert_allclose(reducer(phi.astype(np.float16)), reducer(phi), atol=2e-3)
    assert reducer(phi[:0]).shape == (0, 4)
    assert np.isfinite(reducer(np.zeros((1, 12)))).all()


def test_only_one_batch_is_in_memory() -> None:
    """Sixty batches of 0.8 MB in float32 are read from a generator; the sums take 1 MB."""
    rows, dimension, number = 1000, 200, 60

    def batches() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        for _ in range(number):
            yield rng.random((rows, dimension), dtype=np.float32)

    one = rows * dimension * 4
    fit_reducer([np.ones((2, 2))], 1)  # whatever is imported at first
    tracemalloc.start()
    try:
        reducer = fit_reducer(batches(), 8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reducer.axes.shape == (dimension, 8)
    assert peak < 15 * one < number * one


@pytest.mark.parametrize(
    ("rows", "dimension", "wanted", "kept"),
    [(3, 12, 8, 3), (40, 5, 8, 5), (40, 12, 8, 8), (1, 4, 2, 1)],
)
def test_no_more_axes_than_there_can_be(
    rng: np.random.Generator, rows: int, dimension: int, wanted: int, kept: int
) -> None:
    phi = rng.normal(size=(rows, dimension))
    reducer = fit_reducer([phi], wanted)
    assert reducer.axes.shape == (dimension, kept)
    assert np.isfinite(reducer(phi)).all()


def test_equal_features_are_reduced_to_nothing() -> None:
    np.testing.assert_allclose(fit_reducer([np.ones((5, 3))], 2)(np.ones((5, 3))), 0, atol=1e-7)


def test_bad_arguments_are_named(phi: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match=r"dimensions.*0"):
        fit_reducer([phi], 0)
    for nothing in ([], [phi[:0]], [phi[:0], phi[:0]]):
        with pytest.raises(ArgumentError, match="batches"):
            fit_reducer(nothing, 2)

"""The segment head: what it learns, what it must not see, and that it is always the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from empaste_aug.offline.segment_head import SegmentHead, fit_segment_head, unit
from empaste_aug.types import ArgumentError

CLASSES, DIMENSION = 3, 16


def directions(rng: np.random.Generator) -> np.ndarray:
    """One for each class and one for the background, at right angles."""
    return np.linalg.qr(rng.normal(size=(DIMENSION, CLASSES + 1)))[0].T


def toy(
    rng: np.random.Generator, ways: np.ndarray, number: int = 120
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """phi of any length, targets, weights, and the kind of each: CLASSES is background."""
    kinds = rng.integers(0, CLASSES + 1, number)
    phi = ways[kinds] + rng.normal(0, 0.1, (number, DIMENSION))
    phi *= rng.uniform(0.5, 40, (number, 1))
    targets = (kinds[:, None] == np.arange(CLASSES)).astype(np.float32)
    return phi.astype(np.float32), targets, np.ones(number, np.float32), kinds


def same_bytes(one: SegmentHead, two: SegmentHead) -> bool:
    return (one.weight.tobytes(), one.bias.tobytes()) == (two.weight.tobytes(), two.bias.tobytes())


def test_it_learns_what_is_separable(rng: np.random.Generator) -> None:
    ways = directions(rng)
    phi, targets, weights, _ = toy(rng, ways)
    head = fit_segment_head(phi, targets, weights)
    assert (head.weight.shape, head.weight.dtype) == ((DIMENSION, CLASSES), np.float32)
    assert (head.bias.shape, head.bias.dtype) == ((CLASSES,), np.float32)
    fresh, wanted, _, _ = toy(rng, ways)
    logits = head.logits(fresh)
    assert logits.dtype == np.float32
    assert ((logits > 0) == (wanted > 0)).mean() > 0.99


def test_logits_do_not_see_the_length_of_features(rng: np.random.Generator) -> None:
    ways = directions(rng)
    phi, targets, weights, _ = toy(rng, ways)
    head = fit_segment_head(phi, targets, weights)
    np.testing.assert_allclose(head.logits(1000 * phi), head.logits(phi), atol=1e-4)
    half = head.logits(phi.astype(np.float16))
    np.testing.assert_allclose(half, head.logits(phi), atol=0.1)
    np.testing.assert_array_equal(head.logits(np.zeros((2, DIMENSION))), [head.bias] * 2)
    assert head.logits(np.zeros((0, DIMENSION))).shape == (0, CLASSES)
    longer = fit_segment_head(4 * phi, targets, weights)  # a power of 2: the same bits
    assert same_bytes(head, longer)


def test_unknown_targets_have_no_influence(rng: np.random.Generator) -> None:
    phi, targets, weights, kinds = toy(rng, directions(rng))
    targets[::5] = np.nan
    targets[1::5, 0] = np.nan
    head = fit_segment_head(phi, targets, weights)

    other = phi.copy()  # what nothing is known of may look like anything
    other[::5] = rng.normal(0, 9, other[::5].shape)
    assert same_bytes(fit_segment_head(other, targets, weights), head)

    other[1::5] = rng.normal(0, 9, other[1::5].shape)  # known for the other classes only
    changed = fit_segment_head(other, targets, weights)
    np.testing.assert_array_equal(changed.weight[:, 0], head.weight[:, 0])
    assert changed.bias[0] == head.bias[0]
    assert not np.array_equal(changed.weight[:, 1], head.weight[:, 1])

    known = targets.copy()  # were they known, they would count
    known[::5] = kinds[::5, None] == np.arange(CLASSES)
    assert not same_bytes(fit_segment_head(phi, known, weights), head)


def test_unknown_is_not_absent(rng: np.random.Generator) -> None:
    """Of a class's objects half are labelled, the others' labels are unknown, or wrongly 0."""
    ways = directions(rng)
    phi, targets, weights, kinds = toy(rng, ways, 200)
    unlabelled = (kinds == 0) & (np.arange(200) % 2 == 0)
    unknown, absent = targets.copy(), targets.copy()
    unknown[unlabelled, 0] = np.nan
    absent[unlabelled, 0] = 0
    objects = ways[:1]
    with_unknown = fit_segment_head(phi, unknown, weights).logits(objects)[0, 0]
    with_absent = fit_segment_head(phi, absent, weights).logits(objects)[0, 0]
    assert with_unknown > 1
    assert with_unknown > with_absent + 1


def test_a_weight_of_zero_takes_a_cutout_out_of_the_loss(rng: np.random.Generator) -> None:
    ways = directions(rng)
    phi, targets, weights, _ = toy(rng, ways)
    wrong = np.arange(len(phi)) % 3 == 0
    mislabelled = np.where(wrong[:, None], 1 - targets, targets).astype(np.float32)
    head = fit_segment_head(phi, mislabelled, np.where(wrong, 0, weights).astype(np.float32))
    logits = head.logits(ways[:CLASSES])
    assert logits.argmax(axis=1).tolist() == list(range(CLASSES))
    assert (np.diag(logits) > 0).all()


def test_a_class_without_any_object_stays_improbable(rng: np.random.Generator) -> None:
    phi, targets, weights, _ = toy(rng, directions(rng))
    targets[:, 1] = 0
    head = fit_segment_head(phi, targets, weights)
    assert np.isfinite(head.weight).all()
    assert head.logits(phi)[:, 1].max() < -2


def test_the_same_input_gives_the_same_bytes(rng: np.random.Generator) -> None:
    phi, targets, weights, _ = toy(rng, directions(rng))
    phi = np.tile(phi, (8, 20))  # large enough for several threads to share the work
    targets, weights = np.tile(targets, (8, 1)), np.tile(weights, 8)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 1, 2):
            torch.set_num_threads(threads)
            found.append(fit_segment_head(phi, targets, weights))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert same_bytes(found[0], found[1])
    assert same_bytes(found[0], found[2])


def test_the_input_is_not_changed(rng: np.random.Generator) -> None:
    given = toy(rng, directions(rng), 20)[:3]
    kept = [array.copy() for array in given]
    fit_segment_head(*given)
    for now, then in zip(given, kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_unit_scales_to_length_one_and_leaves_zeros() -> None:
    found = unit(np.array([[3.0, 4.0], [0.0, 0.0], [-1e-12, 0.0]], np.float16).astype(np.float32))
    np.testing.assert_allclose(found[0], [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(found[1], 0)
    assert np.isfinite(found).all()
    assert unit(np.full((1, 4), 60000, np.float16)).tolist() == [[0.5] * 4]


@pytest.mark.parametrize(
    ("phi", "targets", "weights"),
    [
        ((4, 3), (3, 2), (4,)),
        ((4, 3), (4, 2), (3,)),
        ((4,), (4, 2), (4,)),
        ((4, 3), (4,), (4,)),
        ((0, 3), (0, 2), (0,)),
    ],
)
def test_bad_shapes_are_named(phi: tuple, targets: tuple, weights: tuple) -> None:
    with pytest.raises(ArgumentError, match="phi"):
        fit_segment_head(np.ones(phi), np.ones(targets, np.float32), np.ones(weights, np.float32))


def test_weights_of_zero_only_are_refused() -> None:
    with pytest.raises(ArgumentError, match="no cut-out"):
        fit_segment_head(np.ones((2, 3)), np.ones((2, 1), np.float32), np.zeros(2, np.float32))

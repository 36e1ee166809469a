"""Occlusion: the photo without each segment, through a classifier whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.classify.backbone import Backbone
from empaste_aug.offline.occlusion import occluded_logits, occlusion_drop
from empaste_aug.types import ArgumentError

SIDE = 32


class Pixels(nn.Module):
    """(N, 3, S, S) normalised -> the same: a colour's feature is its mean over the photo."""

    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.fixture
def classifier() -> Classifier:
    """Logits of two classes: the means of red and of green above grey."""
    backbone = Backbone("pixels", Pixels(), 3, SIDE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    result = Classifier(("red", "green"), backbone)
    with torch.no_grad():
        result.head.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
        result.head.bias.copy_(torch.tensor([0.0, 0.25]))
    return result


@pytest.fixture
def photo() -> np.ndarray:
    """Grey, an eighth of it pure red, a quarter pure green."""
    image = np.full((64, 64, 3), 127.5, np.uint8)
    image[:16, :32] = (255, 127, 127)
    image[32:, :32] = (127, 255, 127)
    return image


def region(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[y0:y1, x0:x1] = True
    return mask


RED, GREEN = region(0, 16, 0, 32), region(32, 64, 0, 32)
GREY = region(20, 28, 0, 64)


def test_a_class_loses_what_carries_it_and_nothing_else(
    classifier: Classifier, photo: np.ndarray
) -> None:
    whole, occluded = occluded_logits(classifier, photo, [RED, GREEN, GREY])
    np.testing.assert_allclose(whole, [1 / 8, 0.25 + 1 / 4], atol=0.01)
    np.testing.assert_allclose(occluded, [[0, 0.5], [1 / 8, 0.25], [1 / 8, 0.5]], atol=0.01)
    assert whole.dtype == occluded.dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, 2, 3, 50])
def test_batches_change_nothing(classifier: Classifier, photo: np.ndarray, batch_size: int) -> None:
    masks = [RED, GREEN, GREY, RED | GREEN]
    whole, occluded = occluded_logits(classifier, photo, masks, batch_size=batch_size)
    expected = occluded_logits(classifier, photo, masks)
    np.testing.assert_allclose(whole, expected[0], atol=1e-6)
    np.testing.assert_allclose(occluded, expected[1], atol=1e-6)


def test_no_mask_gives_the_photo_alone(classifier: Classifier, photo: np.ndarray) -> None:
    whole, occluded = occluded_logits(classifier, photo, [])
    assert whole.shape == (2,)
    assert occluded.shape == (0, 2)


def test_bad_arguments_are_named(classifier: Classifier, photo: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="masks"):
        occluded_logits(classifier, photo, [RED[:-1]])
    with pytest.raises(ArgumentError, match="batch_size"):
        occluded_logits(classifier, photo, [RED], batch_size=0)


def test_the_drop_is_per_square_root_of_the_area() -> None:
    area = np.array([0.25, 0.01, 1.0])
    drop = occlusion_drop(np.array(3.0), np.array([1.0, 3.5, -1]), area)
    np.testing.assert_allclose(drop, [2 / 0.5, -0.5 / 0.1, 4], rtol=1e-6)
    both = occlusion_drop(np.array([3.0, 3.0]), np.array([[1.0, 1], [3.5, 0], [-1, 3]]), area)
    np.testing.assert_allclose(both[:, 0], drop)
    np.testing.assert_allclose(both[:, 1], [4, 30, 0])
    assert drop.dtype == np.float32


def test_the_object_beats_its_part_and_its_surroundings(
    classifier: Classifier, photo: np.ndarray
) -> None:
    masks = [RED, region(0, 16, 0, 8), region(0, 60, 0, 64)]
    whole, occluded = occluded_logits(classifier, photo, masks)
    area = np.array([mask.mean() for mask in masks])
    assert occlusion_drop(whole[0], occluded[:, 0], area).argmax() == 0

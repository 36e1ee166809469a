"""Grad-CAM lights up where the object is; the anchor is where arithmetic says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from empaste_aug.offline.cam import anchor, cam_mask, grad_cam
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.classify.backbone import Backbone
from empaste_aug.types import ArgumentError


class ColourCells(nn.Module):
    """(N, 3, S, S) in [0, 1] -> (N, 3, S / 16, S / 16): how much each cell exceeds grey."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d((images - 0.5).relu(), 16)


def colour_classifier() -> Classifier:
    """Class k speaks for colour channel k and against the others."""
    backbone = Backbone("cells", ColourCells(), 3, 64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    classifier = Classifier(("red", "green", "blue"), backbone)
    with torch.no_grad():
        classifier.head.weight.copy_(2 * torch.eye(3) - 1)
        classifier.head.bias.zero_()
    return classifier


@pytest.fixture
def two_blobs() -> np.ndarray:
    """120x160, a red square around (40, 30), a blue one around (120, 90)."""
    rgb = np.full((120, 160, 3), 100, dtype=np.uint8)
    rgb[15:45, 20:60] = (250, 0, 0)
    rgb[75:105, 100:140] = (0, 0, 250)
    return rgb


def test_cam_lights_up_at_the_blob_of_the_class(two_blobs: np.ndarray) -> None:
    maps = grad_cam(colour_classifier(), two_blobs, [2, 0])
    assert maps.shape == (2, 120, 160)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1)
    assert anchor(maps[0]) == pytest.approx((119.5, 89.5), abs=1)
    assert anchor(maps[1]) == pytest.approx((39.5, 29.5), abs=1)


def test_a_class_without_evidence_has_a_zero_map(two_blobs: np.ndarray) -> None:
    (cam,) = grad_cam(colour_classifier(), two_blobs, [1])
    assert not cam.any()
    assert not cam_mask(cam).any()
    assert anchor(cam) == (79.5, 59.5)


def test_it_is_what_grad_cam_gives_on_the_whole_network(two_blobs: np.ndarray) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(0)
    classifier = Classifier.create(
        ("a", "b"), backbone="timm/test_efficientnet", pretrained=None, input_size=64
    )
    nn.init.normal_(classifier.head.weight)
    square = np.ascontiguousarray(two_blobs[:64, :64])
    images = classifier.preprocess(square)[None].repeat(2, 1, 1, 1)
    method = GradCAM(classifier, [classifier.target_layer])
    whole = method(images, [ClassifierOutputTarget(0), ClassifierOutputTarget(1)])
    method.activations_and_grads.release()
    whole = whole / whole.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(grad_cam(classifier, square, [0, 1]), whole, atol=1e-4)


def test_nothing_of_the_classifier_is_changed(two_blobs: np.ndarray) -> None:
    classifier = colour_classifier().requires_grad_(False)
    classifier.head.weight.grad = torch.ones_like(classifier.head.weight)
    before = classifier.fingerprint()
    grad_cam(classifier, two_blobs, [0])
    assert classifier.fingerprint() == before
    assert classifier.head.weight.grad is not None
    assert classifier.head.weight.grad.eq(1).all()
    assert not classifier.target_layer._forward_hooks


def test_sizes_are_averaged(two_blobs: np.ndarray) -> None:
    classifier = colour_classifier()
    small, large = (grad_cam(classifier, two_blobs, [0], sizes=[s])[0] for s in (64, 128))
    (both,) = grad_cam(classifier, two_blobs, [0], sizes=[64, 128])
    mean = (small + large) / 2
    assert np.abs(small - large).max() > 0.05
    np.testing.assert_allclose(both, mean / mean.max(), atol=0.05)


def test_no_class_gives_no_map(two_blobs: np.ndarray) -> None:
    assert grad_cam(colour_classifier(), two_blobs, []).shape == (0, 120, 160)


def test_wrong_arguments_are_refused(two_blobs: np.ndarray) -> None:
    classifier = colour_classifier()
    with pytest.raises(ArgumentError, match="category_ids"):
        grad_cam(classifier, two_blobs, [3])
    with pytest.raises(ArgumentError, match="rgb"):
        grad_cam(classifier, two_blobs.astype(np.float32), [0])
    with pytest.raises(ArgumentError, match="sizes"):
        grad_cam(classifier, two_blobs, [0], sizes=[])
    with pytest.raises(ArgumentError, match="threshold"):
        cam_mask(np.ones((2, 2), dtype=np.float32), threshold=0)
    with pytest.raises(ArgumentError, match="component"):
        cam_mask(np.ones((2, 2), dtype=np.float32), component="some")  # type: ignore[arg-type]


def test_anchor_is_the_centre_of_gravity_of_what_passes_the_threshold() -> None:
    cam = np.zeros((20, 30), dtype=np.float32)
    cam[2:5, 10:20] = 0.8  # 30 pixels around (14.5, 3)
    cam[10:12, 4:9] = 0.4  # 10 pixels around (6, 10.5)
    assert anchor(cam, threshold=0.6) == (14.5, 3.0)
    assert anchor(cam, threshold=0.5) == pytest.approx(
        ((30 * 14.5 + 10 * 6) / 40, (30 * 3 + 10 * 10.5) / 40)
    )
    assert anchor(cam, threshold=0.5, component="largest") == (14.5, 3.0)
    assert cam_mask(cam, threshold=0.5).sum() == 40
    assert cam_mask(cam, threshold=0.5, component="largest").sum() == 30


def test_diagonal_pixels_are_one_component() -> None:
    cam = np.zeros((4, 8), dtype=np.float32)
    cam[0, 0] = cam[1, 1] = cam[2, 2] = 1
    cam[0, 5:7] = 1
    assert anchor(cam, component="largest") == (1.0, 1.0)

"""What the classifier sees of segments: from crops, and pooled from the photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.segment_features import features_of, pooled_features, segment_features
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.types import ArgumentError


def box_mask(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


class ColourClassifier(torch.nn.Module):
    """Features are the mean colour of the input; two classes."""

    class_names = ("red", "blue")
    input_size = 16
    mean = (0.5, 0.5, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = tuple(images.shape[1:])
        return images.float() / 255

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(features)


def test_features_of_each_segment_in_any_batch_size() -> None:
    image = np.full((40, 60, 3), (255, 0, 0), dtype=np.uint8)
    image[:, 30:] = (0, 0, 255)
    masks = [box_mask(2, 2, 20, 20), box_mask(40, 2, 58, 20), box_mask(10, 30, 26, 34)]
    for batch_size in (1, 2, 64):
        phi, logits = segment_features(ColourClassifier(), image, masks, batch_size=batch_size)
        assert phi.dtype == np.float16
        assert phi.shape == (3, 3)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(phi[:2], [[1, 0, 0], [0, 0, 1]], atol=1e-3)
        np.testing.assert_allclose(logits[:2], [[1, 0], [0, 1]], atol=1e-3)
        assert 0.5 < phi[2, 0] < 0.8
        assert phi[2, 1] == pytest.approx(0.375, abs=0.02)


def test_the_classifier_is_shown_crops_of_the_size_that_is_wanted() -> None:
    classifier, image = ColourClassifier(), np.full((40, 60, 3), (255, 0, 0), dtype=np.uint8)
    for crop_size, side in ((None, 16), (48, 48)):
        phi, _ = segment_features(classifier, image, [box_mask(2, 2, 20, 20)], crop_size=crop_size)
        assert classifier.seen == (3, side, side)
        np.testing.assert_allclose(phi, [[1, 0, 0]], atol=1e-3)


def test_no_segment_gives_empty_features() -> None:
    phi, logits = segment_features(ColourClassifier(), np.zeros((40, 60, 3), np.uint8), [])
    assert phi.shape == (0, 3)
    assert logits.shape == (0, 2)
    with pytest.raises(ArgumentError, match="batch_size"):
        segment_features(ColourClassifier(), np.zeros((4, 6, 3), np.uint8), [], batch_size=0)


def test_features_out_of_float16s_range_are_kept_in_float32() -> None:
    class Loud(ColourClassifier):
        factor = 1e6

        def features(self, images: torch.Tensor) -> torch.Tensor:
            return super().features(images) * self.factor

    image = np.full((40, 60, 3), 200, np.uint8)
    masks = [box_mask(5, 5, 30, 30)]
    phi, _ = segment_features(Loud().eval(), image, masks)
    assert phi.dtype == np.float32
    np.testing.assert_allclose(phi[0], 1e6 * 200 / 255, rtol=1e-3)
    quiet, _ = segment_features(ColourClassifier().eval(), image, masks)
    assert quiet.dtype == np.float16
    Loud.factor = 1e-7
    faint, _ = segment_features(Loud().eval(), image, masks)
    assert faint.dtype == np.float32
    np.testing.assert_allclose(faint[0], 1e-7 * 200 / 255, rtol=1e-3)
    Loud.factor = float("inf")
    with pytest.raises(ArgumentError, match="not finite"):
        segment_features(Loud().eval(), image, masks)


@pytest.fixture(scope="module")
def tiny() -> Classifier:
    torch.manual_seed(0)
    classifier = Classifier.create(
        ["red", "blue"], backbone="timm/test_efficientnet", pretrained=None, input_size=64
    )
    torch.nn.init.normal_(classifier.head.weight)
    return classifier


def test_pooled_features_are_means_of_the_map_under_the_mask(
    tiny: Classifier, rng: np.random.Generator
) -> None:
    image = rng.integers(0, 256, (48, 96, 3), dtype=np.uint8)
    whole, left = np.ones((48, 96), bool), np.zeros((48, 96), bool)
    left[:, :48] = True
    phi, logits = pooled_features(tiny, image, [whole, left, ~left], size=128)
    with torch.no_grad():
        cells = tiny.feature_map(tiny.preprocess(image, 128)[None])[0].numpy()
    assert cells.shape[1:] == (4, 4)
    np.testing.assert_allclose(phi[0], cells.mean(axis=(1, 2)), atol=2e-3)
    np.testing.assert_allclose(phi[1], cells[:, :, :2].mean(axis=(1, 2)), atol=2e-3)
    np.testing.assert_allclose((phi[1] + phi[2]) / 2, phi[0], atol=2e-3)
    with torch.no_grad():
        np.testing.assert_allclose(
            logits, tiny.logits(torch.from_numpy(phi.astype(np.float32))), atol=2e-2
        )


def test_a_cell_counts_by_the_share_that_the_mask_covers(
    tiny: Classifier, rng: np.random.Generator
) -> None:
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[:16, :24] = True  # one cell of 16 px whole, and half of the next
    phi, _ = pooled_features(tiny, image, [mask], size=128)
    with torch.no_grad():
        cells = tiny.feature_map(tiny.preprocess(image, 128)[None])[0].numpy()
    np.testing.assert_allclose(phi[0], (cells[:, 0, 0] + cells[:, 0, 1] / 2) / 1.5, atol=2e-3)


def test_pooling_refuses_bad_masks_and_takes_none(tiny: Classifier) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(ArgumentError, match="holds no pixel"):
        pooled_features(tiny, image, [np.zeros((40, 60), bool)], size=64)
    with pytest.raises(ArgumentError, match="shape"):
        pooled_features(tiny, image, [np.ones((4, 6), bool)], size=64)
    phi, logits = pooled_features(tiny, image, [], size=64)
    assert phi.shape == (0, tiny.channels)
    assert logits.shape == (0, 2)


def test_the_config_says_how_features_are_made(tiny: Classifier, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    masks = [box_mask(2, 2, 20, 20)]
    masks = [np.pad(mask, ((0, 64 - mask.shape[0]), (0, 64 - mask.shape[1]))) for mask in masks]
    pooled, crops = SegmentConfig(features="pooled", pooled_size=64), SegmentConfig(crop_size=32)
    for config, direct in (
        (pooled, pooled_features(tiny, image, masks, size=64)),
        (crops, segment_features(tiny, image, masks, crop_size=32)),
    ):
        found = features_of(tiny, image, masks, config, batch_size=8)
        assert all(np.array_equal(a, b) for a, b in zip(found, direct, strict=True))
    assert pooled.shown(tiny) == {"pooled_size": 64}
    assert crops.shown(tiny) == {"erosion": 0.02, "crop_size": 32}

"""Class activation maps against Grad-CAM's formula, and the windows that they give."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from empaste_aug.offline import activation
from empaste_aug.offline.activation import class_activation, windows
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.classify.backbone import Backbone
from empaste_aug.offline.cues import GRID
from empaste_aug.types import ArgumentError


class TwoLayers(nn.Module):
    """(N, 3, S, S) -> (N, 5, S / 8, S / 8), with cells of both signs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 4, stride=4)
        self.second = nn.Conv2d(4, 5, 2, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(images).relu())
        return result


@pytest.fixture
def classifier() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Backbone("two", TwoLayers(), 5, 64, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
        return Classifier(("a", "b", "c"), backbone)


@pytest.fixture
def photo(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)


def grad_cam_before_relu(
    classifier: Classifier, rgb: np.ndarray, column: int, size: int
) -> np.ndarray:
    """Selvaraju et al. 2017, equations 1 and 2 without the ReLU, by autograd."""
    cells = classifier.feature_map(classifier.preprocess(rgb, size)[None]).detach()
    cells.requires_grad_()
    classifier.head(cells.mean(dim=(2, 3)))[0, column].backward()
    assert cells.grad is not None
    importance = cells.grad.mean(dim=(2, 3))
    return (importance[0, :, None, None] * cells[0]).sum(dim=0).detach().numpy()


def on_grid(cells: np.ndarray) -> np.ndarray:
    return cv2.resize(cells, (GRID, GRID), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("size", [64, 96])
def test_it_is_grad_cam_before_its_relu_up_to_a_factor(
    classifier: Classifier, photo: np.ndarray, size: int
) -> None:
    found = class_activation(classifier, photo, [2, 0], sizes=[size])
    assert found.shape == (2, GRID, GRID)
    assert found.dtype == np.float32
    assert found.min() < 0 < found.max()
    for values, column in zip(found, (2, 0), strict=True):
        expected = on_grid(grad_cam_before_relu(classifier, photo, column, size))
        factor = (size // 8) ** 2  # the gradient of a mean over so many cells
        np.testing.assert_allclose(values, factor * expected, atol=1e-5)


def test_pytorch_grad_cam_agrees_where_the_class_has_support(
    classifier: Classifier, photo: np.ndarray
) -> None:
    pytest.importorskip("pytorch_grad_cam")
    from empaste_aug.offline.cam import grad_cam

    square = cv2.resize(photo, (GRID, GRID))
    with torch.no_grad():  # all cells speak for class b: the ReLU takes nothing off
        classifier.head.weight[1] = classifier.head.weight[1].abs()
        classifier.backbone.second.bias += 10
    (found,) = class_activation(classifier, square, [1], sizes=[64])
    (expected,) = grad_cam(classifier, square, [1], sizes=[64])
    slope, shift = np.polyfit(expected.ravel(), found.ravel(), 1)
    assert slope > 0
    np.testing.assert_allclose(slope * expected + shift, found, rtol=1e-3)


def test_sizes_are_averaged(classifier: Classifier, photo: np.ndarray) -> None:
    single = [class_activation(classifier, photo, [1], sizes=[size]) for size in (64, 96)]
    both = class_activation(classifier, photo, [1], sizes=[64, 96])
    np.testing.assert_allclose(both, sum(single) / 2, atol=1e-6)


def test_the_default_sizes_and_no_class(classifier: Classifier, photo: np.ndarray) -> None:
    default = class_activation(classifier, photo, [0])
    named = class_activation(classifier, photo, [0], sizes=activation.SIZES)
    np.testing.assert_array_equal(default, named)
    assert class_activation(classifier, photo, []).shape == (0, GRID, GRID)


@pytest.mark.parametrize(
    ("columns", "sizes", "named"),
    [([0], [], "sizes"), ([3], [64], "category_ids"), ([0, -1], [64], "category_ids")],
)
def test_bad_arguments_are_named(
    classifier: Classifier,
    photo: np.ndarray,
    columns: Sequence[int],
    sizes: Sequence[int],
    named: str,
) -> None:
    with pytest.raises(ArgumentError, match=named):
        class_activation(classifier, photo, columns, sizes=sizes)


def blob(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    values = np.full((GRID, GRID), -2.0)
    values[y0:y1, x0:x1] = 3.0
    return values


def test_a_window_is_the_blob_enlarged() -> None:
    found = windows(blob(24, 16, 40, 32), 640, 1280)
    # 16 cells are 320 px of the width and 160 px of the height; half as much again.
    assert found == [(400, 120, 880, 360)] * len(activation.WINDOW_SHARES)


def test_a_small_blob_has_the_least_window() -> None:
    least = activation.LEAST_WINDOW
    for x0, y0, x1, y1 in windows(blob(31, 31, 33, 33), 1000, 2000):
        assert x1 - x0 == pytest.approx(least * 2000, abs=1)
        assert y1 - y0 == pytest.approx(least * 1000, abs=1)
        assert (x0 + x1) / 2 == pytest.approx(1000, abs=1)
        assert (y0 + y1) / 2 == pytest.approx(500, abs=1)


def test_each_share_gives_a_window_round_its_largest_part() -> None:
    values = blob(0, 0, 20, 20)  # 3, on -2: half of what the peak has
    values[40:44, 40:44] = 8.0
    large, small = windows(values, GRID, GRID)
    assert large == (0, 0, 25, 25)
    assert small[0] > 25
    assert small[1] > 25


def test_a_flat_map_points_nowhere() -> None:
    assert windows(np.full((GRID, GRID), -4.0), 100, 100) == []


def test_windows_lie_inside_the_photo_and_are_never_empty(rng: np.random.Generator) -> None:
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(1, 700, 2))
        cells = int(rng.integers(1, 12))
        values = cv2.resize(
            rng.normal(size=(cells, cells)) ** 3 * 10 ** float(rng.uniform(-3, 3)),
            (GRID, GRID),
            interpolation=(cv2.INTER_LINEAR, cv2.INTER_NEAREST)[int(rng.integers(2))],
        )
        found = windows(values, height, width)
        if cells > 1:
            assert len(found) == len(activation.WINDOW_SHARES)
        for x0, y0, x1, y1 in found:
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height


def test_a_window_holds_the_peak(rng: np.random.Generator) -> None:
    for _ in range(100):
        values = cv2.GaussianBlur(rng.normal(size=(GRID, GRID)), (0, 0), 6)
        row, column = np.unravel_index(values.argmax(), values.shape)
        centre = ((column + 0.5) / GRID * 300, (row + 0.5) / GRID * 200)
        shares = [
            x0 <= centre[0] <= x1 and y0 <= centre[1] <= y1
            for x0, y0, x1, y1 in windows(blob_round(values), 200, 300)
        ]
        assert all(shares)


def blob_round(values: np.ndarray) -> np.ndarray:
    """One part only: what lies far from the peak is taken down."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    y, x = np.mgrid[:GRID, :GRID]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / 50.0)

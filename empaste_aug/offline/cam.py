"""Grad-CAM of a class on a photo, and the anchor that it gives (the paper, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from empaste_aug.offline.classify.model import Classifier
from empaste_aug.types import ArgumentError, MissingDependencyError

Component = Literal["all", "largest"]


def grad_cam(
    classifier: Classifier,
    rgb: NDArray[np.uint8],
    category_ids: Sequence[int],
    *,
    sizes: Sequence[int] | None = None,
    device: str | torch.device | None = None,
) -> NDArray[np.float32]:
    """Grad-CAM on the map after the last convolution layer, through pytorch-grad-cam.

    The backbone runs once per size, whatever the number of classes: its map goes K times through
    pooling and head, which is where the gradients of Grad-CAM come from.

    Args:
        classifier: in eval mode, its weights are not changed.
        rgb: (H, W, 3) uint8 photo.
        category_ids: K columns of the classifier (see `Classifier.check_classes`).
        sizes: the maps at these input sizes (pixels) are averaged; None for the classifier's own.
        device: where the classifier is moved to and runs; None leaves it where it is.

    Returns:
        (K, H, W) float32 in [0, 1], the maximum of each map being 1; bilinear between the cells of
        the network's map. A map is zero everywhere if no cell speaks for the class, or if all
        cells do so equally (pytorch-grad-cam subtracts the minimum).

    Raises:
        ArgumentError: a category id out of range, no sizes, or a photo that is not RGB uint8.
        MissingDependencyError: pytorch-grad-cam is not installed.
    """
    ids = [int(k) for k in category_ids]
    classes = len(classifier.class_names)
    if any(not 0 <= k < classes for k in ids):
        raise ArgumentError(f"category_ids: must be in [0, {classes}), got {ids}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ArgumentError(f"rgb: must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    sizes = (classifier.input_size,) if sizes is None else tuple(sizes)
    if not sizes:
        raise ArgumentError("sizes: must name at least one input size")
    if device is not None:
        classifier.to(device)
    height, width = rgb.shape[:2]
    total = np.zeros((len(ids), height, width), dtype=np.float32)
    for size in sizes if ids else ():
        with torch.no_grad():
            image = classifier.preprocess(rgb, size)[None].to(classifier.device)
            feature_map = classifier.feature_map(image)
        for k, cells in enumerate(_maps(classifier, feature_map, ids)):
            total[k] += cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    peak = total.max(axis=(1, 2), initial=0, keepdims=True)
    np.divide(total, peak, out=total, where=peak > 0)
    return total


def cam_mask(
    cam: NDArray[np.float32], *, threshold: float = 0.5, component: Component = "all"
) -> NDArray[np.bool_]:
    """The binary map G of the paper: the pixels at or above a share of the map's maximum.

    Args:
        cam: (H, W), non-negative.
        threshold: that share, in (0, 1].
        component: "all" of them, or the "largest" 8-connected one (by pixels; of equals the one
            that starts topmost, then leftmost).

    Returns:
        (H, W) bool; empty if, and only if, the map is zero everywhere.
    """
    if not 0 < threshold <= 1:
        raise ArgumentError(f"threshold: must be in (0, 1], got {threshold}")
    if component not in ("all", "largest"):
        raise ArgumentError(f"component: must be 'all' or 'largest', got {component!r}")
    peak = cam.max()
    mask = (cam >= threshold * peak) & (cam > 0)
    if component == "largest" and mask.any():
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        mask = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(mask, dtype=bool)


def anchor(
    cam: NDArray[np.float32], *, threshold: float = 0.5, component: Component = "all"
) -> tuple[float, float]:
    """The anchor c of the paper: the centre of gravity of `cam_mask`.

    Of a map that is zero everywhere it is the photo's centre, ((W - 1) / 2, (H - 1) / 2); such a
    map is known by `not cam.any()`.

    Returns:
        (x, y) in pixels; pixel centres have integer coordinates.
    """
    mask = cam_mask(cam, threshold=threshold, component=component)
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return (mask.shape[1] - 1) / 2, (mask.shape[0] - 1) / 2
    return float(columns.mean()), float(rows.mean())


class _Tail(nn.Module):
    """Pooling and head of a classifier behind an identity that Grad-CAM can hook."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.map = nn.Identity()
        head = classifier.head
        self.head = nn.Linear(head.in_features, head.out_features, device=classifier.device)
        self.head.load_state_dict(head.state_dict())  # a copy: Grad-CAM clears gradients

    def forward(self, feature_map: Tensor) -> Tensor:
        result: Tensor = self.head(self.map(feature_map).mean(dim=(2, 3)))
        return result


def _maps(classifier: Classifier, feature_map: Tensor, ids: Sequence[int]) -> NDArray[np.float32]:
    """(1, D, h, w) -> (K, h, w) float32 in [0, 1], at the network's own resolution."""
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise MissingDependencyError("grad-cam", "offline", "Grad-CAM") from error
    tail = _Tail(classifier)
    repeated = feature_map.detach().repeat(len(ids), 1, 1, 1).requires_grad_()
    # Not as a context manager: GradCAM's swallows IndexError.
    method = GradCAM(tail, [tail.map])
    try:
        maps = method(repeated, [ClassifierOutputTarget(k) for k in ids])
    finally:
        method.activations_and_grads.release()
    return np.asarray(maps, dtype=np.float32)

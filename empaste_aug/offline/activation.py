"""Class activation maps, and the parts of a photo that they point at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from empaste_aug.offline.cam import cam_mask
from empaste_aug.offline.classify.model import Classifier
from empaste_aug.offline.cues import GRID
from empaste_aug.offline.proposals.saliency import Window
from empaste_aug.types import ArgumentError

SIZES = (288, 448)
"""Input sizes in pixels whose maps are averaged: two see objects of more sizes than one."""

WINDOW_SHARES = (0.4, 0.7)
"""Shares of a map's range; each gives a window round the largest part that reaches it."""

WINDOW_MARGIN = 1.5
"""A window is so many times as wide and high as that part."""

LEAST_WINDOW = 0.2
"""The least share of the photo's width and height that a window has, before it is clipped."""


def class_activation(
    classifier: Classifier,
    rgb: NDArray[np.uint8],
    category_ids: Sequence[int],
    *,
    sizes: Sequence[int] = SIZES,
) -> NDArray[np.float32]:
    """Class activation maps (Zhou et al. 2016) on the evidence grid.

    The head's weights of a class times the map after the last convolution. With global average
    pooling and a linear head this is what Grad-CAM gives before its ReLU, up to a factor; unlike
    there, cells that speak against the class stay negative. The backbone runs once per size.

    Args:
        classifier: in eval mode.
        rgb: (H, W, 3) uint8 photo.
        category_ids: K columns of the classifier.
        sizes: input sizes in pixels; the maps are averaged.

    Returns:
        (K, GRID, GRID) float32, bilinear between the cells of the network's map.

    Raises:
        ArgumentError: no sizes, or a column that the classifier does not have.
    """
    if not sizes:
        raise ArgumentError("sizes: must name at least one input size")
    columns = list(category_ids)
    if any(not 0 <= column < len(classifier.class_names) for column in columns):
        raise ArgumentError(
            f"category_ids: must be in [0, {len(classifier.class_names)}), got {columns}"
        )
    total = np.zeros((len(columns), GRID, GRID), np.float32)
    with torch.inference_mode():
        weights = classifier.head.weight[columns]
        for size in sizes if columns else ():
            images = classifier.preprocess(rgb, size)[None].to(classifier.device)
            cells = torch.einsum("kd,dhw->khw", weights, classifier.feature_map(images)[0])
            for k, values in enumerate(cells.float().cpu().numpy()):
                total[k] += cv2.resize(values, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
    return np.asarray(total / len(sizes), np.float32)


def windows(
    activation: NDArray[np.floating],
    height: int,
    width: int,
    *,
    shares: Sequence[float] = WINDOW_SHARES,
) -> list[Window]:
    """Where to look again for the object that a map points at.

    For each of `shares` the box of the map's largest part, enlarged.

    Args:
        activation: (GRID, GRID), on any scale.
        height, width: of the photo.
        shares: of the map's range, which the part reaches.

    Returns:
        Boxes XYXY, half-open, in the photo's pixels, inside it and not empty.
    """
    values = activation.astype(np.float32) - float(activation.min())
    found = []
    for share in shares:
        y, x = np.nonzero(cam_mask(values, threshold=share, component="largest"))
        if x.size == 0:
            continue
        x0, x1 = _enlarged(int(x.min()), int(x.max()) + 1, width)
        y0, y1 = _enlarged(int(y.min()), int(y.max()) + 1, height)
        found.append((x0, y0, x1, y1))
    return found


def _enlarged(first: int, last: int, side: int) -> tuple[int, int]:
    """Cells first to last, half-open, as pixels of a side of so many, with the margin."""
    centre = (first + last) / 2 / GRID * side
    half = max((last - first) / GRID * WINDOW_MARGIN, LEAST_WINDOW) * side / 2
    start = max(int(centre - half), 0)
    return start, max(min(int(centre + half), side), start + 1)

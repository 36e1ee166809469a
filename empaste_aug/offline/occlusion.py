"""Occlusion: how much a class loses when a segment is taken out of its photo.

A segment on grey shows the classifier an object without its surroundings, which it has not learned
from. The photo without the segment is the other half of the evidence: what carries the class leaves
a hole in it, and what merely goes along with the class, such as the road below a car, does not
(Zeiler and Fergus 2014 slide a square over the photo; here proposals take its place).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from empaste_aug.offline.classify.model import Classifier
from empaste_aug.types import ArgumentError


def occluded_logits(
    classifier: Classifier,
    image: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    *,
    batch_size: int = 8,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The logits of a photo as it is, and with each segment replaced by the mean colour.

    Args:
        classifier: in evaluation mode; the photo is squeezed to its input size.
        image: (H, W, 3) uint8 RGB.
        masks: M masks (H, W) bool.
        batch_size: photos per forward pass.

    Returns:
        (K,) and (M, K) float32, one column per class of the classifier.

    Raises:
        ArgumentError: a mask has another size than the photo, or `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ArgumentError(f"batch_size: must be positive, not {batch_size}")
    side = classifier.input_size
    shown = np.ones((len(masks) + 1, side, side), np.float32)  # the first one shows all
    for row, mask in enumerate(masks, start=1):
        if mask.shape != image.shape[:2]:
            raise ArgumentError(f"masks: shape {mask.shape} is not the image's {image.shape[:2]}")
        shown[row] -= cv2.resize(
            mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA
        )
    logits = []
    with torch.inference_mode():
        whole = classifier.preprocess(image)[None].to(classifier.device)
        for start in range(0, len(shown), batch_size):
            part = torch.from_numpy(shown[start : start + batch_size, None]).to(classifier.device)
            inputs = (whole * part).contiguous(memory_format=torch.channels_last)
            logits.append(classifier(inputs).float().cpu().numpy())
    values = np.concatenate(logits)
    return values[0], values[1:]


def occlusion_drop(
    whole: NDArray[np.floating], occluded: NDArray[np.floating], area: NDArray[np.floating]
) -> NDArray[np.float32]:
    """How much of a class's logit each segment takes along, for its size.

    The drop grows with whatever is taken away, so the largest segments would win; divided by the
    area it prefers the smallest parts. The square root lies between: the drop per length.

    Args:
        whole: () or (K,) logits of the photo.
        occluded: (M,) or (M, K) logits without each segment.
        area: (M,) shares of the photo that the segments cover, in (0, 1].

    Returns:
        As `occluded`, float32; higher where more speaks for the segment.
    """
    root = np.sqrt(np.asarray(area, np.float64))
    drop = np.asarray(whole, np.float64) - occluded
    return np.asarray(drop / root.reshape(-1, *[1] * (drop.ndim - 1)), np.float32)

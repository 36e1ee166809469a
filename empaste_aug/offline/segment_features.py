"""What the classifier sees of segments: phi and the logits, from crops or pooled from the photo."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from empaste_aug.offline.classify.model import Classifier
from empaste_aug.offline.segments import SegmentConfig, classifier_grey, segment_crop
from empaste_aug.types import ArgumentError

LEAST_HALF = 2.0**-8
"""Values that are all smaller than this lose too many digits in float16."""


def segment_features(
    classifier: Classifier,
    image: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    *,
    erosion: float = SegmentConfig.erosion,
    crop_size: int | None = None,
    batch_size: int = 64,
) -> tuple[NDArray[np.floating], NDArray[np.float32]]:
    """phi and the logits of every segment of one photo, computed once (paper, 3.1, Alg. 1).

    The segments are cropped by `segment_crop` on the classifier's mean colour and run on the
    device where the classifier's weights lie.

    Args:
        classifier: in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        masks: M masks (H, W) bool, none of them empty.
        erosion: see `erode`.
        crop_size: side in pixels of the crops; None for the classifier's own input size.
        batch_size: segments per forward pass.

    Returns:
        phi, (M, D) float16, the pooled output of the last convolution, or float32 if a value is
        out of float16's range; and the logits, (M, K) float32, one per class of the classifier.

    Raises:
        ArgumentError: a mask is empty or of another size; `batch_size` is not positive; the
            classifier gives features that are not finite.
    """
    if batch_size < 1:
        raise ArgumentError(f"batch_size: must be positive, not {batch_size}")
    device = next(classifier.parameters()).device
    grey = classifier_grey(classifier.mean)
    size = crop_size or classifier.input_size
    features: list[NDArray[np.float32]] = []
    logits: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for start in range(0, max(len(masks), 1), batch_size):  # no mask: one batch of none
            batch = masks[start : start + batch_size]
            crops = np.empty((len(batch), size, size, 3), dtype=np.uint8)
            for row, mask in enumerate(batch):
                crops[row] = segment_crop(image, mask, size=size, erosion=erosion, grey=grey)
            # Permuted, not copied: channels last, which is fastest on a CPU.
            inputs = classifier.normalize(torch.from_numpy(crops).to(device).permute(0, 3, 1, 2))
            phi = classifier.features(inputs)
            logits.append(classifier.logits(phi).float().cpu().numpy())
            features.append(phi.float().cpu().numpy())
    return compact(np.concatenate(features), "features"), np.concatenate(logits)


def pooled_features(
    classifier: Classifier,
    image: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    *,
    size: int = SegmentConfig.pooled_size,
) -> tuple[NDArray[np.floating], NDArray[np.float32]]:
    """phi and the logits of every segment of one photo, from one look at the whole photo.

    phi is the mean of the map after the last convolution, each cell weighted by the share of it
    that the segment covers (mask pooling). One pass costs about as much as four crops, whatever
    the number of segments; a segment is seen in its surroundings.

    Args:
        classifier: in evaluation mode; the photo is squeezed to `size` x `size`.
        image: (H, W, 3) uint8 RGB.
        masks: M masks (H, W) bool, none of them empty.
        size: in pixels.

    Returns:
        phi and the logits, as `segment_features`.

    Raises:
        ArgumentError: a mask is empty or of another size; the classifier gives features that are
            not finite.
    """
    with torch.inference_mode():
        inputs = classifier.preprocess(image, size)[None].to(classifier.device)
        cells = classifier.feature_map(inputs.contiguous(memory_format=torch.channels_last))[0]
        height, width = cells.shape[1:]
        shares = np.empty((len(masks), height, width), np.float32)
        for row, mask in enumerate(masks):
            if mask.shape != image.shape[:2]:
                raise ArgumentError(
                    f"mask: its shape {mask.shape} is not the image's {image.shape[:2]}"
                )
            shares[row] = cv2.resize(
                mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
            )
        covered = shares.sum(axis=(1, 2), keepdims=True)
        if not covered.all():
            raise ArgumentError("mask: holds no pixel, so there is no segment to look at")
        weights = torch.from_numpy((shares / covered).reshape(len(masks), height * width)).to(
            cells.device
        )
        phi = weights @ cells.flatten(1).T.float()
        logits = classifier.logits(phi)
    return compact(phi.cpu().numpy(), "features"), logits.float().cpu().numpy()


def features_of(
    classifier: Classifier,
    image: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    config: SegmentConfig,
    *,
    batch_size: int,
) -> tuple[NDArray[np.floating], NDArray[np.float32]]:
    """`segment_features` or `pooled_features`, as the config says."""
    if config.features == "pooled":
        return pooled_features(classifier, image, masks, size=config.pooled_size)
    return segment_features(
        classifier,
        image,
        masks,
        erosion=config.erosion,
        crop_size=config.crop_size,
        batch_size=batch_size,
    )


def compact(values: NDArray[np.float32], what: str) -> NDArray[np.floating]:
    """What a classifier gives as float16, or as it is where a value is out of float16's range.

    Args:
        values: of any shape.
        what: their name for the message.

    Raises:
        ArgumentError: they are not finite.
    """
    if not np.isfinite(values).all():
        raise ArgumentError(f"classifier: gives {what} that are not finite")
    peak = float(np.abs(values).max(initial=0.0))
    fits = peak == 0 or LEAST_HALF <= peak <= float(np.finfo(np.float16).max)
    return values.astype(np.float16) if fits else values

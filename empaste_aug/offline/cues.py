"""What speaks for each segment of a photo being the object of a class: small, named cues.

A cue is a function from `Evidence` to one number per segment, higher where more speaks for it. F-EM
compares the segments of one photo only, so each cue is brought to mean 0 and variance 1 over them
and the weighted sum is the prior (`offline.prior`). None of it sees a mask of the ground truth.

Everything lies on the *evidence grid*: the photo squeezed to GRID x GRID cells, a mask being the
share of each cell that it covers. That is finer than any of the maps, and small enough that a
photo's segments fit a processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 64
"""Cells a side."""

RING = 4
"""How far, in cells, a segment's surroundings reach."""

_TINY = 1e-6

Values = NDArray[np.float32]


@dataclass(eq=False)
class Evidence:
    """What is known of the M segments of one photo and of one class that the photo has.

    Attributes:
        masks: (M, GRID, GRID) float32 in [0, 1], from `on_grid`.
        activation: (GRID, GRID), the class's activation map, on any scale.
        saliency: (GRID, GRID) in [0, 1].
        logits: (M, K) of the classifier for the segments' crops.
        segment_logits: (M, K) of the segment head for them.
        category: the class, a column of both.
        others: the photo's other classes.
        salient: (M,) bool, proposed by the saliency model.
        strength: (M,) of the contour as its method gives it; NaN where it gives none.
    """

    masks: Values
    activation: NDArray[np.floating]
    saliency: NDArray[np.floating]
    logits: NDArray[np.floating]
    segment_logits: NDArray[np.floating]
    category: int
    others: Sequence[int]
    salient: NDArray[np.bool_]
    strength: NDArray[np.floating]

    @cached_property
    def areas(self) -> Values:
        """(M,) in cells."""
        return np.asarray(self.masks.sum(axis=(1, 2)) + _TINY, np.float32)

    @cached_property
    def rings(self) -> Values:
        """(M, GRID, GRID): each segment's surroundings."""
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING + 1, 2 * RING + 1))
        wide = [cv2.dilate(mask, disc) for mask in self.masks]
        return np.asarray(np.array(wide, np.float32).reshape(self.masks.shape) - self.masks)

    @cached_property
    def cam(self) -> Values:
        """(GRID, GRID): the activation map from 0 to 1."""
        return _stretched(self.activation)

    def inside(self, values: NDArray[np.floating]) -> Values:
        """(M,) mean of a map inside each segment."""
        return np.asarray(np.tensordot(self.masks, values, 2) / self.areas, np.float32)

    def contrast(self, values: NDArray[np.floating]) -> Values:
        """(M,) mean of a map inside each segment minus that in its surroundings."""
        around = np.tensordot(self.rings, values, 2) / (self.rings.sum(axis=(1, 2)) + _TINY)
        return np.asarray(self.inside(values) - around, np.float32)

    def overlap(self, values: NDArray[np.floating]) -> Values:
        """(M,) soft IoU of each segment with a map from 0 to 1."""
        both = np.minimum(self.masks, values).sum(axis=(1, 2))
        return np.asarray(both / np.maximum(self.masks, values).sum(axis=(1, 2)), np.float32)

    def vote(self, values: NDArray[np.floating]) -> Values:
        """(GRID, GRID): for each cell the mean of (M,) values over the segments that cover it."""
        cover = self.masks.sum(axis=0) + _TINY
        return np.asarray(np.tensordot(values, self.masks, 1) / cover, np.float32)


def class_logit(evidence: Evidence) -> Values:
    """The classifier's logit of the class for the segment's crop."""
    return np.asarray(evidence.logits[:, evidence.category], np.float32)


def other_classes(evidence: Evidence) -> Values:
    """Minus the classifier's highest logit among all other classes."""
    return -_highest_other(evidence.logits, evidence.category)


def label_margin(evidence: Evidence) -> Values:
    """The class's logit above that of the photo's other classes, which explain their objects."""
    return _margin(evidence.logits, evidence)


def segment_logit(evidence: Evidence) -> Values:
    """The segment head's logit of the class."""
    return np.asarray(evidence.segment_logits[:, evidence.category], np.float32)


def segment_others(evidence: Evidence) -> Values:
    """Minus the segment head's highest logit among all other classes."""
    return -_highest_other(evidence.segment_logits, evidence.category)


def segment_margin(evidence: Evidence) -> Values:
    """The segment head's logit of the class above that of the photo's other classes."""
    return _margin(evidence.segment_logits, evidence)


def cam_mean(evidence: Evidence) -> Values:
    """The mean class activation inside: the classifier's view of the segment in the whole photo."""
    return evidence.inside(evidence.cam)


def cam_overlap(evidence: Evidence) -> Values:
    """Soft IoU with the class activation map."""
    return evidence.overlap(evidence.cam)


def saliency_overlap(evidence: Evidence) -> Values:
    """Soft IoU with the saliency map."""
    return evidence.overlap(evidence.saliency)


def is_salient(evidence: Evidence) -> Values:
    """1 for what the saliency model proposed."""
    return evidence.salient.astype(np.float32)


def contour(evidence: Evidence) -> Values:
    """The strength of the contour; the photo's mean where the method gives none."""
    known = np.isfinite(evidence.strength)
    mean = float(evidence.strength[known].mean()) if known.any() else 0.0
    return np.where(known, evidence.strength, mean).astype(np.float32)


def smoothness(evidence: Evidence) -> Values:
    """Minus the length of the outline over the square root of the area."""
    steps = [np.abs(np.diff(evidence.masks, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2)]
    return np.asarray(-(steps[0] + steps[1]) / np.sqrt(evidence.areas), np.float32)


def vote_mean(evidence: Evidence) -> Values:
    """The class's probability that segments over these cells have, on the average.

    One crop's probability is noisy; a cell is covered by many segments.
    """
    return evidence.inside(evidence.vote(_probability(class_logit(evidence))))


def vote_contrast(evidence: Evidence) -> Values:
    """The logit that segments over these cells have on the average, above the surroundings'."""
    return evidence.contrast(evidence.vote(class_logit(evidence)))


def segment_vote_mean(evidence: Evidence) -> Values:
    """`vote_mean` by the segment head."""
    return evidence.inside(evidence.vote(_probability(segment_logit(evidence))))


def segment_vote_contrast(evidence: Evidence) -> Values:
    """`vote_contrast` by the segment head."""
    return evidence.contrast(evidence.vote(segment_logit(evidence)))


CUES: Mapping[str, Callable[[Evidence], Values]] = {
    cue.__name__: cue
    for cue in (
        class_logit,
        other_classes,
        label_margin,
        segment_logit,
        segment_others,
        segment_margin,
        cam_mean,
        cam_overlap,
        saliency_overlap,
        is_salient,
        contour,
        smoothness,
        vote_mean,
        vote_contrast,
        segment_vote_mean,
        segment_vote_contrast,
    )
}


def cue_values(evidence: Evidence) -> NDArray[np.float32]:
    """(M, number of cues) float32, the columns in the order of `CUES`."""
    return np.stack([cue(evidence) for cue in CUES.values()], axis=1)


def on_grid(masks: Sequence[NDArray[np.bool_]]) -> Values:
    """(M, GRID, GRID) float32: the share of every cell that each (H, W) mask covers."""
    small = [
        cv2.resize(mask.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
        for mask in masks
    ]
    return np.array(small, np.float32).reshape(-1, GRID, GRID)


def _stretched(values: NDArray[np.floating]) -> Values:
    low = float(values.min())
    return np.asarray((values - low) / max(float(values.max()) - low, _TINY), np.float32)


def _highest_other(logits: NDArray[np.floating], category: int) -> Values:
    others = np.delete(logits, category, axis=1)
    if others.shape[1] == 0:
        return np.zeros(len(others), np.float32)
    return np.asarray(others.max(axis=1), np.float32)


def _margin(logits: NDArray[np.floating], evidence: Evidence) -> Values:
    if not evidence.others:
        return np.zeros(len(logits), np.float32)
    rivals = logits[:, list(evidence.others)].max(axis=1)
    return np.asarray(logits[:, evidence.category] - rivals, np.float32)


def _probability(logits: Values) -> Values:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)

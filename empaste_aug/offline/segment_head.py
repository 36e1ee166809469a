"""A linear head for segments on grey: what the classifier's own head, made for photos, is not.

The classifier has learned from whole photos. A segment on grey looks otherwise, and its logits
favour small, typical parts. This head sits on the same features, scaled to length 1, and learns
from cut-outs as F-EM will see them: what is salient in photos with image-level labels, patches that
are not, and segments of photos *without* a class as contrast. It needs no mask of the ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from empaste_aug.types import ArgumentError

SCALE = 16.0
"""Features have this length where the head learns, so that its steps suit its weights."""

STEPS = 200
RATE = 0.05
DECAY = 5e-3
HEAVIEST = 20.0
"""The most that absent cut-outs of a class may outnumber present ones in its balance."""


@dataclass(frozen=True, eq=False)
class SegmentHead:
    """K linear scores of features.

    Attributes:
        weight: (D, K) float32.
        bias: (K,) float32.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, phi: NDArray[np.floating]) -> NDArray[np.float32]:
        """(M, K) float32 for (M, D) features of any length."""
        return np.asarray(unit(phi) @ self.weight + self.bias, np.float32)


def unit(phi: NDArray[np.floating]) -> NDArray[np.float32]:
    """(M, D) features, each scaled to length 1; zeros stay."""
    wide = phi.astype(np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def fit_segment_head(
    phi: NDArray[np.floating], targets: NDArray[np.float32], weights: NDArray[np.float32]
) -> SegmentHead:
    """Logistic regression of each class, all at once; the same input gives the same head.

    Args:
        phi: (N, D) features.
        targets: (N, K) 1 where a cut-out is of a class, 0 where it is not, NaN where that is not
            known, which is left out of the loss.
        weights: (N,) of the cut-outs in the loss, not negative.

    Raises:
        ArgumentError: shapes disagree, or there is nothing to learn from.
    """
    if phi.ndim != 2 or targets.ndim != 2 or not len(phi) == len(targets) == len(weights):
        raise ArgumentError(
            f"phi, targets, weights: shapes {phi.shape}, {targets.shape}, {weights.shape} disagree"
        )
    if not len(phi) or not weights.sum() > 0:
        raise ArgumentError("phi: there is no cut-out to learn from")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order, whatever the machine
    try:
        return _fit(unit(phi), targets.astype(np.float32), weights.astype(np.float32))
    finally:
        torch.set_num_threads(threads)


def _fit(
    features: NDArray[np.float32], targets: NDArray[np.float32], weights: NDArray[np.float32]
) -> SegmentHead:
    inputs = torch.from_numpy(features * np.float32(SCALE))
    known = torch.from_numpy(np.isfinite(targets).astype(np.float32))
    wanted = torch.from_numpy(np.nan_to_num(targets))
    share = torch.from_numpy(weights / weights.sum())
    present = (wanted * known).sum(dim=0)
    absent = ((1 - wanted) * known).sum(dim=0)
    balance = (absent / (present + 1)).clamp(1, HEAVIEST).sqrt()
    weight = torch.zeros((inputs.shape[1], wanted.shape[1]), requires_grad=True)
    bias = torch.full((wanted.shape[1],), -3.0, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses = binary_cross_entropy_with_logits(
            inputs @ weight + bias, wanted, reduction="none", pos_weight=balance
        )
        loss = ((losses * known).sum(dim=1) * share).sum() + DECAY * (weight**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return SegmentHead((weight.detach() * SCALE).numpy(), bias.detach().numpy())

"""The multi-label loss, with weights against class imbalance."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from empaste_aug.offline.classify.photos import LabelledPhotos

MAX_POSITIVE_WEIGHT = 20.0


class MultiLabelLoss:
    """Binary cross-entropy over the classes that each photo's source labels.

    Args:
        photos: all photos.
        train: indices of those whose labels are counted for the weights.
        balance: see `Recipe.balance`.
        device: where the logits are.
    """

    def __init__(
        self,
        photos: LabelledPhotos,
        train: NDArray[np.int64],
        balance: float,
        device: torch.device,
    ) -> None:
        known, targets = photos.known[train], photos.targets[train]
        present = (targets & known).sum(axis=0)
        absent = (~targets & known).sum(axis=0)
        weight = (absent / np.maximum(present, 1)) ** balance
        self.weight = torch.from_numpy(np.clip(weight, 1.0, MAX_POSITIVE_WEIGHT)).float()
        self.weight = self.weight.to(device)
        self.targets = torch.from_numpy(photos.targets).float().to(device)
        self.known = torch.from_numpy(photos.known).float().to(device)

    def __call__(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(n, K) logits of the photos `rows` -> scalar, the mean over known targets."""
        rows = rows.to(logits.device)
        known = self.known[rows]
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, self.targets[rows], pos_weight=self.weight, reduction="none"
        )
        return (loss * known).sum() / known.sum().clamp(min=1)

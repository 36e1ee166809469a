"""How the classifier is trained: every constant of it, with its default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from empaste_aug.types import ArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train; the paper leaves all of it open.

    The head's defaults were measured, the second phase's are customary values.

    Attributes:
        head_epochs: epochs of the first phase, in which only the linear head learns, on phi of
            each photo and its mirror image, computed once.
        epochs: epochs of the second phase, in which the last layers learn too, on augmented
            photos; 0 leaves it out.
        finetune: share of the backbone's layers, from its end, that learn in the second phase.
        learning_rate: of those layers, at its peak; a linear warm-up over the first twentieth of
            the steps, then a half cosine to zero.
        head_learning_rate: of the head in both phases, on the same schedule.
        weight_decay: AdamW's.
        batch_size: photos.
        freeze_norm: keep batch norm's running mean and variance as pretrained.
        balance: a present class weighs (absent / present) ** balance times as much as an absent
            one, at most 20 times: 0 is the plain loss, whose probabilities are calibrated; 1
            makes both sides of each class weigh the same, which raises rare classes' scores.
        min_crop: least share of a photo's area that a random crop keeps.
        jitter: of brightness, contrast and saturation.
        erase: share of the views in which a random rectangle is greyed out (random erasing, Zhong
            et al. 2020), so that the classifier must know an object by other parts too.
        keep: "last" epoch, or the "best" by validation mAP (noisy on few photos).
        seed: of the validation split, the order and the augmentation.
    """

    head_epochs: int = 60
    epochs: int = 4
    finetune: float = 0.35
    learning_rate: float = 3e-4
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    batch_size: int = 32
    freeze_norm: bool = True
    balance: float = 0.5
    min_crop: float = 0.4
    jitter: float = 0.3
    erase: float = 0.0
    keep: str = "last"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.keep not in ("last", "best"):
            raise ArgumentError(f"keep: must be 'last' or 'best', got {self.keep!r}")
        for name in ("finetune", "balance", "jitter", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name}: must be in [0, 1], got {getattr(self, name)}")
        for name in ("learning_rate", "head_learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ArgumentError(f"{name}: must not be negative, got {getattr(self, name)}")
        if not 0 < self.min_crop <= 1:
            raise ArgumentError(f"min_crop: must be in (0, 1], got {self.min_crop}")
        for name, least in (("batch_size", 1), ("head_epochs", 0), ("epochs", 0)):
            if getattr(self, name) < least:
                raise ArgumentError(f"{name}: must be at least {least}, got {getattr(self, name)}")

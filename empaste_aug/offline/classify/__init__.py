"""The multi-label classifier (paper, 3.1): backbones, training, checkpoint."""

from __future__ import annotations

from empaste_aug.offline.classify.metrics import average_precisions, mean_average_precision
from empaste_aug.offline.classify.model import Classifier
from empaste_aug.offline.classify.recipe import Recipe
from empaste_aug.offline.classify.train import train_classifier

__all__ = [
    "Classifier",
    "Recipe",
    "average_precisions",
    "mean_average_precision",
    "train_classifier",
]

"""A shrunken Mask R-CNN that learns something from random weights in a minute on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tiny_mask_rcnn(num_classes: int) -> Any:
    """The yacs config of mask_rcnn_tiny.yaml, which says what it is for.

    The node `cfg.EMPASTE` is there, without a bank; data sets are the caller's.

    Args:
        num_classes: how many classes the data set has.
    """
    from detectron2.config import get_cfg

    from empaste_aug.adapters.detectron2 import add_empaste_config

    cfg = get_cfg()
    add_empaste_config(cfg)
    cfg.merge_from_file(str(Path(__file__).with_name("mask_rcnn_tiny.yaml")))
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = num_classes
    return cfg

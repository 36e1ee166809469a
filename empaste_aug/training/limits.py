"""The least values of a config's numbers."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from omegaconf import DictConfig, OmegaConf

from empaste_aug.types import ArgumentError

_EVALUATED = {"DATALOADER.NUM_WORKERS": 0, "dataloader.test.num_workers": 0}
_TRAINED = {
    "SOLVER.MAX_ITER": 1,
    "SOLVER.IMS_PER_BATCH": 1,
    "SOLVER.CHECKPOINT_PERIOD": 1,
    "SOLVER.BASE_LR": 0,
    "train.max_iter": 1,
    "train.checkpointer.period": 1,
    "dataloader.train.total_batch_size": 1,
    "dataloader.train.num_workers": 0,
    "optimizer.lr": 0,
}
"""Keys, of either kind of config, and the least number that they can have."""


def check_numbers(cfg: CfgNode | DictConfig, *, eval_only: bool) -> None:
    """Refuse numbers that a loader, a schedule or a hook would fail on.

    Raises:
        ArgumentError: one is too small, or is no number; an evaluation looks at its own alone.
    """
    limits = _EVALUATED if eval_only else {**_EVALUATED, **_TRAINED}
    for key, least in limits.items():
        select = OmegaConf.select if isinstance(cfg, DictConfig) else _yacs_value
        value = select(cfg, key)
        wrong_type = isinstance(value, bool) or not isinstance(value, (int, float))
        if value is not None and (wrong_type or not value >= least):
            raise ArgumentError(f"{key}: must be a number of at least {least}, is {value!r}")


def _yacs_value(cfg: CfgNode, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(cfg, CfgNode) or part not in cfg:
            return None
        cfg = cfg[part]
    return cfg

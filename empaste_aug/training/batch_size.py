"""Linear scaling: a recipe written for one batch size, run with another (Goyal et al., 2017)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from detectron2.config import CfgNode

from empaste_aug.types import ArgumentError

__all__ = ["scale_to_batch_size"]


def scale_to_batch_size(cfg: Any, batch_size: int) -> Any:
    """The config for another total batch size, with as many images seen and as good a rate.

    With a batch smaller by a factor, the learning rate is smaller by it, and the number of
    iterations, the steps of the schedule, the warm-up and the periods of checkpoints and of
    evaluation are larger by it. The rule is one for SGD. It is the number of images in an
    iteration over all GPUs that counts, so a recipe for 8 GPUs may be run on one.

    detectron2 does the same for yacs configs and a changed number of GPUs, if
    SOLVER.REFERENCE_WORLD_SIZE is set.

    Args:
        cfg: a yacs config, or a LazyConfig with the keys of detectron2's
            lazyconfig_train_net.py. It is not changed.
        batch_size: images in an iteration over all GPUs.

    Returns:
        A config of the same kind.

    Raises:
        ArgumentError: `batch_size` is not positive.

    Example:
        >>> from detectron2.config import get_cfg
        >>> cfg = get_cfg()
        >>> cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER = 128, 0.1, 5000
        >>> small = scale_to_batch_size(cfg, 16)
        >>> small.SOLVER.IMS_PER_BATCH, small.SOLVER.BASE_LR, small.SOLVER.MAX_ITER
        (16, 0.0125, 40000)
    """
    if batch_size < 1:
        raise ArgumentError(f"batch_size: {batch_size} is not positive")
    if isinstance(cfg, CfgNode):
        return _scaled_yacs(cfg, batch_size)
    return _scaled_lazy(cfg, batch_size)


def _scaled_yacs(cfg: CfgNode, batch_size: int) -> CfgNode:
    cfg = cfg.clone()
    frozen = cfg.is_frozen()
    cfg.defrost()
    solver = cfg.SOLVER
    factor = batch_size / solver.IMS_PER_BATCH
    solver.IMS_PER_BATCH = batch_size
    solver.BASE_LR *= factor
    solver.BASE_LR_END *= factor
    for node, key in (
        (solver, "MAX_ITER"),
        (solver, "WARMUP_ITERS"),
        (solver, "CHECKPOINT_PERIOD"),
        (cfg.TEST, "EVAL_PERIOD"),
    ):
        node[key] = _scaled(node[key], factor)
    solver.STEPS = tuple(_scaled(step, factor) for step in solver.STEPS)
    if frozen:
        cfg.freeze()
    return cfg


def _scaled_lazy(cfg: Any, batch_size: int) -> Any:
    cfg = deepcopy(cfg)
    factor = batch_size / cfg.dataloader.train.total_batch_size
    cfg.dataloader.train.total_batch_size = batch_size
    cfg.optimizer.lr *= factor
    cfg.train.max_iter = _scaled(cfg.train.max_iter, factor)
    cfg.train.eval_period = _scaled(cfg.train.eval_period, factor)
    cfg.train.checkpointer.period = _scaled(cfg.train.checkpointer.period, factor)
    scheduler = cfg.lr_multiplier.get("scheduler", cfg.lr_multiplier)
    if scheduler.get("num_updates") is not None:  # else all of it is relative to max_iter
        scheduler.num_updates = _scaled(scheduler.num_updates, factor)
        scheduler.milestones = [_scaled(step, factor) for step in scheduler.milestones]
    return cfg


def _scaled(iterations: int, factor: float) -> int:
    """So many iterations at the new batch size; 0, which switches periods off, stays."""
    return max(round(iterations / factor), 1) if iterations > 0 else iterations

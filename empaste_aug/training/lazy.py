"""Training and evaluation of a LazyConfig, as detectron2's lazyconfig_train_net.py does them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import instantiate
from detectron2.engine import (
    AMPTrainer,
    SimpleTrainer,
    create_ddp_model,
    default_writers,
    hooks,
)
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.utils import comm
from detectron2.utils.registry import locate
from omegaconf import DictConfig, OmegaConf

from empaste_aug.adapters.detectron2 import EMPasteMapper
from empaste_aug.training.evaluator import InstanceEvaluator
from empaste_aug.training.hooks import PERIOD, PasteStatistics
from empaste_aug.training.quiet import silent
from empaste_aug.training.statistics import CountingLoader
from empaste_aug.training.trainer import continue_stream, with_our_hooks
from empaste_aug.training.weights import checkpoint_errors
from empaste_aug.types import ArgumentError, BankError, PoolError

WEIGHTS = "train.init_checkpoint"
"""The key of what a LazyConfig's model starts from."""


def lazy_training(cfg: DictConfig, *, resume: bool) -> Callable[[], dict[str, Any]]:
    """Build what a LazyConfig describes; what trains it, and returns the last evaluation's results.

    The config has detectron2's keys: model, optimizer, lr_multiplier, train and dataloader, whose
    `train` is best a `build_empaste_train_loader` with an EMPasteMapper, and whose `evaluator` is
    COCOEvaluator, in whose place InstanceEvaluator comes. With ``train.seed`` or
    ``dataloader.train.seed`` steps are seeded, as in `EMPasteTrainer`.
    """
    model = instantiate(cfg.model).to(cfg.train.device)
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    loader = _train_loader(cfg)
    model = create_ddp_model(model, **cfg.train.ddp)
    kind = AMPTrainer if cfg.train.amp.enabled else SimpleTrainer
    trainer = kind(model, loader, optimizer)
    checkpointer = DetectionCheckpointer(model, cfg.train.output_dir, trainer=trainer)
    results: dict[str, Any] = {}

    def evaluate() -> dict[str, Any]:
        results.clear()
        results.update(evaluate_model(cfg, model))
        return dict(results)

    is_main = comm.is_main_process()
    period = OmegaConf.select(cfg, "train.log_period", default=PERIOD)
    checkpoints = dict(cfg.train.checkpointer)
    writers = default_writers(cfg.train.output_dir, cfg.train.max_iter) if is_main else []
    built = [
        hooks.IterationTimer(),
        hooks.LRScheduler(scheduler=instantiate(cfg.lr_multiplier)),
        hooks.PeriodicCheckpointer(checkpointer, **checkpoints) if is_main else None,
        hooks.EvalHook(cfg.train.eval_period, evaluate),
        hooks.PeriodicWriter(writers, period=period) if is_main else None,
    ]
    statistics = PasteStatistics(
        loader,
        dataset_names=dataset_names(cfg, "train"),
        image_format=OmegaConf.select(cfg, "dataloader.train.mapper.image_format", default="BGR"),
        checkpoint_period=checkpoints["period"],
        period=period,
    )
    trainer.register_hooks(with_our_hooks(built, statistics, seed_of(cfg)))
    weights = cfg.train.init_checkpoint
    with checkpoint_errors(checkpointer, WEIGHTS, weights, resume=resume):
        checkpointer.resume_or_load(weights, resume=resume)
    start = trainer.iter + 1 if resume and checkpointer.has_checkpoint() else 0
    continue_stream(loader, start)

    def train() -> dict[str, Any]:
        trainer.train(start, cfg.train.max_iter)
        return results

    return train


def evaluate_lazy(cfg: DictConfig, *, resume: bool) -> dict[str, Any]:
    """Evaluate train.init_checkpoint, or with `resume` the last checkpoint of train.output_dir."""
    model = instantiate(cfg.model).to(cfg.train.device)
    model = create_ddp_model(model)
    checkpointer = DetectionCheckpointer(model, cfg.train.output_dir)
    weights = cfg.train.init_checkpoint
    with checkpoint_errors(checkpointer, WEIGHTS, weights, resume=resume):
        checkpointer.resume_or_load(weights, resume=resume)
    return evaluate_model(cfg, model)


def evaluate_model(cfg: DictConfig, model: Any) -> dict[str, Any]:
    """The results of a model on dataloader.test; empty where the config has no evaluator."""
    if OmegaConf.select(cfg, "dataloader.evaluator") is None:
        return {}
    if target_of(cfg.dataloader.evaluator) is COCOEvaluator:
        options = dict(cfg.dataloader.evaluator)
        del options["_target_"]
        folder = Path(cfg.train.output_dir) / "inference" / str(options["dataset_name"])
        options["output_dir"] = options.get("output_dir") or str(folder)
        options["tasks"] = options.get("tasks") or tasks_of(cfg)
        evaluator: Any = InstanceEvaluator(**options)
    else:
        evaluator = instantiate(cfg.dataloader.evaluator)
    results: dict[str, Any] = inference_on_dataset(
        model, instantiate(cfg.dataloader.test), evaluator
    )
    return results


def dataset_names(cfg: DictConfig, part: str) -> tuple[str, ...]:
    """The data sets of dataloader.train or dataloader.test, as far as the config names them."""
    names = OmegaConf.select(cfg, f"dataloader.{part}.dataset.names", default=())
    return (names,) if isinstance(names, str) else tuple(names)


def target_of(node: DictConfig) -> Any:
    """What a LazyConfig's node calls, whether it names it or holds it."""
    target = node["_target_"]
    return locate(target) if isinstance(target, str) else target


def build_train_mapper(cfg: DictConfig) -> Any:
    """The mapper of dataloader.train, whose bank and pool are opened.

    Raises:
        ArgumentError: the config has none, or an argument of it is wrong.
        BankError, PoolError: its bank or pool is missing or damaged.
    """
    where = "dataloader.train.mapper"
    mapper = OmegaConf.select(cfg, where)
    if mapper is None:
        raise ArgumentError(f"{where}: the config has none")
    try:
        with silent("detectron2.config.instantiate"):  # which logs what the error says too
            return instantiate(mapper)
    except BankError as error:
        raise BankError(f"{where}.paste.bank: {error}") from error
    except PoolError as error:
        raise PoolError(f"{where}.backgrounds.pool: {error}") from error
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {error}") from error


def tasks_of(cfg: DictConfig) -> tuple[str, ...] | None:
    """What the model predicts, by the heads of model.roi_heads; None: it has no such heads."""
    heads = OmegaConf.select(cfg, "model.roi_heads")
    if not isinstance(heads, DictConfig):
        return None
    further = {"mask_head": "segm", "keypoint_head": "keypoints"}
    return ("bbox", *(task for head, task in further.items() if heads.get(head) is not None))


def _train_loader(cfg: DictConfig) -> CountingLoader:
    """The loader of the config, counted, whose mapper keeps its records."""
    mapper = build_train_mapper(cfg)
    pastes = isinstance(mapper, EMPasteMapper)
    if pastes:
        mapper.keep_record = True
    recipe = cfg.dataloader.train
    parts = {key: recipe[key] for key in recipe if key not in ("_target_", "mapper")}
    loader = instantiate({**parts, "_target_": recipe["_target_"], "mapper": mapper})
    return CountingLoader(loader, (lambda: mapper.paste) if pastes else None)


def seed_of(cfg: DictConfig) -> int | None:
    """The seed of the samples and steps, wherever the config has it."""
    for key in ("train.seed", "dataloader.train.seed"):
        seed = OmegaConf.select(cfg, key)
        if seed is not None:
            return int(seed)
    return None

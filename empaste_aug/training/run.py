"""A training run from the command line: processes, set-up, training, evaluation."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import default_setup, launch
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from empaste_aug.bank.files import why_not_writable
from empaste_aug.training.configuration import (
    Config,
    find_config,
    load_config,
    output_dir,
    prepare,
    seed_of,
)
from empaste_aug.training.lazy import evaluate_lazy, lazy_training
from empaste_aug.training.quiet import ignore_library_warnings
from empaste_aug.training.trainer import EMPasteTrainer
from empaste_aug.types import ArgumentError, EMPasteError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What a command line says; see tools/train_net.py.

    Attributes:
        config_file: yacs (.yaml) or LazyConfig (.py).
        opts: changes to the config.
        register: data sets, as `register_all` takes them.
        batch_size: scale the config's recipe to this total batch; None: as it is.
        resume: go on from the last checkpoint in the output folder, if there is one.
        eval_only: evaluate only.
        num_gpus: processes on this machine.
        num_machines, machine_rank: of how many machines this is which.
        dist_url: where they meet; "auto": a free port, for one machine.
    """

    config_file: str
    opts: Sequence[str] = ()
    register: Sequence[str] = ()
    batch_size: int | None = None
    resume: bool = False
    eval_only: bool = False
    num_gpus: int = 1
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = "auto"


def run(options: RunOptions) -> None:
    """Train and evaluate, or evaluate only, in as many processes as the options say.

    What can be checked is checked in this process first. In a single process errors are raised;
    where there are several, the one that fails says in one line what failed.

    Raises:
        ArgumentError, BankError, DatasetError, PoolError: the config, its data sets or its bank
            cannot be used.
        SystemExit: a process of several ended with this status.
    """
    _check_processes(options)
    cfg = _config_of(options)
    world_size = options.num_gpus * options.num_machines
    if world_size == 1:
        run_here(cfg, options)
        return
    from torch.multiprocessing.spawn import ProcessExitedException

    try:
        launch(
            _run_in_process,
            options.num_gpus,
            num_machines=options.num_machines,
            machine_rank=options.machine_rank,
            dist_url=options.dist_url,
            args=(options,),
        )
    except ProcessExitedException as error:
        raise SystemExit(error.exit_code) from None


def run_here(cfg: Config, options: RunOptions) -> dict[str, Any]:
    """Train or evaluate in this process, whose data sets are registered; the last results."""
    _check_output(cfg)
    saved = output_dir(cfg) / "config.yaml"
    previous = saved.read_bytes() if saved.is_file() else None
    try:
        _set_up(cfg, options)
        if options.eval_only:
            if previous is not None:
                _restore(saved, previous)
            evaluate = EMPasteTrainer.evaluate if isinstance(cfg, CfgNode) else evaluate_lazy
            return evaluate(cfg, resume=options.resume)
        build = _training if isinstance(cfg, CfgNode) else lazy_training
        train = build(cfg, resume=options.resume)
    except BaseException:
        _restore(saved, previous)
        raise
    results = train()
    logger.info(
        f"{output_dir(cfg)}: model_final.pth, config.yaml, metrics.json and the events of the run"
    )
    return results


def _training(cfg: CfgNode, *, resume: bool) -> Callable[[], dict[str, Any]]:
    """Build what a yacs config describes; what trains it, as `lazy_training`."""
    trainer = EMPasteTrainer(cfg)
    trainer.resume_or_load(resume=resume)

    def train() -> dict[str, Any]:
        trainer.train()
        return dict(getattr(trainer, "_last_eval_results", None) or {})

    return train


def _restore(saved: Path, previous: bytes | None) -> None:
    """Put a config back, which is that of a training that took place; None: there was none."""
    if not comm.is_main_process():
        return
    if previous is None:
        saved.unlink(missing_ok=True)
    else:
        saved.write_bytes(previous)


def _set_up(cfg: Config, options: RunOptions) -> None:
    """detectron2's default_setup."""
    output = output_dir(cfg)
    saved = output / "config.yaml"
    seed_before = _seed_in(saved) if options.resume else None
    config_file = str(find_config(options.config_file))
    default_setup(cfg, Namespace(**asdict(replace(options, config_file=config_file))))
    setup_logger(str(output), distributed_rank=comm.get_rank(), name="empaste_aug")
    if not options.eval_only:
        _warn(cfg, options, seed_before)


def _check_output(cfg: Config) -> None:
    yacs = isinstance(cfg, CfgNode)
    key, given = (
        ("OUTPUT_DIR", cfg.OUTPUT_DIR) if yacs else ("train.output_dir", cfg.train.output_dir)
    )
    problem = why_not_writable(Path(given)) if given else "is empty; give a folder"
    if problem is not None:
        raise ArgumentError(f"{key}: {problem}")


def _config_of(options: RunOptions) -> Config:
    """The config, checked, its data sets registered in this process."""
    cfg = load_config(
        options.config_file, options.opts, options.register, batch_size=options.batch_size
    )
    prepare(cfg, eval_only=options.eval_only, resume=options.resume)
    return cfg


def _run_in_process(options: RunOptions) -> None:
    """One of several processes: its own config, and errors in one line."""
    ignore_library_warnings()
    try:
        run_here(_config_of(options), options)
    except (EMPasteError, OSError) as error:
        print(f"error: rank {comm.get_rank()}: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None


def _check_processes(options: RunOptions) -> None:
    if options.num_gpus < 1 or options.num_machines < 1:
        raise ArgumentError("num_gpus, num_machines: must be at least 1")
    if not 0 <= options.machine_rank < options.num_machines:
        raise ArgumentError(
            f"machine_rank: must be from 0 to {options.num_machines - 1}, "
            f"not {options.machine_rank}"
        )
    if options.num_machines > 1 and options.dist_url == "auto":
        raise ArgumentError("dist_url: must be given where there are several machines")
    found = torch.cuda.device_count()
    if options.num_gpus * options.num_machines > 1 and options.num_gpus > found:
        raise ArgumentError(f"num_gpus: is {options.num_gpus}, but torch finds {found} GPUs")


def _seed_in(saved: Path) -> int | None:
    """The seed of the run that has saved this config, where it can be read."""
    try:
        return seed_of(load_config(str(saved))) if saved.is_file() else None
    except ArgumentError:
        return None


def _warn(cfg: Config, options: RunOptions, seed_before: int | None) -> None:
    """Say what is odd about going on, or about not going on.

    Args:
        cfg: of this run.
        options: of this run.
        seed_before: of the run that this one goes on from; None: none is known.
    """
    output, seed = output_dir(cfg), seed_of(cfg)
    if options.resume and seed is None and isinstance(cfg, CfgNode):
        logger.warning(
            "SEED is negative: a resumed run shows other samples than the run it goes on from"
        )
    elif options.resume and seed_before not in (None, seed):
        logger.warning(
            f"the seed is {seed}, that of the run in {output} was {seed_before}: what follows "
            "differs from a run that was never stopped"
        )
    if not options.resume and (output / "last_checkpoint").is_file():
        logger.warning(f"{output} holds a run already: its checkpoints are replaced (no --resume)")

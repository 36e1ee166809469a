"""A training run from the command line: processes, set-up, training, evaluation."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import default_setup, launch
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from empaste_aug.training.configuration import Config, find_config, load_config, prepare
from empaste_aug.training.lazy import evaluate_lazy, train_lazy
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
    config_file = str(find_config(options.config_file))
    default_setup(cfg, Namespace(**asdict(replace(options, config_file=config_file))))
    output = cfg.OUTPUT_DIR if isinstance(cfg, CfgNode) else cfg.train.output_dir
    setup_logger(output, distributed_rank=comm.get_rank(), name="empaste_aug")
    _warn(cfg, options, Path(output))
    if isinstance(cfg, CfgNode):
        if options.eval_only:
            return EMPasteTrainer.evaluate(cfg, resume=options.resume)
        trainer = EMPasteTrainer(cfg)
        trainer.resume_or_load(resume=options.resume)
        trainer.train()
        return dict(getattr(trainer, "_last_eval_results", None) or {})
    if options.eval_only:
        return evaluate_lazy(cfg, resume=options.resume)
    return train_lazy(cfg, resume=options.resume)


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


def _warn(cfg: Config, options: RunOptions, output: Path) -> None:
    if options.eval_only:
        return
    if options.resume and isinstance(cfg, CfgNode) and cfg.SEED < 0:
        logger.warning(
            "SEED is negative: a resumed run shows other samples than the run it goes on from"
        )
    if not options.resume and (output / "last_checkpoint").is_file():
        logger.warning(f"{output} holds a run already: its checkpoints are replaced (no --resume)")

"""A training run's config, yacs or LazyConfig, read and checked before anything is built."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode, LazyConfig, get_cfg
from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from empaste_aug.adapters.detectron2 import EMPasteMapper, add_empaste_config
from empaste_aug.paste.select import some
from empaste_aug.training.batch_size import scale_to_batch_size
from empaste_aug.training.datasets import register_all
from empaste_aug.training.lazy import WEIGHTS, build_train_mapper, dataset_names, target_of
from empaste_aug.training.lazy import seed_of as lazy_seed
from empaste_aug.training.limits import check_numbers
from empaste_aug.training.overrides import check_overrides, check_pairs
from empaste_aug.training.quiet import silent
from empaste_aug.training.timm_backbone import add_timm_config
from empaste_aug.training.trainer import has_regions
from empaste_aug.training.weights import check_start
from empaste_aug.types import ArgumentError, DatasetError, EMPasteError

Config = Any
"""CfgNode (yacs) or DictConfig (LazyConfig)."""


def training_config() -> CfgNode:
    """detectron2's yacs defaults with this package's keys.

    They are those of `add_empaste_config` and `add_timm_config`, and DATASETS.REGISTER: the lines
    of data sets to register, as `register_all` takes them.
    """
    cfg = get_cfg()
    add_empaste_config(cfg)
    add_timm_config(cfg)
    cfg.DATASETS.REGISTER = ()
    return cfg


def load_config(
    path: str,
    opts: Sequence[str] = (),
    register: Iterable[str] = (),
    *,
    batch_size: int | None = None,
) -> Config:
    """Read a config and change it as a command line says.

    Args:
        path: yacs (.yaml), LazyConfig (.py), or the config.yaml that a run of either has written;
            a file, or the name of one in detectron2's model zoo.
        opts: "KEY", "VALUE", ... for yacs; "key=value", ... for LazyConfig.
        register: lines for `register_all`, added to those of the config: DATASETS.REGISTER (yacs)
            or dataloader.register (LazyConfig). The config that is saved with the run holds them.
        batch_size: scale the file's recipe to it (`scale_to_batch_size`), before `opts`; None: as
            it is.

    Raises:
        ArgumentError: there is no such file, it or `opts` cannot be read as a config, or
            `batch_size` is not positive.
    """
    file = find_config(path)
    opts, lines = list(opts), list(register)
    text = file.read_text(encoding="utf-8")
    if not text.strip():
        raise ArgumentError(f"{path}: is empty")
    if file.suffix == ".py" or "_target_:" in text:
        lazy = _reworded(path, lambda: LazyConfig.load(str(file)))
        lazy = lazy if batch_size is None else scale_to_batch_size(lazy, batch_size)
        check_overrides(lazy, opts, path)
        lazy = _reworded("opts", lambda: LazyConfig.apply_overrides(lazy, opts))
        for key in ("model", "optimizer", "lr_multiplier", "train", "dataloader"):
            if key not in lazy:
                raise ArgumentError(f"{path}: has no {key!r}, which a LazyConfig for training has")
        if lines:
            OmegaConf.update(lazy, "dataloader.register", _registered(lazy) + lines, merge=False)
        return lazy
    cfg = training_config()
    _reworded(path, lambda: cfg.merge_from_file(str(file)))
    cfg = cfg if batch_size is None else scale_to_batch_size(cfg, batch_size)
    check_pairs(opts, path)
    _reworded("opts", lambda: cfg.merge_from_list(opts))
    cfg.DATASETS.REGISTER = (*cfg.DATASETS.REGISTER, *lines)
    cfg.freeze()
    return cfg


def prepare(cfg: Config, *, eval_only: bool, resume: bool) -> None:
    """Register the config's data sets, and find what would fail later.

    Raises:
        ArgumentError: a data set is not registered, classes do not fit the model or the data sets
            each other, masks are in a format that cannot be read, a number is out of range, a GPU
            is asked for and there is none, there are no weights where the config says, or none for
            an evaluation, or a value of EMPASTE is wrong.
        BankError, DatasetError, PoolError: a data set that the config registers, the bank or the
            pool is missing or bad. An evaluation looks at what it evaluates on alone.
    """
    lazy = isinstance(cfg, DictConfig)
    train = dataset_names(cfg, "train") if lazy else tuple(cfg.DATASETS.TRAIN)
    test = dataset_names(cfg, "test") if lazy else tuple(cfg.DATASETS.TEST)
    register_all(_registered(cfg), only=test if eval_only and test else None)
    key = "dataloader.{}.dataset.names" if lazy else "DATASETS.{}"
    parts = [("test", test)] if eval_only else [("train", train), ("test", test)]
    for part, names in parts:
        where = key.format(part if lazy else part.upper())
        if not names and not lazy and (part == "train" or eval_only):
            raise ArgumentError(f"{where}: names no data set")
        for name in names:
            if name not in DatasetCatalog:
                raise ArgumentError(
                    f"{where}: no data set {name!r} is registered; "
                    f"--register {name}=KIND:FOLDER registers one"
                )
    _check_classes([name for _, names in parts for name in names], _num_classes(cfg))
    if not eval_only:
        _check_mask_format(cfg, train)
        if lazy:
            _reworded("dataloader.train.mapper", lambda: build_train_mapper(cfg))
        else:
            _build_yacs_mapper(cfg)
    check_numbers(cfg, eval_only=eval_only)
    _check_device(cfg)
    key, weights = (
        (WEIGHTS, cfg.train.init_checkpoint) if lazy else ("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)
    )
    check_start(key, str(weights or ""), output_dir(cfg), eval_only=eval_only, resume=resume)


def output_dir(cfg: Config) -> Path:
    """Where a run writes."""
    return Path(cfg.OUTPUT_DIR if isinstance(cfg, CfgNode) else cfg.train.output_dir)


def seed_of(cfg: Config) -> int | None:
    """The seed of a run's samples and steps; None: they differ in each run."""
    seed = cfg.SEED if isinstance(cfg, CfgNode) else lazy_seed(cfg)
    return None if seed is None or seed < 0 else int(seed)


def find_config(path: str) -> Path:
    """The file of a config: itself, or that of this name in detectron2's model zoo.

    Raises:
        ArgumentError: there is neither.
    """
    if Path(path).is_file():
        return Path(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources")
        from detectron2 import model_zoo
    try:
        return Path(model_zoo.get_config_file(path))
    except RuntimeError:
        raise ArgumentError(
            f"--config-file: {path}: no such file, nor one of detectron2's model zoo"
        ) from None


def _reworded(what: str, read: Callable[[], Any]) -> Any:
    """What `read` returns; the errors of config libraries as ours."""
    try:
        return read()
    except EMPasteError:
        raise
    except (KeyError, ValueError, TypeError, AssertionError, SyntaxError, AttributeError) as error:
        message = str(error.args[0]) if error.args else type(error).__name__
    except ImportError as error:
        message = str(error)
    except (OmegaConfBaseException, HydraException, yaml.YAMLError) as error:
        message = str(error)
    raise ArgumentError(f"{what}: {' '.join(message.split())}")


def _build_yacs_mapper(cfg: CfgNode) -> None:
    try:
        with silent("detectron2.data.dataset_mapper"):  # the training says its augmentations
            EMPasteMapper(cfg, is_train=True)
    except ArgumentError as error:
        named = str(error).startswith(("EMPASTE", "INPUT", "cfg."))
        raise error if named else ArgumentError(f"EMPASTE: {error}") from error


def _registered(cfg: Config) -> list[str]:
    if isinstance(cfg, DictConfig):
        return list(OmegaConf.select(cfg, "dataloader.register", default=None) or ())
    return list(cfg.DATASETS.REGISTER)


def _num_classes(cfg: Config) -> int | None:
    """How many classes the model tells apart, where the config says so in the usual place."""
    if isinstance(cfg, DictConfig):
        number = OmegaConf.select(cfg, "model.roi_heads.num_classes")
        return None if number is None else int(number)
    return int(cfg.MODEL.ROI_HEADS.NUM_CLASSES) if has_regions(cfg) else None


def _check_classes(names: Sequence[str], num_classes: int | None) -> None:
    known = [(name, MetadataCatalog.get(name).get("thing_classes")) for name in names]
    known = [(name, list(classes)) for name, classes in known if classes]
    for name, classes in known:
        if num_classes is not None and len(classes) != num_classes:
            raise ArgumentError(
                f"MODEL.ROI_HEADS.NUM_CLASSES (model.roi_heads.num_classes): is {num_classes}, but "
                f"data set {name!r} has {len(classes)} classes"
            )
        if classes != known[0][1]:
            raise DatasetError(
                f"data sets {known[0][0]!r} and {name!r}: thing_classes differ: "
                f"{some(known[0][1])} and {some(classes)}"
            )


def _check_mask_format(cfg: Config, names: Sequence[str]) -> None:
    """DatasetMapper takes no RLE where masks are polygons."""
    if isinstance(cfg, DictConfig):
        where, instead = "dataloader.train.mapper.instance_mask_format", "'bitmask'"
        polygons = _maps_polygons(cfg)
    else:
        where = "INPUT.MASK_FORMAT"
        instead = "'cropped' ('bitmask' takes the padding of FixedSizeCrop for a part of masks)"
        polygons = not cfg.EMPASTE.ENABLED and cfg.MODEL.MASK_ON
        polygons = polygons and cfg.INPUT.MASK_FORMAT == "polygon"
    if not polygons:
        return
    for name in names:
        if MetadataCatalog.get(name).get("registered_as"):
            raise ArgumentError(
                f"{where}: is 'polygon', but the masks of {name!r} are RLE: set it to {instead}"
            )


def _maps_polygons(cfg: DictConfig) -> bool:
    """Whether a LazyConfig's mapper is detectron2's own, and gives polygons."""
    mapper = OmegaConf.select(cfg, "dataloader.train.mapper")
    if mapper is None or target_of(mapper) is not DatasetMapper:
        return False
    form = mapper.get("instance_mask_format", "polygon")
    return bool(mapper.get("use_instance_mask", False)) and form == "polygon"


def _check_device(cfg: Config) -> None:
    lazy = isinstance(cfg, DictConfig)
    device, amp = (
        (OmegaConf.select(cfg, "train.device"), OmegaConf.select(cfg, "train.amp.enabled"))
        if lazy
        else (cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED)
    )
    name = "train.device" if lazy else "MODEL.DEVICE"
    try:
        torch.device(str(device))
    except RuntimeError:
        raise ArgumentError(f"{name}: {device!r} is no device that torch knows") from None
    if torch.cuda.is_available():
        return
    if str(device).startswith("cuda"):
        name = "train.device=cpu" if lazy else "MODEL.DEVICE cpu"
        raise ArgumentError(f"device: is {device!r}, but torch finds no GPU; give {name}")
    if amp:
        name = "train.amp.enabled" if lazy else "SOLVER.AMP.ENABLED"
        raise ArgumentError(f"{name}: detectron2's mixed precision needs a GPU")

"""A detectron2 model from a yacs or lazy config and a weight file, ready to be asked for masks."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from empaste_aug.types import ArgumentError, DatasetError


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a config file says, once overrides are merged into it.

    Attributes:
        node: the yacs node or the lazy config.
        lazy: which of the two.
        weights: the weight file or address that belongs to it, perhaps empty.
        input_format: "RGB" or "BGR".
        short_side, max_side: what photos are resized to; a `short_side` of 0 does not resize.
    """

    node: Any
    lazy: bool
    weights: str
    input_format: str
    short_side: int
    max_side: int

    def fingerprint(self) -> str:
        """SHA-256 of all that makes up the model, not of where it runs or where its files lie."""
        if self.lazy:
            from omegaconf import OmegaConf

            content = OmegaConf.to_container(self.node.model, resolve=True)
            text = json.dumps(content, sort_keys=True, default=_described)
        else:
            node = self.node.clone()
            node.defrost()
            node.MODEL.DEVICE = node.MODEL.WEIGHTS = node.OUTPUT_DIR = ""
            text = node.dump()
        inputs = (self.input_format, self.short_side, self.max_side)
        return hashlib.sha256(f"{text}\n{inputs}".encode()).hexdigest()


def _described(value: Any) -> str:
    """A class or function by its name, anything else by its repr without addresses."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def load_config(
    config_file: str, *, opts: Sequence[Any] = (), imports: Sequence[str] = ()
) -> ModelConfig:
    """Read a config file; see `Detectron2Masks` for the arguments.

    Raises:
        ArgumentError: the file does not exist or cannot be read, an override does not fit, or a
            module or function of `imports` cannot be had.
    """
    from detectron2 import model_zoo

    hooks = [find_object(text, "imports") for text in imports]
    path, weights = config_file, ""
    if not Path(path).is_file():
        try:
            path = model_zoo.get_config_file(config_file)
        except RuntimeError as error:
            raise ArgumentError(
                f"config_file: {config_file} is neither a file nor a config of detectron2's zoo"
            ) from error
        try:
            weights = model_zoo.get_checkpoint_url(config_file)
        except RuntimeError:  # a config without trained weights
            weights = ""
    reader = _lazy_config if Path(path).suffix == ".py" else _yacs_config
    try:
        return reader(path, opts, [hook for hook in hooks if callable(hook)], weights)
    except ArgumentError:
        raise
    except Exception as error:  # yacs, YAML, hydra and the config's own code each have theirs
        raise ArgumentError(f"config_file: {path}: cannot be read: {error!r}") from error


def _yacs_config(path: str, opts: Sequence[Any], hooks: Sequence[Any], weights: str) -> ModelConfig:
    from detectron2.config import get_cfg

    node = get_cfg()
    for hook in hooks:
        hook(node)
    node.merge_from_file(path)
    try:
        node.merge_from_list(list(opts))
    except Exception as error:  # yacs asserts, and raises KeyError and ValueError
        raise ArgumentError(f"opts: {list(opts)} does not fit {path}: {error!r}") from error
    return ModelConfig(
        node=node,
        lazy=False,
        weights=weights or node.MODEL.WEIGHTS,
        input_format=node.INPUT.FORMAT,
        short_side=int(node.INPUT.MIN_SIZE_TEST),
        max_side=int(node.INPUT.MAX_SIZE_TEST),
    )


def _lazy_config(path: str, opts: Sequence[Any], hooks: Sequence[Any], weights: str) -> ModelConfig:
    from detectron2.config import LazyConfig
    from omegaconf import OmegaConf

    if hooks:
        raise ArgumentError(f"imports: {path} is a lazy config, which takes no functions")
    node = LazyConfig.load(path)
    if "model" not in node:
        raise ArgumentError(f"config_file: {path}: defines no 'model'")
    try:
        node = LazyConfig.apply_overrides(node, [str(option) for option in opts])
    except Exception as error:  # hydra's and omegaconf's
        raise ArgumentError(f"opts: {list(opts)} does not fit {path}: {error!r}") from error
    mapper = OmegaConf.select(node, "dataloader.test.mapper")
    resize: Any = {}
    for augmentation in (mapper.get("augmentations") or []) if mapper is not None else []:
        if "short_edge_length" in augmentation:
            resize = augmentation
    short = resize.get("short_edge_length", 800)
    return ModelConfig(
        node=node,
        lazy=True,
        weights=weights or OmegaConf.select(node, "train.init_checkpoint", default=""),
        input_format=(mapper or {}).get("image_format") or node.model.get("input_format") or "BGR",
        short_side=int(short if isinstance(short, int) else short[0]),
        max_side=int(resize.get("max_size", 1333)),
    )


def find_object(text: str, argument: str) -> Any:
    """The object of "module:name", or the module itself where no name is given.

    Raises:
        ArgumentError: there is no such module, or nothing of that name in it.
    """
    module, _, name = text.partition(":")
    try:
        found = import_module(module)
        return getattr(found, name) if name else found
    except (ImportError, AttributeError) as error:
        raise ArgumentError(f"{argument}: {text!r} cannot be imported: {error}") from error


def build_model(config: ModelConfig, weights: str, device: str) -> Any:
    """The model in evaluation mode on a device, with every one of its weights from the file.

    Raises:
        ArgumentError: detectron2 cannot build a model of this config.
        DatasetError: the weight file is broken, or lacks weights of the model.
    """
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import instantiate
    from detectron2.modeling import build_model as build_yacs_model

    try:
        if config.lazy:
            model = instantiate(config.node.model).to(device)
        else:
            node = config.node.clone()
            node.defrost()
            node.MODEL.DEVICE = device
            model = build_yacs_model(node)
    except Exception as error:  # the model's own
        raise ArgumentError(f"config_file: its model cannot be built: {error!r}") from error

    class StrictCheckpointer(DetectionCheckpointer):  # type: ignore[misc]
        """Does not leave weights at random that the file lacks."""

        def _load_model(self, checkpoint: Any) -> Any:
            incompatible = super()._load_model(checkpoint)
            unfit = [*incompatible.missing_keys, *(k for k, *_ in incompatible.incorrect_shapes)]
            if unfit:
                raise DatasetError(
                    f"{weights}: lacks {len(unfit)} of the model's tensors, such as {unfit[0]}"
                )
            return incompatible

    try:
        StrictCheckpointer(model).load(weights)
    except DatasetError:
        raise
    except Exception as error:  # what torch raises depends on what the file holds
        raise DatasetError(f"{weights}: cannot be read as weights: {error!r}") from error
    return model.eval()

"""The keys of `cfg.EMPASTE`: the EMPaste, Backgrounds and augmentations that they describe."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import transforms as T  # noqa: N812

from empaste_aug.paste.compose import EMPaste
from empaste_aug.pool.mix import Backgrounds
from empaste_aug.types import ArgumentError, BankError, PoolError

logger = logging.getLogger(__name__)

_NOT_CONFIGURED = ("bank", "class_names")
_MIXED_TYPES = ("count", "selection", "blend", "max_scale", "category_map", "semantic_labels")
_MAPPINGS = ("selection", "blend", "category_map", "semantic_labels")
_NAMED = ("selection", "blend")

_BACKGROUND_KEYS = {
    "BACKGROUND_PROBABILITY": "probability",
    "BACKGROUND_FIT": "fit",
    "BACKGROUND_SEMANTIC_VALUE": "semantic_value",
}

_AUG_DEFAULTS = {
    "LSJ_SIZE": 0,
    "LSJ_SCALE": (0.1, 2.0),
    "BRIGHTNESS": (0.8, 1.2),
    "BRIGHTNESS_PROB": 0.0,
    "CONTRAST": (0.8, 1.2),
    "CONTRAST_PROB": 0.0,
}
_COLOURS = {"BRIGHTNESS": T.RandomBrightness, "CONTRAST": T.RandomContrast}


def _options() -> dict[str, Any]:
    """EMPaste's options and their defaults, from its signature, where they are written."""
    return {k: v for k, v in _defaults(EMPaste).items() if k not in _NOT_CONFIGURED}


def _defaults(kind: Callable[..., Any]) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(kind).parameters.items()}


def add_empaste_config(cfg: CfgNode) -> None:
    """Add the node `cfg.EMPASTE`, in place; what the node already holds stays.

    ENABLED (True) switches pasting for training, BANK is the folder of the bank, which has to be
    set. PASTE_AFTER (False) and KEEP_RECORD (False) are EMPasteMapper's
    `paste_after_augmentations` and `keep_record`; its third mask format is
    ``INPUT.MASK_FORMAT "cropped"``. The other keys are EMPaste's arguments in capitals, with its
    defaults: PLACEMENT, COUNT, SELECTION, SCALE, MAX_ANGLE, MAX_SCALE, BLEND, FLIP, MIN_VISIBLE,
    CATEGORY_MAP, EXCLUDE, SEMANTIC_LABELS. Class names come from the metadata of
    `cfg.DATASETS.TRAIN`.

    POOL is the folder of a pool of backgrounds, or of any images; "" (the default): photos stay.
    BACKGROUND_PROBABILITY (None stands for "paper"), BACKGROUND_FIT and BACKGROUND_SEMANTIC_VALUE
    are Backgrounds' `probability`, `fit` and `semantic_value`; the loader knows the number of
    photos.

    COUNT, SELECTION, BLEND, MAX_SCALE, CATEGORY_MAP and SEMANTIC_LABELS take values of several
    types, which yacs allows only where the default is None: there None stands for EMPaste's
    default. As yacs holds no mappings as values, weights, names and labels are given as pairs.
    Numbers keep their type: write ``MAX_ANGLE 10.0``, not 10.

        EMPASTE.COUNT "(1, 4)"  EMPASTE.BLEND "[('gaussian', 0.7), ('none', 0.3)]"
        EMPASTE.CATEGORY_MAP "[('tvmonitor', 'tv')]"  EMPASTE.EXCLUDE "('person',)"
        EMPASTE.SEMANTIC_LABELS "[('cat', 17), ('dog', 18)]"
        EMPASTE.POOL out/pool  EMPASTE.BACKGROUND_PROBABILITY 0.3

    EMPASTE.AUG holds the paper's augmentations that detectron2 has no keys for. They are made with
    ENABLED False as well, so that a run without pasting can have the same. By default there are
    none. LSJ_SIZE switches on large-scale jittering to so many pixels square, with scales from
    LSJ_SCALE, in place of INPUT.MIN_SIZE_TRAIN and its like; INPUT.RANDOM_FLIP stays.
    BRIGHTNESS_PROB and CONTRAST_PROB are the chances with which brightness and contrast are
    multiplied by a factor from BRIGHTNESS and CONTRAST, before the image is resized and padded.

        EMPASTE.AUG.LSJ_SIZE 1024  EMPASTE.AUG.LSJ_SCALE "(0.1, 2.0)"
        EMPASTE.AUG.BRIGHTNESS_PROB 0.5  EMPASTE.AUG.BRIGHTNESS "(0.8, 1.2)"
    """
    defaults: dict[str, Any] = {
        "ENABLED": True,
        "BANK": "",
        "PASTE_AFTER": False,
        "KEEP_RECORD": False,
        "POOL": "",
    }
    of_backgrounds = _defaults(Backgrounds)
    for key, name in _BACKGROUND_KEYS.items():
        defaults[key] = None if name == "probability" else of_backgrounds[name]
    for name, default in _options().items():
        defaults[name.upper()] = None if name in _MIXED_TYPES else default
    if "EMPASTE" not in cfg:
        cfg.EMPASTE = CfgNode()
    _fill(cfg.EMPASTE, defaults)
    if "AUG" not in cfg.EMPASTE:
        cfg.EMPASTE.AUG = CfgNode()
    _fill(cfg.EMPASTE.AUG, _AUG_DEFAULTS)


def _fill(node: CfgNode, defaults: Mapping[str, Any]) -> None:
    for key, default in defaults.items():
        if key not in node:
            node[key] = default


def paste_from_config(cfg: CfgNode) -> EMPaste | None:
    """The EMPaste of `cfg.EMPASTE`, or None where it is not enabled.

    Raises:
        ArgumentError: the node or its BANK is missing, or a value is not what EMPaste takes.
        BankError: the bank cannot be opened.
    """
    if "EMPASTE" not in cfg:
        raise ArgumentError("cfg.EMPASTE: there is no such node; call add_empaste_config(cfg)")
    node = cfg.EMPASTE
    if not node.ENABLED:
        logger.info("EMPASTE.ENABLED is False: nothing is pasted")
        return None
    if not node.BANK:
        raise ArgumentError(
            "EMPASTE.BANK: is not set; give the folder of a bank, or set EMPASTE.ENABLED False"
        )
    options = {name: node[name.upper()] for name in _options() if node[name.upper()] is not None}
    for name in _MAPPINGS:
        is_name = isinstance(options.get(name), str) and name in _NAMED
        if name in options and not is_name and not isinstance(options[name], Mapping):
            options[name] = _from_pairs(name, options[name])
    if isinstance(options.get("count"), list):
        options["count"] = tuple(options["count"])
    try:
        return EMPaste(node.BANK, **options)
    except BankError as error:
        raise BankError(f"EMPASTE.BANK: {error}") from error
    except ArgumentError as error:
        keys = {name: name.upper() for name in options}
        raise ArgumentError(_by_key(str(error), keys)) from error


def backgrounds_from_config(cfg: CfgNode) -> Backgrounds | None:
    """The Backgrounds of `cfg.EMPASTE`; None without POOL, or where it is not enabled.

    Call it after `paste_from_config`, which says where the node is missing.

    Raises:
        ArgumentError: a value is not what Backgrounds takes, or one is set without a POOL.
        PoolError: the pool cannot be opened.
    """
    node = cfg.EMPASTE
    if not node.ENABLED:
        return None
    if not node.POOL:
        defaults = {**_defaults(Backgrounds), "probability": None}
        for key, name in _BACKGROUND_KEYS.items():
            if node[key] != defaults[name]:
                raise ArgumentError(f"EMPASTE.{key}: is {node[key]!r}, but EMPASTE.POOL is not set")
        return None
    options = {name: node[key] for key, name in _BACKGROUND_KEYS.items() if node[key] is not None}
    try:
        return Backgrounds(node.POOL, **options)
    except PoolError as error:
        raise PoolError(f"EMPASTE.POOL: {error}") from error
    except ArgumentError as error:
        names = {name: key for key, name in _BACKGROUND_KEYS.items()}
        raise ArgumentError(_by_key(str(error), names)) from error


def _by_key(message: str, keys: Mapping[str, str]) -> str:
    """A message about an argument as one about its key."""
    name, colon, rest = message.partition(":")
    return f"EMPASTE.{keys[name]}{colon}{rest}" if name in keys else message


def augmentations_from_config(
    cfg: CfgNode, augmentations: Sequence[T.Augmentation]
) -> list[T.Augmentation]:
    """detectron2's training augmentations of `cfg`, changed as `cfg.EMPASTE.AUG` says.

    Args:
        cfg: has the node EMPASTE.
        augmentations: what DatasetMapper makes of the rest of the config.

    Raises:
        ArgumentError: a value is out of range, or INPUT.CROP is on beside large-scale jittering.
    """
    node = cfg.EMPASTE.AUG
    colours = []
    for key, kind in _COLOURS.items():
        low, high = _range(node, key)
        if probability := _probability(node, f"{key}_PROB"):
            colours.append(T.RandomApply(kind(low, high), prob=probability))
    low, high = _range(node, "LSJ_SCALE")
    size = node.LSJ_SIZE
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ArgumentError(f"EMPASTE.AUG.LSJ_SIZE: {size!r} is no number of pixels; 0 is none")
    if size == 0:
        return [*colours, *augmentations]
    if cfg.INPUT.CROP.ENABLED:
        raise ArgumentError(
            "EMPASTE.AUG.LSJ_SIZE: crops to a size of its own; set INPUT.CROP.ENABLED False"
        )
    rest = [a for a in augmentations if not isinstance(a, T.ResizeShortestEdge)]
    return [*colours, T.ResizeScale(low, high, size, size), T.FixedSizeCrop((size, size)), *rest]


def _range(node: CfgNode, key: str) -> tuple[float, float]:
    value = node[key]
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2
    if not is_pair or not all(map(_is_number, value)) or not 0 < value[0] <= value[1]:
        raise ArgumentError(f"EMPASTE.AUG.{key}: {value!r} is no pair of numbers 0 < low <= high")
    return float(value[0]), float(value[1])


def _probability(node: CfgNode, key: str) -> float:
    value = node[key]
    if not _is_number(value) or not 0 <= value <= 1:
        raise ArgumentError(f"EMPASTE.AUG.{key}: {value!r} is no number in [0, 1]")
    return float(value)


def _is_number(value: Any) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _from_pairs(name: str, value: Any) -> dict[str, Any]:
    is_list = isinstance(value, (list, tuple))
    if not is_list or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in value):
        raise ArgumentError(
            f"EMPASTE.{name.upper()}: {value!r} is not a list of (name, value) pairs"
        )
    return {str(key): item for key, item in value}

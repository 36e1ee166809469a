"""The keys of `cfg.EMPASTE`, and the EMPaste that they describe."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from detectron2.config import CfgNode

from empaste_aug.paste.compose import EMPaste
from empaste_aug.pool.mix import Backgrounds
from empaste_aug.types import ArgumentError

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
    """
    defaults = {"ENABLED": True, "BANK": "", "PASTE_AFTER": False, "KEEP_RECORD": False, "POOL": ""}
    of_backgrounds = _defaults(Backgrounds)
    for key, name in _BACKGROUND_KEYS.items():
        defaults[key] = None if name == "probability" else of_backgrounds[name]
    for name, default in _options().items():
        defaults[name.upper()] = None if name in _MIXED_TYPES else default
    if "EMPASTE" not in cfg:
        cfg.EMPASTE = CfgNode()
    for key, default in defaults.items():
        if key not in cfg.EMPASTE:
            cfg.EMPASTE[key] = default


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
    return EMPaste(node.BANK, **options)


def backgrounds_from_config(cfg: CfgNode) -> Backgrounds | None:
    """The Backgrounds of `cfg.EMPASTE`; None without POOL, or where it is not enabled.

    Call it after `paste_from_config`, which says where the node is missing.

    Raises:
        ArgumentError: a value is not what Backgrounds takes, or BACKGROUND_PROBABILITY is set
            without a POOL.
        PoolError: the pool cannot be opened.
    """
    node = cfg.EMPASTE
    if not node.ENABLED:
        return None
    if not node.POOL:
        if node.BACKGROUND_PROBABILITY is not None:
            raise ArgumentError(
                f"EMPASTE.BACKGROUND_PROBABILITY: is {node.BACKGROUND_PROBABILITY!r}, but "
                "EMPASTE.POOL is not set"
            )
        return None
    options = {name: node[key] for key, name in _BACKGROUND_KEYS.items() if node[key] is not None}
    return Backgrounds(node.POOL, **options)


def _from_pairs(name: str, value: Any) -> dict[str, Any]:
    is_list = isinstance(value, (list, tuple))
    if not is_list or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in value):
        raise ArgumentError(
            f"EMPASTE.{name.upper()}: {value!r} is not a list of (name, value) pairs"
        )
    return {str(key): item for key, item in value}

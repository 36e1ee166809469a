"""Changes to a config on a command line: what cannot be meant is refused before it is applied."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from empaste_aug.types import ArgumentError

_OPTIONAL = ("seed", "cudnn_benchmark", "float32_precision", "log_period")
"""Keys of `train` that are read where a LazyConfig has them."""

_ARGUMENTS = ("train.ddp", "train.checkpointer")
"""Nodes whose keys are the arguments of a call."""


def check_pairs(opts: Sequence[str], path: str) -> None:
    """Check the changes to a yacs config: KEY VALUE ...

    Raises:
        ArgumentError: they are of another form.
    """
    _refuse_options(opts)
    form = f"{path} is a yacs config, changed by KEY VALUE ... at the end"
    if wrong := [key for key in opts[::2] if "=" in key]:
        raise ArgumentError(f"opts: {wrong[0]!r}: {form}, without =")
    if len(opts) % 2:
        raise ArgumentError(f"opts: {opts[-1]!r} has no value: {form}")


def check_overrides(cfg: DictConfig, opts: Sequence[str], path: str) -> None:
    """Check the changes to a LazyConfig: key=value ...

    A key that the config has not is one that nothing reads, unless it is an argument of a call,
    which that judges itself. ``+key=value`` adds any key.

    Raises:
        ArgumentError: they are of another form, or a key is not there.
    """
    _refuse_options(opts)
    for text in opts:
        if "=" not in text:
            raise ArgumentError(
                f"opts: {text!r}: {path} is a LazyConfig, changed by key=value ... at the end"
            )
    try:
        overrides = OverridesParser.create().parse_overrides(list(opts))
    except HydraException as error:
        raise ArgumentError(f"opts: {' '.join(str(error).split())}") from error
    for override in overrides:
        if not override.is_add():
            _check_key(cfg, override.key_or_group)


def _check_key(cfg: DictConfig, key: str) -> None:
    parts = key.split(".")
    for depth, part in enumerate(parts):
        place = ".".join(parts[:depth])
        node = OmegaConf.select(cfg, place) if place else cfg
        if not isinstance(node, DictConfig):
            return  # OmegaConf says what is wrong about an index or about a part of a value
        if part in node:
            continue
        last = depth == len(parts) - 1
        if last and ("_target_" in node or place in _ARGUMENTS):
            return
        if key == "dataloader.register" or (last and place == "train" and part in _OPTIONAL):
            return
        raise ArgumentError(
            f"opts: {key}: {place or 'the config'} has no {part!r}{_similar(part, node)}"
        )


def _similar(part: str, known: Iterable[object]) -> str:
    names = [str(name) for name in known if name != "_target_"]
    found = difflib.get_close_matches(part, names, n=1)
    return f"; did you mean {found[0]!r}?" if found else f"; it has {', '.join(sorted(names))}"


def _refuse_options(opts: Sequence[str]) -> None:
    options = [text for text in opts if text.startswith("--")]
    if options:
        raise ArgumentError(f"opts: {options[0]}: options come before the changes to the config")

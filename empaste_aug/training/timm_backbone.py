"""timm's networks as detectron2 backbones: for yacs by name, for LazyConfig as a class.

Importing this module registers `build_timm_backbone` and `build_timm_fpn_backbone`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from empaste_aug.training._timm_network import (
    DEFAULT_NETWORK,
    HUB,
    PACKAGED,
    build_network,
    parts_up_to_stride,
    timm_pixel_statistics,
)
from empaste_aug.types import ArgumentError, MissingDependencyError

try:
    from detectron2.config import CfgNode
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
    from detectron2.modeling.backbone.fpn import LastLevelMaxPool
except ImportError as error:
    raise MissingDependencyError("detectron2", "detectron2", "the timm backbone") from error

__all__ = [
    "TimmBackbone",
    "add_timm_config",
    "build_timm_backbone",
    "build_timm_fpn_backbone",
    "set_timm_input",
    "timm_pixel_statistics",
]

_TOLERANCE = 0.01  # of pixel statistics, which people write with few digits


class TimmBackbone(Backbone):  # type: ignore[misc]
    """A timm network's feature maps, named as in detectron2's ResNet: "res2" has stride 4.

    The map of stride 2**k is called "res<k>", so that configs written for ResNet need no other
    names: "res1" (stride 2) to "res5" (stride 32). Networks whose maps share one stride, such as
    plain vision transformers, make no pyramid and are refused.

    The input is what timm's networks want: RGB, normalised with the network's own mean and standard
    deviation. detectron2's defaults are BGR with another scale: see `timm_pixel_statistics`.

    Args:
        name: a timm model ("resnet18", "timm/resnet18") that takes images of any size. Of
            "efficientnet_lite0" and "efficientnet_lite2" the weights are in packages.
        pretrained: "packaged" (ImageNet weights from an installed package), "hub" (timm downloads
            them), a weight file (.pth, .pt, .safetensors) in timm's layout or one that timm
            converts, or None for random weights. A detectron2 checkpoint that is loaded later
            replaces them.
        out_features: the maps to hand out.
        freeze_bn: keep every batch norm at its statistics, weight and bias, for good; as detectron2
            does with "FrozenBN". Random weights train badly with it.
        freeze_at: k: all layers up to the map of stride 2**k get no gradient and stay in evaluation
            mode, as in detectron2's ResNet, where 2 (its default) freezes the stem and res2. 0:
            nothing is frozen.
        options: further arguments of `timm.create_model`, such as drop_path_rate.

    Raises:
        ArgumentError: an unknown name, a map that the network does not have (or has twice), weights
            that do not fit, a negative freeze_at.
        MissingDependencyError: timm, or the package with the weights, is missing.

    Example:
        >>> import torch
        >>> backbone = TimmBackbone("resnet18", pretrained=None, freeze_bn=False, freeze_at=0)
        >>> maps = backbone(torch.zeros(1, 3, 64, 96))
        >>> {name: tuple(feature.shape[1:]) for name, feature in maps.items()}
        {'res2': (64, 16, 24), 'res3': (128, 8, 12), 'res4': (256, 4, 6), 'res5': (512, 2, 3)}

        In a LazyConfig, as the bottom of a feature pyramid:

        >>> from detectron2 import model_zoo
        >>> from detectron2.config import LazyCall as L
        >>> model = model_zoo.get_config("common/models/mask_rcnn_fpn.py").model
        >>> model.backbone.bottom_up = L(TimmBackbone)(
        ...     name="resnet18", pretrained=None, out_features=["res2", "res3", "res4", "res5"]
        ... )
        >>> model.pixel_mean, model.pixel_std = timm_pixel_statistics("resnet18")
        >>> model.input_format = "RGB"  # and dataloader.train.mapper.image_format
    """

    def __init__(
        self,
        name: str = DEFAULT_NETWORK,
        *,
        pretrained: str | Path | None = PACKAGED,
        out_features: Sequence[str] = ("res2", "res3", "res4", "res5"),
        freeze_bn: bool = True,
        freeze_at: int = 2,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if freeze_at < 0:
            raise ArgumentError(f"freeze_at: {freeze_at} is negative")
        network = build_network(name, pretrained=pretrained, options=options)
        strides: list[int] = network.feature_info.reduction()
        self._indices = {f: _index(name, strides, f) for f in out_features}
        if not self._indices:
            raise ArgumentError("out_features: is empty; give ['res2', 'res3', 'res4', 'res5']")
        levels = max(self._indices.values()) + 1
        if levels < len(strides):
            network = build_network(name, pretrained=pretrained, levels=levels, options=options)
        self.network = network
        self._channels_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")
        channels = network.feature_info.channels()
        self._out_features = list(self._indices)
        self._out_feature_strides = {f: strides[i] for f, i in self._indices.items()}
        self._out_feature_channels = {f: channels[i] for f, i in self._indices.items()}
        self._frozen = parts_up_to_stride(network, 2**freeze_at) if freeze_at else []
        if levels < len(strides):  # some networks keep the parts that come after the last map
            used = set(parts_up_to_stride(network, strides[levels - 1]))
            self._frozen += [m for m in list(network.modules())[1:] if m not in used]
        if freeze_bn:
            self._frozen += [m for m in network.modules() if isinstance(m, _BatchNorm)]
        for part in self._frozen:
            for parameter in part.parameters(recurse=False):
                parameter.requires_grad_(False)
        self.train(self.training)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of normalised RGB images: (N, 3, H, W) float to name -> (N, C, h, w)."""
        maps: Sequence[Tensor] = self.network(x)
        if self._channels_last:
            maps = [feature.permute(0, 3, 1, 2).contiguous() for feature in maps]
        return {feature: maps[index] for feature, index in self._indices.items()}

    @property
    def size_divisibility(self) -> int:
        """The largest stride: images of a multiple of it have maps of exactly size / stride."""
        return max(self._out_feature_strides.values())

    def train(self, mode: bool = True) -> TimmBackbone:
        """As of any module, but what is frozen stays in evaluation mode."""
        super().train(mode)
        # Batch norm is frozen by its mode, not by its class: timm's holds the activation as well.
        for part in self._frozen:
            part.training = False
        return self


def add_timm_config(cfg: CfgNode) -> None:
    """Add the node `cfg.MODEL.TIMM`, in place; what the node already holds stays.

    NAME, PRETRAINED ("" for random weights) and FREEZE_BN are TimmBackbone's arguments with its
    defaults. The others are detectron2's keys: ``MODEL.BACKBONE.NAME`` "build_timm_fpn_backbone"
    (or "build_timm_backbone" without a pyramid), ``MODEL.BACKBONE.FREEZE_AT``,
    ``MODEL.RESNETS.OUT_FEATURES`` without a pyramid, and ``MODEL.FPN.*`` with one, whose
    IN_FEATURES are ["res2", "res3", "res4", "res5"]. ``MODEL.WEIGHTS`` is "" unless a checkpoint of
    the whole detector is loaded. Call `set_timm_input` once NAME is final.

    Example:
        >>> from detectron2.config import get_cfg
        >>> cfg = get_cfg()
        >>> add_timm_config(cfg)
        >>> cfg.MODEL.BACKBONE.NAME = "build_timm_fpn_backbone"
        >>> cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
        >>> cfg.MODEL.WEIGHTS = ""
        >>> set_timm_input(cfg)
        >>> cfg.INPUT.FORMAT, cfg.MODEL.PIXEL_MEAN
        ('RGB', [127.5, 127.5, 127.5])
    """
    if "TIMM" not in cfg.MODEL:
        cfg.MODEL.TIMM = CfgNode()
    node = cfg.MODEL.TIMM
    defaults = {"NAME": DEFAULT_NETWORK, "PRETRAINED": PACKAGED, "FREEZE_BN": True}
    for key, default in defaults.items():
        if key not in node:
            node[key] = default


def set_timm_input(cfg: CfgNode) -> None:
    """Set INPUT.FORMAT, MODEL.PIXEL_MEAN and MODEL.PIXEL_STD to what the network of `cfg` wants.

    Raises:
        ArgumentError: the node `cfg.MODEL.TIMM` is missing, or timm does not know the name.
    """
    cfg.INPUT.FORMAT = "RGB"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = timm_pixel_statistics(_node(cfg).NAME)


@BACKBONE_REGISTRY.register()  # type: ignore[untyped-decorator]
def build_timm_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> TimmBackbone:
    """The `TimmBackbone` of a yacs config: see `add_timm_config`.

    Raises:
        ArgumentError: as TimmBackbone; or the node `cfg.MODEL.TIMM` is missing; or the pixels are
            not those that weights of timm's own want (of a weight file they are not known).
    """
    return _from_config(cfg, input_shape, cfg.MODEL.RESNETS.OUT_FEATURES)


@BACKBONE_REGISTRY.register()  # type: ignore[untyped-decorator]
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """detectron2's FPN on the `TimmBackbone` of a yacs config: see `add_timm_config`.

    Raises:
        ArgumentError: as `build_timm_backbone`.
    """
    return FPN(
        bottom_up=_from_config(cfg, input_shape, cfg.MODEL.FPN.IN_FEATURES),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def _from_config(cfg: CfgNode, input_shape: ShapeSpec, out_features: Sequence[str]) -> TimmBackbone:
    node = _node(cfg)
    if input_shape.channels != 3:
        raise ArgumentError(
            f"MODEL.PIXEL_MEAN: has {input_shape.channels} channels; timm's networks want 3"
        )
    if node.PRETRAINED in (PACKAGED, HUB):
        _check_input(cfg)
    return TimmBackbone(
        node.NAME,
        pretrained=node.PRETRAINED or None,
        out_features=out_features,
        freeze_bn=node.FREEZE_BN,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )


def _node(cfg: CfgNode) -> CfgNode:
    if "TIMM" not in cfg.MODEL:
        raise ArgumentError("cfg.MODEL.TIMM: there is no such node; call add_timm_config(cfg)")
    return cfg.MODEL.TIMM


def _check_input(cfg: CfgNode) -> None:
    mean, std = timm_pixel_statistics(cfg.MODEL.TIMM.NAME)
    wanted = {"INPUT.FORMAT": "RGB", "MODEL.PIXEL_MEAN": mean, "MODEL.PIXEL_STD": std}
    given = {
        "INPUT.FORMAT": cfg.INPUT.FORMAT,
        "MODEL.PIXEL_MEAN": cfg.MODEL.PIXEL_MEAN,
        "MODEL.PIXEL_STD": cfg.MODEL.PIXEL_STD,
    }
    for key, value in wanted.items():
        same = len(given[key]) == len(value) and (
            given[key] == value
            if isinstance(value, str)
            else all(abs(a - b) <= _TOLERANCE for a, b in zip(given[key], value, strict=True))
        )
        if not same:
            raise ArgumentError(
                f"{key}: is {given[key]!r}, but the weights of {cfg.MODEL.TIMM.NAME!r} want "
                f"{value!r}; call set_timm_input(cfg)"
            )


def _index(name: str, strides: Sequence[int], feature: str) -> int:
    """Which map of the network has that name."""
    named = [f"res{stride.bit_length() - 1}" for stride in strides]
    if named.count(feature) != 1:
        raise ArgumentError(
            f"out_features: {feature!r} names {named.count(feature)} maps of {name!r}, whose maps "
            f"have the strides {list(strides)}; a map of stride 2**k is called 'res<k>'"
        )
    return named.index(feature)

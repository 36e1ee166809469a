"""The multi-label classifier f (paper, 3.1): features phi, a linear head, one checkpoint file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from empaste_aug.bank.files import atomic_file
from empaste_aug.offline.classify.backbone import (
    DEFAULT_BACKBONE,
    PACKAGED,
    Backbone,
    build_backbone,
)
from empaste_aug.offline.classify.fold import fold_batch_norms
from empaste_aug.types import ArgumentError

_FORMAT = "empaste_aug.classifier"
_VERSION = 1


class Classifier(nn.Module):
    """A backbone cut after its last convolution layer, average pooling, and a linear head.

    Attributes:
        class_names: K names; column k of the logits is `class_names[k]`.
        backbone_name: what `build_backbone` made it from.
        input_size: S in pixels; photos are resized to an S x S square.
        mean, std: per RGB channel, of images scaled to [0, 1].
        history: one mapping per epoch of training, JSON values; empty before.
        target_layer: the module whose output is the map after the last convolution layer, for
            Grad-CAM (an identity, so that it is the same thing for every backbone).
    """

    def __init__(
        self, class_names: Sequence[str], backbone: Backbone, *, input_size: int | None = None
    ) -> None:
        super().__init__()
        names = tuple(class_names)
        if not names or len(set(names)) != len(names):
            raise ArgumentError(f"class_names: must be non-empty and unique, got {list(names)}")
        size = backbone.input_size if input_size is None else input_size
        if size < 32:
            raise ArgumentError(f"input_size: must be at least 32 px, got {size}")
        self.class_names = names
        self.backbone_name = backbone.name
        self.input_size = size
        self.mean = backbone.mean
        self.std = backbone.std
        self.history: list[dict[str, Any]] = []
        # Twice as fast as the default layout on a CPU, and the same function.
        self.backbone = backbone.module.to(memory_format=torch.channels_last)
        self.target_layer = nn.Identity()
        self.head = nn.Linear(backbone.channels, len(names))
        self.eval()

    @classmethod
    def create(
        cls,
        class_names: Sequence[str],
        *,
        backbone: str = DEFAULT_BACKBONE,
        pretrained: str | Path | None = PACKAGED,
        input_size: int | None = None,
    ) -> Classifier:
        """An untrained classifier; the arguments are `build_backbone`'s and the class's own.

        Its head starts at zero, so that every probability is 0.5 and nothing random is drawn.
        """
        classifier = cls(
            class_names, build_backbone(backbone, pretrained=pretrained), input_size=input_size
        )
        nn.init.zeros_(classifier.head.weight)
        nn.init.zeros_(classifier.head.bias)
        return classifier

    @property
    def channels(self) -> int:
        """D, the length of phi."""
        return self.head.in_features

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def feature_map(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) normalised float images -> (N, D, h, w), after the last convolution."""
        result: Tensor = self.target_layer(self.backbone(images))
        return result

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) normalised float images -> (N, D) phi, the map's global average."""
        return self.feature_map(images).mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """(N, D) phi -> (N, K) logits; the sigmoid of a logit is the class's probability."""
        result: Tensor = self.head(features)
        return result

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) normalised float images -> (N, K) logits."""
        return self.logits(self.features(images))

    def folded(self) -> Classifier:
        """A classifier that gives the same, up to rounding, in less time, for inference alone.

        Batch norms are folded into the convolutions before them, see `fold_batch_norms`; the head
        is shared with this one.
        """
        size = self.input_size
        probe = torch.randn((1, 3, size, size), generator=torch.Generator().manual_seed(0))
        module = fold_batch_norms(self.backbone, probe.to(self.device))
        backbone = Backbone(
            self.backbone_name, module, self.channels, self.input_size, self.mean, self.std
        )
        result = Classifier(self.class_names, backbone)
        result.head = self.head
        return result

    def preprocess(self, rgb: NDArray[np.uint8], size: int | None = None) -> Tensor:
        """(H, W, 3) uint8 RGB -> (3, S, S) float32 on the CPU: resized to a square, normalised.

        The aspect is not kept, so every pixel of the photo is seen. `size` replaces `input_size`.
        """
        side = self.input_size if size is None else size
        shrinks = rgb.shape[0] * rgb.shape[1] > side * side
        square = cv2.resize(
            rgb, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        return self.normalize(torch.from_numpy(square).permute(2, 0, 1))

    def normalize(self, images: Tensor) -> Tensor:
        """(..., 3, H, W) uint8 RGB -> the same shape, float32, as the network wants it."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1)
        return (images.float() / 255 - mean) / std

    def check_classes(self, names: Sequence[str]) -> tuple[int, ...]:
        """The column of each of `names`; so a data set's ids become the classifier's.

        Raises:
            ArgumentError: a name that the classifier was not trained for.
        """
        columns = {name: k for k, name in enumerate(self.class_names)}
        unknown = [name for name in names if name not in columns]
        if unknown:
            raise ArgumentError(
                f"class_names: the classifier does not know {unknown}; "
                f"it was trained for {list(self.class_names)}"
            )
        return tuple(columns[name] for name in names)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the weights, class names and preprocessing; the history is left out."""
        digest = hashlib.sha256(json.dumps(self._config(), sort_keys=True).encode())
        for key, tensor in sorted(self.state_dict().items()):
            array = tensor.detach().cpu().contiguous().numpy()
            digest.update(f"{key} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write one file of plain tensors and JSON, whole or not at all; see `load`."""
        save_tensors(
            path,
            {
                "format": _FORMAT,
                "version": _VERSION,
                "config": json.dumps(self._config()),
                "history": json.dumps(self.history),
                "state": {k: v.detach().cpu() for k, v in self.state_dict().items()},
            },
        )

    @classmethod
    def load(cls, path: str | Path, map_location: str | torch.device = "cpu") -> Classifier:
        """Read a file of `save`; it needs no pretrained weights and unpickles nothing but tensors.

        Raises:
            ArgumentError: no such file, not a classifier's file, or one that is damaged, of
                another version, or of a network that the installed libraries do not know or build
                differently. The message begins with the file.
        """
        content = load_tensors(path)
        if content.get("format") != _FORMAT:
            raise ArgumentError(f"{path}: is not a file that Classifier.save wrote")
        missing = {"version", "config", "history", "state"} - content.keys()
        if missing:
            raise ArgumentError(f"{path}: lacks {sorted(missing)}")
        if content["version"] != _VERSION:
            raise ArgumentError(f"{path}: has version {content['version']}, not {_VERSION}")
        try:
            config = json.loads(content["config"])
            backbone = build_backbone(config["backbone"], pretrained=None)
            classifier = cls(config["class_names"], backbone, input_size=config["input_size"])
            classifier.mean, classifier.std = tuple(config["mean"]), tuple(config["std"])
            classifier.history = json.loads(content["history"])
            classifier.load_state_dict(content["state"])
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ArgumentError(f"{path}: is damaged: {error!r}") from error
        except ArgumentError as error:
            raise ArgumentError(f"{path}: cannot be used: {error}") from error
        except RuntimeError as error:
            raise ArgumentError(
                f"{path}: its weights do not fit the network {config['backbone']!r} as it is built "
                f"here: {error}"
            ) from error
        return classifier.to(map_location)

    def _config(self) -> dict[str, Any]:
        return {
            "class_names": list(self.class_names),
            "backbone": self.backbone_name,
            "input_size": self.input_size,
            "mean": list(self.mean),
            "std": list(self.std),
        }


def save_tensors(path: str | Path, content: Mapping[str, Any]) -> None:
    """`torch.save`, whole or not at all; makes the folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, shared=True) as handle:
        torch.save(dict(content), handle)


def load_tensors(path: str | Path) -> dict[str, Any]:
    """What `save_tensors` wrote, on the CPU; nothing but tensors is unpickled.

    Raises:
        ArgumentError: no such file, one that cannot be read, is cut off or otherwise damaged, or
            is no file of torch.save. The message is one line and begins with the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ArgumentError(f"{path}: no such file")
    try:
        handle = path.open("rb")
    except OSError as error:
        raise ArgumentError(f"{path}: cannot be read: {error.strerror or error}") from error
    with handle:
        try:
            content = torch.load(handle, map_location="cpu", weights_only=True)
        except Exception as error:  # torch, zipfile and pickle raise all kinds
            raise ArgumentError(
                f"{path}: is damaged, or no file of torch.save ({type(error).__name__})"
            ) from error
    if not isinstance(content, dict):
        raise ArgumentError(f"{path}: holds a {type(content).__name__}, not a dict")
    return content
